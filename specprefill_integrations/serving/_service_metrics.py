"""Metrics of a service in Prometheus' text format: calls, engine, compression, the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.scoring._engine import ScoringEngine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ServiceMetrics:
    """Counts the calls of a service, and reads the counters of its engine."""

    def __init__(self, engine: ScoringEngine, compression: CompressionMetrics) -> None:
        """Start at zero.

        Args:
            engine: The engine.
            compression: The metrics of what was compressed.
        """
        self.compression = compression
        """The metrics of what was compressed."""
        self._registry = CollectorRegistry()
        self._registry.register(_CompressionCollector(compression))
        self._registry.register(_EngineCollector(engine))
        ProcessCollector(registry=self._registry)
        self._calls = Counter(
            "specprefill_http_calls",
            "Calls by route and status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "specprefill_http_seconds",
            "Duration of calls.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def add_call(self, route: str, status: int, seconds: float) -> None:
        """Add a call.

        Args:
            route: The path of its route.
            status: The status of its answer.
            seconds: Its duration.
        """
        self._calls.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def to_prometheus(self) -> str:
        """Return all metrics."""
        return generate_latest(self._registry).decode()


class _CompressionCollector(Collector):
    """Reads the counters of what was compressed."""

    def __init__(self, compression: CompressionMetrics) -> None:
        self._compression = compression

    def collect(self) -> Iterable[Metric]:
        """Read them now."""
        now = self._compression.totals()
        counters = {
            "calls": ("Tool results, messages, and calls with documents.", now.calls),
            "compressed": ("Calls in which something was compressed.", now.compressed),
            "tokens_before": ("Tokens of all texts before compression.", now.tokens_before),
            "tokens_after": ("Tokens of all texts after compression.", now.tokens_after),
            "draft_seconds": ("Seconds of compression, with waiting.", now.draft_seconds),
            "failures": ("Calls passed through unchanged by a failure.", now.failures),
            "deadline_misses": ("Calls that exceeded their deadline.", now.deadline_misses),
        }
        for name, (meaning, value) in counters.items():
            yield CounterMetricFamily(f"specprefill_{name}", meaning, value)
        meaning = "Calls whose texts all passed through unchanged, by reason."
        yield _by_name("skips", meaning, "reason", now.skips)
        meaning = "Calls with warnings about languages, by warning."
        yield _by_name("language_warnings", meaning, "warning", now.language_warnings)


def _by_name(name: str, meaning: str, label: str, counts: Mapping[str, int]) -> Metric:
    found = CounterMetricFamily(f"specprefill_{name}", meaning, labels=[label])
    for value, count in sorted(counts.items()):
        found.add_metric([value], count)
    return found


class _EngineCollector(Collector):
    """Reads the counters of an engine."""

    def __init__(self, engine: ScoringEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """Read them now."""
        now = self._engine.statistics
        yield GaugeMetricFamily(
            "specprefill_engine_waiting", "Requests that wait for the draft.", now.waiting
        )
        counters = {
            "calls": ("Scoring calls accepted.", now.calls),
            "cache_hits": ("Scoring calls answered from the cache.", now.cache_hits),
            "batches": ("Batches scored.", now.batches),
            "scoring_seconds": ("Time in which anything was scored.", now.scoring_seconds),
            "deadline_misses": ("Scoring calls that missed their deadline.", now.deadline_misses),
        }
        for name, (meaning, value) in counters.items():
            yield CounterMetricFamily(f"specprefill_engine_{name}", meaning, value)
