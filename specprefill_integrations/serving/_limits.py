"""The limits of a service: what it takes of one call, and of all calls at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, checked


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """Limits of a service. Calls beyond one are refused with a status of 4xx, or 503.

    Raises:
        TypeError: A limit is no number.
        ValueError: A limit is too low.
    """

    max_body_bytes: PositiveInt = 8 * 1024 * 1024
    """Bytes of a request's body; a longer one is not read to its end (413)."""

    max_documents: PositiveInt = 256
    """Documents of a call, or texts to score (413); texts of tool results, of which those in
    later rows stay whole (`no_room`)."""

    max_rows: PositiveInt = 10_000
    """Messages of a call, and tools (413)."""

    max_spans: PositiveInt = 200_000
    """Spans to score of all texts of a call, or texts to count (413)."""

    max_tokens: PositiveInt = 500_000
    """Tokens of all texts of a call, by the compressor's counter (413); of tool results, those in
    later rows stay whole (`no_room`)."""

    max_query_chars: PositiveInt = 20_000
    """Characters of a question (413)."""

    max_calls: PositiveInt = 256
    """Calls at once (503)."""

    max_bytes_in_flight: PositiveInt = 256 * 1024 * 1024
    """Bytes of the bodies of all calls at once, at least `max_body_bytes` (503)."""

    max_calls_per_tenant: PositiveInt = 64
    """Calls at once of one tenant (429)."""

    body_seconds: PositiveFloat = 20.0
    """Time to receive a request's body (408)."""

    deadline_seconds: PositiveFloat = 60.0
    """Maximum duration of a call; a caller may ask for less."""

    retry_after_seconds: PositiveInt = 1
    """Time after which a refused caller is asked to try again."""


def limits_of(given: Mapping[str, float]) -> ServiceLimits:
    """Return limits by their names, as files and command lines give them.

    Raises:
        ValueError: There is none of that name, or one is out of range.
    """
    names = [field.name for field in fields(ServiceLimits)]
    for name in given:
        if name not in names:
            msg = f"There is no limit {name!r:.99}; there are {', '.join(names)}."
            raise ValueError(msg)
    whole = {
        name: int(value) if float(value).is_integer() else value for name, value in given.items()
    }
    try:
        return ServiceLimits(**whole)  # type: ignore[arg-type] # it checks each of them
    except TypeError as error:
        raise ValueError(str(error)) from error
