"""The seam between measuring and compressing: ours, baselines and peers keep texts alike.

What was kept is counted by whoever measures, with one counter for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.evaluation._remembering_scorer import RememberingScorer
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._token_counting import CountTokens, count_each
from specprefill_integrations.types import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTexts:
    """What is left of a case's texts."""

    texts: tuple[str, ...]
    """One a text, empty where nothing of it is left; or fewer, where texts were merged or left out
    as a whole."""

    seconds: float
    """What compressing for this fraction alone takes."""

    reading_seconds: float | None = None
    """How much of that serves every fraction of the case; None where each is read for anew."""


class CaseCompressor(Protocol):
    """Keeps a share of a case's texts."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """What it is set to, as plain values for JSON: results of other values are others."""

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Keep that share of the tokens of all texts together, or as near to it as it can.

        Args:
            texts: The texts.
            query: The question, if there is one.
            keep_fraction: Kept tokens / original tokens, in (0, 1].
        """


class SpanCompressor:
    """What a compressor keeps, its scorer's engine left out: a cache would hide what it takes."""

    parameters: Mapping[str, object] = {}
    """All of it ships like this."""

    def __init__(self, compressor: ContextCompressor) -> None:
        """Measure this compressor, except that failures are raised."""
        self._remembering = RememberingScorer(compressor.scorer.unwrapped)
        self._compressor = compressor.replace(scorer=self._remembering, on_error="raise")

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Compress; the same case is scored once for all fractions. See `CaseCompressor`."""
        remembering = self._remembering
        started = time.perf_counter()
        spent, answered = remembering.score_seconds, remembering.answered_seconds
        results = self._compressor.compress_documents(
            texts, query, budget=Budget(keep_fraction=keep_fraction)
        )
        reading = remembering.answered_seconds - answered
        other = time.perf_counter() - started - (remembering.score_seconds - spent)
        return KeptTexts(
            texts=tuple(result.text for result in results),
            seconds=other + reading,
            reading_seconds=reading,
        )


def clocked(compress: Callable[[], Iterable[str]]) -> KeptTexts:
    """What a function keeps, and how long it takes."""
    started = time.perf_counter()
    texts = tuple(compress())
    return KeptTexts(texts=texts, seconds=time.perf_counter() - started)


def count_texts(count_tokens: CountTokens, texts: Sequence[str]) -> int:
    """The tokens of all texts together, lone surrogates in them replaced."""
    return sum(count_each(count_tokens, [encodable(text) for text in texts]))


def token_limit(count_tokens: CountTokens, texts: Sequence[str], keep_fraction: float) -> int:
    """How many tokens that share of the texts is: the same for all compressors."""
    return Budget(keep_fraction=keep_fraction).token_limit(count_texts(count_tokens, texts))
