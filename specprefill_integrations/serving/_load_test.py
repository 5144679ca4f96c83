"""Measures a service under load: throughput, times of calls, and that no answer is another's."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import httpx

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import SpecPrefillError
from specprefill_integrations.serving._contract import CompressAnswer
from specprefill_integrations.types import Budget

QUERY = "Which sensor failed?"

_SECONDS = 120.0
_BUSY = (429, 503)
_SENTENCE = "Sensor {number}x{line} was read at noon and its value was {value}. "
_NUMBER = re.compile(r"Sensor (\d+)x")
_PROCESS = re.compile(r"^process_(\w+) (\S+)$", re.MULTILINE)
_LINES = 40
_DAY_SECONDS = 24 * 60 * 60

Call = Callable[[int], Awaitable[str | None]]
"""Compresses the text of a number; None if the call failed."""


def load_text(number: int) -> str:
    """Return the text of a number, which stands in each of its sentences."""
    values = ((number * 7919 + line * 104_729) % 9973 for line in range(_LINES))
    return "".join(
        _SENTENCE.format(number=number, line=line, value=value) for line, value in enumerate(values)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """Calls of one number of clients, each with one call at a time."""

    clients: int
    calls: int
    seconds: float
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    lost: int
    """Calls without an answer."""

    crossed: int
    """Answers with a part of another call's text."""

    whole: int
    """Texts that came back whole."""

    cpu_seconds: float | None = None
    """CPU time of the service, or of this process; None if a service does not tell."""

    memory_bytes: float | None = None
    """Memory of the service after the calls; None if it does not tell."""

    @property
    def calls_per_second(self) -> float:
        """The throughput of texts that were shortened."""
        return (self.calls - self.lost - self.whole) / self.seconds


async def load(call: Call, *, calls: int, clients: int, first: int) -> LoadResult:
    """Make calls with different texts.

    Args:
        call: Makes a call.
        calls: Number of calls.
        clients: Calls at once.
        first: The number of the first text. Texts that a service has seen before cost it nothing.

    Raises:
        ValueError: There are fewer calls than clients, so that never as many run at once.
    """
    if calls < clients:
        msg = f"{clients} clients need as many calls; got {calls}."
        raise ValueError(msg)
    numbers = iter(range(first, first + calls))
    answers: list[tuple[int, str | None, float]] = []

    async def client() -> None:
        for number in numbers:
            started = time.perf_counter()
            answer = await call(number)
            answers.append((number, answer, time.perf_counter() - started))

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds = time.perf_counter() - started
    times = sorted(elapsed for _, _, elapsed in answers)
    return LoadResult(
        clients=clients,
        calls=calls,
        seconds=seconds,
        p50_seconds=_quantile(times, 0.5),
        p95_seconds=_quantile(times, 0.95),
        p99_seconds=_quantile(times, 0.99),
        lost=sum(answer is None for _, answer, _ in answers),
        crossed=sum(_is_crossed(number, answer or "") for number, answer, _ in answers),
        whole=sum(answer == load_text(number) for number, answer, _ in answers),
    )


async def load_service(
    url: str, *, api_key: str | None, calls: int, clients: int, first: int
) -> LoadResult:
    """Measure a service. A call without an answer counts as lost after two minutes.

    Args:
        url: The service.
        api_key: The key.
        calls: Number of calls.
        clients: Calls at once, each on a connection.
        first: See `load`.
    """
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=_SECONDS
    ) as client:

        async def call(number: int) -> str | None:
            asked = {
                "documents": [{"text": load_text(number)}],
                "query": QUERY,
                "budget": {"keep_fraction": 0.3},
            }
            ends_at = time.monotonic() + _SECONDS
            try:
                reply = await client.post("/v1/compress", json=asked)
                while reply.status_code in _BUSY and time.monotonic() < ends_at:
                    await asyncio.sleep(1)  # as the service asks in `Retry-After`
                    reply = await client.post("/v1/compress", json=asked)
                reply.raise_for_status()
            except httpx.HTTPError:
                return None
            [document] = CompressAnswer.model_validate_json(reply.content).documents or []
            return document.text

        before = await _process(client)
        found = await load(call, calls=calls, clients=clients, first=first)
        after = await _process(client)
    if "cpu_seconds_total" in before.keys() & after.keys():
        seconds = after["cpu_seconds_total"] - before["cpu_seconds_total"]
        found = replace(found, cpu_seconds=seconds)
    return replace(found, memory_bytes=after.get("resident_memory_bytes"))


async def _process(client: httpx.AsyncClient) -> dict[str, float]:
    """Return what a service tells of its process: nothing on other systems than Linux."""
    try:
        reply = await client.get("/metrics")
    except httpx.HTTPError:
        return {}
    return {name: float(value) for name, value in _PROCESS.findall(reply.text)}


async def load_compressor(
    compressor: ContextCompressor, *, calls: int, clients: int, first: int
) -> LoadResult:
    """Measure a compressor in this process.

    Args:
        compressor: The compressor.
        calls: Number of calls.
        clients: Calls at once.
        first: See `load`.
    """

    async def call(number: int) -> str | None:
        try:
            result = await compressor.acompress(
                load_text(number), QUERY, budget=Budget(keep_fraction=0.3)
            )
        except SpecPrefillError:
            return None
        return result.text

    before = time.process_time()
    found = await load(call, calls=calls, clients=clients, first=first)
    return replace(found, cpu_seconds=time.process_time() - before)


def replicas_for(
    requests_per_day: float, calls_per_second: float, *, peak: float = 3.0, load: float = 0.7
) -> int:
    """Return how many replicas a number of requests needs.

    Args:
        requests_per_day: The requests.
        calls_per_second: The throughput of a replica.
        peak: The busiest time of the day, as a multiple of its mean.
        load: The share of its throughput up to which a replica is used.
    """
    return math.ceil(requests_per_day / _DAY_SECONDS * peak / (calls_per_second * load))


def _quantile(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))] if times else math.nan


def _is_crossed(number: int, answer: str) -> bool:
    return any(int(found) != number for found in _NUMBER.findall(answer))
