"""Token ids with exact offsets for texts of any length.

Text is data here: special tokens within it are read as plain characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
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
    """Start and end character of each token, both ascending. Shape: (tokens, 2)."""

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return len(self.ids)

    def cuts(self, unit_starts: Sequence[int]) -> list[int]:
        """Return the tokens at which a window may be cut, ascending.

        Args:
            unit_starts: First characters of the units.
        """
        cuts = np.searchsorted(self.offsets[:, 1], list(unit_starts), side="right")
        return sorted(set(cuts.tolist()))

    def ranges(self, spans: Sequence[Span]) -> NDArray[np.int64]:
        """Return the range of tokens that overlap each span. Shape: (spans, 2)."""
        first = np.searchsorted(self.offsets[:, 1], [s.start for s in spans], side="right")
        last = np.searchsorted(self.offsets[:, 0], [s.end for s in spans], side="left")
        return np.stack([first, np.maximum(first, last)], axis=1)

    def costs(self, spans: Sequence[Span]) -> list[int]:
        """Count the tokens that overlap each span; a token may be counted for two."""
        first, last = self.ranges(spans).T
        costs: list[int] = (last - first).tolist()
        return costs


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
        [found] = self.tokenize([text])
        offsets = found.offsets.tolist()
        return list(dict.fromkeys(Span(a, b) for a, b in offsets if a < b))

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a short text."""
        return list(self._encode([text])["input_ids"][0])

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        stretches = [*map(_stretches, texts)]
        encoded = self._encode(_parts(texts, stretches))
        lengths = iter(map(len, encoded["input_ids"]))
        return [sum(islice(lengths, len(found))) for found in stretches]

    @property
    def has_offsets(self) -> bool:
        """True if the tokens of words are known with their offsets; else those of words are."""
        return bool(getattr(self._tokenizer, "is_fast", False))

    def encoded(self, texts: Sequence[str]) -> list[TokenizedText] | None:
        """Tokenize each text, if that gives as many tokens as `count`."""
        return self.tokenize(texts) if self.has_offsets else None

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize each text."""
        stretches = [*map(_stretches, texts)]
        parts = _parts(texts, stretches)
        if self.has_offsets:
            encoded = self._encode(parts, return_offsets_mapping=True)
            ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        else:
            ids, offsets = self._by_words(parts)
        found = zip(ids, offsets, strict=True)
        return [_joined(text, [*islice(found, len(text))]) for text in stretches]

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


def _stretches(text: str) -> list[Span]:
    """Cut a text at white space, else anywhere."""
    stretches = []
    start = 0
    while len(text) - start > _STRETCH_CHARS:
        end = start + _STRETCH_CHARS
        space = text.rfind(" ", start + 1, end)
        end = space if space > 0 else end
        stretches.append(Span(start, end))
        start = end
    if start < len(text):
        stretches.append(Span(start, len(text)))
    return stretches


def _parts(texts: Sequence[str], stretches: Sequence[Sequence[Span]]) -> list[str]:
    """Return the stretches of all texts."""
    found = zip(texts, stretches, strict=True)
    return [text[span.start : span.end] for text, spans in found for span in spans]


def _joined(
    stretches: Sequence[Span],
    encoded: Sequence[tuple[Sequence[int], Sequence[tuple[int, int]]]],
) -> TokenizedText:
    """Join the token ids and offsets of a text's stretches."""
    offsets = [np.zeros((0, 2), dtype=np.int64)]
    for stretch, (_, found) in zip(stretches, encoded, strict=True):
        edges = np.fromiter(chain.from_iterable(found), np.int64, 2 * len(found))
        offsets.append(edges.reshape(-1, 2) + stretch.start)
    every = np.maximum.accumulate(np.concatenate(offsets), axis=0)  # (tokens, 2)
    return TokenizedText([token for ids, _ in encoded for token in ids], every)
