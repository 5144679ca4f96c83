"""Settings that differ from tool to tool, and globs of tool names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from specprefill_integrations._arguments import checked
from specprefill_integrations.tool_results._thresholds import MinTokens
from specprefill_integrations.types import Budget, Kind


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """Settings for the results of some tools; None is the setting of all other tools."""

    budget: Budget | None = None
    """The budget of a result."""

    min_tokens: MinTokens | None = None
    """Results of fewer tokens pass through unchanged."""

    kind: Kind | None = None
    """The kind of text of the results; no detection takes place."""


def policy_for(tool: str, policies: Mapping[str, ToolPolicy]) -> ToolPolicy:
    """Return the first policy whose glob matches a tool's name, or one without settings.

    Args:
        tool: The tool's name.
        policies: Policies by glob, such as `"search_*"`; case matters.
    """
    matching = (policy for glob, policy in policies.items() if tool and fnmatchcase(tool, glob))
    return next(matching, ToolPolicy())


def is_among(tool: str, globs: Iterable[str]) -> bool:
    """True if a tool's name matches one of the globs."""
    return bool(tool) and any(fnmatchcase(tool, glob) for glob in globs)
