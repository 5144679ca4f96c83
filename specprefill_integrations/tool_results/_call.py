"""One call of the compressor for a tool result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from specprefill_integrations.originals._promised_references import PromisedReferences
from specprefill_integrations.tool_results._outcome import Outcome, outcome_of
from specprefill_integrations.tool_results._question import Query
from specprefill_integrations.tool_results._result import CompressedResult, ToolResult, unchanged
from specprefill_integrations.tool_results._result_text import ResultText
from specprefill_integrations.types import Budget, Compression, Kind, SkipReason, TextHint


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A result and the settings that apply to it."""

    result: ToolResult
    skip: SkipReason | None
    budget: Budget
    least_tokens: int | None
    kind: Kind | None

    @property
    def too_small(self) -> SkipReason:
        """The reason where the texts have fewer tokens than `least_tokens`."""
        return "tool_error" if self.result.is_error else "too_small"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the compressor."""

    task: Task
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

    def finish(self, result: Compression) -> CompressedResult | Call:
        """Write what is kept, or pass all texts through unchanged.

        Returns:
            The result; or a call with a smaller budget, where the texts together have more tokens
            than the one text that they were joined to.
        """
        elapsed = result.elapsed_seconds
        reason = outcome_of([result]).skipped_because
        if reason:
            return self._whole(reason, elapsed)
        shown = self.text.shown(result, self.references.named[0])
        if shown.tokens >= sum(self.text.tokens):
            return self._whole("not_shorter", elapsed)
        excess = shown.cut_tokens - self._most_tokens(result)
        if excess > 0:
            smaller = _smaller(self.budget, excess, result.original_tokens)
            if smaller is None:
                return self._whole("nothing_kept", elapsed)
            return replace(self, budget=smaller)
        references = tuple(filter(None, self.references.named))
        outcome = replace(self.whole, elapsed_seconds=elapsed, references=references)
        return CompressedResult(
            texts=shown.texts, outcome=replace(outcome, kept_tokens=shown.tokens)
        )

    def _whole(self, reason: SkipReason, elapsed_seconds: float) -> CompressedResult:
        outcome = replace(self.whole, skipped_because=reason, elapsed_seconds=elapsed_seconds)
        return unchanged(self.task.result, outcome)

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
