"""LiteLLM's real proxy, in an environment of its own, before a model that is made up.

python3 -m venv .litellm
.litellm/bin/pip install 'litellm[proxy]==1.108.7' -e .
SPECPREFILL_LITELLM_PYTHON=.litellm/bin/python pytest tests/integration_tests/test_litellm.py
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import httpx

from specprefill_integrations import ContextCompressor
from specprefill_integrations.serving import ApiKeys, TenantOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.integration_tests.fake_provider import ANSWER, fake_provider
from tests.unit_tests.serving.running import listening, serving

PYTHON = os.environ.get("SPECPREFILL_LITELLM_PYTHON", "")
pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(
        not PYTHON, reason="SPECPREFILL_LITELLM_PYTHON is not set to a Python with litellm[proxy]"
    ),
]

FACT = "The treasury holds four hundred ducats."
TEXT = " ".join(["The cat sat on the mat.", "A dog barked at the moon.", FACT] * 8)
OPTIONS = {"budget": {"max_tokens": 40}, "min_tokens": 0}
GUARDRAILS = {
    "generic": "generic_guardrail_api",
    "own": "specprefill_integrations.serving.SpecPrefillGuardrail",
}
BOTH = pytest.mark.parametrize("guardrail", GUARDRAILS)
START_SECONDS = 120
MASTER_KEY = f"sk-{secrets.token_hex(32)}"


@dataclass
class Proxy:
    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, path: str, guardrail: str, **body: Any) -> httpx.Response:
        """Send a request through a guardrail; what the model got is in `asked`."""
        self.asked.clear()
        reply = httpx.post(
            f"{self.url}{path}",
            json={**body, "guardrails": [guardrail]},
            headers={"Authorization": f"Bearer {MASTER_KEY}"},
            timeout=60,
        )
        assert reply.status_code == 200, reply.text
        return reply


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    asked: list[dict[str, Any]] = []
    folder = tmp_path_factory.mktemp("litellm")
    with (
        serving(
            ContextCompressor(KeywordScorer()),
            api_keys=ApiKeys(["key-of-the-proxy"]),
            originals=TenantOriginals(),
        ) as service,
        listening(fake_provider(asked)) as provider,
        running_proxy(folder, service, provider) as url,
    ):
        yield Proxy(url, asked)


@contextmanager
def running_proxy(folder: Path, service: str, provider: str) -> Iterator[str]:
    config = folder / "config.yaml"
    config.write_text(json.dumps(config_of(service, provider)))  # JSON is YAML
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(PYTHON).parent / "litellm", "--config", config, "--host", "127.0.0.1"]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(  # noqa: S603 - what the variable names
            [*command, "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        try:
            ends_at = time.monotonic() + START_SECONDS
            url = f"http://127.0.0.1:{port}"
            while not _is_ready(url):
                assert process.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < ends_at, Path(log.name).read_text()
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/liveliness").status_code == 200
    except httpx.TransportError:
        return False


def config_of(service: str, provider: str) -> dict[str, Any]:
    shared = {"mode": "pre_call", "additional_provider_specific_params": OPTIONS}
    open_ = {"unreachable_fallback": "fail_open", "fail_on_error": False}
    guardrails = [
        (name, {"guardrail": kind, "api_base": service, "api_key": "key-of-the-proxy"})
        for name, kind in GUARDRAILS.items()
    ]
    guardrails += [
        (f"{name}-down", {"guardrail": kind, "api_base": "http://127.0.0.1:9"})
        for name, kind in GUARDRAILS.items()
    ]
    return {
        "general_settings": {"master_key": MASTER_KEY},
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": model, "api_base": provider + end, "api_key": "x"},
            }
            for name, model, end in (
                ("gpt", "openai/gpt-4o", "/v1"),
                ("claude", "anthropic/claude-3-5-haiku-20241022", ""),
            )
        ],
        "guardrails": [
            {"guardrail_name": name, "litellm_params": {**shared, **open_, **more}}
            for name, more in guardrails
        ],
    }


def chat(question: str, content: Any = TEXT) -> dict[str, Any]:
    function = {"name": "read", "arguments": '{"path": "a.txt"}'}
    return {
        "model": "gpt",
        "tools": [{"type": "function", "function": {"name": "read", "parameters": {}}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": question},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": content},
        ],
    }


QUESTION = "How many ducats are in the treasury?"
RECALL = f"{QUESTION} RECALL the original."


def check_cut(given: str) -> None:
    assert FACT in given
    assert len(given) < len(TEXT) / 2


class TestChat:
    @BOTH
    def test_the_model_gets_a_shorter_tool_result(self, proxy: Proxy, guardrail: str) -> None:
        body = chat(QUESTION)
        reply = proxy.ask("/v1/chat/completions", guardrail, **body)
        assert reply.json()["choices"][0]["message"]["content"] == ANSWER
        [given] = proxy.asked
        assert given["messages"][:3] == body["messages"][:3]
        check_cut(given["messages"][3]["content"])
        assert given["tools"][0] == body["tools"][0]
        names = [tool["function"]["name"] for tool in given["tools"]]
        assert names == ["read", "recall_original"][: 1 + (guardrail == "own")]

    @BOTH
    def test_so_it_does_in_a_stream(self, proxy: Proxy, guardrail: str) -> None:
        body = {**chat(QUESTION), "stream": True}
        reply = proxy.ask("/v1/chat/completions", guardrail, **body)
        check_cut(proxy.asked[0]["messages"][3]["content"])
        assert streamed(reply) == ANSWER

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_recall_is_answered_by_the_proxy(self, proxy: Proxy, *, stream: bool) -> None:
        reply = proxy.ask("/v1/chat/completions", "own", **chat(RECALL), stream=stream)
        assert "recall_original" not in reply.text
        if stream:
            assert streamed(reply) == ANSWER
        else:
            assert reply.json()["choices"][0]["message"]["content"] == ANSWER
        first, second = proxy.asked
        check_cut(first["messages"][3]["content"])
        assert second["messages"][:4] == first["messages"]
        assert [row["role"] for row in second["messages"][4:]] == ["assistant", "tool"]
        assert second["messages"][5]["content"] == TEXT

    @pytest.mark.parametrize("tools", [{}, {"tools": None}])
    def test_a_model_that_recalls_again_and_again_has_to_answer(
        self, proxy: Proxy, tools: dict[str, Any]
    ) -> None:
        body = {**chat(f"{RECALL} AGAIN"), **tools}
        reply = proxy.ask("/v1/chat/completions", "own", **body)
        assert reply.json()["choices"][0]["message"]["content"] == ANSWER
        assert len(proxy.asked) == 4

    @pytest.mark.parametrize("guardrail", [f"{name}-down" for name in GUARDRAILS])
    def test_without_the_service_requests_go_on(self, proxy: Proxy, guardrail: str) -> None:
        body = chat(QUESTION)
        proxy.ask("/v1/chat/completions", guardrail, **body)
        assert proxy.asked[0]["messages"] == body["messages"]
        assert proxy.asked[0]["tools"] == body["tools"]

    @BOTH
    def test_a_request_without_tool_results_goes_on(self, proxy: Proxy, guardrail: str) -> None:
        body = {"model": "gpt", "messages": [{"role": "user", "content": QUESTION}]}
        proxy.ask("/v1/chat/completions", guardrail, **body)
        assert proxy.asked[0]["messages"] == body["messages"]
        assert "tools" not in proxy.asked[0]


def streamed(reply: httpx.Response) -> str:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    deltas = [one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"]]
    return "".join(deltas).strip()


def anthropic(question: str) -> dict[str, Any]:
    cached = {"cache_control": {"type": "ephemeral"}}
    return {
        "model": "claude",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief.", **cached}],
        "tools": [{"name": "read", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": question, **cached}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "read", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "text", "text": TEXT}],
                        **cached,
                    }
                ],
            },
        ],
    }


class TestAnthropic:
    @BOTH
    def test_marks_for_caches_stay(self, proxy: Proxy, guardrail: str) -> None:
        body = anthropic(QUESTION)
        reply = proxy.ask("/v1/messages", guardrail, **body)
        assert reply.json()["content"][0]["text"] == ANSWER
        [given] = proxy.asked
        assert given["system"] == body["system"]
        assert given["messages"][0] == body["messages"][0]
        check_cut(json.dumps(given["messages"][2]))
        # LiteLLM sends no mark of a tool result to a generic guardrail.
        assert ("ephemeral" in json.dumps(given["messages"][2])) == (guardrail == "own")

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_recall_is_answered_by_the_proxy(self, proxy: Proxy, *, stream: bool) -> None:
        reply = proxy.ask("/v1/messages", "own", **anthropic(RECALL), stream=stream)
        assert "recall_original" not in reply.text
        if stream:
            assert "".join(re.findall(r'"text": ?"(Four hundred[^"]*)"', reply.text)) == ANSWER
        else:
            assert reply.json()["content"] == [{"type": "text", "text": ANSWER}]
        first, second = proxy.asked
        assert second["messages"][: len(first["messages"])] == first["messages"]
        [result] = second["messages"][-1]["content"]
        assert TEXT in json.dumps(result)


def responses(question: str) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{}"}
    return {
        "model": "gpt",
        "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}}],
        "input": [
            {"role": "user", "content": question},
            call,
            {"type": "function_call_output", "call_id": "c1", "output": TEXT},
        ],
    }


class TestResponses:
    @BOTH
    def test_the_model_gets_a_shorter_tool_result(self, proxy: Proxy, guardrail: str) -> None:
        reply = proxy.ask("/v1/responses", guardrail, **responses(QUESTION))
        assert reply.json()["output"][0]["content"][0]["text"] == ANSWER
        check_cut(json.dumps(proxy.asked[0]["input"]))

    def test_a_recall_is_answered_by_the_proxy(self, proxy: Proxy) -> None:
        reply = proxy.ask("/v1/responses", "own", **responses(RECALL))
        assert reply.json()["output"][0]["content"][0]["text"] == ANSWER
        assert TEXT in json.dumps(proxy.asked[1]["input"])


FAILING = """
import asyncio
from specprefill_integrations.serving import SpecPrefillGuardrail

async def fail(*_):
    raise RuntimeError("odd")

async def main():
    guardrail = SpecPrefillGuardrail(api_base="http://127.0.0.1:9", guardrail_name="a")
    guardrail._client.acall = fail
    for rows in ([{"role": "tool", "content": "x"}], [{"role": "tool", "content": "\\ud800"}], [7]):
        inputs = {"structured_messages": rows}
        assert await guardrail.apply_guardrail(inputs, {}, "request") is inputs
    reference = "0123456789ab"
    assert await guardrail._recall({"reference": reference}, frozenset([reference]))

asyncio.run(main())
"""


def test_no_failure_blocks_a_request() -> None:
    folder = str(Path(__file__).parents[2])
    done = subprocess.run(  # noqa: S603 - what the variable names
        [PYTHON, "-c", FAILING],
        env={**os.environ, "PYTHONPATH": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
