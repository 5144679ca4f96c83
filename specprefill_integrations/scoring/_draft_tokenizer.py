"""The draft's tokenizer as scoring needs it: ids with exact offsets, for texts of any length.

Text is data here: what looks like a special token in it is read as plain characters.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specprefill_integrations.types import Span

# Texts are tokenized in stretches of about this many characters: some tokenizers take time that
# grows faster than the text, and stretches are tokenized side by side.
_STRETCH_CHARS = 20_000

_WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's tokens."""

    ids: list[int]
    """Token ids, no special tokens among them."""

    offsets: NDArray[np.int64]
    """First character of each token and one past its last. Shape: (tokens, 2)."""

    cuts: list[int]
    """The tokens at which a window may be cut, ascending."""


class DraftTokenizer:
    """Wraps a tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - transformers' classes are untyped
        """Take any tokenizer; without exact offsets of its own, words are tokenized one by one."""
        self._tokenizer = tokenizer

    @property
    def start_ids(self) -> list[int]:
        """What the draft expects before any text: its BOS token, where its tokenizer adds one."""
        # The options of `_encode`: another choice would change what other threads count meanwhile.
        probe = self._tokenizer("a", add_special_tokens=True, split_special_tokens=True)
        bos = self._tokenizer.bos_token_id
        return [bos] if bos is not None and probe["input_ids"][:1] == [bos] else []

    def ids(self, text: str) -> list[int]:
        """Token ids of a short text, without special tokens."""
        return list(self._encode([text])["input_ids"][0])

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        stretches = [_stretches(text, []) for text in texts]
        encoded = self._encode(
            [
                text[s.start : s.end]
                for text, found in zip(texts, stretches, strict=True)
                for s in found
            ]
        )
        lengths = iter(map(len, encoded["input_ids"]))
        return [sum(next(lengths) for _ in found) for found in stretches]

    def tokenize(self, text: str, unit_starts: Sequence[int]) -> TokenizedText:
        """Tokenize a text.

        Args:
            text: The text.
            unit_starts: The characters at which units start, ascending.
        """
        stretches = _stretches(text, unit_starts)
        parts = [text[s.start : s.end] for s in stretches]
        if getattr(self._tokenizer, "is_fast", False):
            encoded = self._encode(parts, return_offsets_mapping=True)
            ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        else:
            ids, offsets = self._by_words(parts)
        every_id = [token for part in ids for token in part]
        every_offset = np.array(
            [
                (start + stretch.start, end + stretch.start)
                for stretch, part in zip(stretches, offsets, strict=True)
                for start, end in part
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        every_offset = np.maximum.accumulate(every_offset, axis=0)
        cuts = np.searchsorted(every_offset[:, 1], list(unit_starts), side="right")
        return TokenizedText(every_id, every_offset, sorted(set(cuts.tolist())))

    def _encode(self, texts: Sequence[str], **options: Any) -> Any:  # noqa: ANN401
        if not texts:
            return {"input_ids": [], "offset_mapping": []}
        return self._tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            verbose=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            **options,
        )

    def _by_words(self, parts: Sequence[str]) -> tuple[list[list[int]], list[list[Span]]]:
        """Ids and offsets without the tokenizer's help: every token of a word gets its span."""
        ids: list[list[int]] = []
        offsets: list[list[Span]] = []
        for part in parts:
            words = [Span(m.start(), m.end()) for m in _WORD.finditer(part)]
            encoded = self._encode([part[w.start : w.end] for w in words])["input_ids"]
            ids.append([token for word in encoded for token in word])
            offsets.append(
                [word for word, found in zip(words, encoded, strict=True) for _ in found]
            )
        return ids, offsets


def _stretches(text: str, unit_starts: Sequence[int]) -> list[Span]:
    """The text in stretches that begin where a unit does, or at white space, or anywhere."""
    stretches = []
    start = 0
    while len(text) - start > _STRETCH_CHARS:
        end = start + _STRETCH_CHARS
        at = bisect_left(unit_starts, end + 1) - 1
        if at >= 0 and unit_starts[at] > start:
            end = unit_starts[at]
        else:
            space = text.rfind(" ", start + 1, end)
            end = space if space > 0 else end
        stretches.append(Span(start, end))
        start = end
    if start < len(text):
        stretches.append(Span(start, len(text)))
    return stretches
