"""The load test: what it counts, and its command."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from typer.testing import CliRunner

from specprefill_integrations import ContextCompressor, cli
from specprefill_integrations.serving import ServiceLimits
from specprefill_integrations.serving._load_test import load, load_text, replicas_for
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.serving.running import serving


async def test_lost_and_crossed_answers_are_counted() -> None:
    async def call(number: int) -> str | None:
        if number == 103:
            return None
        return load_text(number + (number == 105))[:200]

    found = await load(call, calls=20, clients=4, first=100)
    assert (found.calls, found.lost, found.crossed, found.whole) == (20, 1, 1, 0)
    assert found.p50_seconds <= found.p95_seconds <= found.p99_seconds <= found.seconds


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
    assert told["replicas"] >= 1
    assert "| 2 | " in table


@pytest.mark.parametrize("clients", ["", "0", "a", "1,,2", "-1"])
def test_wrong_numbers_are_a_usage_error(clients: str) -> None:
    assert run("--clients", clients)[0] == 2
