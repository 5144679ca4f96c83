"""Reading speed of a target model, estimated from its recorded calls."""

from __future__ import annotations

from collections.abc import Iterable

from specprefill_integrations._arguments import checked
from specprefill_integrations.observability._reading_speed import (
    ReadingSpeed,
    Unclear,
    reading_speed,
)
from specprefill_integrations.observability._ttft_record import TtftRecord


@checked
def target_reading_speed(records: Iterable[TtftRecord]) -> ReadingSpeed | Unclear:
    """Estimate how fast a model reads prompts, from its times to first token.

    Args:
        records: Calls of one model; calls that were not streamed, or without prompt length, are
            ignored.

    Returns:
        The speed, or the reason why the calls do not give one.
    """
    return reading_speed(
        (record.prefill_tokens, record.first_token_seconds)
        for record in records
        if record.prefill_tokens is not None and record.first_token_seconds is not None
    )


@checked
def target_tokens_per_second(records: Iterable[TtftRecord]) -> float | None:
    """Estimate `target_reading_speed` as a number.

    Args:
        records: See `target_reading_speed`.

    Returns:
        Tokens per second; None if there are too few calls, or their prompts are too similar in
        length, or longer prompts did not take longer.
    """
    speed = target_reading_speed(records)
    return speed.tokens_per_second if isinstance(speed, ReadingSpeed) else None
