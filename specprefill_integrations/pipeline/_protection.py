"""Rules for units that are kept whatever their score: errors, exit codes, totals. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from specprefill_integrations._arguments import checked
from specprefill_integrations.types import Kind, Span


@checked
@dataclass(frozen=True, kw_only=True)
class ProtectionRule:
    """Protects matching units in texts of some kinds and in results of some tools.

    Raises:
        ValueError: `pattern` is no regular expression.
    """

    pattern: str
    """A regular expression, searched for in each unit; `^` and `$` match at line ends."""

    kinds: tuple[str, ...] = ("*",)
    """Globs for the kind of text. See `Kind`."""

    tools: tuple[str, ...] = ("*",)
    """Globs for the name of the tool; `*` also matches texts of no tool."""

    def __post_init__(self) -> None:
        """Reject an invalid pattern."""
        try:
            self.expression  # noqa: B018 - compiled for its errors
        except re.error as error:
            msg = f"pattern must be a regular expression; got {self.pattern!r:.99}: {error}."
            raise ValueError(msg) from error

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The pattern, compiled."""
        return re.compile(self.pattern, re.MULTILINE)

    def holds_for(self, kind: Kind, tool: str | None) -> bool:
        """Return True if the rule applies to texts of this kind and tool."""
        return _matches(kind, self.kinds) and _matches(tool or "", self.tools)


def protected(
    text: str,
    units: Sequence[Span],
    rules: Sequence[ProtectionRule],
    *,
    kind: Kind,
    tool: str | None = None,
) -> list[bool]:
    """Return which units of a text a rule protects.

    Args:
        text: The text.
        units: Its units.
        rules: The rules.
        kind: The kind of text.
        tool: The tool that returned the text, if any.
    """
    expressions = [rule.expression for rule in rules if rule.holds_for(kind, tool)]
    return [
        any(expression.search(text[unit.start : unit.end]) for expression in expressions)
        for unit in units
    ]


_OUTPUT = ("log", "lines")

# Leading white space excludes line breaks, else many blank lines would take very long.
DEFAULT_PROTECTION: tuple[ProtectionRule, ...] = (
    # The last line of a stack trace, and errors of compilers, shells and test runners.
    ProtectionRule(
        pattern=r"^[^\S\n]*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Fault)\b(?::|$)"
        r"|^[^\S\n]*(?:Caused by: |Traceback \(most recent call last\))"
        r"|^[^\S\n]*(?:fatal|panic|error)(?:\[\w+\])?:|: (?:fatal )?error[ :]|^(?:FAILED|ERROR) \S",
        kinds=_OUTPUT,
    ),
    # Exit codes.
    ProtectionRule(
        pattern=r"(?i)\b(?:exit(?:ed)?(?: with)?(?: status| code)?|exit_?code|return_?code)"
        r"[ :=]{1,3}-?\d+\b",
        kinds=(*_OUTPUT, "prose"),
    ),
    # HTTP status lines, as curl and others print them.
    ProtectionRule(pattern=r"^(?:< )?HTTP/\d(?:\.\d)? \d{3}\b", kinds=(*_OUTPUT, "prose")),
    # Rows of totals, and summary lines of test runners.
    ProtectionRule(
        pattern=r"(?i)^(?:[^\S\n]|[|*])*(?:grand[ -]?|sub[ -]?)?totals?\b",
        kinds=(*_OUTPUT, "csv", "markdown"),
    ),
    ProtectionRule(
        pattern=r"^=+ (?=.*\b(?:passed|failed|errors?)\b).* =+$|^Tests?(?: Suites)?: +\d+ "
        r"|^Ran \d+ tests? ",
        kinds=_OUTPUT,
    ),
    # Ids of records: agents pass them to the next tool.
    ProtectionRule(
        pattern=r'\A"(?:id|uuid|\w+(?:_id|Id|ID|_number|Number))"\s*:\s*(?:"[^"]*"|[\w.+-]+)\Z',
        kinds=("json", "jsonl"),
    ),
)
"""The default rules."""


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
