"""OpenTelemetry: what spans and metrics say, below whose span, and what they never hold."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs the SDK of OpenTelemetry")
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

from specprefill_integrations import Budget, ContextCompressor, Span, _telemetry
from specprefill_integrations.observability import (
    CompressionMetrics,
    PromptChange,
    TokenUsage,
    TtftLog,
    TtftRecord,
)
from specprefill_integrations.scoring import ScoringEngine
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import ToolRequest, ToolResult, ToolResultCompressor

TEXT = "The ferry leaves at noon. " * 30 + "A dog barked at nine. " + "Rain fell all day. " * 30
QUESTION = "When did the dog bark?"
BUDGET = Budget(keep_fraction=0.1)


class Traces:
    """The spans that have ended, as an exporter in memory gets them."""

    def __init__(self, provider: TracerProvider) -> None:
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = provider.get_tracer("app")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    monkeypatch.setattr(_telemetry, "_tracer", provider.get_tracer("ours"))
    yield provider
    provider.shutdown()


@pytest.fixture
def traces(provider: TracerProvider) -> Traces:
    return Traces(provider)


@pytest.fixture
def compressor() -> Iterator[ContextCompressor]:
    with ScoringEngine(KeywordScorer()) as engine:
        yield ContextCompressor(engine)


def is_below(inner: ReadableSpan, outer: ReadableSpan) -> bool:
    return inner.parent is not None and inner.parent.span_id == outer.context.span_id


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


class FailingScorer(KeywordScorer):
    """Fails with a message that quotes the text."""

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        raise OSError(texts[0])


class TestSpans:
    def test_a_compression_is_described(
        self, traces: Traces, compressor: ContextCompressor
    ) -> None:
        done = compressor.compress(TEXT, QUESTION, budget=BUDGET)
        span = traces.one("specprefill.compress")
        assert attributes(span) == {
            "specprefill.original_tokens": done.original_tokens,
            "specprefill.kept_tokens": done.kept_tokens,
            "specprefill.keep_fraction": done.kept_tokens / done.original_tokens,
            "specprefill.text_count": 1,
            "specprefill.is_widened": done.is_widened,
            "specprefill.language_warnings": (),
        }
        assert span.status.status_code is StatusCode.UNSET
        scoring = traces.one("specprefill.score")
        assert is_below(scoring, span)
        assert attributes(scoring).keys() == {"specprefill.queue_seconds", "specprefill.is_cached"}
        assert 0 <= attributes(scoring)["specprefill.queue_seconds"] < done.elapsed_seconds
        compressor.compress(TEXT, QUESTION, budget=BUDGET)
        cached = [attributes(one)["specprefill.is_cached"] for one in traces.named(scoring.name)]
        assert cached == [False, True]

    def test_an_unchanged_text_says_why(
        self, traces: Traces, compressor: ContextCompressor
    ) -> None:
        compressor.compress("Short.", QUESTION, budget=Budget(max_tokens=50))
        found = attributes(traces.one("specprefill.compress"))
        assert found["specprefill.skipped_because"] == "within_budget"
        assert traces.named("specprefill.score") == []

    def test_the_caller_is_the_parent(self, traces: Traces, compressor: ContextCompressor) -> None:
        with traces.tracer.start_as_current_span("caller"):
            compressor.compress(TEXT, QUESTION, budget=BUDGET)
        assert is_below(traces.one("specprefill.compress"), traces.one("caller"))

    async def test_each_task_keeps_its_own_trace(
        self, traces: Traces, compressor: ContextCompressor
    ) -> None:
        async def call(number: int) -> None:
            with traces.tracer.start_as_current_span(f"caller {number}"):
                text = f"{TEXT} Number {number}."
                await compressor.acompress(text, QUESTION, budget=BUDGET)

        await asyncio.gather(*map(call, range(8)))
        compressions, scorings = (
            {span.context.trace_id: span for span in traces.named(f"specprefill.{name}")}
            for name in ("compress", "score")
        )
        assert len(compressions) == len(scorings) == 8
        for number in range(8):
            caller = traces.one(f"caller {number}")
            compression = compressions[caller.context.trace_id]
            assert is_below(compression, caller)
            assert is_below(scorings[caller.context.trace_id], compression)

    async def test_what_a_scorer_traces_in_the_engines_thread_is_the_callers(
        self, traces: Traces
    ) -> None:
        threads = set()

        class TracedScorer(KeywordScorer):
            def score_spans(
                self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
            ) -> list[list[float]]:
                threads.add(threading.current_thread())
                with traces.tracer.start_as_current_span("rerank"):
                    return KeywordScorer().score_spans(query, texts, spans)

        with ScoringEngine(TracedScorer()) as engine:
            await ContextCompressor(engine).acompress(TEXT, QUESTION, budget=BUDGET)
        assert threading.current_thread() not in threads
        assert is_below(traces.one("rerank"), traces.one("specprefill.score"))

    @pytest.mark.parametrize("on_error", ["pass_through", "raise"])
    def test_a_failure_is_marked_without_its_message(self, traces: Traces, on_error: Any) -> None:
        compressor = ContextCompressor(FailingScorer(), on_error=on_error)
        if on_error == "raise":
            with pytest.raises(OSError, match="ferry"):
                compressor.compress(TEXT, QUESTION, budget=BUDGET)
        else:
            compressor.compress(TEXT, QUESTION, budget=BUDGET)
        for name in ("specprefill.compress", "specprefill.score"):
            span = traces.one(name)
            assert span.status.status_code is StatusCode.ERROR
            assert attributes(span)["error.type"] == "OSError"
            event = span.events[-1]
            assert event.name == "exception"
            assert event.attributes is not None
            assert event.attributes["exception.type"] == "OSError"
            assert "score_spans" in str(event.attributes["exception.stacktrace"])
        assert "ferry" not in "".join(span.to_json() for span in traces.spans)

    async def test_a_missed_deadline_is_one(self, traces: Traces) -> None:
        awaited = threading.Event()

        class SlowScorer(KeywordScorer):
            def score_spans(self, *call: Any) -> list[list[float]]:
                awaited.wait(5)
                return KeywordScorer().score_spans(*call)

        slow = ContextCompressor(ScoringEngine(SlowScorer()), deadline_seconds=0.05)
        done = await slow.acompress(TEXT, QUESTION, budget=BUDGET)
        awaited.set()
        assert done.skipped_because == "deadline_exceeded"
        span = traces.one("specprefill.compress")
        assert attributes(span)["specprefill.skipped_because"] == "deadline_exceeded"
        assert span.status.status_code is StatusCode.ERROR


class TestToolResults:
    def settings(self, compressor: ContextCompressor, **options: Any) -> ToolResultCompressor:
        return ToolResultCompressor(
            compressor=compressor, budget=BUDGET, metrics=CompressionMetrics(), **options
        )

    def result(self, text: str = TEXT) -> ToolResult:
        request = ToolRequest(tool_name="read_log", user_message=QUESTION)
        return ToolResult(texts=[text], tool_name="read_log", find_request=lambda: request)

    async def test_one_span_names_the_tool_and_the_compacted_conversation(
        self, traces: Traces, compressor: ContextCompressor
    ) -> None:
        settings = self.settings(compressor, min_tokens=10)
        with traces.tracer.start_as_current_span("caller"):
            done = settings.compress(self.result())
            await settings.acompress(self.result())
        for span in traces.named("specprefill.compress"):
            found = attributes(span)
            assert found["gen_ai.tool.name"] == "read_log"
            assert found["gen_ai.conversation.compacted"] is True
            assert found["specprefill.kept_tokens"] == done.outcome.kept_tokens
            assert "specprefill.skipped_because" not in found
            assert is_below(span, traces.one("caller"))
        assert len(traces.spans) == 5

    def test_what_is_unchanged_is_not_compacted(
        self, traces: Traces, compressor: ContextCompressor
    ) -> None:
        self.settings(compressor).compress(self.result("Short."))
        found = attributes(traces.one("specprefill.compress"))
        assert found["specprefill.skipped_because"] == "too_small"
        assert "gen_ai.conversation.compacted" not in found  # the conventions know no False

    def test_nothing_says_what_was_said(
        self, traces: Traces, compressor: ContextCompressor
    ) -> None:
        self.settings(compressor, min_tokens=10).compress(self.result())
        shown = "".join(span.to_json() for span in traces.spans)
        assert not re.search("ferry|dog|Rain|bark", shown)


class TestMetrics:
    def test_they_add_up(
        self, monkeypatch: pytest.MonkeyPatch, compressor: ContextCompressor
    ) -> None:
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        instruments = _telemetry.Instruments.of(provider.get_meter("ours"))
        monkeypatch.setattr(_telemetry, "_instruments", instruments)
        counted = CompressionMetrics()
        counted.record(tokens_before=100, tokens_after=20, draft_seconds=0.5)
        counted.record(tokens_before=40, tokens_after=40, skipped_because="too_small")
        compressor.compress(TEXT, QUESTION, budget=BUDGET)
        change = PromptChange(rewritten_tokens=10, resent_tokens=100)
        usage = TokenUsage(input_tokens=200, cached_tokens=50)
        TtftLog().add(
            TtftRecord(run_id="1", started=0, total_seconds=1, change=change, usage=usage)
        )
        data = reader.get_metrics_data()
        assert data is not None
        [resource] = data.resource_metrics
        found = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
        assert {name: metric.unit for name, metric in found.items()} == {
            "specprefill.compress.calls": "{call}",
            "specprefill.compress.original_tokens": "{token}",
            "specprefill.compress.kept_tokens": "{token}",
            "specprefill.compress.duration": "s",
            "specprefill.score.duration": "s",
            "specprefill.score.queue.duration": "s",
            "specprefill.prompt.saved_tokens": "{token}",
        }
        kept: Any = found["specprefill.compress.kept_tokens"].data.data_points
        by_reason = {p.attributes.get("specprefill.skipped_because"): p.value for p in kept}
        assert by_reason == {None: 20, "too_small": 40}
        [duration] = found["specprefill.compress.duration"].data.data_points
        assert (duration.count, duration.sum) == (1, 0.5)
        saved: Any = found["specprefill.prompt.saved_tokens"].data.data_points
        by_cache = {p.attributes["specprefill.is_cached"]: p.value for p in saved}
        assert by_cache == {False: -90, True: 100}
        provider.shutdown()


class Receiver(ThreadingHTTPServer):
    """Takes what an exporter sends over OTLP/HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_receiver_of_otlp_gets_spans_and_metrics(
    monkeypatch: pytest.MonkeyPatch, provider: TracerProvider, compressor: ContextCompressor
) -> None:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        exporter = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
        meters = MeterProvider([PeriodicExportingMetricReader(exporter, 1_000_000)])
        instruments = _telemetry.Instruments.of(meters.get_meter("ours"))
        monkeypatch.setattr(_telemetry, "_instruments", instruments)
        spans = OTLPSpanExporter(f"{receiver.url}/v1/traces")
        provider.add_span_processor(SimpleSpanProcessor(spans))
        CompressionMetrics().record(tokens_before=100, tokens_after=20)
        with _telemetry.compress_span() as span:
            span.set_counts(100, 20, None)
        meters.shutdown()
        provider.shutdown()
        receiver.shutdown()
        thread.join()
    traced = ExportTraceServiceRequest.FromString(receiver.bodies["/v1/traces"])
    [one] = traced.resource_spans[0].scope_spans[0].spans
    assert one.name == "specprefill.compress"
    values = {item.key: item.value for item in one.attributes}
    assert values["specprefill.kept_tokens"].int_value == 20
    assert values["specprefill.keep_fraction"].double_value == 0.2
    measured = ExportMetricsServiceRequest.FromString(receiver.bodies["/v1/metrics"])
    names = {metric.name for metric in measured.resource_metrics[0].scope_metrics[0].metrics}
    assert "specprefill.compress.kept_tokens" in names


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_spans_of_a_service_are_below_its_callers(traces: Traces) -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra `serve`")
    from specprefill_integrations.serving import RemoteScorer  # noqa: PLC0415
    from tests.unit_tests.serving.running import serving  # noqa: PLC0415

    served = serving(ContextCompressor(KeywordScorer()))
    with served as url, closing(RemoteScorer(url)) as scorer:
        ContextCompressor(scorer).compress(TEXT, QUESTION, budget=BUDGET)
    ours, theirs = sorted(traces.named("specprefill.score"), key=lambda span: span.start_time or 0)
    assert is_below(ours, traces.one("specprefill.compress"))
    assert is_below(theirs, ours)


def printed_by(program: str) -> str:
    """Run a program in a process of its own, where no provider is set up."""
    start = """
        from specprefill_integrations import Budget, ContextCompressor
        from specprefill_integrations.testing import KeywordScorer

        def compress():
            text = "The ferry leaves at noon. " * 30
            found = ContextCompressor(KeywordScorer()).compress(text, budget=Budget(max_tokens=20))
            return found.skipped_because
    """
    before, _, after = textwrap.dedent(program).partition("START\n")
    found = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", before + textwrap.dedent(start) + after],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def test_without_the_api_nothing_is_missing() -> None:
    program = """
        import sys
        sys.modules["opentelemetry"] = None
        START
        print(compress())
    """
    assert printed_by(program) == "None"


def test_a_provider_may_come_later() -> None:
    program = """
        START
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        compress()
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        compress()
        print([span.name for span in exporter.get_finished_spans()])
    """
    assert printed_by(program) == "['specprefill.score', 'specprefill.compress']"


def test_a_part_of_opentelemetry_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    script = (
        "from specprefill_integrations import Budget, ContextCompressor, _telemetry\n"
        "from specprefill_integrations.testing import KeywordScorer\n"
        "assert not _telemetry.IS_AVAILABLE\n"
        "compressor = ContextCompressor(KeywordScorer(), on_error='raise')\n"
        "compressor.compress('One cat. Two dogs.', 'cat', budget=Budget(max_tokens=4))\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=True
    )
