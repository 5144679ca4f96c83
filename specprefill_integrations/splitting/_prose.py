"""Sentences of prose, as exact spans, by the rules of `sentence-splitter`.

`sentence-splitter` rewrites white space, so its sentences are located in the source by counting
words. Scripts with other sentence terminators (Chinese, Japanese, Hindi, Arabic, ...) are split at
these first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import regex
import sentence_splitter
from sentence_splitter import SentenceSplitter, SentenceSplitterException

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.errors import UnknownLanguageError
from specprefill_integrations.splitting._finer import CUT, cut_after, split_oversized, trimmed
from specprefill_integrations.splitting._headings import heading_links
from specprefill_integrations.splitting._lists import ListGroup, ProseLists
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span

# Sentence terminators that sentence-splitter does not know, with closing quotes and brackets: CJK,
# Urdu and Arabic, Devanagari, Armenian, Ethiopic, Khmer, Myanmar, Tibetan.
_OTHER_TERMINATOR = regex.compile(rf"[。！？｡．؟۔।॥։።፧។၊။༎]+[\p{{Pe}}\p{{Pf}}\"']*{CUT}")

# A new paragraph, heading, list item or table row: sentences do not cross these.
_BLOCK_BREAK = regex.compile(
    r"\n[^\S\n]*(?:\n\s*|(?=[-*+•#>|]|```|~~~|={3,}|_{3,}"
    r"|\(?(?:\d+|\p{L}|[ivx]{2,5}|[IVX]{2,5})[.)]\s))"
)

# Typical lengths of wrapped lines. A shorter line was ended on purpose; a longer line was not
# wrapped, so its end is the end of a paragraph.
WRAPPED_LINE_CHARS = range(45, 121)

# The rules take superlinear time, so longer paragraphs are split first.
_RULES_CHARS = 5_000

_RULES_FOLDER = Path(sentence_splitter.__file__).parent / "non_breaking_prefixes"

# All rules of sentence-splitter break at white space after one of these marks; without one there
# is a single sentence. Use `match`: `search` would take quadratic time.
_MAY_HOLD_TWO = re.compile(r"[^.!?]*[.!?]\S*\s")

# The number of a heading or list item, which the rules mistake for a sentence.
_NUMBERING = re.compile(r"(?:[#>*+•-]+ )*(?:(?:\d{1,3}\.)+|\(?[ivxIVX]{1,5}\.)")

# The rules examine both ends of a word, and are slow for long words.
_WORD_END_CHARS = 32

_WORD = re.compile(r"\S+")
_LINE_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ProseSplitter(Splitter[None]):
    """Splits a text into sentences.

    Raises:
        UnknownLanguageError: There are no rules for `language`.
        ValueError: `max_unit_chars` is less than 1.
    """

    language: str = "en"
    """ISO 639-1 code of the language of the sentence rules."""

    max_unit_chars: PositiveInt = 600
    """Characters of a unit; longer sentences are split at clauses, then words, then graphemes."""

    def __post_init__(self) -> None:
        """Load the rules, to reject an unknown language at once."""
        _rules(self.language)

    def parse(self, text: str) -> None:
        """Parse nothing: sentences need no parse."""

    def units(self, text: str, parsed: None = None) -> list[Span]:  # noqa: ARG002
        """Split `text` into sentences, which cover everything but white space."""
        return [
            piece
            for block in cut_after(text, Span(0, len(text)), _BLOCK_BREAK)
            for line in _unwrapped(text, block)
            for stretch in cut_after(text, line, _OTHER_TERMINATOR)
            for sentences in split_oversized(text, stretch, _RULES_CHARS)
            for part in self._sentences(text, sentences)
            for piece in split_oversized(text, part, self.max_unit_chars)
        ]

    def links(
        self,
        text: str,
        units: Sequence[Span],
        parsed: None = None,  # noqa: ARG002
    ) -> list[tuple[int, ...]]:
        """Return the headings of each unit, and what introduces the list that it belongs to."""
        lists = ProseLists(text, units)
        headings = heading_links(text, units, lists.items())
        return [(*above, *leads) for above, leads in zip(headings, lists.needs, strict=True)]

    def lists(
        self,
        text: str,
        units: Sequence[Span],
        parsed: None = None,  # noqa: ARG002
    ) -> list[ListGroup]:
        """Return the lists that a line, an item or a heading introduces."""
        lists = ProseLists(text, units)
        headings = heading_links(text, units, lists.items())
        groups = []
        for one in lists.found:
            lead, first = one.lead, one.members[0]
            if lead is None and one.is_tight and headings[first][-1:] == (first - 1,):
                lead = first - 1
            if lead is not None:
                groups.append(ListGroup(lead, tuple(one.members)))
        return groups

    def _sentences(self, text: str, span: Span) -> list[Span]:
        """The sentences that `sentence-splitter` finds in one stretch, as spans of `text`."""
        if not _MAY_HOLD_TWO.match(text, span.start, span.end):
            return [span]
        words = _WORD.findall(text, span.start, span.end)
        ends = _plain_ends(self.language, words) or _ends_by_rules(self.language, words)
        if len(ends) > 1:
            first = " ".join(map(_both_ends, words[: ends[0]]))
            if _NUMBERING.fullmatch(first):
                del ends[0]
        places = list(_WORD.finditer(text, span.start, span.end))
        return [Span(places[a].start(), places[b - 1].end()) for a, b in pairwise([0, *ends])]


def sentences_in_flow(text: str, span: Span, max_chars: int) -> list[Span]:
    """Split a part of a text into sentences where a line break is like any other white space.

    Args:
        text: The original.
        span: The part to split.
        max_chars: Maximum characters of a piece.
    """
    flowing = _LINE_BREAK.sub(" ", text[span.start : span.end])
    return [
        piece
        for a, b in _ANY_LENGTH(flowing)
        for piece in split_oversized(
            text, Span(span.start + a, span.start + b), max_chars, lines_flow=True
        )
    ]


def _plain_ends(language: str, words: Sequence[str]) -> list[int] | None:
    """Return after how many words each sentence ends; None if that takes more than two words.

    Before a small letter there is no end. Before a capital letter, the word with the mark decides.
    """
    ends = []
    for index, (word, following) in enumerate(pairwise(words)):
        if "." in word or "!" in word or "?" in word:
            if following[0] in ascii_uppercase:
                if _ends_a_sentence(language, _both_ends(word)):
                    ends.append(index + 1)
            elif following[0] not in ascii_lowercase:
                return None
    return [*ends, len(words)]


@lru_cache(maxsize=10_000)
def _ends_a_sentence(language: str, word: str) -> bool:
    """Return True if a sentence ends after a word when the next one begins with a capital."""
    return len(_rules(language).split(f"{word} A")) > 1


def _ends_by_rules(language: str, words: Sequence[str]) -> list[int]:
    """Return after how many words each sentence ends, by all rules."""
    examined = _examined(words)
    # Words are joined by single spaces, because a line break would end a sentence.
    joined = " ".join(_both_ends(words[index]) for index in examined)
    counts = [len(sentence.split()) for sentence in _rules(language).split(joined)]
    if 0 in counts or sum(counts) != len(examined):  # it dropped a word: counting is unreliable
        return [len(words)]
    return [*(examined[count - 1] + 1 for count in accumulate(counts[:-1])), len(words)]


def _examined(words: Sequence[str]) -> list[int]:
    """Return the indices of the words that decide where sentences end.

    These are words with a mark that may end a sentence, and those after it up to the first with a
    letter or digit, because no rule looks farther.
    """
    examined: list[int] = []
    follows = False
    for index, word in enumerate(words):
        is_end = "." in word or "!" in word or "?" in word
        if is_end or follows:
            examined.append(index)
            follows = is_end or not any(map(str.isalnum, _both_ends(word)))
    return examined


def _both_ends(word: str) -> str:
    """A word, or the two ends of a long one."""
    if len(word) <= 2 * _WORD_END_CHARS:
        return word
    return word[:_WORD_END_CHARS] + word[-_WORD_END_CHARS:]


def _unwrapped(text: str, block: Span) -> Iterator[Span]:
    """The lines of a block, with wrapped lines joined.

    In prose, unlike in file formats, a line also ends at a form feed, U+2028 and the like.
    """
    start = position = block.start
    for line in text[block.start : block.end].splitlines(keepends=True):
        position += len(line)
        if len(line.rstrip()) not in WRAPPED_LINE_CHARS or position == block.end:
            joined = trimmed(text, Span(start, position))
            if joined.start < joined.end:
                yield joined
            start = position


@cache
def _rules(language: str) -> SentenceSplitter:
    try:
        return SentenceSplitter(language)
    except SentenceSplitterException as error:
        known = ", ".join(sorted(path.stem for path in _RULES_FOLDER.glob("*.txt")))
        msg = f"No sentence rules for language {language!r}; there are rules for: {known}."
        raise UnknownLanguageError(msg) from error


_ANY_LENGTH = ProseSplitter(max_unit_chars=1 << 30)
