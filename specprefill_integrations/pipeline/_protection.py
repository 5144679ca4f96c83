"""Rules for units that are kept whatever their score: errors, exit codes, totals. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._lines import as_shown
from specprefill_integrations.types import Kind, Span


@checked
@dataclass(frozen=True, kw_only=True)
class ProtectionRule:
    """Protects matching units in texts of some kinds and in results of some tools.

    Raises:
        ValueError: `pattern` is no regular expression.
    """

    pattern: str
    """A regular expression, searched for in each unit as a terminal shows it, without escape
    sequences; `^` and `$` match at line ends."""

    kinds: tuple[str, ...] = ("*",)
    """Globs for the kind of text. See `Kind`."""

    tools: tuple[str, ...] = ("*",)
    """Globs for the name of the tool; `*` also matches texts of no tool."""

    only_last: bool = False
    """True to protect only the last matching unit of a text, such as the root of a chain of
    causes."""

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


def protected(  # noqa: PLR0913 - one keyword a fact
    text: str,
    units: Sequence[Span],
    rules: Sequence[ProtectionRule],
    *,
    kind: Kind,
    tool: str | None = None,
    query: str | None = None,
) -> list[bool]:
    """Return which units of a text are protected: by a rule, or by a name that the query holds.

    Args:
        text: The text.
        units: Its units.
        rules: The rules; without any, nothing is protected.
        kind: The kind of text.
        tool: The tool that returned the text, if any.
        query: The question. Its identifiers, hashes and paths protect the few units that hold them.
    """
    found = [False] * len(units)
    shown = [as_shown(text[unit.start : unit.end]) for unit in units]
    for rule in rules:
        if rule.holds_for(kind, tool):
            matching = [i for i, part in enumerate(shown) if rule.expression.search(part)]
            for index in matching[-1:] if rule.only_last else matching:
                found[index] = True
    if rules and query and kind not in _WITH_IDS:
        for name in _names_in(query):
            for index in _rare_holders(name, text, units):
                found[index] = True
    return found


def _names_in(query: str) -> list[str]:
    """Return the identifiers, hashes and paths of a question."""
    words = dict.fromkeys(word.strip(_AROUND_NAMES) for word in query.split())
    return [word for word in words if len(word) in _NAME_CHARS and _NAME.search(word)][:_MOST_NAMES]


def _rare_holders(name: str, text: str, units: Sequence[Span]) -> set[int]:
    """Return the units that hold a name literally; none if too many do."""
    starts = [unit.start for unit in units]
    holders: set[int] = set()
    for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
        index = bisect_right(starts, match.start()) - 1
        if index >= 0 and match.start() < units[index].end:
            holders.add(index)
        if len(holders) > _FEW_HOLDERS:
            return set()
    return holders


# Kinds whose rules about ids say which values identify a record.
_WITH_IDS = frozenset({"json", "jsonl"})

# Words with an underscore, a slash, a dot or a capital within, letters and digits together, long
# numbers.
_NAME = re.compile(
    r"\w_\w|/\w|\w\.[^\W\d]|[a-z][A-Z]|[^\W\d_][-#:.]?\d|\d[-:.]?[^\W\d_]|#\d|^\d{5,}$"
)
_NAME_CHARS = range(3, 201)
_AROUND_NAMES = "\"'`“”‘’()[]{}<>,;:.!?"  # noqa: RUF001 - quotes
_MOST_NAMES = 16

# Units with the same name; one that more of them hold tells nothing apart.
_FEW_HOLDERS = 3

_OUTPUT = ("log", "lines")

# Lines of programs that nobody writes in prose; program output may be taken for prose.
_WRITTEN = (*_OUTPUT, "prose", "markdown", "chat")

# Marks before a message, such as the frame that Terraform draws. No line breaks: many blank lines
# would take very long.
_MARKS = r"^[^\w\n]{0,12}"

_ERRNO = (
    "command not found|not found|No such file or directory|No space left on device"
    "|Permission denied|Operation not permitted|Is a directory|Not a directory|File exists"
    "|Directory not empty|Read-only file system|Too many open files|Cannot allocate memory"
    "|Connection (?:refused|reset|timed out|closed)[^\n]{0,40}|Broken pipe"
    "|Name or service not known|No route to host|Network is unreachable|Input/output error"
    "|Could not resolve host[^\n]{0,80}|Device or resource busy|Exec format error"
    "|Disk quota exceeded|Out of memory"
)
_BAD_STATUS = (
    "Bad Request|Unauthorized|Forbidden|Not Found|Method Not Allowed|Not Acceptable"
    "|Request Timeout|Conflict|Gone|Payload Too Large|Unprocessable (?:Entity|Content)"
    "|Too Many Requests|Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable"
    "|Gateway Time-?out"
)

DEFAULT_PROTECTION: tuple[ProtectionRule, ...] = (
    # Exceptions: their last line, what caused them, and the heads of stack traces.
    ProtectionRule(
        pattern=r"^[^\S\n]*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Fault)\b(?::|$)"
        r"|^[^\S\n]*(?:Suppressed: |Traceback \(most recent call last\))"
        r"|^(?:Exception in thread|Unhandled exception|Uncaught )|\bpanicked at |^panic: ",
        kinds=_OUTPUT,
    ),
    # The last one is the root.
    ProtectionRule(pattern=r"^[^\S\n]*Caused by: ", kinds=_OUTPUT, only_last=True),
    # Errors of compilers and linters, with a place: file:line:column.
    ProtectionRule(
        pattern=r"(?::\d+:|\d\)|:)[^\S\n]{1,3}(?:fatal |syntax )?error(?:\[\w+\])?[ :]"
        r"|^[^\S\n]*\d+:\d+[^\S\n]+error\b|: error [A-Z]{1,4}\d+\b",
        kinds=_OUTPUT,
    ),
    # Errors that say so first, with or without the name of the program.
    ProtectionRule(
        pattern=rf"{_MARKS}(?:Error|ERROR|error|FATAL|Fatal|fatal|panic|FAILURE|Failure|E)"
        r"(?:\[[\w-]{1,20}\]| [A-Z]*\d{1,6}(?: \(\w+\))?| \w+ error|(?: response)? from \w+)?"
        r"[\]:!](?! ?0\b)"
        rf"|{_MARKS}(?:FAILED|ERROR|FATAL)\b(?! ?[=:]? ?0\b)"
        r"|^(?:npm|pnpm|yarn|bun|lerna)[ :](?:ERR!|error\b)|^(?:ERR!|ERR_\w+)"
        r"|^[\w./-]{0,40}make(?:\[\d+\])?: \*\*\*|^(?:CMake|dpkg:|docker:) [Ee]rror|^curl: \(\d"
        r"|^(?:PHP )?(?:Fatal|Parse|Syntax) error\b"
        r"|^CONFLICT \(|^Automatic merge failed"
        r"|^The conflict is caused by:|^ ?! \[(?:remote )?rejected\]"
        r"|^(?:BUILD FAIL|\* What went wrong|The command .{1,200} (?:failed|returned a non-zero))",
        kinds=_WRITTEN,
    ),
    # Shells and system calls.
    ProtectionRule(
        pattern=rf": (?:{_ERRNO})[.)\"']*$|\b(?:[Ss]egmentation fault|core dumped|OOMKilled)\b"
        r"|^(?:Killed|Aborted|Bus error|Illegal instruction|Terminated)\b.{0,40}$"
        r"|^(?:\S{1,60}: )?(?:[Ff]ailed to|[Uu]nable to|[Cc]ould not|[Cc]annot) \S"
        r"|\b(?:[Cc]rashLoopBackOff|ImagePullBackOff|ErrImagePull|Evicted)\b",
        kinds=_OUTPUT,
    ),
    # Test runners: what failed, what was expected, and what came.
    ProtectionRule(
        pattern=r"^E {2,}\S|^[^\S\n]{0,12}--- FAIL: |^FAIL(?:ED)?(?:[:\t ]|$)"
        r"|\.{3} ?(?:FAILED|FAIL|ERROR)\b|(?:\*{3}|\()(?:Failed|Timeout|Exception)\b"
        r"|[ \t](?:FAILED|ERROR)(?:[^\S\n]+\[ *\d+%\])?$|^[^\S\n]*(?:● |[✕✗✖✘\xd7] |not ok \d)"
        r"|^[^\S\n]*(?:[Ee]xpected|[Rr]eceived|[Aa]ctual|left|right)\b[\w ]{0,30}: "
        r"|<<< (?:FAILURE|ERROR)!|^[^\S\n]*Failure/Error: |^assertion .{0,80}failed",
        kinds=_OUTPUT,
    ),
    # Levels of log entries; a counter of errors is none.
    ProtectionRule(
        pattern=r"\A[^\n]{0,120}?\b(?:FATAL|CRITICAL|ERROR|SEVERE|EMERG|PANIC)\b(?! ?[=:]? ?0\b)"
        r"|\A[^\n]{0,120}?\b(?:level|lvl|severity)[\"']?[=:] ?[\"']?(?:error|fatal|critical)\b",
        kinds=("log",),
    ),
    # Exit codes.
    ProtectionRule(
        pattern=r"(?i)\b(?:exit(?:ed)?(?: with)?(?: status| code)?|exit_?code|return_?code)"
        r"[ :=]{1,3}-?\d+\b",
        kinds=(*_OUTPUT, "prose"),
    ),
    # HTTP status lines, as curl and others print them, and statuses that tell of a failure.
    ProtectionRule(
        pattern=r"^(?:< )?HTTP/\d(?:\.\d)? \d{3}\b"
        rf"|\b[45]\d\d:? (?:{_BAD_STATUS})\b|HTTP/\d(?:\.\d)?\" [45]\d\d\b"
        r"|\b(?:[Ss]tatus|HTTP)(?:[ _]?[Cc]ode)?[\"']?[ :=]{1,3}[45]\d\d\b",
        kinds=(*_OUTPUT, "prose"),
    ),
    # Rows of totals.
    ProtectionRule(
        pattern=r"(?i)^(?:[^\S\n]|[|*])*(?:grand[ -]?|sub[ -]?)?totals?\b",
        kinds=(*_OUTPUT, "csv", "markdown"),
    ),
    # Summary lines of test runners, compilers and planners.
    ProtectionRule(
        pattern=r"^=+ (?=.*\b(?:passed|failed|errors?)\b).* =+$|^Tests?(?: Suites)?: +\d+ "
        r"|^Ran \d+ tests? |^test result: |^[^\S\n]*\d+ (?:passing|failing)\b"
        r"|Tests run: \d+, (?!Failures: 0, Errors: 0)|^(?:\[INFO\] )?BUILD (?:SUCCESS|FAIL)"
        r"|^(?:Found |✖ )?[1-9]\d* (?:errors?|problems?|failures?)\b|\b[1-9]\d* errors? generated"
        r"|^Plan: \d+ to add|^(?:Apply|Destroy) complete!|^No changes\."
        r"|^\d+ examples?, \d+ failures?",
        kinds=_OUTPUT,
    ),
    # Ids of records: agents pass them to the next tool.
    ProtectionRule(
        pattern=r'\A"(?:id|uuid|\w+(?:_id|Id|ID|_number|Number))"\s*:\s*'
        r'(?:"[^"]+"|(?!null)[\w.+-]+)\Z',
        kinds=("json", "jsonl"),
    ),
)
"""The default rules."""


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
