"""Spans and metrics of OpenTelemetry: numbers, names and reasons, never a text.

Needs its API alone, which is optional. Without it, or without a provider that the app has set up,
nothing is recorded.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

try:
    from opentelemetry import context, metrics, propagate, trace
except ImportError:  # an extra; other packages bring parts of it
    IS_AVAILABLE = False
else:
    IS_AVAILABLE = True

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter
    from opentelemetry.trace import Span, Tracer

Attributes = Mapping[str, str | bool | int | float | Sequence[str] | None]
"""Attributes by name; None leaves one out."""

Caller: TypeAlias = "Context | None"
"""The context of a caller, whose span is the parent of what is done for it; None if unknown."""

_SCOPE = "specprefill_integrations"

# As the conventions for generative AI advise for durations of calls.
_SECONDS = tuple(0.01 * 2**power for power in range(14))


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """A span that is open, or none if nothing is recorded."""

    span: Span | None = None
    """The span of OpenTelemetry."""

    def set(self, attributes: Attributes) -> None:
        """Set attributes."""
        if self.span is not None:
            given = {name: value for name, value in attributes.items() if value is not None}
            self.span.set_attributes(given)

    def set_counts(
        self, original_tokens: int | None, kept_tokens: int | None, skipped_because: str | None
    ) -> None:
        """Set what compression did to the texts.

        Args:
            original_tokens: Tokens before; None where they were not counted.
            kept_tokens: Tokens after; None where they were not counted.
            skipped_because: The skip reason; None if texts were compressed.
        """
        share = kept_tokens / original_tokens if kept_tokens and original_tokens else None
        self.set(
            {
                "specprefill.original_tokens": original_tokens,
                "specprefill.kept_tokens": kept_tokens,
                "specprefill.keep_fraction": share,
                "specprefill.skipped_because": skipped_because,
            }
        )

    def fail(self, error: BaseException) -> None:
        """Note a failure by its type and its places in code; its message may quote a text."""
        if self.span is None:
            return
        kind = type(error)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        places = "".join(traceback.format_tb(error.__traceback__))
        self.span.add_event("exception", {"exception.type": name, "exception.stacktrace": places})
        self.span.set_attribute("error.type", name)
        self.span.set_status(trace.StatusCode.ERROR)


_NOT_RECORDED = OpenSpan()

_compressing: ContextVar[OpenSpan | None] = ContextVar("specprefill_compressing", default=None)
_scoring: ContextVar[OpenSpan] = ContextVar("specprefill_scoring", default=_NOT_RECORDED)


@contextmanager
def compress_span() -> Iterator[OpenSpan]:
    """Open the span `specprefill.compress`; within one, return that one.

    So an integration and the compressor that it calls describe one span.
    """
    outer = _compressing.get()
    if outer is not None:
        yield outer
        return
    with _span("specprefill.compress") as found:
        _compressing.set(found)
        try:
            yield found
        finally:
            _compressing.set(None)


@contextmanager
def score_span() -> Iterator[None]:
    """Open the span `specprefill.score`, for `describe_scoring`."""
    with _span("specprefill.score") as found:
        outer = _scoring.get()
        _scoring.set(found)
        try:
            yield
        finally:
            _scoring.set(outer)


def describe_scoring(attributes: Attributes) -> None:
    """Set attributes of the span `specprefill.score` that is open, if any."""
    _scoring.get().set(attributes)


@contextmanager
def _span(name: str) -> Iterator[OpenSpan]:
    """Open a span below the caller's own."""
    if _tracer is None:
        yield _NOT_RECORDED
        return
    with _tracer.start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as span:
        found = OpenSpan(span) if span.is_recording() else _NOT_RECORDED
        try:
            yield found
        except Exception as error:
            found.fail(error)
            raise


def current_caller() -> Caller:
    """Return the context of the code that asks, for work on its behalf in another thread."""
    return context.get_current() if IS_AVAILABLE else None


def trace_headers() -> dict[str, str]:
    """Return headers that tell a service below whose span it works."""
    headers: dict[str, str] = {}
    if IS_AVAILABLE:
        propagate.inject(headers)
    return headers


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Return the caller that the headers of a call tell; None below a span that is open already.

    Args:
        headers: The headers, by their names in small letters.
    """
    if not IS_AVAILABLE or trace.get_current_span().get_span_context().is_valid:
        return None
    return propagate.extract(headers)


@contextmanager
def within(caller: Caller) -> Iterator[None]:
    """Make spans of the block belong to a caller in another thread or process.

    Args:
        caller: From `current_caller` or `caller_of`.
    """
    if caller is None:
        yield
        return
    token = context.attach(caller)
    try:
        yield
    finally:
        context.detach(token)


@dataclass(frozen=True, slots=True)
class Instruments:
    """The instruments of the metrics."""

    calls: Counter
    original_tokens: Counter
    kept_tokens: Counter
    compress_seconds: Histogram
    score_seconds: Histogram
    queue_seconds: Histogram
    saved_tokens: UpDownCounter

    @classmethod
    def of(cls, meter: Meter) -> Instruments:
        """Create them."""

        def counter(name: str, unit: str, meaning: str) -> Counter:
            return meter.create_counter(f"specprefill.{name}", unit, meaning)

        def seconds(name: str, meaning: str) -> Histogram:
            return meter.create_histogram(
                f"specprefill.{name}", "s", meaning, explicit_bucket_boundaries_advisory=_SECONDS
            )

        return cls(
            calls=counter("compress.calls", "{call}", "Calls of integrations, skips included."),
            original_tokens=counter(
                "compress.original_tokens", "{token}", "Tokens of texts before compression."
            ),
            kept_tokens=counter(
                "compress.kept_tokens", "{token}", "Tokens of texts after compression."
            ),
            compress_seconds=seconds("compress.duration", "Duration of compression."),
            score_seconds=seconds("score.duration", "Duration of scoring, waiting included."),
            queue_seconds=seconds("score.queue.duration", "Time that scoring waited for others."),
            saved_tokens=meter.create_up_down_counter(
                "specprefill.prompt.saved_tokens",
                "{token}",
                "Prompt tokens that models did not read, or providers fetch from their cache.",
            ),
        )


def count_call(
    *, original_tokens: int, kept_tokens: int, seconds: float, skipped_because: str | None
) -> None:
    """Add one call of an integration to the metrics.

    Args:
        original_tokens: Tokens of its texts before compression; 0 if they were not counted.
        kept_tokens: Tokens of its texts afterwards.
        seconds: Seconds that compression took; 0 if the compressor was not called.
        skipped_because: The skip reason; None if it was compressed.
    """
    if _instruments is None:
        return
    about = {} if skipped_because is None else {"specprefill.skipped_because": skipped_because}
    _instruments.calls.add(1, about)
    _instruments.original_tokens.add(original_tokens, about)
    _instruments.kept_tokens.add(kept_tokens, about)
    if seconds > 0:
        _instruments.compress_seconds.record(seconds, about)


def count_scoring(*, seconds: float, queue_seconds: float, draft: str | None) -> None:
    """Add one call of a scoring engine to the metrics.

    Args:
        seconds: Its duration, waiting included.
        queue_seconds: The part of it in which it waited for other calls.
        draft: The name of the draft; None if there is none.
    """
    if _instruments is None:
        return
    about = {} if draft is None else {"specprefill.draft": draft}
    _instruments.score_seconds.record(seconds, about)
    _instruments.queue_seconds.record(queue_seconds, about)


def count_saving(*, fresh_tokens: int, cached_tokens: int, model: str | None) -> None:
    """Add what compression saved a call of a model; numbers may be below 0.

    Args:
        fresh_tokens: Prompt tokens that the model did not read.
        cached_tokens: Prompt tokens that were not fetched from the provider's prompt cache.
        model: The model's name.
    """
    if _instruments is None:
        return
    about = {} if model is None else {"gen_ai.request.model": model}
    for tokens, is_cached in ((fresh_tokens, False), (cached_tokens, True)):
        _instruments.saved_tokens.add(tokens, {**about, "specprefill.is_cached": is_cached})


_tracer: Tracer | None = None
_instruments: Instruments | None = None
if IS_AVAILABLE:  # without a provider of the app, these do nothing
    _version = version("specprefill-integrations")
    try:
        _instruments = Instruments.of(metrics.get_meter(_SCOPE, _version))
    except TypeError:  # older than the extra asks for
        IS_AVAILABLE = False
    else:
        _tracer = trace.get_tracer(_SCOPE, _version)
