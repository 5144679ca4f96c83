"""Plain truncation: what most apps do to a context that is too long."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.evaluation._case_compressor import (
    KeptTexts,
    clocked,
    count_texts,
    token_limit,
)
from specprefill_integrations.pipeline._token_counting import CountTokens


@dataclass(frozen=True, slots=True)
class Truncation:
    """Keeps the texts from their start, in their order, until the budget is spent.

    The last text that is kept is cut wherever that happens, within a word if need be. The time is
    that of counting all tokens once, as an app's would be that cuts tokens and not a text.
    """

    count_tokens: CountTokens
    """Counts tokens for the budget."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """There are none."""
        return {}

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Cut what comes last; the question does not matter. See `CaseCompressor`."""
        del query
        limit = token_limit(self.count_tokens, texts, keep_fraction)
        kept = tuple(self._first(texts, limit))

        def counted() -> Sequence[str]:
            count_texts(self.count_tokens, texts)
            return kept

        return clocked(counted)

    def _first(self, texts: Sequence[str], limit: int) -> Iterator[str]:
        left: int | None = limit
        for text in texts:
            if left is None:
                yield ""
            elif (tokens := count_texts(self.count_tokens, [text])) <= left:
                yield text
                left -= tokens
            else:
                yield self._start_of(text, left)
                left = None

    def _start_of(self, text: str, limit: int) -> str:
        """As much of the text as costs no more."""

        def tokens(end: int) -> int:
            return count_texts(self.count_tokens, [text[:end]])

        end = bisect_right(range(len(text) + 1), limit, key=tokens) - 1
        while tokens(end) > limit:  # a longer start may cost less, so the search may miss a little
            end -= 1
        return text[:end]
