"""What is to be kept whatever the draft says: errors, exit codes, totals. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from specprefill_integrations.types import Kind, Span


@dataclass(frozen=True, kw_only=True)
class ProtectionRule:
    """Protects units of some kinds of text, and of some tools' results.

    Raises:
        re.error: `pattern` is no regular expression.
    """

    pattern: str
    """A regular expression that is found in the unit; `^` and `$` are the ends of lines."""

    kinds: tuple[str, ...] = ("*",)
    """Globs, one of which the text's kind matches. See `Kind`."""

    tools: tuple[str, ...] = ("*",)
    """Globs, one of which the tool's name matches; `*` matches a text of no tool too."""

    def __post_init__(self) -> None:
        """Reject a pattern that is none."""
        self.expression  # noqa: B018 - compiled for its errors

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The pattern, compiled."""
        return re.compile(self.pattern, re.MULTILINE)

    def holds_for(self, kind: Kind, tool: str | None) -> bool:
        """Whether the rule is about texts of this kind and tool."""
        return _matches(kind, self.kinds) and _matches(tool or "", self.tools)


def protected(
    text: str,
    units: Sequence[Span],
    rules: Sequence[ProtectionRule],
    *,
    kind: Kind,
    tool: str | None = None,
) -> list[bool]:
    """Which units of a text some rule protects.

    Args:
        text: The text.
        units: Its units.
        rules: What is protected.
        kind: What kind the text is of.
        tool: The tool whose result it is.
    """
    expressions = [rule.expression for rule in rules if rule.holds_for(kind, tool)]
    return [
        any(expression.search(text[unit.start : unit.end]) for expression in expressions)
        for unit in units
    ]


_OUTPUT = ("log", "lines")

# A line begins with white space but no line break: else many blank lines would take very long.
DEFAULT_PROTECTION: tuple[ProtectionRule, ...] = (
    # The last line of a stack trace, and what compilers, shells and test runners call an error.
    ProtectionRule(
        pattern=r"^[^\S\n]*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Fault)\b(?::|$)"
        r"|^[^\S\n]*(?:Caused by: |Traceback \(most recent call last\))"
        r"|^[^\S\n]*(?:fatal|panic|error)(?:\[\w+\])?:|: (?:fatal )?error[ :]|^(?:FAILED|ERROR) \S",
        kinds=_OUTPUT,
    ),
    # What a program ended with.
    ProtectionRule(
        pattern=r"(?i)\b(?:exit(?:ed)?(?: with)?(?: status| code)?|exit_?code|return_?code)"
        r"[ :=]{1,3}-?\d+\b",
        kinds=(*_OUTPUT, "prose"),
    ),
    # What a server answered, as curl and others show it.
    ProtectionRule(pattern=r"^(?:< )?HTTP/\d(?:\.\d)? \d{3}\b", kinds=(*_OUTPUT, "prose")),
    # Rows of totals, and the line in which a test runner sums up.
    ProtectionRule(
        pattern=r"(?i)^(?:[^\S\n]|[|*])*(?:grand[ -]?|sub[ -]?)?totals?\b",
        kinds=(*_OUTPUT, "csv", "markdown"),
    ),
    ProtectionRule(
        pattern=r"^=+ .*\b(?:passed|failed|errors?)\b.* =+$|^Tests?(?: Suites)?: +\d+ "
        r"|^Ran \d+ tests? ",
        kinds=_OUTPUT,
    ),
    # What a record is known by: agents hand it to the next tool.
    ProtectionRule(
        pattern=r'\A"(?:id|uuid|\w+(?:_id|Id|ID|_number|Number))"\s*:\s*(?:"[^"]*"|[\w.+-]+)\Z',
        kinds=("json", "jsonl"),
    ),
)
"""What is protected where nothing else was asked for."""


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
