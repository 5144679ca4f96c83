"""Signs that a text was written by a program: its lines begin alike, with a path or another mark.

Lines of prose begin with words that differ, and end in full stops.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from specprefill_integrations.splitting._lines import as_shown, source_lines
from specprefill_integrations.splitting._output._rows import (
    KEY,
    Row,
    blocks,
    is_escaped,
    output_rows,
    shape,
    shared_prefix,
)

# As many lines that begin alike, or blocks, are no chance.
_REPEATED = 3

_LEAST_ROWS = 5
_LEAST_SHARE = 0.5
_LEAST_SHARE_OF_CHARS = 0.3
_BEYOND_DOUBT = 0.9
_SENTENCE_SHARE = 0.5

# The number or mark of a list item or clause.
_NUMBERING = re.compile(r"[-*+•>]|#{1,6}|\(?\d{1,4}(?:\.\d{1,3}){0,3}[.)]?|\(?\w[.)]")
_QUOTES_AND_STOPS = ",.;:!?\"'()“”‘’"
_ENDS_A_SENTENCE = re.compile(r"[.!?。！？।؟][\"'”’)\]]*$")

# More further sentences than programs write in a line.
_MANY_SENTENCES = 3

# A full stop after a word, and a word with a capital: the start of a further sentence.
_NEXT_SENTENCE = re.compile(r"[^\W\d_]{2}[.!?] {1,2}[A-ZÀ-ÖØ-Þ][^\W\d_]*[ ,]")


def looks_like_output(text: str) -> bool:
    """Return True if most lines begin as others do: with a mark, or with the same two words."""
    if is_escaped(text):
        return True
    rows = output_rows(text)
    if has_prefix(text):
        return True
    signs = [_signs(row) for row in rows]
    counts = Counter(sign for one in signs for sign in one)
    pairs = zip(rows, signs, strict=True)
    alike = [row for row, one in pairs if any(counts[sign] >= _REPEATED for sign in one)]
    share = len(alike) / max(1, len(rows))
    if len(rows) < _LEAST_ROWS or share < _LEAST_SHARE:
        return False
    if _chars(alike) < _LEAST_SHARE_OF_CHARS * _chars(rows):
        return False
    sentences = sum(bool(_ENDS_A_SENTENCE.search(row.shown)) for row in rows)
    return share >= _BEYOND_DOUBT or sentences < _SENTENCE_SHARE * len(rows)


def has_prefix(text: str) -> bool:
    """Return True if nearly all lines begin with the same mark, such as `==42==`."""
    prefix = shared_prefix([as_shown(text[a:b]) for a, b in source_lines(text)])
    return bool(prefix) and not prefix.strip(_QUOTES_AND_STOPS).isalpha()


def looks_like_records(text: str) -> bool:
    """Return True if most blocks between blank lines have the same first key, and further keys."""
    rows = output_rows(text)
    keyed = [
        rows[first].shape
        for first, end in blocks(rows)
        if end - first > 1 and KEY.match(rows[first].shown) and KEY.match(rows[first + 1].shown)
    ]
    count = max(Counter(keyed).values(), default=0)
    return count >= _REPEATED and 2 * count > sum(row.opens_block for row in rows)


def _chars(rows: Iterable[Row]) -> int:
    return sum(len(row.shown) for row in rows)


def _signs(row: Row) -> set[str]:
    """The mark that a row begins with, or its first word with the second or a mark at its end.

    None for what lists and texts begin with.
    """
    first, _, rest = row.shown.partition(" ")
    if _NUMBERING.fullmatch(first):
        return set()
    if not row.shape.isalpha() and not first.strip(_QUOTES_AND_STOPS).isalpha():
        return {row.shape}
    if not rest.strip() or _goes_on(row.shown):
        return set()
    last = rest.rsplit(None, 1)[-1]
    found = {f"{row.shape} {shape(rest.lstrip())}"}
    if not last.strip(_QUOTES_AND_STOPS).isalpha():
        found.add(f"{row.shape} - {shape(last)}")
    return found


def _goes_on(line: str) -> bool:
    """Return True if a line is of a text: it has many sentences, or ends within a second one."""
    starts = len(_NEXT_SENTENCE.findall(line))
    return starts >= _MANY_SENTENCES or bool(starts and not _ENDS_A_SENTENCE.search(line))
