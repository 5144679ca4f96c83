"""Chunks of a fixed number of tokens, as in the published algorithm; knows no tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.types import Span

PROSE_CHUNK_TOKENS = 32
"""Tokens of a chunk of prose (arXiv:2502.02789)."""

CODE_CHUNK_TOKENS = 128
"""Tokens of a chunk of code (arXiv:2603.02631)."""


@checked
@dataclass(frozen=True, slots=True)
class TokenChunkSplitter(Splitter[None]):
    """Splits a text into chunks of `chunk_tokens` tokens; the last may be shorter."""

    token_spans: Callable[[str], list[Span]]
    """Returns the spans of the tokens of a text."""

    chunk_tokens: PositiveInt = PROSE_CHUNK_TOKENS
    """Tokens of a chunk."""

    def parse(self, text: str) -> None:
        """Parse nothing."""

    def units(self, text: str, parsed: None = None) -> list[Span]:  # noqa: ARG002
        """Split `text` into adjacent chunks."""
        spans = self.token_spans(text)
        firsts = [spans[i].start for i in range(0, len(spans), self.chunk_tokens)]
        edges = [0, *firsts[1:], len(text)]
        chunks = [Span(a, b) for a, b in pairwise(edges)]
        return [chunk for chunk in chunks if text[chunk.start : chunk.end].strip()]
