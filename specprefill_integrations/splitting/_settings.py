"""Entries of YAML and TOML files, linked to the enclosing keys, list items or tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._lines import source_lines, without_blank_ends
from specprefill_integrations.splitting._outline import Needs, Outline, OutlineSplitter
from specprefill_integrations.splitting._settings_entries import Entry
from specprefill_integrations.splitting._settings_files import settings_form
from specprefill_integrations.splitting._toml_text import toml_entries
from specprefill_integrations.splitting._yaml_text import yaml_entries
from specprefill_integrations.types import Span

# Characters examined to tell YAML from TOML.
_SNIFFED_CHARS = 20_000

# Maximum characters of a line, with its comment, that the entries below it need.
_HEAD_CHARS = 400


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSplitter(OutlineSplitter):
    """Splits YAML or TOML into entries; nested entries need the ones that enclose them.

    A small block is one unit. A comment belongs to the next entry. The pieces of an oversized value
    need its first line.
    """

    max_unit_chars: PositiveInt = 400
    """Characters of a block up to which it is one unit; larger ones are opened."""

    form: Literal["yaml", "toml"] | None = None
    """The format of the file; None: detected from the text."""

    def parse(self, text: str) -> Outline:
        """Find the entries of `text` and their nesting."""
        head = text[:_SNIFFED_CHARS]
        form = self.form or settings_form([head[a:b] for a, b in source_lines(head)])
        entries = toml_entries(text) if form == "toml" else yaml_entries(text)
        outline = Outline(text)
        ends = _block_ends(entries)
        around: list[tuple[int, Needs]] = []  # end of the block, needs of its entries
        index = 0
        while index < len(entries):
            while around and around[-1][0] <= index:
                around.pop()
            needs = around[-1][1] if around else ()
            entry, block_end = entries[index], ends[index]
            whole = without_blank_ends(text, Span(entry.start, entries[block_end - 1].end))
            if whole.end - whole.start <= self.max_unit_chars:
                outline.add(whole, needs)
                index = block_end
            else:
                around.append((block_end, self._add_entry(outline, entry, needs)))
                index += 1
        return outline

    def _add_entry(self, outline: Outline, entry: Entry, needs: Needs) -> Needs:
        """Add an entry without the entries below it.

        Returns:
            The needs of the units below it.
        """
        text, head = outline.text, Span(entry.start, entry.head_end)
        most = min(self.max_unit_chars, _HEAD_CHARS)
        if head.end - head.start > most:
            [first, *_] = split_oversized(text, trimmed(text, head), most)
            head = Span(head.start, first.end)
        below = outline.add_heading(head, needs, self.max_unit_chars)
        outline.add_lines(Span(head.end, entry.end), below, self.max_unit_chars)
        return below


def _block_ends(entries: Sequence[Entry]) -> list[int]:
    """For each entry, the index of the next one that is not below it."""
    ends = [len(entries)] * len(entries)
    around: list[int] = []
    for index, entry in enumerate(entries):
        while around and entries[around[-1]].depth >= entry.depth:
            ends[around.pop()] = index
        around.append(index)
    return ends
