"""Calls of tools whose arguments hold gap markers: a shortened text may replace the original."""

from __future__ import annotations

from typing import Literal

from specprefill_integrations._visible import visible
from specprefill_integrations.splitting._marker_search import FoundMarker

OnMarker = Literal["ignore", "warn", "refuse"]
"""The effect of a gap marker in the arguments of a call: none, a warning in the log, or an answer
to the model in place of the call."""

_SHOWN_CHARS = 80


def refusal_of(found: FoundMarker, *, has_originals: bool) -> str:
    """Return the answer to the model for a call that is refused.

    Args:
        found: The marker.
        has_originals: True if the agent can recall originals.
    """
    if not has_originals:
        cure = "Read the complete text first, in parts if it is long"
    elif found.reference is None:
        cure = "Recall the original first, by the reference that the shortened text names"
    else:
        cure = f"Recall the original first, by its reference {visible(found.reference)}"
    return (
        f"The tool was not called, because its argument {_place(found)} holds a gap marker, "
        f"{visible(found.marker, _SHOWN_CHARS)}: the text was shortened, and parts of it would be "
        f"lost. {cure}. Then call the tool again, with the complete text and without gap markers."
    )


def warning_of(found: FoundMarker, tool_name: str, *, is_refused: bool) -> str:
    """Return a line for the log; it holds no argument.

    Args:
        found: The marker.
        tool_name: The tool.
        is_refused: True if the tool was not called.
    """
    done = "Refused" if is_refused else "Noticed"
    tool, place = visible(tool_name, _SHOWN_CHARS), _place(found)
    return f"{done} a call of {tool} with a gap marker in its argument {place}."


def _place(found: FoundMarker) -> str:
    return f'"{visible(found.path, _SHOWN_CHARS)}"'
