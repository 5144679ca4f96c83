"""Where parts of cases stand, as people type it: `query=inputs.question`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._traces import FieldNames


def field_names(given: Iterable[str]) -> FieldNames:
    """The usual places, but for those that were given.

    Raises:
        EvaluationDataError: What was given names no part, or no place.
    """
    known = [field.name for field in fields(FieldNames)]
    changes: dict[str, Any] = {}
    for one in given:
        name, _, place = one.partition("=")
        if name not in known or not place:
            msg = f"--field takes {', '.join(known)} and a place; got {one!r}"
            raise EvaluationDataError(msg)
        changes[name] = (place,)
    return replace(FieldNames(), **changes)
