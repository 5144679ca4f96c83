"""How fast a model reads, as its own calls show it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import linear_regression

from specprefill_integrations.timing.ttft_record import TtftRecord

_LEAST_CALLS = 8
"""Fewer calls are no basis: queues and networks make each one's time uncertain."""

_LEAST_SPREAD = 2.0
"""So many times the shortest prompt must the longest be for a slope to mean anything."""


def target_tokens_per_second(records: Iterable[TtftRecord]) -> float | None:
    """How many tokens of a prompt a model reads in a second, by its first tokens.

    The slope of the time to its first token over the tokens that it had to read: what every call
    takes, such as the network, is no part of it.

    Args:
        records: Calls of one model; those not streamed, and those whose provider does not say how
            long the prompt was, say nothing.

    Returns:
        None where calls are too few, or prompts about as long as each other, or longer ones took
        no longer.
    """
    points = [
        (record.prefill_tokens, record.first_token_seconds)
        for record in records
        if record.prefill_tokens is not None and record.first_token_seconds is not None
    ]
    tokens = [float(read) for read, _ in points]
    if len(points) < _LEAST_CALLS or max(tokens) < _LEAST_SPREAD * max(1.0, min(tokens)):
        return None
    slope = linear_regression(tokens, [seconds for _, seconds in points]).slope
    return 1 / slope if slope > 0 else None
