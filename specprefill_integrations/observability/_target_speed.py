"""How fast a model reads, as its own calls show it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from specprefill_integrations.observability._reading_speed import (
    ReadingSpeed,
    Unclear,
    reading_speed,
)
from specprefill_integrations.observability._ttft_record import TtftRecord


def target_reading_speed(records: Iterable[TtftRecord]) -> ReadingSpeed | Unclear:
    """How fast a model reads its prompts, by its first tokens.

    The slope of the time to its first token over the tokens that it had to read: what every call
    takes, such as the network, is no part of it.

    Args:
        records: Calls of one model; those not streamed, and those whose provider does not say how
            long the prompt was, say nothing.

    Returns:
        The speed, or why there is none to tell.
    """
    return reading_speed(
        (record.prefill_tokens, record.first_token_seconds)
        for record in records
        if record.prefill_tokens is not None and record.first_token_seconds is not None
    )


def target_tokens_per_second(records: Iterable[TtftRecord]) -> float | None:
    """`target_reading_speed` as a number alone.

    Args:
        records: See `target_reading_speed`.

    Returns:
        None where calls are too few, or prompts about as long as each other, or longer ones took
        no longer for sure.
    """
    speed = target_reading_speed(records)
    return speed.tokens_per_second if isinstance(speed, ReadingSpeed) else None
