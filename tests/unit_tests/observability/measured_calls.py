"""Calls and texts of which the speed is known: what `min_tokens="auto"` is tested with."""

from __future__ import annotations

from collections.abc import Iterable

from specprefill_integrations.observability import TokenUsage, TtftLog, TtftRecord
from specprefill_integrations.tool_results import Thresholds

LENGTHS = range(1000, 9000, 1000)


def add_calls(
    log: TtftLog,
    per_second: float,
    lengths: Iterable[int] = LENGTHS,
    *,
    model: str | None = "a",
    is_streamed: bool = True,
) -> None:
    """Calls of a model that reads so fast, and half a second of network."""
    for tokens in lengths:
        log.add(
            TtftRecord(
                run_id="1",
                started=0.0,
                total_seconds=99.0,
                model=model,
                first_token_seconds=0.5 + tokens / per_second if is_streamed else None,
                usage=TokenUsage(input_tokens=tokens),
            )
        )


def note_texts(
    thresholds: Thresholds, per_second: float = 4000, lengths: Iterable[int] = LENGTHS
) -> None:
    """Texts that were compressed so fast, and 0.4948 seconds more for each of them."""
    for tokens in lengths:
        thresholds.note(tokens, 0.4948 + tokens / per_second)
