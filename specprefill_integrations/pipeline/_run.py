"""One call of the compressor, in steps: split and count, then (elsewhere) score, then choose.

Scoring stands apart so that it can be waited for with or without blocking.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from specprefill_integrations.errors import DeadlineExceededError, DraftModelError
from specprefill_integrations.pipeline._budget_fitting import BudgetFitter, Rendered
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._protection import ProtectionRule
from specprefill_integrations.pipeline._query_intent import LeaveWhole, asks_about_whole_text
from specprefill_integrations.pipeline._rendering import LINE_GAPS, GapStyle
from specprefill_integrations.pipeline._selection import (
    Selector,
    masses,
    select_best,
    select_covering,
    select_fraction,
    select_mass,
)
from specprefill_integrations.pipeline._split_document import SplitDocument, scored_units
from specprefill_integrations.pipeline._token_counting import CountTokens, count_each
from specprefill_integrations.scoring._span_scorer import SpanScorer, scores_are_logarithms
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._by_kind import READ_BY_LINES, SplitByKind
from specprefill_integrations.types import Budget, Compression, Kind, SkipReason, Span, TextHint


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What a compressor is made of. See `ContextCompressor`."""

    scorer: SpanScorer
    """Says how much a question needs a span."""

    splitter: Splitter
    """Cuts a text into units."""

    selector: Selector | None
    """Chooses units."""

    gaps: GapStyle | None
    """How gaps are shown."""

    protect: Sequence[ProtectionRule]
    """What is kept before all else."""

    leave_whole: LeaveWhole | None
    """Says whether a question needs every word of a text."""

    fraction_of: Literal["tokens", "units"]
    """What `Budget.keep_fraction` is a fraction of."""

    count_tokens: CountTokens
    """Counts the tokens that budgets are about."""


@dataclass(frozen=True, slots=True)
class ScoringTask:
    """What the scorer is asked: the arguments of `SpanScorer.score_spans`."""

    query: str | None
    """The question."""

    texts: Sequence[str]
    """The texts that have units."""

    spans: Sequence[Sequence[Span]]
    """The units of each."""


class CompressionRun:
    """The texts of one call, on their way through the stages."""

    def __init__(
        self,
        stages: Stages,
        texts: Sequence[str],
        query: str | None,
        budget: Budget,
        hints: Sequence[TextHint | None],
    ) -> None:
        """Take the call's arguments; nothing is done yet.

        Args:
            stages: What the compressor is made of.
            texts: The texts.
            query: The question.
            budget: How much may be kept of all texts together.
            hints: What else is known of each text.
        """
        self._stages = stages
        self._texts = texts
        self._readable = [encodable(text) for text in texts]
        self._query = encodable(query) if query and query.strip() else None
        self._budget = budget
        self._hints = hints
        self._started = time.perf_counter()
        self._stage: SkipReason = "counter_failed"
        self._tokens = [0] * len(texts)
        self._excluded: dict[int, SkipReason] = {}
        self._limit = 0
        self._documents: dict[int, SplitDocument] = {}
        self._costs: list[int] = []

    def split(self) -> ScoringTask | None:
        """Count and cut the texts.

        Returns:
            What is to be scored; None where all texts stay whole.
        """
        self._stage = "counter_failed"
        self._tokens = count_each(self._stages.count_tokens, self._readable)
        total = sum(self._tokens)
        if total <= self._budget.token_limit(total) and self._budget.attention_mass is None:
            return None
        self._stage = "splitter_failed"
        for index, (text, hint) in enumerate(zip(self._readable, self._hints, strict=True)):
            found = self._cut(text, hint)
            if isinstance(found, SplitDocument):
                self._documents[index] = found
            else:
                self._excluded[index] = found
        self._stage = "counter_failed"
        total = sum(self._tokens[i] for i in self._documents)
        self._limit = self._budget.token_limit(total)
        if total <= self._limit and self._budget.attention_mass is None:
            return None
        self._cut_oversized()
        self._stage = "scorer_failed"
        filled = [document for document in self._documents.values() if document.units]
        return ScoringTask(
            self._query,
            [document.text for document in filled],
            [document.units for document in filled],
        )

    def choose(self, found: Sequence[Sequence[float]]) -> list[Compression]:
        """Choose by scores, and write what is kept.

        Args:
            found: The scores of what `split` asked for.

        Returns:
            One result a text.
        """
        filled = [document for document in self._documents.values() if document.units]
        scores = [
            _finite(score)
            for document, numbers in zip(filled, found, strict=True)
            for _, score in zip(document.units, numbers, strict=True)
        ]
        self._stage = "counter_failed"
        rendered = dict(zip(self._documents, self._chosen(scores), strict=True))
        elapsed = time.perf_counter() - self._started
        return [
            self._compressed(index, rendered[index], elapsed)
            if text and index in rendered
            else self._whole(index, self._excluded.get(index, "empty_text"), elapsed)
            for index, text in enumerate(self._texts)
        ]

    def whole(self, error: Exception | None = None) -> list[Compression]:
        """All texts whole.

        Args:
            error: What failed; None where nothing did.
        """
        elapsed = time.perf_counter() - self._started
        reason: SkipReason = "within_budget"
        if error is not None:
            reason = self._stage
        if isinstance(error, DeadlineExceededError):
            reason = "deadline_exceeded"
        return [
            self._whole(index, self._excluded.get(index, reason), elapsed)
            for index in range(len(self._texts))
        ]

    def _cut(self, text: str, hint: TextHint | None) -> SplitDocument | SkipReason:
        """A text in units; or why it is not to be cut."""
        splitter, gaps = self._stages.splitter, self._stages.gaps
        if not isinstance(splitter, SplitByKind):
            kind = (hint and hint.kind) or "prose"
            if self._must_stay_whole(kind):
                return "needs_every_word"
            return SplitDocument.cut(text, splitter, gaps or GapStyle(), kind=kind, hint=hint)
        kind = splitter.kind(text, hint)
        chosen = splitter.splitter(text, kind, hint.name if hint else None)
        if chosen is None:
            return "kind_excluded"
        if self._must_stay_whole(kind):
            return "needs_every_word"
        by_kind = LINE_GAPS if kind in READ_BY_LINES else GapStyle()
        return SplitDocument.cut(text, chosen, gaps or by_kind, kind=kind, hint=hint)

    def _must_stay_whole(self, kind: Kind) -> bool:
        """Whether the question needs every word; but a number of tokens is a promise."""
        rule = self._stages.leave_whole
        return rule is not None and self._budget.max_tokens is None and rule(self._query, kind)

    def _cut_oversized(self) -> None:
        """Count the units, and cut those finer that alone cost more than may be kept."""
        for index, document in self._documents.items():
            tokens = self._count(document)
            if not self._counts_units:
                count = self._stages.count_tokens
                finer = document.with_units_within(self._limit, tokens, count)
                tokens = tokens if finer is document else self._count(finer)
                self._documents[index] = finer
            self._costs += tokens

    @property
    def _counts_units(self) -> bool:
        """Whether a fraction of the units is kept, whatever they cost."""
        return self._stages.fraction_of == "units" and self._budget.max_tokens is None

    def _count(self, document: SplitDocument) -> list[int]:
        return list(self._stages.count_tokens(document.parts))

    def _chosen(self, scores: Sequence[float]) -> list[Rendered]:
        """What is kept of each text that was cut."""
        stages, budget = self._stages, self._budget
        documents = list(self._documents.values())
        by_question = select_covering if asks_about_whole_text(self._query) else select_best
        fitter = BudgetFitter(
            documents=documents,
            selector=stages.selector or by_question,
            count_tokens=stages.count_tokens,
            tops_up=stages.selector is None,
        )
        shares = masses(scores, self._costs, are_logarithms=scores_are_logarithms(stages.scorer))
        units = scored_units(documents, scores, self._costs, shares, stages.protect)
        if budget.attention_mass is not None:
            rendered = fitter.keep(units, select_mass(units, budget.attention_mass))
            if sum(document.tokens for document in rendered) <= self._limit:
                return rendered
        if self._counts_units and budget.keep_fraction is not None:
            return fitter.keep(units, select_fraction(units, budget.keep_fraction))
        return fitter.fit(units, self._limit)

    def _compressed(self, index: int, choice: Rendered, elapsed: float) -> Compression:
        # Written from the caller's own text: scoring saw one without lone surrogates.
        text = self._documents[index].written(choice.kept, self._texts[index])
        return Compression(
            text=text,
            kept=choice.kept,
            original_tokens=self._tokens[index],
            kept_tokens=choice.tokens,
            elapsed_seconds=elapsed,
        )

    def _whole(self, index: int, reason: SkipReason, elapsed: float) -> Compression:
        text, tokens = self._texts[index], self._tokens[index]
        return Compression(
            text=text,
            kept=(Span(0, len(text)),) if text else (),
            original_tokens=tokens,
            kept_tokens=tokens,
            elapsed_seconds=elapsed,
            skipped_because=reason if text else "empty_text",
        )


def _finite(score: float) -> float:
    """The score, where it is a number to sort by."""
    if not math.isfinite(score):
        msg = f"The draft gave a score that is not a finite number: {score!r}."
        raise DraftModelError(msg)
    return score
