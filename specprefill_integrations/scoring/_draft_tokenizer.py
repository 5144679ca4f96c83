"""Token ids with exact offsets for texts of any length.

Text is data here: special tokens within it are read as plain characters.
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

# Texts are tokenized in stretches of about this many characters: the time of some tokenizers grows
# faster than the text, and stretches are tokenized in parallel.
_STRETCH_CHARS = 20_000

_WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's tokens."""

    ids: list[int]
    """Token ids, without special tokens."""

    offsets: NDArray[np.int64]
    """Start and end character of each token. Shape: (tokens, 2)."""

    cuts: list[int]
    """Tokens at which a window may be cut, ascending."""


@dataclass(frozen=True, slots=True)
class PairFrame:
    """The special tokens with which a tokenizer joins two texts."""

    before: list[int]
    """Token ids before the first text."""

    between: list[int]
    """Token ids between the texts."""

    after: list[int]
    """Token ids after the second text."""

    types: list[int]
    """The token types of the five parts, the two texts among them."""

    @property
    def tokens(self) -> int:
        """Number of special tokens."""
        return len(self.before) + len(self.between) + len(self.after)

    def join(self, first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
        """Return the token ids of two texts as one sequence, and the types of its tokens."""
        parts = self.before, first, self.between, second, self.after
        types = [kind for kind, part in zip(self.types, parts, strict=True) for _ in part]
        return [token for part in parts for token in part], types


class DraftTokenizer:
    """A transformers tokenizer, used without special tokens."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - transformers' classes are untyped
        """Wrap a tokenizer; one without exact offsets tokenizes word by word."""
        self._tokenizer = tokenizer

    @property
    def start_ids(self) -> list[int]:
        """The BOS token, if the tokenizer puts one before a text."""
        # The options of `_encode`: they stick to the tokenizer, which other threads use meanwhile.
        probe = self._tokenizer("a", add_special_tokens=True, split_special_tokens=True)
        bos = self._tokenizer.bos_token_id
        return [bos] if bos is not None and probe["input_ids"][:1] == [bos] else []

    @property
    def pair_frame(self) -> PairFrame:
        """The way in which the tokenizer joins two texts."""
        # The options of `_encode`, as above.
        probe = self._tokenizer(
            "a",
            "a",
            add_special_tokens=True,
            split_special_tokens=True,
            return_special_tokens_mask=True,
            return_token_type_ids=True,
        )
        ids, types = probe["input_ids"], probe["token_type_ids"]
        own = [i for i, is_special in enumerate(probe["special_tokens_mask"]) if not is_special]
        first = len(self.ids("a"))
        edges = [0, own[0], own[first - 1] + 1, own[first], own[-1] + 1, len(ids)]
        return PairFrame(
            before=ids[: edges[1]],
            between=ids[edges[2] : edges[3]],
            after=ids[edges[4] :],
            types=[types[min(start, len(types) - 1)] for start in edges[:-1]],
        )

    def spans(self, text: str) -> list[Span]:
        """Return the span of each token; tokens that share a character share its span."""
        offsets = self.tokenize(text, []).offsets.tolist()
        return list(dict.fromkeys(Span(a, b) for a, b in offsets if a < b))

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a short text."""
        return list(self._encode([text])["input_ids"][0])

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
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
            unit_starts: First characters of the units, ascending.
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
        every_offset = np.maximum.accumulate(every_offset, axis=0)  # (tokens, 2)
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
        """Tokenize word by word; every token of a word gets the span of the word."""
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


def without_middle(ids: list[int], most: int) -> list[int]:
    """Return token ids as they are, or their first and last ones if there are more than `most`."""
    half = most // 2
    return ids if len(ids) <= 2 * half else ids[:half] + ids[len(ids) - half :]


def _stretches(text: str, unit_starts: Sequence[int]) -> list[Span]:
    """Cut a text where a unit starts, else at white space, else anywhere."""
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
