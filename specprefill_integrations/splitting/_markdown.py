"""Sentences, list items, rows and code blocks of markdown, linked to their headings.

`markdown-it-py` finds the lines of each block; everything else is read from these lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._headings import OpenHeadings
from specprefill_integrations.splitting._lines import source_lines, without_blank_ends
from specprefill_integrations.splitting._lists import ListGroup, ProseLists, introduces, is_caption
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._prose import WRAPPED_LINE_CHARS, ProseSplitter
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.splitting._tables import TableSplitter
from specprefill_integrations.types import Span

_FRONT_MATTER = re.compile(
    r"\ufeff?---[ \t]*(?:\r\n?|\n)[\w\"'#-][^\r\n]*(?:\r\n?|\n)(?:.*?[\r\n])??"
    r"(?:---|\.{3})[ \t]*(?=[\r\n]|\Z)",
    re.DOTALL,
)

_LISTS = {"bullet_list", "ordered_list"}

# Blocks that a line with a colon before them introduces.
_INTRODUCED = {*_LISTS, "fence", "code_block", "blockquote", "table"}
_LONGEST_TITLE_CHARS = 80

_TABLE_PARTS = {"table", "thead", "tbody", "tr"}


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class MarkdownSplitter(OutlineSplitter):
    """Splits markdown into sentences, list items, table rows and code blocks.

    Every unit needs the headings above it. A list, table, quote or code block needs the line before
    it if that ends with a colon, a list or table also if that is short, a table also if that is its
    caption. A row also needs the header
    of its table, the contents of a long list item its first sentence, and a piece of a long code
    block its opening fence.

    Raises:
        UnknownLanguageError: There are no sentence rules for `language`.
        ValueError: `max_unit_chars` is less than 1.
    """

    language: str = "en"
    """ISO 639-1 code of the language of the sentence rules."""

    max_item_chars: PositiveInt = 300
    """Characters of a list item with its contents up to which it is one unit."""

    max_code_chars: PositiveInt = 1_000
    """Characters of a code block, table row or HTML block; longer ones are split."""

    code: Splitter[Any] | None = None
    """Splits the contents of a long code block; None: at lines."""

    def __post_init__(self) -> None:
        """Reject an unknown language at once."""
        ProseSplitter(language=self.language)

    def parse(self, text: str) -> Outline:
        """Find the blocks of `text` and their headings."""
        front = _FRONT_MATTER.match(text)
        body = Span(front.end() if front else 0, len(text))
        reading = _Reading(self, text, body)
        reading.outline.add_lines(Span(0, body.start), (), self.max_code_chars)
        source = text[body.start :].removeprefix("\ufeff")
        reading.read_blocks(_blocks(source), range(len(reading.lines)), None)
        return reading.outline


@dataclass(slots=True)
class _Block(Token):
    """A block of a text, with those in it; none of a table."""

    blocks: list[_Block] = field(default_factory=list)
    """The blocks in it."""


class _BlockState(StateBlock):
    """Keeps the blocks of a text as a tree.

    `markdown-it-py` keeps a list with a token for each end, line and cell. Most are not needed
    here, and so many objects at a time let Python collect garbage again and again.
    """

    def __init__(self, state: StateCore) -> None:
        """Start before the first block."""
        super().__init__(state.src, state.md, state.env, [])
        self.root = _Block("root", "", 1)
        self._open = [self.root]
        self._unread = Token("unread", "", 0)

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        """Add a block, or end one; what it returns is filled in by the rule that found it."""
        if nesting < 0:
            self.level -= 1
            self._open.pop()
            return self._unread
        if ttype == "inline":
            return self._unread
        block = _Block(ttype.removesuffix("_open"), tag, nesting)
        if self._open[-1].type not in _TABLE_PARTS:
            self._open[-1].blocks.append(block)
        if nesting:
            self.level += 1
            self._open.append(block)
        return block


class _Reading:
    """One pass over the blocks of a text; lines are counted from the start of its body."""

    def __init__(self, splitter: MarkdownSplitter, text: str, body: Span) -> None:
        """Start without headings."""
        self.outline = Outline(text)
        self.lines = source_lines(text, body)
        self._splitter = splitter
        self._prose = ProseSplitter(
            language=splitter.language, max_unit_chars=splitter.max_unit_chars
        )
        self._table = TableSplitter(form="markdown", max_unit_chars=splitter.max_code_chars)
        self._headings = OpenHeadings()

    def read_blocks(self, nodes: Sequence[_Block], lines: range, item: Needs | None) -> None:
        """Add consecutive blocks, and the lines between them, such as link definitions.

        Args:
            nodes: The blocks.
            lines: The lines of the blocks and between them.
            item: The needs of the contents of the enclosing list item or quote; None outside.
        """
        position = lines.start
        before: _Block | None = None
        for node in nodes:
            start, end = node.map or (0, 0)
            start, end = max(start, position), min(end, lines.stop)
            if start < end:
                self._add_lines(range(position, start), item)
                if before and self.outline.spans and self._may_need(node, before):
                    self._read_introduced(before, node, range(start, end), item)
                else:
                    self._read_block(node, range(start, end), item)
                position, before = end, node
        self._add_lines(range(position, lines.stop), item)

    def _may_need(self, node: _Block, before: _Block) -> bool:
        """True for lists and the like, and for the paragraph after a line that is a question."""
        if node.type != "paragraph" or before.type != "paragraph":
            return node.type in _INTRODUCED
        return self._is_question(before) and not self._is_question(node)

    def _is_question(self, node: _Block) -> bool:
        return self._only_line(node).endswith("?")

    def _is_title(self, node: _Block) -> bool:
        """True for a short line that ends without a mark."""
        line = self._only_line(node)
        return line[-1:].isalnum() and len(line) <= _LONGEST_TITLE_CHARS

    def _only_line(self, node: _Block) -> str:
        """The line of a paragraph without emphasis; empty if it has several."""
        start, end = node.map or (0, 0)
        return self._without_emphasis(node) if end - start == 1 else ""

    def _without_emphasis(self, node: _Block) -> str:
        """The lines of a block without marks of emphasis at their ends."""
        return self.outline.text[slice(*self._span(range(*(node.map or (0, 0)))))].strip(" *_\r\n")

    def _first_unit(self, node: _Block) -> int:
        """The first unit of a block that has been read."""
        start, _ = node.map or (0, 0)
        return bisect_left(self.outline.spans, (self.lines[start].start, 0))

    def _read_introduced(
        self, before: _Block, node: _Block, lines: range, item: Needs | None
    ) -> None:
        """Add a block that needs the line before it; lists also share its score."""
        outline, needs = self.outline, self._headings.above if item is None else item
        lead, place = len(outline.spans) - 1, len(outline.lists)
        is_captioned = node.type == "table" and is_caption(self._without_emphasis(before))
        is_introduced = before.type == "paragraph" and (
            node.type == "paragraph"
            or introduces(outline.text, outline.spans[-1])
            or (node.type in {*_LISTS, "table"} and self._is_title(before))
            or is_captioned
        )
        first = min(lead, self._first_unit(before)) if is_captioned else lead
        introduction = (*needs, *range(first, lead + 1))
        self._read_block(node, lines, introduction if is_introduced else item)
        is_headed = before.type == "heading" and node.type in _LISTS
        if (is_introduced and node.type != "table") or is_headed:
            members = range(lead + 1, len(outline.spans))
            below = tuple(member for member in members if lead in outline.needs[member])
            outline.lists.insert(place, ListGroup(lead, below))

    def _read_block(self, node: _Block, lines: range, item: Needs | None) -> None:
        needs = self._headings.above if item is None else item
        if node.type == "heading" and item is None:
            self._add_heading(node, lines)
        elif node.type in {"heading", "paragraph"}:
            self._add_sentences(self._span(lines), needs)
        elif node.type in _LISTS:
            self.read_blocks(node.blocks, lines, needs)
        elif node.type == "list_item":
            own = self._own_lines(lines)
            self._add_container(node, own, needs, self._splitter.max_item_chars)
            self._add_sentences(self._span(lines[len(own) :]), self._headings.above)
        elif node.type == "blockquote":
            self._add_container(node, lines, needs, self._splitter.max_unit_chars)
        elif node.type == "fence":
            self._add_fence(node, lines, needs)
        elif node.type == "table":
            self.outline.add_split(self._table, self._span(lines), needs)
        else:
            self._add_lines(lines, item)

    def _add_heading(self, node: _Block, lines: range) -> None:
        """Add a heading, or a paragraph if it is too long for a heading."""
        span = without_blank_ends(self.outline.text, self._span(lines))
        if span.end - span.start > self._splitter.max_unit_chars:
            self._add_sentences(span, self._headings.above)
            return
        rank = int(node.tag[1:])
        self._headings.close(rank)
        *_, index = self.outline.add(span, self._headings.above)
        self._headings.open(rank, index)

    def _add_container(self, node: _Block, lines: range, needs: Needs, max_chars: int) -> None:
        """Add a list item or quote as one unit, or its contents below its first sentence."""
        whole = without_blank_ends(self.outline.text, self._span(lines))
        if whole.end - whole.start <= min(max_chars, self._splitter.max_unit_chars):
            self.outline.add(whole, needs)
            return
        blocks, position = node.blocks, lines.start
        first = blocks[0] if blocks else None
        if node.type == "list_item" and first and first.type == "paragraph" and first.map:
            position = min(max(first.map[1], lines.start), lines.stop)
            lead = len(self.outline.spans)
            self._add_sentences(self._span(range(lines.start, position)), needs)
            blocks = blocks[1:]
            needs = (*needs, lead) if len(self.outline.spans) > lead else needs
        self.read_blocks(blocks, range(position, lines.stop), needs)

    def _own_lines(self, lines: range) -> range:
        """The lines of a list item up to one that is neither indented nor a wrapped line.

        Markdown takes such a line for a part of the item, but its author hardly meant that.
        """
        text = self.outline.text
        for line, after in pairwise(lines):
            begins = text[self.lines[after].start]
            if not begins.isspace() and begins != ">":
                written = text[self.lines[line].start : self.lines[line].end]
                if written.strip() and len(written.rstrip()) not in WRAPPED_LINE_CHARS:
                    return range(lines.start, after)
        return lines

    def _add_fence(self, node: _Block, lines: range, needs: Needs) -> None:
        """Add a code block as one unit, or as its opening line and pieces that need it."""
        span = self._span(lines)
        opening = self._span(lines[:1])
        most = self._splitter.max_code_chars
        if self._splitter.code is None or span.end - span.start <= most:
            self.outline.add_headed(opening, span.end, needs, most)
            return
        last = self._span(lines[-1:])
        closes = self.outline.text[last.start : last.end].strip(" \t\r\n>").startswith(node.markup)
        end = last.start if closes and len(lines) > 1 else span.end
        below = self.outline.add_heading(opening, needs, most)
        self.outline.add_split(self._splitter.code, Span(opening.end, end), below)
        self.outline.add_lines(Span(end, span.end), below, most)

    def _add_lines(self, lines: range, item: Needs | None) -> None:
        """Add lines that are not prose."""
        span = self._span(lines)
        if self.outline.text[span.start : span.end].strip():
            needs = self._headings.above if item is None else item
            self.outline.add_lines(span, needs, self._splitter.max_code_chars)

    def _add_sentences(self, span: Span, needs: Needs) -> None:
        """Add sentences; of the prose splitter's links, only those of lists are used."""
        part, first = self.outline.text[span.start : span.end], len(self.outline.spans)
        sentences = self._prose(part)
        lists = ProseLists(part, sentences)
        for (a, b), leads in zip(sentences, lists.needs, strict=True):
            above = (*needs, *(first + lead for lead in leads))
            self.outline.add(Span(span.start + a, span.start + b), above)
        for one in lists.found:
            if one.lead is not None:
                members = tuple(first + member for member in one.members)
                self.outline.lists.append(ListGroup(first + one.lead, members))

    def _span(self, lines: range) -> Span:
        """The span of some lines in the text."""
        if not lines:
            return Span(0, 0)
        return Span(self.lines[lines[0]].start, self.lines[lines[-1]].end)


def _blocks(source: str) -> list[_Block]:
    """Return the outermost blocks with those in them."""
    state = StateCore(source, _parser(), {})
    state.md.core.process(state)
    reading = _BlockState(state)
    state.md.block.tokenize(reading, reading.line, reading.lineMax)
    return reading.root.blocks


@cache
def _parser() -> MarkdownIt:
    """A parser of blocks only, without inline markup."""
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize"])
    return parser
