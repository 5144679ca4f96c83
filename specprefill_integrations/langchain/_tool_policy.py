"""What differs from tool to tool, and which tools a pattern means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from specprefill_integrations.tool_results import MinTokens
from specprefill_integrations.types import Budget, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """How the results of some tools are compressed; None is as for all other tools."""

    budget: Budget | None = None
    """How much may be kept of a result."""

    min_tokens: MinTokens | None = None
    """A result of fewer tokens is left whole."""

    kind: Kind | None = None
    """What the results are cut as, whatever they look like."""


def policy_for(tool: str, policies: Mapping[str, ToolPolicy]) -> ToolPolicy:
    """The first policy whose pattern the tool's name fits; one that says nothing else.

    Args:
        tool: The tool's name.
        policies: By glob, such as `"search_*"`; upper and lower case differ.
    """
    fitting = (policy for glob, policy in policies.items() if fnmatchcase(tool, glob))
    return next(fitting, ToolPolicy())


def is_among(tool: str, globs: Iterable[str]) -> bool:
    """Whether the tool's name fits one of the globs."""
    return any(fnmatchcase(tool, glob) for glob in globs)
