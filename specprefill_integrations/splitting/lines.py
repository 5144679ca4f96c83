"""Text of lines -> its lines: what logs, transcripts, tables and most code are read by."""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations.splitting.finer import cut_after, split_oversized
from specprefill_integrations.types import Span

_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSplitter:
    """Cuts a text into its lines, leaving out blank ones."""

    max_unit_chars: int = 600
    """Characters of a unit; longer lines are cut at sentences, clauses, then words."""

    def __call__(self, text: str) -> list[Span]:
        """Cut `text` into lines: disjoint, ascending, together all but its white space."""
        return [
            piece
            for line in cut_after(text, Span(0, len(text)), _LINE_END)
            for piece in split_oversized(text, line, self.max_unit_chars)
        ]
