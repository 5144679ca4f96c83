"""Compression of tool results: the policy of every agent integration, free of frameworks.

A framework translates its tool outputs and messages to `ToolResult`s and back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from specprefill_integrations._arguments import NonNegativeInt, check, checked, is_asynchronous
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations._deadline import Deadline
from specprefill_integrations._telemetry import OpenSpan, compress_span
from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.observability import CompressionMetrics, TtftLog
from specprefill_integrations.originals._promised_references import PromisedReferences
from specprefill_integrations.originals._store_choice import Originals
from specprefill_integrations.pipeline._failures import FailureLog, reason_of
from specprefill_integrations.scoring._span_scorer import estimated_tokens
from specprefill_integrations.splitting._hints import hint_from_metadata
from specprefill_integrations.splitting._marker_search import MarkerSearch
from specprefill_integrations.tool_results._argument_guard import (
    OnMarker,
    refusal_of,
    warning_of,
)
from specprefill_integrations.tool_results._call import Call, Task
from specprefill_integrations.tool_results._outcome import Outcome
from specprefill_integrations.tool_results._question import (
    QueryFunction,
    QuerySource,
    query_of,
    searches,
)
from specprefill_integrations.tool_results._result import CompressedResult, ToolResult, unchanged
from specprefill_integrations.tool_results._result_text import ResultText, count_texts
from specprefill_integrations.tool_results._thresholds import (
    DEFAULT_ERROR_MIN_TOKENS,
    DEFAULT_MIN_TOKENS,
    MinTokens,
    Thresholds,
)
from specprefill_integrations.tool_results._tool_policy import (
    ToolPolicy,
    is_among,
    policy_for,
)
from specprefill_integrations.types import Budget, SkipReason, TextHint

logger = logging.getLogger(__name__)

ExtendedT = TypeVar("ExtendedT")

OnStart = Callable[[tuple[QuerySource, ...]], None]
"""Called just before compression starts, with the sources of the question."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToolResultCompressor:
    """Settings and policy of an agent integration.

    A failure passes the texts through unchanged, unless the compressor has `on_error="raise"`.

    Raises:
        BudgetError: `min_tokens="auto"` with a budget that names no share of a text, or a
            `target_recall` with scores that are not calibrated.
        TypeError: A setting has another type, such as a single text for `exclude_tools`.
        ValueError: `min_tokens` is out of range, or cannot be measured; see `Thresholds.check`.
    """

    compressor: ContextCompressor | None = None
    """The compressor; None is the shared default, loaded at first use."""

    budget: Budget
    """The budget of all texts of a result together, gap markers included."""

    min_tokens: MinTokens = DEFAULT_MIN_TOKENS
    """Results of fewer tokens, by the compressor's counter, pass through unchanged. A `BreakEven`
    computes it; `"auto"` measures it, see `Thresholds`; `("fraction", 0.01)` is a share of the
    tokens that `model` takes."""

    error_min_tokens: NonNegativeInt = DEFAULT_ERROR_MIN_TOKENS
    """Results of tools that failed pass through unchanged if they have fewer tokens than this, or
    than `min_tokens`. Longer ones are compressed; units that tell what failed are protected."""

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

    on_marker_in_arguments: OnMarker = "ignore"
    """The effect of gap markers in the arguments of a call, as if a shortened text was written
    back: none, a warning in the log, or a refusal that tells the model to recall the original."""

    goal_argument: bool = False
    """Offer the model an argument that says what it looks for; it is then the question."""

    metrics: CompressionMetrics | None = None
    """Metrics to add counts to; None is `process_metrics()`."""

    ttft_log: TtftLog | None = None
    """The calls of the agent's model, for `min_tokens="auto"`."""

    model: object = None
    """The agent's model, for a `min_tokens` that is a fraction of its window."""

    thresholds: Thresholds = field(init=False, repr=False)
    """Measures `min_tokens="auto"`."""

    failures: FailureLog = field(repr=False, default_factory=FailureLog)
    """Logs what went wrong; one log for several objects warns once for all of them."""

    def __post_init__(self) -> None:
        """Reject settings that cannot work, and keep them from changing later."""
        if is_asynchronous(self.query):
            msg = f"query must be a function that is not asynchronous; got {self.query!r:.99}."
            raise TypeError(msg)
        globs = check("exclude_tools", tuple(self.exclude_tools), tuple[str, ...])
        object.__setattr__(self, "exclude_tools", globs)
        object.__setattr__(self, "tool_policies", dict(self.tool_policies or {}))
        object.__setattr__(self, "thresholds", Thresholds(self.ttft_log, self.model))
        if self.compressor is not None and self.compressor.shadow_log is not None:
            self._change_nothing()
        for policy in (ToolPolicy(), *(self.tool_policies or {}).values()):
            min_tokens, budget = self._limits(policy)
            self.thresholds.check(min_tokens, budget)
            if self.compressor is not None:
                self.compressor.check_budget(budget)

    def _change_nothing(self) -> None:
        """Leave out what the model or a tool would notice, for a compressor that only measures."""
        for name, value in (
            ("originals", None),
            ("goal_argument", False),
            ("on_marker_in_arguments", "ignore"),
        ):
            object.__setattr__(self, name, value)

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
        with compress_span() as span:
            try:
                with self._deadline.applied():
                    task = self._task(result)
                    done = _skipped_uncounted(task) or self._compress(task, on_start)
            except Exception as error:  # noqa: BLE001 - no failure of ours may reach the agent
                done = self._failed(result, error, span)
            return self._recorded(result, done, span)

    async def acompress(
        self, result: ToolResult, on_start: OnStart | None = None
    ) -> CompressedResult:
        """`compress`, off the event loop."""
        with compress_span() as span:
            try:
                task = self._task(result)
                done = _skipped_uncounted(task)
                if done is None:
                    done = await self._deadline.wait_for(self._acompress(task, on_start))
            except Exception as error:  # noqa: BLE001 - see compress
                done = self._failed(result, error, span)
            return self._recorded(result, done, span)

    def with_goal(self, tool_name: str, extend: Callable[[], ExtendedT | None]) -> ExtendedT | None:
        """Return what offers the model a goal for the results of a tool; None if it has none.

        Args:
            tool_name: The tool.
            extend: Adds the goal to the tool's arguments. If it fails, the agent goes on without.
        """
        if not self.goal_argument or is_among(tool_name, self.exclude_tools):
            return None
        try:
            return extend()
        except Exception as error:  # noqa: BLE001 - the agent goes on without it
            what = f"The schema of {tool_name} could not be extended"
            self.failures.add(logger, what, "failed", error)
            return None

    def refusal(
        self, tool_name: str, arguments: Mapping[str, Any], *, can_be_recalled: bool = True
    ) -> str | None:
        """Return the answer to a call that must not reach its tool; None for one that may.

        Args:
            tool_name: The tool.
            arguments: The arguments of the call.
            can_be_recalled: False if the agent has no tool that fetches originals.
        """
        if self.on_marker_in_arguments == "ignore":
            return None
        try:
            found = self._marker_search.find(arguments)
        except Exception as error:  # noqa: BLE001 - no failure of ours may reach the agent
            what = f"The arguments of a call of {tool_name} could not be searched"
            self.failures.add(logger, what, "failed", error)
            return None
        if found is None:
            return None
        is_refused = self.on_marker_in_arguments == "refuse"
        logger.warning("%s", warning_of(found, tool_name, is_refused=is_refused))
        has_originals = can_be_recalled and self.originals is not None
        return refusal_of(found, has_originals=has_originals) if is_refused else None

    def report_failure(self, what: str, reason: SkipReason, error: Exception) -> None:
        """Log a failure, or raise it, as the compressor is set.

        Args:
            what: What happened to the texts.
            reason: Their skip reason.
            error: The failure.

        Raises:
            Exception: `error`, if the compressor has `on_error="raise"`.
        """
        if self.compressor is not None and self.compressor.on_error == "raise":
            raise error
        self.failures.add(logger, what, reason, error)

    @property
    def _marker_search(self) -> MarkerSearch:
        """The search for the compressor's gap markers."""
        if self.compressor is None:
            return MarkerSearch()
        return MarkerSearch.of(self.compressor.splitter, self.compressor.gaps)

    @property
    def _deadline(self) -> Deadline:
        """The deadline of a call that begins now; counting tokens comes before compressing."""
        compressor = self.compressor
        return Deadline.after(None if compressor is None else compressor.stages.deadline_seconds)

    def _task(self, result: ToolResult) -> Task:
        """Look up the settings of the result's tool."""
        tool = result.tool_name
        policy = policy_for(tool, self.tool_policies or {})
        min_tokens, budget = self._limits(policy)
        least_tokens = self.thresholds.least_tokens(min_tokens, budget)
        if result.is_error and least_tokens is not None:
            least_tokens = max(least_tokens, self.error_min_tokens)
        return Task(
            result=result,
            skip=self._skip(result),
            budget=budget,
            least_tokens=least_tokens,
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

    def _compress(self, task: Task, on_start: OnStart | None) -> CompressedResult:
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
            if isinstance(done, Call):
                call = done
            elif call.references.put(_cut(done)):
                return done

    async def _acompress(self, task: Task, on_start: OnStart | None) -> CompressedResult:
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
            if isinstance(done, Call):
                call = done
            elif await call.references.aput(_cut(done)):
                return done

    def _prepare(self, task: Task) -> Call | CompressedResult:
        """Count the tokens and find the question; the result unchanged where none is cut."""
        result = task.result
        compressor = self.compressor or shared_compressor()
        tokens = count_texts(result.texts, compressor)
        whole = Outcome(original_tokens=sum(tokens), kept_tokens=sum(tokens))
        if sum(tokens) < (task.least_tokens or 0):
            return unchanged(result, replace(whole, skipped_because=task.too_small))
        request = result.find_request()
        query = query_of(request, self.query, user_message_only=result.user_message_only)
        # What a search finds in a file is not of the file's kind.
        name = None if searches(request.arguments) else hint_from_metadata(request.arguments).name
        hint = TextHint(kind=task.kind, name=name, tool=request.tool_name or None)
        text = ResultText.of(
            result, tokens, query.text, compressor=compressor, budget=task.budget, hint=hint
        )
        whole = replace(whole, query_sources=query.sources)
        if not isinstance(text, ResultText):
            return unchanged(result, replace(whole, skipped_because=text))
        originals = self.originals if result.can_be_recalled else None
        references = PromisedReferences([text.original], originals, result.runtime)
        return Call(task, text, query, hint, references, whole, task.budget)

    def _failed(self, result: ToolResult, error: Exception, span: OpenSpan) -> CompressedResult:
        """The result unchanged, or the error where the compressor is set to raise."""
        tool = result.tool_name
        what = f"the result of {tool}" if tool else "a message of the user"
        reason = reason_of(error, "failed")
        self.report_failure(f"Passed {what} through unchanged", reason, error)
        span.fail(error)
        tokens = sum(map(estimated_tokens, result.texts))
        outcome = Outcome(original_tokens=tokens, kept_tokens=tokens, skipped_because=reason)
        return unchanged(result, outcome)

    def _recorded(
        self, result: ToolResult, done: CompressedResult, span: OpenSpan
    ) -> CompressedResult:
        outcome = done.outcome
        outcome.describe(span, result.tool_name)
        outcome.record(self.metrics)
        if outcome.skipped_because in {None, "shadow"} and outcome.original_tokens is not None:
            self.thresholds.note(outcome.original_tokens, outcome.elapsed_seconds)
        logger.debug("Tool result: %s", outcome.as_metadata())
        return done


def _cut(done: CompressedResult) -> list[int]:
    """The index of the result's one original, if it was cut."""
    return [] if done.outcome.skipped_because else [0]


def _skipped_uncounted(task: Task) -> CompressedResult | None:
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
        reason = task.too_small if most_tokens < (task.least_tokens or 0) else None
    return unchanged(task.result, Outcome(skipped_because=reason)) if reason else None
