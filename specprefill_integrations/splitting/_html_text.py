"""Paragraphs, list items, rows and headings of HTML, with their tags.

One regular expression finds the tags that start and end blocks, in linear time; there is no parser,
so broken HTML works too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar

import regex

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._headings import OpenHeadings
from specprefill_integrations.splitting._lists import ListGroup, introduces, is_caption
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._prose import sentences_in_flow
from specprefill_integrations.types import Span

_BLOCK_NAMES = (
    "address article aside blockquote body button caption center dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main "
    "menu nav ol option p pre section select summary table tbody tfoot thead title tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_LISTS = frozenset({"ul", "ol"})
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")

# Further header rows of a table are rows: each row needs all of its header. Tables in tables do not
# need all that is around them.
_MOST_NEEDS = 40

# Terms and lead-ins of further lists around an item are not needed by it.
_MOST_TERMS = 3

# Tags before and behind the words that introduce a list or a table.
_MOST_TAGS_AROUND = 8

# Within a row, only these tags split.
_CUTS_ROWS = frozenset({"table", "tr", "thead", "tbody", "tfoot"})

_ATTRIBUTES = r"(?:[^<>\"']++|\"[^\"]{0,5000}\"|'[^']{0,5000}'){0,200}+"
_MARKUP = regex.compile(
    r"<!--.*?(?:-->|\Z)"
    rf"|<(?P<raw>script|style)\b{_ATTRIBUTES}>.*?(?:</(?P=raw)\s*>|\Z)"
    rf"|<(?P<closes>/?)(?P<tag>[a-z][a-z0-9:-]{{0,40}})(?=[\s/>]){_ATTRIBUTES}>"
    r"|<[!?][^<>]{0,2000}>",
    regex.DOTALL | regex.IGNORECASE,
)
_CONTINUES_A_CLUSTER = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
_STARTS_A_CLUSTER = regex.compile(r"\p{GCB=Prepend}")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlSplitter(OutlineSplitter):
    """Splits HTML at the borders of blocks and keeps the tags.

    Every unit needs the headings above it, a row the header and the caption of its table, a
    definition its term, and an item or a row the line with a colon before its list or table, or
    the item around it; scripts and style sheets need nothing. Tags without text belong to the text
    next to them. A long block is split into sentences; line breaks in the source end none, except
    in preformatted text.
    """

    lines_flow: ClassVar[bool] = True
    """Line breaks in HTML are white space."""

    def parse(self, text: str) -> Outline:
        """Find the blocks of `text`."""
        scan = _Scan(text, self.max_unit_chars)
        for markup in _MARKUP.finditer(text):
            scan.take(markup)
        scan.finish()
        return scan.outline


@dataclass(slots=True)
class _Table:
    """An open table."""

    header: Needs = ()
    """Its lead, its caption, its header rows, and their needs."""

    is_in_caption: bool = False
    """True while `<caption>` is open."""

    is_in_head: bool = False
    """True while `<thead>` is open."""

    is_in_row: bool = False
    """True while a row is open."""

    is_in_body: bool = False
    """True after the first row that is not a header."""


@dataclass(slots=True)
class _List:
    """An open list."""

    lead: int | None
    """The unit that introduces it."""

    is_needed: bool
    """True if its items need that unit; a heading is needed anyway."""

    place: int
    """Its place among all lists."""

    first: int
    """The first unit after the lead."""


@dataclass(slots=True)
class _Block:
    """The part between two tags that split."""

    start: int
    """Start of the block."""

    has_text: bool = False
    """True if it has text besides tags."""

    tags: set[str] = field(default_factory=set)
    """The tags that it opens."""


class _Scan:
    """One pass over the tags of a text."""

    def __init__(self, text: str, max_chars: int) -> None:
        """Start without headings and tables."""
        self.outline = Outline(text)
        self._text = text
        self._max_chars = max_chars
        self._headings = OpenHeadings()
        self._tables: list[_Table] = []
        self._terms: list[Needs] = []  # the last one of each open definition list
        self._lists: list[_List] = []
        self._figcaption: int | None = None  # the last unit that is one
        self._block = _Block(0)
        self._position = 0
        self._after_raw = True

    def take(self, markup: regex.Match[str]) -> None:
        """Process one tag, comment, script or style sheet."""
        start, end = markup.span()
        self._pass_text(start)
        self._position = end
        tag = (markup["tag"] or "").lower()
        if markup["raw"]:
            self._take_raw(start, end)
        elif not tag:
            return
        elif not self._cuts(tag):
            self._block.tags.add(tag)
        elif markup["closes"]:
            self._cut(end, is_close=True)
            self._leave(tag)
        else:
            self._cut(start, is_close=False)
            self._enter(tag)

    def finish(self) -> None:
        """Add the text after the last tag."""
        self._pass_text(len(self._text))
        self._cut(len(self._text), is_close=True)
        self._add_block(len(self._text))
        self._leave_lists()

    def _pass_text(self, end: int) -> None:
        if self._text[self._position : end].strip():
            self._block.has_text = True

    def _cuts(self, tag: str) -> bool:
        is_in_row = bool(self._tables) and self._tables[-1].is_in_row
        return tag in (_CUTS_ROWS if is_in_row else _BLOCKS)

    def _cut(self, position: int, *, is_close: bool) -> None:
        """End the block; without text it joins the next or the previous one."""
        if not _is_between_clusters(self._text, position):
            return
        if self._block.has_text:
            self._add_block(position)
        elif is_close and not self._after_raw:
            start, _ = self.outline.spans[-1]
            if position - start <= self._max_chars:
                self.outline.spans[-1] = trimmed(self._text, Span(start, position))
                self._block = _Block(position)

    def _take_raw(self, start: int, end: int) -> None:
        """Add a script or style sheet as separate units."""
        if all(_is_between_clusters(self._text, p) for p in (start, end)):
            self._add_block(start)
            self._block = _Block(end)
            self.outline.add_lines(Span(start, end), (), self._max_chars)
            self._after_raw = True
        else:
            self._block.has_text = True

    def _add_block(self, end: int) -> None:
        """Add the block as a heading, a table row or plain text."""
        block, self._block = self._block, _Block(end)
        span = trimmed(self._text, Span(block.start, end))
        if span.start == span.end:
            return
        self._after_raw = False
        table = self._tables[-1] if self._tables else _Table()
        terms = chain.from_iterable(self._terms[-_MOST_TERMS:])
        leads = [one.lead for one in self._lists if one.is_needed and one.lead is not None]
        above = {*self._headings.above, *table.header, *terms, *leads[-_MOST_TERMS:]}
        needs = tuple(sorted(above))
        ranks = [rank for rank, tag in enumerate(_HEADINGS, start=1) if tag in block.tags]
        fits = span.end - span.start <= self._max_chars
        if ranks and fits and not table.is_in_row:
            self._headings.close(ranks[0])
            *_, index = self.outline.add(span, self._headings.above)
            self._headings.open(ranks[0], index)
            self._terms.clear()  # the lists lack their end tags
            self._leave_lists()
        elif table.is_in_caption and len(table.header) <= _MOST_NEEDS:
            table.header = self.outline.add_heading(span, needs, self._max_chars)
        elif table.is_in_row and not table.is_in_body and _is_header(block, table):
            table.header = self.outline.add_heading(span, needs, self._max_chars)
            table.is_in_body = len(table.header) > _MOST_NEEDS
        elif "dt" in block.tags and fits:
            *_, index = self.outline.add(span, needs)
            self._terms[-1:] = [(index,)]
        else:
            table.is_in_body |= table.is_in_row
            self.outline.add_all(self._pieces(span, is_flowing="pre" not in block.tags), needs)
            if "figcaption" in block.tags:
                self._figcaption = len(self.outline.spans) - 1

    def _pieces(self, span: Span, *, is_flowing: bool) -> list[Span]:
        """A block, or the sentences or lines of a long one."""
        if span.end - span.start <= self._max_chars:
            return [span]
        if not is_flowing:
            return split_oversized(self._text, span, self._max_chars)
        return sentences_in_flow(self._text, span, self._max_chars)

    def _enter(self, tag: str) -> None:
        """Enter a block."""
        self._block.tags.add(tag)
        if tag in _CUTS_ROWS:
            self._block.tags -= {"td", "th"}
        if tag in _LISTS:
            self._enter_list()
        elif tag == "table":
            self._tables.append(_Table(self._introduction()))
        elif tag == "caption" and self._tables:
            self._tables[-1].is_in_caption = True
        elif tag == "dl":
            self._terms.append(())
        elif tag == "dt":
            self._terms[-1:] = [()]
        elif tag in _CUTS_ROWS:
            if not self._tables:
                self._tables.append(_Table())
            table = self._tables[-1]
            table.is_in_row = tag == "tr"
            table.is_in_caption = False
            table.is_in_head = tag == "thead" or (table.is_in_head and tag == "tr")

    def _leave(self, tag: str) -> None:
        """Leave a block."""
        if tag in _LISTS and self._lists:
            self._leave_list()
        if tag == "dl":
            del self._terms[-1:]
        if tag == "caption" and self._tables:
            self._tables[-1].is_in_caption = False
        if tag in _CUTS_ROWS and self._tables:
            table = self._tables[-1]
            table.is_in_row = False
            table.is_in_head &= tag == "tr"
            if tag == "table":
                self._tables.pop()

    def _introduction(self) -> Needs:
        """The caption or the line with a colon above a table, and its needs."""
        outline = self.outline
        last = len(outline.spans) - 1
        if last < 0 or last in self._headings.above or len(outline.needs[last]) > _MOST_NEEDS:
            return ()
        words = self._without_outer_tags(outline.spans[last])
        is_caption_of_it = last == self._figcaption or is_caption(self._text[slice(*words)])
        if not is_caption_of_it and not introduces(self._text, words):
            return ()
        return (*outline.needs[last], last)

    def _enter_list(self) -> None:
        """Enter a list; what introduces it is the unit before it."""
        outline = self.outline
        last = len(outline.spans) - 1
        is_heading = last >= 0 and last in self._headings.above
        is_needed = last >= 0 and not is_heading and (bool(self._lists) or self._ends_with_colon())
        lead = last if is_heading or is_needed else None
        self._lists.append(_List(lead, is_needed, len(outline.lists), last + 1))

    def _leave_list(self) -> None:
        """Leave the innermost list; its items share in the relevance of its lead."""
        one = self._lists.pop()
        members = range(one.first, len(self.outline.spans))
        if one.lead is not None and members:
            below = tuple(i for i in members if one.lead in self.outline.needs[i])
            self.outline.lists.insert(one.place, ListGroup(one.lead, below))

    def _leave_lists(self) -> None:
        while self._lists:
            self._leave_list()

    def _ends_with_colon(self) -> bool:
        """True if the last unit ends with a colon, but for tags."""
        return introduces(self._text, self._without_outer_tags(self.outline.spans[-1]))

    def _without_outer_tags(self, unit: Span) -> Span:
        """The part of a unit between the tags at its ends."""
        start, end = unit
        for _ in range(_MOST_TAGS_AROUND):
            if self._text[end - 1] == ">":
                tag = max(start, self._text.rfind("<", start, end))
                end = trimmed(self._text, Span(start, tag)).end
            if start < end and self._text[start] == "<":
                tag = self._text.find(">", start, end) + 1
                start = trimmed(self._text, Span(tag or end, end)).start
            if start >= end:
                return Span(start, start)
        return Span(start, end)


def _is_header(block: _Block, table: _Table) -> bool:
    """True if a row is a header row."""
    return table.is_in_head or ("th" in block.tags and "td" not in block.tags)


def _is_between_clusters(text: str, position: int) -> bool:
    """True if a cut at this position splits no grapheme cluster."""
    return not (
        _CONTINUES_A_CLUSTER.match(text, position)
        or (position and _STARTS_A_CLUSTER.match(text, position - 1))
    )
