"""`specprefill evaluate ab` against a server on this machine, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specprefill_integrations import ContextCompressor, __version__
from specprefill_integrations.cli import build_app
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_summary import format_verdict
from specprefill_integrations.evaluation._machine import describe_machine
from specprefill_integrations.evaluation._run_session import check_scorers, told, without_folders
from specprefill_integrations.evaluation._statistics import compare_pairs
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.evaluation.ab_doubles import EVIDENCE, NOISE, says_what_it_reads
from tests.unit_tests.evaluation.chat_server import ChatServer, serve_chat

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serve_chat(says_what_it_reads) as chat:
        yield chat


@pytest.fixture(autouse=True)
def _here_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        ContextCompressor, "from_draft_model", lambda *_, **__: ContextCompressor(KeywordScorer())
    )
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    def a_record(name: str, **changes: Any) -> dict[str, Any]:
        document = {"title": "", "text": f"{NOISE * 2}{EVIDENCE} {NOISE * 2}"}
        return {
            "id": name,
            "task": "keepers",
            "query": "Who keeps the lighthouse?",
            "documents": [document],
            "answers": ["Ada"],
            **changes,
        }

    records = [
        a_record("one"),
        a_record("two"),
        a_record("three", task="others"),
        a_record("two"),
        a_record("four", query=None),
        a_record("five", answers=[]),
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return path


def run(data: Path, server: ChatServer, *args: object) -> Result:
    given = [data, "--model", "tiny", "--base-url", server.url, *args]
    return CliRunner().invoke(build_app(), ["evaluate", "ab", *map(str, given)])


def test_json(data: Path, server: ChatServer) -> None:
    asked = ["--scorer", "readout", "--scorer", "head+tail", "--keep", ".3", "--json"]
    result = run(data, server, *asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["left_out"] == {"given_twice": 1, "no_question": 1, "no_answer_given": 1}
    assert (found["model"], found["draft"], found["margin"]) == ("tiny", "KeywordScorer", 0.05)
    assert (found["stopped"], found["errors"]) == (None, {})
    assert list(found["tasks"]) == ["keepers", "others"]
    variants = found["all"]["variants"]
    assert list(variants) == ["full", "readout@0.3", "head+tail@0.3"]
    assert [variant["score"] for variant in variants.values()] == [1, 1, 0]
    assert set(variants["head+tail@0.3"]["versus_reference"]) == {
        "pairs",
        "difference",
        "is_relative",
        "interval",
        "mcnemar_p",
        "verdict",
        "cases_needed",
    }
    assert len(server.requests) == 9
    assert found["sent_tokens"] == sum(len(prompt.split()) for prompt in server.prompts)
    assert server.requests[0]["temperature"] == 0
    assert Path(found["log"]).read_bytes().count(b"\n") == 11


def test_cases_that_are_too_long_are_left_out(tmp_path: Path, server: ChatServer) -> None:
    texts = {"short": f"{NOISE}{EVIDENCE}", "long": f"{NOISE * 9}{EVIDENCE}"}
    common = {"task": "t", "query": "Who keeps the lighthouse?", "answers": ["Ada"]}
    lines = [{"id": name, "documents": [{"text": text}], **common} for name, text in texts.items()]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    longest = sum(KeywordScorer().count_tokens([texts["short"]]))
    asked = ["--scorer", "head+tail", "--keep", ".5"]
    found = run(path, server, *asked, "--json", "--max-context-tokens", longest)
    report = json.loads(found.stdout)
    assert (report["all"]["cases"], report["left_out"]) == (1, {"too_long": 1})
    assert len(server.requests) == 2
    refused = run(path, server, *asked, "--max-context-tokens", longest - 1)
    assert refused.exit_code == 2
    assert f"more than {longest - 1} tokens" in refused.stderr


@pytest.mark.parametrize("by", ["reply", "full"])
def test_agreement_is_called_so_and_compared_where_that_means_something(
    tmp_path: Path, server: ChatServer, by: str
) -> None:
    document = {"text": f"{NOISE * 2}{EVIDENCE} {NOISE * 2}"}
    record = {"task": "t", "query": "Who keeps the lighthouse?", "documents": [document]}
    replies = {"one": {"reply": "Ada"}, "two": {"reply": "Eve"}, "three": {}}
    path = tmp_path / "recorded.jsonl"
    lines = [{"id": name, "answers": [], **record, **more} for name, more in replies.items()]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    asked = ["--judge-by", by, "--scorer", "head+tail", "--keep", ".3"]
    found = json.loads(run(path, server, *asked, "--json").stdout)
    assert found["scores_mean"].endswith(", not correctness")
    full, compressed = found["all"]["variants"].values()
    assert found["left_out"] == ({"no_reply_recorded": 1} if by == "reply" else {})
    assert full["score"] == (0.5 if by == "reply" else 1)
    assert compressed["score"] == 0
    assert (compressed["versus_reference"] is None) == (by == "full")
    shown = run(path, server, *asked).stdout
    assert f"scores: {found['scores_mean']}" in shown
    assert "agreement" in shown
    assert " score " not in shown
    [log] = Path().glob("specprefill-ab-*.jsonl")
    assert {session["judge_by"] for session in sessions_of(log)} == {by}


def test_a_second_run_asks_nothing_and_another_setup_anew(data: Path, server: ChatServer) -> None:
    first = run(data, server, "--keep", ".3")
    second = run(data, server, "--keep", ".3", "--margin", ".2")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert len(server.requests) == 6
    run(data, server, "--keep", ".3", "--model-options", '{"temperature": 1}')
    assert len(server.requests) == 12
    [log, _] = sorted(Path().glob("specprefill-ab-*.jsonl"), key=lambda p: p.stat().st_mtime)
    refused = run(data, server, "--keep", ".5", "--resume", log, "--metric", "f1")
    assert refused.exit_code == 1
    assert "metric: None then, 'f1' now" in refused.stderr


def test_a_key_is_in_no_log_and_another_one_goes_on(
    data: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("sk-1", "sk-2"):
        options = ["--model-options", json.dumps({"temperature": 0, "api_key": key})]
        monkeypatch.setattr("sys.argv", ["specprefill", "evaluate", "ab", *options])
        assert run(data, server, "--keep", ".3", *options).exit_code == 0
    assert len(server.requests) == 6
    [log] = Path().glob("specprefill-ab-*.jsonl")
    held = log.read_text("utf-8")
    assert "sk-" not in held
    assert json.loads(held.splitlines()[0])["run"]["model_options"]["api_key"] == "***"
    assert sessions_of(log)[0]["command"][-1] == '{"temperature": 0, "api_key": "***"}'


def test_variants_are_added_to_a_log(data: Path, server: ChatServer) -> None:
    run(data, server, "--keep", ".3")
    assert len(server.requests) == 6
    added = run(data, server, "--keep", ".5", "--scorer", "truncation", "--json")
    assert added.exit_code == 0, added.output
    assert len(server.requests) == 9
    [log] = Path().glob("specprefill-ab-*.jsonl")
    assert json.loads(added.stdout)["log"] == log.name
    variants = json.loads(added.stdout)["all"]["variants"]
    assert {name: variant["keep_fraction"] for name, variant in variants.items()} == {
        "full": 1.0,
        "truncation@0.5": 0.5,
    }
    assert json.loads(added.stdout)["all"]["cases"] == 3


def sessions_of(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [line["session"] for line in lines if "session" in line]


def test_each_invocation_says_what_it_is(
    data: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/specprefill", "evaluate", "ab", str(data)])
    asked = ["--scorer", "readout", "--scorer", "provence", "--keep", ".3"]
    shown = run(data, server, *asked)
    assert "skipped: provence: its weights are missing" in shown.stdout
    skipped = json.loads(run(data, server, *asked, "--json").stdout)["skipped"]
    [log] = Path().glob("specprefill-ab-*.jsonl")
    first, second = sessions_of(log)
    assert datetime.fromisoformat(first["started"]) < datetime.fromisoformat(second["started"])
    assert first["command"] == ["specprefill", "evaluate", "ab", str(data)]
    assert first["skipped"] == skipped
    assert list(skipped) == ["provence"]
    assert first["judge_by"] == "answers"
    assert first["scorers"] == {"readout": {}}
    assert first["draft"] == "KeywordScorer"
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert first["data"] == [{"name": data.name, "sha256": digest, "cases": 6}]
    assert first["machine"] == describe_machine()
    assert first["versions"]["specprefill-integrations"] == __version__


def test_a_peer_is_a_variant_like_any_other(data: Path, server: ChatServer) -> None:
    asked = ["--scorer", "embedding_filter", "--scorer", "bm25", "--keep", ".9", "--json"]
    result = run(data, server, *asked)
    assert result.exit_code == 0, result.output
    variants = json.loads(result.stdout)["all"]["variants"]
    assert list(variants) == ["full", "embedding_filter@0.9", "bm25@0.9"]
    assert all(
        variant["score"] is not None and variant["failed"] == 0 for variant in variants.values()
    )
    assert 0 < variants["embedding_filter@0.9"]["kept_tokens_fraction"] <= 0.9
    assert variants["embedding_filter@0.9"]["draft_seconds"] > 0
    [log] = Path().glob("specprefill-ab-*.jsonl")
    [session] = sessions_of(log)
    assert "wordllama" in session["scorers"]["embedding_filter"]["embeddings"]
    assert {"wordllama", "langchain-community"} <= session["versions"].keys()


def test_where_nothing_compresses_nothing_is_asked(data: Path, server: ChatServer) -> None:
    result = run(data, server, "--scorer", "llmlingua2")
    assert result.exit_code == 1
    assert "nothing to compare with the full prompt" in result.stderr
    assert "llmlingua2: its weights are missing" in result.stderr
    assert server.requests == []


def test_a_log_is_of_one_kind_of_each_scorer(tmp_path: Path) -> None:
    then = [{"case": "1"}, {"session": {"scorers": {"llmlingua": {"model": "a"}}}}]
    check_scorers(then, {"llmlingua": {"model": "a"}, "bm25": {}})
    with pytest.raises(
        EvaluationDataError, match=r"llmlingua has other .*'a'.* there, .*'b'.* now"
    ):
        check_scorers(then, {"llmlingua": {"model": "b"}})


def test_only_paths_lose_their_folders(tmp_path: Path) -> None:
    assert without_folders(str(tmp_path / "draft")) == "draft"
    assert without_folders("owner/name") == "owner/name"
    assert told({"model": str(tmp_path / "a"), "k": 3, "thresholds": [0.1]}) == {
        "model": "a",
        "k": 3,
        "thresholds": [0.1],
    }


def test_a_table_for_people(data: Path, server: ChatServer) -> None:
    server.failures = [401]
    result = run(data, server, "--keep", ".3", "--limit", 3)
    assert result.exit_code == 0, result.output
    for words in (
        "tiny: full prompts against compressed ones",
        "readout@0.3",
        "all cases",
        "+0.0 (-65.8 to +65.8)",
        "not shown: about 7",
        "not answered by every variant: 1",
        "failed calls: 1 of full",
        "AuthenticationError: Error code: 401",
    ):
        assert words in result.stdout


def test_a_dead_server_is_a_failure(data: Path, server: ChatServer) -> None:
    server.url = "http://127.0.0.1:9/v1"
    result = run(data, server, "--keep", ".3", "--limit", 2, "--retries", 0, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["all"]["cases"] == 0
    assert "error: nothing to compare: no case was answered with every variant" in result.stderr
    assert "Connection" in result.stderr


def test_failed_calls_that_leave_something_to_compare_are_a_warning(
    data: Path, server: ChatServer
) -> None:
    server.failures = [401]
    result = run(data, server, "--keep", ".3", "--json")
    assert (result.exit_code, json.loads(result.stdout)["all"]["cases"]) == (0, 2)
    assert (
        "warning: 1 of 3 cases were not answered with every variant and do not count; "
        "failed calls: 1; OpenAIAuthenticationError: Error code: 401" in result.stderr
    )
    assert "warning" not in run(data, server, "--keep", ".3", "--json").stderr


def test_a_limit_that_leaves_nothing_to_compare_is_a_warning(
    data: Path, server: ChatServer
) -> None:
    result = run(data, server, "--max-input-tokens", 1, "--json")
    assert result.exit_code == 0
    assert "warning: nothing to compare" in result.stderr


def test_a_broken_stream_is_tried_again(data: Path, server: ChatServer) -> None:
    server.failures = [0, 503]
    result = run(data, server, "--keep", ".3", "--limit", 1, "--json")
    assert json.loads(result.stdout)["all"]["cases"] == 1
    assert len(server.requests) == 4


def test_it_stops_where_it_should(data: Path, server: ChatServer) -> None:
    result = run(data, server, "--max-input-tokens", 1)
    assert result.exit_code == 0, result.output
    assert "stopped before exceeding --max-input-tokens" in result.stdout
    assert server.requests == []
    server.failures = [401] * 20
    result = run(data, server, "--keep", ".1,.2,.3,.4,.5")
    assert result.exit_code == 1
    assert "stopped because the model kept failing" in result.stdout
    assert len(server.requests) == 10


def test_an_interrupt_does_not_wait_for_the_model(data: Path) -> None:
    asked, ended = threading.Event(), threading.Event()

    def wait(_: str) -> str:
        asked.set()
        ended.wait(100)
        return "Ada"

    code = (
        "import signal\n"
        "from specprefill_integrations import ContextCompressor\n"
        "from specprefill_integrations.cli import main\n"
        "from specprefill_integrations.testing import KeywordScorer\n"
        "compressor = ContextCompressor(KeywordScorer())\n"
        "ContextCompressor.from_draft_model = lambda *_, **__: compressor\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "main()"
    )
    root = str(Path(__file__).parents[3])
    with serve_chat(wait) as server:
        words = ["evaluate", "ab", str(data), "--model", "tiny", "--base-url", server.url, "-q"]
        with subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
        ) as process:
            try:
                assert asked.wait(100)
                process.send_signal(signal.SIGINT)
                written, errors = process.communicate(timeout=60)
                assert not ended.is_set()
            finally:
                ended.set()
    assert (process.returncode, written, errors) == (130, b"", b"")


def test_csv_metrics_and_a_prompt_of_ones_own(server: ChatServer, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"q,context,answer\nWho keeps it?,{EVIDENCE} {NOISE},Ada Byron\n", "utf-8")
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Context: {passages}\nAsked: {question}", "utf-8")
    asked = ["--field", "query=q", "--metric", "f1", "--prompt", prompt, "--keep", ".5", "--json"]
    result = run(table, server, *asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["tasks"]["mine"]
    assert found["metrics"] == ["f1"]
    assert found["variants"]["full"]["score"] == pytest.approx(2 / 3)
    assert server.prompts[0].startswith("Context: Passage 1:")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--keep", "2"], "--keep takes fractions in (0, 1]"),
        (["--keep", "x"], "--keep takes fractions in (0, 1]"),
        (["--model-options", "[]"], "--model-options takes a JSON object"),
        (["--field", "who=x"], "--field takes query, texts"),
        (["--prompt", "nowhere.txt"], "--prompt cannot be read"),
        (["--prompt", "data.jsonl"], "the prompt's template has no {passages}"),
    ],
)
def test_what_cannot_be_is_said(
    data: Path, server: ChatServer, args: list[str], words: str
) -> None:
    result = run(data, server, *args)
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
    assert server.requests == []


def test_data_that_cannot_be_is_said(server: ChatServer, data: Path) -> None:
    result = run(data.with_name("none.jsonl"), server)
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)
    data.write_text(data.read_text("utf-8").splitlines()[4], "utf-8")
    result = run(data, server)
    assert (result.exit_code, "no case can be judged: 1 no question" in result.stderr) == (2, True)


def test_verdicts_as_text() -> None:
    def words(lost: int, pairs: int) -> str:
        scores = [0.0] * lost + [1.0] * (pairs - lost)
        found = compare_pairs(scores, [1.0] * pairs, margin=0.05, binary=True)
        return format_verdict(found, 0.05)

    assert words(0, 100) == "not worse by more than 5 points"
    assert words(20, 100) == "worse"
    assert words(1, 30).startswith("not shown: about ")
