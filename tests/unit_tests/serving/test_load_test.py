"""The load test: what it counts, and its command."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, ClassVar

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from fastapi import FastAPI, Response
from typer.testing import CliRunner

from specprefill_integrations import ContextCompressor, cli
from specprefill_integrations.serving import ServiceLimits, _load_test
from specprefill_integrations.serving._load_test import load, load_service, load_text, replicas_for
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.serving.running import listening, serving


async def test_lost_and_crossed_answers_are_counted() -> None:
    async def call(number: int) -> str | None:
        if number == 103:
            return None
        return load_text(number + (number == 105))[:200]

    found = await load(call, calls=20, clients=4, first=100)
    assert (found.calls, found.lost, found.crossed, found.whole) == (20, 1, 1, 0)
    assert found.p50_seconds <= found.p95_seconds <= found.p99_seconds <= found.seconds


async def test_as_many_calls_run_at_once_as_there_are_clients() -> None:
    running, most = 0, 0

    async def call(number: int) -> str | None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return load_text(number)

    found = await load(call, calls=9, clients=9, first=0)
    assert (most, found.whole) == (9, 9)
    with pytest.raises(ValueError, match="clients"):
        await load(call, calls=8, clients=9, first=0)


@pytest.mark.allow_hosts(["127.0.0.1"])
async def test_a_service_that_is_always_busy_loses_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_load_test, "_SECONDS", 0.2)
    app = FastAPI()
    app.add_api_route("/v1/compress", lambda: Response(status_code=503), methods=["POST"])
    with listening(app) as url:
        found = await load_service(url, api_key=None, calls=2, clients=2, first=0)
    assert (found.lost, found.calls_per_second) == (2, 0)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_service_that_shortens_nothing_is_not_measured() -> None:
    class Broken(KeywordScorer):
        def score_spans(self, *_: Any) -> Any:
            raise OSError

    with serving(ContextCompressor(Broken())) as url:
        assert run("--url", url, "--clients", "1", "--calls", 4)[0] == 1


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_no_text_is_sent_twice() -> None:
    class Noting(KeywordScorer):
        texts: ClassVar[list[str]] = []

        def score_spans(self, query: Any, texts: Any, spans: Any) -> Any:
            self.texts.extend(texts)
            return super().score_spans(query, texts, spans)

    with serving(ContextCompressor(Noting())) as url:
        for _ in range(2):
            assert run("--url", url, "--clients", "1,1,9", "--calls", 4)[0] == 0
    sent = [text for text in Noting.texts if text.startswith("Sensor")]
    assert len(set(sent)) == len(sent) == 2 * (4 + 4 + 4 + 9)


@pytest.mark.parametrize(
    ("per_day", "rate", "replicas"), [(86_400, 10, 1), (864_000, 10, 5), (1e6, 12, 5), (1, 9, 1)]
)
def test_replicas(per_day: float, rate: float, replicas: int) -> None:
    assert replicas_for(per_day, rate) == replicas


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli.build_app(), ["load-test", "--quiet", *map(str, words)])
    return result.exit_code, result.stdout


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_command_measures_a_service() -> None:
    limits = ServiceLimits(max_calls_per_tenant=4)  # further ones are asked to come back
    with serving(ContextCompressor(KeywordScorer()), limits=limits) as url:
        code, text = run("--url", url, "--clients", "1,8", "--calls", 24, "--json")
        assert code == 0
        told = json.loads(text)
        code, table = run("--url", url, "--clients", "2", "--calls", 4)
    assert code == 0
    for row, clients in zip(told["results"], (1, 8), strict=True):
        assert (row["clients"], row["calls"], row["lost"], row["crossed"]) == (clients, 24, 0, 0)
        assert row["whole"] == 0
        assert row["inside_calls_per_second"] is None
        if sys.platform == "linux":
            assert row["memory_bytes"] > 2**20
            assert row["cpu_seconds"] > 0
        else:
            assert row["memory_bytes"] is row["cpu_seconds"] is None
    assert told["replicas"] >= 1
    assert "| 2 | " in table
    assert "| whole | lost | crossed | memory |" in table


@pytest.mark.parametrize("clients", ["", "0", "a", "1,,2", "-1"])
def test_wrong_numbers_are_a_usage_error(clients: str) -> None:
    assert run("--clients", clients)[0] == 2
