"""Detection of the first lines of log entries, by timestamps and levels in common formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TIME = r"\d{1,2}:\d{2}:\d{2}"
_DOTTED_TIME = r"\d{2}\.\d{2}\.\d{2}"
_LEVEL = (
    r"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|SEVERE|FATAL|CRIT(?:ICAL)?|ALERT|EMERG"
    r"|VERBOSE)"
)

# Prefixes of `docker compose`, `kubectl logs`, syslog and others.
_PREFIX = (
    r"\ufeff?(?:[\w./-]{1,60} {1,30}\| ?|\[pod/[^\]\s]{1,120}\] )?"
    r"(?:[-*!>] |[A-Z]{2,12} {1,30})?(?:<\d{1,3}>(?:\d )?)?[\[({]?"
)

_TIMESTAMPS = {
    "iso": rf"\d{{4}}(?P<mark>[-/.])\d\d?(?P=mark)\d\d?"
    rf"(?:[T ,_-]{{1,2}}(?:{_TIME}|{_DOTTED_TIME}|\d\d:\d\d)|\b)",
    "short_date": rf"\d\d?[/.-]\d\d?(?:[/.-]\d{{2,4}})?[ ,T-]{{1,2}}{_TIME}",
    "named_month": rf"(?:{_DAY},? )?(?:\d\d? {_MONTH}|{_MONTH} +\d\d?),? (?:\d{{4}},? )?{_TIME}",
    "slashed_month": rf"\d\d?[/-]{_MONTH}[/-]\d{{4}}[: ]",
    "access": rf"\S{{1,100}} \S{{1,60}} \S{{1,60}} \[\d\d?/{_MONTH}/\d{{4}}[: ]",
    "compact": rf"\d{{8}}(?:[-T ]{_TIME}|[-T]\d{{6}}\b)|\d{{6}} \d{{6}}\b",
    "epoch": r"1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?\b",
    "time": rf"{_TIME}|\d\d?:\d\d ?[AaPp][Mm]\b",
    "uptime": r" {0,30}\d{1,7}\.\d{3,9}[\])]",
    "glog": rf"[IWEFD]\d{{4}} {_TIME}",
    "android": r"[VDIWEF]/[\w.$-]{1,60}[(:]",
    "level": rf"{_LEVEL}(?![\w-])",
    "lower_level": rf"{_LEVEL.lower()}(?=[\]:|])",
    "logfmt": r"(?:time|ts|timestamp|level|lvl)=\S",
    "json": r"(?<=\{)\"[^\"]{1,60}\": ?[^\r\n]*\}\s*$",
}

# The name of the log's file, as `grep` and others print it.
_FILE = r"(?=[\w-]{0,60}[./])[\w:./-]{1,150}[: ] ?(?:\d{1,7}[:-])?"
_OF_FILES = ("iso", "short_date", "named_month", "access", "time")


def _starts(prefix: str, kinds: Iterable[str]) -> re.Pattern[str]:
    return re.compile(
        f"{prefix}(?:" + "|".join(f"(?P<{kind}>{_TIMESTAMPS[kind]})" for kind in kinds) + ")"
    )


_START = _starts(_PREFIX, _TIMESTAMPS)
_START_IN_FILE = _starts(_FILE, _OF_FILES)

# A format this many times rarer than the most common one occurs within entries, not at starts.
_RARE = 20

# These start an entry only in logs without timestamps; otherwise they are part of a message.
_WITHOUT_TIME = frozenset({"level", "lower_level", "android"})

# Minimum share of unindented lines that must look like the start of an entry.
_LEAST_SHARE = 0.25


def start_kind(line: str) -> str | None:
    """The format of the timestamp or level at the start of a line."""
    found = _START.match(line) or _START_IN_FILE.match(line)
    return found.lastgroup if found else None


def start_share(lines: Sequence[str]) -> float:
    """The share of unindented lines that start with a timestamp or a level."""
    outer = [line for line in lines if not line[:1].isspace()]
    return sum(start_kind(line) is not None for line in outer) / max(1, len(outer))


def entry_starts(lines: Sequence[str]) -> set[int] | None:
    """Indices of the lines that start an entry; None if too few look like it."""
    kinds = [start_kind(line) for line in lines]
    outer = sum(not line[:1].isspace() for line in lines)
    counts = Counter(kind for kind in kinds if kind)
    if sum(counts.values()) < max(2, _LEAST_SHARE * outer):
        return None
    [(commonest, most)] = counts.most_common(1)
    usual = {
        kind
        for kind, count in counts.items()
        if count * (_RARE if commonest in _WITHOUT_TIME or kind not in _WITHOUT_TIME else 2) >= most
    }
    return {index for index, kind in enumerate(kinds) if kind in usual}
