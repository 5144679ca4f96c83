"""Compression of tool results: the policy of every agent integration, free of frameworks.

A framework translates its tool outputs and messages to `ToolResult`s and back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from specprefill_integrations._arguments import check, checked, is_asynchronous
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations._deadline import Deadline
from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals._promised_references import PromisedReferences
from specprefill_integrations.originals._store_choice import Originals
from specprefill_integrations.pipeline._failures import FailureLog, reason_of
from specprefill_integrations.pipeline._token_counting import estimated_tokens
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.tool_results._outcome import Outcome, outcome_of
from specprefill_integrations.tool_results._question import (
    Query,
    QueryFunction,
    QuerySource,
    ToolRequest,
    query_of,
    searches,
)
from specprefill_integrations.tool_results._result_text import ResultText, count_texts
from specprefill_integrations.tool_results._thresholds import (
    DEFAULT_MIN_TOKENS,
    MinTokens,
    Thresholds,
)
from specprefill_integrations.tool_results._tool_policy import (
    ToolPolicy,
    is_among,
    policy_for,
)
from specprefill_integrations.types import Budget, Compression, Kind, SkipReason, TextHint

logger = logging.getLogger(__name__)

OnStart = Callable[[tuple[QuerySource, ...]], None]
"""Called just before compression starts, with the sources of the question."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The texts of one tool result, or of one message of a conversation."""

    texts: Sequence[str]
    """The texts that may change."""

    tool_name: str = ""
    """The tool; empty for a message that answers no tool call."""

    find_request: Callable[[], ToolRequest] = ToolRequest
    """Reads the call that they answer; called only if they are to be compressed."""

    skip: SkipReason | None = None
    """A reason of the framework to pass them through unchanged."""

    is_from_earlier_turn: bool = False
    """True if the conversation has moved on: the question is then the last user message alone."""

    runtime: object = None
    """The framework's runtime of the call, for a function that chooses the store."""

    can_be_recalled: bool = True
    """False if the agent has no tool that fetches originals: then no gap marker names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedResult:
    """The texts after compression, and the counts."""

    texts: tuple[str | None, ...]
    """One for each text of the `ToolResult`, in the same order; None for one that is left out: the
    gap marker before or after it stands for it, too."""

    outcome: Outcome
    """Counts and skip reason."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToolResultCompressor:
    """Settings and policy of an agent integration.

    A failure passes the texts through unchanged, unless the compressor has `on_error="raise"`.

    Raises:
        BudgetError: `min_tokens="auto"` with a budget that names no share of a text.
        TypeError: A setting has another type, such as a single text for `exclude_tools`.
        ValueError: `min_tokens` is out of range, or cannot be measured; see `Thresholds.check`.
    """

    compressor: ContextCompressor | None = None
    """The compressor; None is the shared default, loaded at first use."""

    budget: Budget
    """The budget of all texts of a result together, gap markers included."""

    min_tokens: MinTokens = DEFAULT_MIN_TOKENS
    """Results of fewer tokens, by the compressor's counter, pass through unchanged. A `BreakEven`
    computes it; `"auto"` measures it, see `Thresholds`."""

    exclude_tools: Iterable[str] = ()
    """Names or globs of tools whose results pass through unchanged."""

    tool_policies: Mapping[str, ToolPolicy] | None = None
    """Settings that differ for some tools, by name or glob; the first match wins."""

    query: str | QueryFunction | None = None
    """The question of every call, or a function of the `ToolRequest`. None or blank: ask the
    conversation, see `query_of`."""

    originals: Originals | None = None
    """Store of the originals, or a function from the call's runtime to its store; the first gap
    marker of a result names the reference to fetch all of its texts."""

    metrics: CompressionMetrics | None = None
    """Metrics to add counts to; None is `process_metrics()`."""

    ttft_log: TtftLog | None = None
    """The calls of the agent's model, for `min_tokens="auto"`."""

    thresholds: Thresholds = field(init=False, repr=False)
    """Measures `min_tokens="auto"`."""

    failures: FailureLog = field(init=False, repr=False, default_factory=FailureLog)
    """Logs what went wrong."""

    def __post_init__(self) -> None:
        """Reject settings that cannot work, and keep them from changing later."""
        if is_asynchronous(self.query):
            msg = f"query must be a function that is not asynchronous; got {self.query!r:.99}."
            raise TypeError(msg)
        globs = check("exclude_tools", tuple(self.exclude_tools), tuple[str, ...])
        object.__setattr__(self, "exclude_tools", globs)
        object.__setattr__(self, "tool_policies", dict(self.tool_policies or {}))
        object.__setattr__(self, "thresholds", Thresholds(self.ttft_log))
        for policy in (ToolPolicy(), *(self.tool_policies or {}).values()):
            self.thresholds.check(*self._limits(policy))

    def __deepcopy__(self, memo: dict[int, Any]) -> ToolResultCompressor:
        """Return the same object: it is frozen, and copies share its store and its metrics."""
        return self

    def compress(self, result: ToolResult, on_start: OnStart | None = None) -> CompressedResult:
        """Compress a result.

        Args:
            result: The result.
            on_start: Called just before compression starts, with the sources of the question.

        Raises:
            Exception: A failure, where the compressor has `on_error="raise"`.
        """
        try:
            with self._deadline.applied():
                task = self._task(result)
                done = _skipped_uncounted(task) or self._compress(task, on_start)
        except Exception as error:  # noqa: BLE001 - no failure of ours may reach the agent
            done = self._failed(result, error)
        return self._recorded(done)

    async def acompress(
        self, result: ToolResult, on_start: OnStart | None = None
    ) -> CompressedResult:
        """`compress`, off the event loop."""
        try:
            task = self._task(result)
            done = _skipped_uncounted(task)
            if done is None:
                done = await self._deadline.wait_for(self._acompress(task, on_start))
        except Exception as error:  # noqa: BLE001 - see compress
            done = self._failed(result, error)
        return self._recorded(done)

    @property
    def _deadline(self) -> Deadline:
        """The deadline of a call that begins now; counting tokens comes before compressing."""
        compressor = self.compressor
        return Deadline.after(None if compressor is None else compressor.stages.deadline_seconds)

    def _task(self, result: ToolResult) -> _Task:
        """Look up the settings of the result's tool."""
        tool = result.tool_name
        policy = policy_for(tool, self.tool_policies or {})
        min_tokens, budget = self._limits(policy)
        return _Task(
            result=result,
            skip=self._skip(result),
            budget=budget,
            least_tokens=self.thresholds.least_tokens(min_tokens, budget),
            kind=policy.kind,
        )

    def _skip(self, result: ToolResult) -> SkipReason | None:
        is_excluded = is_among(result.tool_name, self.exclude_tools)
        if is_excluded and result.skip not in {"return_direct", "recalled"}:
            return "excluded_tool"
        return result.skip

    def _limits(self, policy: ToolPolicy) -> tuple[MinTokens, Budget]:
        min_tokens = self.min_tokens if policy.min_tokens is None else policy.min_tokens
        return min_tokens, policy.budget or self.budget

    def _compress(self, task: _Task, on_start: OnStart | None) -> CompressedResult:
        call = self._prepare(task)
        if isinstance(call, CompressedResult):
            return call
        if on_start:
            on_start(call.query.sources)
        call.references.promise()
        while True:
            result = call.text.compressor.compress(
                call.text.text, call.query.text, budget=call.budget, hint=call.named_hint
            )
            done = call.finish(result)
            if isinstance(done, _Call):
                call = done
            elif call.references.put(_cut(done)):
                return done

    async def _acompress(self, task: _Task, on_start: OnStart | None) -> CompressedResult:
        # Counts tokens, and may load the draft.
        call = await run_in_thread(lambda: self._prepare(task))
        if isinstance(call, CompressedResult):
            return call
        if on_start:
            on_start(call.query.sources)
        await call.references.apromise()
        while True:
            result = await call.text.compressor.acompress(
                call.text.text, call.query.text, budget=call.budget, hint=call.named_hint
            )
            done = await run_in_thread(partial(call.finish, result))
            if isinstance(done, _Call):
                call = done
            elif await call.references.aput(_cut(done)):
                return done

    def _prepare(self, task: _Task) -> _Call | CompressedResult:
        """Count the tokens and find the question; the result unchanged where none is cut."""
        result = task.result
        compressor = self.compressor or shared_compressor()
        tokens = count_texts(result.texts, compressor)
        whole = Outcome(original_tokens=sum(tokens), kept_tokens=sum(tokens))
        if sum(tokens) < (task.least_tokens or 0):
            return _unchanged(result, replace(whole, skipped_because="too_small"))
        request = result.find_request()
        query = query_of(request, self.query, user_message_only=result.is_from_earlier_turn)
        # What a search finds in a file is not of the file's kind.
        name = None if searches(request.arguments) else hint_from_metadata(request.arguments).name
        hint = TextHint(kind=task.kind, name=name, tool=request.tool_name or None)
        text = ResultText.of(
            result.texts, tokens, query.text, compressor=compressor, budget=task.budget, hint=hint
        )
        whole = replace(whole, query_sources=query.sources)
        if not isinstance(text, ResultText):
            return _unchanged(result, replace(whole, skipped_because=text))
        originals = self.originals if result.can_be_recalled else None
        references = PromisedReferences([text.original], originals, result.runtime)
        return _Call(task, text, query, hint, references, whole, task.budget)

    def _failed(self, result: ToolResult, error: Exception) -> CompressedResult:
        """The result unchanged, or the error where the compressor is set to raise."""
        if self.compressor is not None and self.compressor.on_error == "raise":
            raise error
        tool = result.tool_name
        what = f"the result of {tool}" if tool else "a message of the user"
        reason = reason_of(error, "failed")
        self.failures.add(logger, f"Passed {what} through unchanged", reason, error)
        tokens = sum(map(estimated_tokens, result.texts))
        outcome = Outcome(original_tokens=tokens, kept_tokens=tokens, skipped_because=reason)
        return _unchanged(result, outcome)

    def _recorded(self, done: CompressedResult) -> CompressedResult:
        outcome = done.outcome
        outcome.record(self.metrics)
        if outcome.skipped_because is None and outcome.original_tokens is not None:
            self.thresholds.note(outcome.original_tokens, outcome.elapsed_seconds)
        logger.debug("Tool result: %s", outcome.as_metadata())
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A result and the settings that apply to it."""

    result: ToolResult
    skip: SkipReason | None
    budget: Budget
    least_tokens: int | None
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of the compressor."""

    task: _Task
    text: ResultText
    query: Query
    hint: TextHint
    references: PromisedReferences
    whole: Outcome
    """The counts if nothing is cut."""

    budget: Budget
    """The budget of the task, or a smaller one."""

    @property
    def named_hint(self) -> TextHint:
        """The hint for the text, with its reference."""
        return replace(self.hint, reference=self.references.named[0])

    def finish(self, result: Compression) -> CompressedResult | _Call:
        """Write what is kept, or pass all texts through unchanged.

        Returns:
            The result; or a call with a smaller budget, where the texts together have more tokens
            than the one text that they were joined to.
        """
        elapsed = result.elapsed_seconds
        reason = outcome_of([result]).skipped_because
        if reason:
            return self._unchanged(reason, elapsed)
        shown = self.text.shown(result, self.references.named[0])
        if shown.tokens >= sum(self.text.tokens):
            return self._unchanged("not_shorter", elapsed)
        excess = shown.cut_tokens - self._most_tokens(result)
        if excess > 0:
            smaller = _smaller(self.budget, excess, result.original_tokens)
            if smaller is None:
                return self._unchanged("nothing_kept", elapsed)
            return replace(self, budget=smaller)
        references = tuple(filter(None, self.references.named))
        outcome = replace(self.whole, elapsed_seconds=elapsed, references=references)
        return CompressedResult(
            texts=shown.texts, outcome=replace(outcome, kept_tokens=shown.tokens)
        )

    def _unchanged(self, reason: SkipReason, elapsed_seconds: float) -> CompressedResult:
        outcome = replace(self.whole, skipped_because=reason, elapsed_seconds=elapsed_seconds)
        return _unchanged(self.task.result, outcome)

    def _most_tokens(self, result: Compression) -> int:
        """The most tokens that the texts that are cut may have together."""
        most = self.task.budget.token_limit(self.text.cut_tokens)
        # The compressor itself may exceed a share of a text, but not a number of tokens.
        may_exceed = result.kept_tokens > self.budget.token_limit(result.original_tokens)
        return max(most, result.kept_tokens) if may_exceed else most


def _smaller(budget: Budget, excess: int, tokens: int) -> Budget | None:
    """Return a budget of fewer tokens of a text; None if none would be left.

    Args:
        budget: The budget.
        excess: Tokens by which it must be smaller.
        tokens: Tokens of the text.
    """
    limit = budget.token_limit(tokens)
    left = min(limit - excess, limit * 7 // 8)  # by some steps at most, whatever the counter
    if left < 1:
        return None
    keep, most = budget.keep_fraction, budget.max_tokens
    return replace(
        budget,
        keep_fraction=None if keep is None else keep * left / limit,
        max_tokens=None if most is None else min(most, left),
    )


def _cut(done: CompressedResult) -> list[int]:
    """The index of the result's one original, if it was cut."""
    return [] if done.outcome.skipped_because else [0]


def _skipped_uncounted(task: _Task) -> CompressedResult | None:
    """The result unchanged, where that is clear before any token is counted."""
    texts = task.result.texts
    reason = task.skip
    if reason is None and not any(text.strip() for text in texts):
        reason = "no_text"
    if reason is None and task.least_tokens is None:
        reason = "never_pays"
    if reason is None:
        # No tokenizer makes more tokens of a text than it has bytes.
        most_tokens = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        reason = "too_small" if most_tokens < (task.least_tokens or 0) else None
    return _unchanged(task.result, Outcome(skipped_because=reason)) if reason else None


def _unchanged(result: ToolResult, outcome: Outcome) -> CompressedResult:
    return CompressedResult(texts=tuple(result.texts), outcome=outcome)
