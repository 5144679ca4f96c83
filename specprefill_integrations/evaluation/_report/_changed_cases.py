"""Which cases a model answers worse, and which better, once prompts are compressed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations.evaluation._cases import EvaluationCase


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedReply:
    """What one arm got to one case."""

    reply: str
    """The model's answer."""

    score: float
    """How good it is, from 0 to 1."""

    context_tokens: int
    """Tokens of the case's texts."""

    kept_tokens: int
    """Tokens of them in the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCase:
    """A case that every arm answered."""

    case: EvaluationCase
    """What was asked about."""

    full: JudgedReply
    """The answer from the full prompt."""

    compressed: Mapping[str, JudgedReply]
    """The answers from compressed ones, by arm."""

    def change(self, arm: str) -> float:
        """How much better the arm's answer is than that from the full prompt."""
        return self.compressed[arm].score - self.full.score

    @property
    def worst_change(self) -> float:
        """Of the arm that lost most; 0 where there is none."""
        return min(map(self.change, self.compressed), default=0.0)

    @property
    def total_change(self) -> float:
        """Of all arms together."""
        return sum(map(self.change, self.compressed))

    @property
    def has_changed(self) -> bool:
        """Whether any arm's answer is better or worse."""
        return any(map(self.change, self.compressed))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCounts:
    """How many cases an arm changed."""

    worse: int
    """Answered worse than from the full prompt."""

    better: int
    """Answered better."""

    alike: int
    """Answered as well."""


def changed_cases(cases: Sequence[JudgedCase]) -> list[JudgedCase]:
    """Those that got worse or better with any arm: what lost most first, what only won last."""
    changed = [case for case in cases if case.has_changed]
    return sorted(changed, key=lambda case: (case.worst_change, case.total_change))


def count_changes(cases: Sequence[JudgedCase], arm: str) -> ChangeCounts:
    """How many cases one arm changed."""
    changes = [case.change(arm) for case in cases]
    return ChangeCounts(
        worse=sum(change < 0 for change in changes),
        better=sum(change > 0 for change in changes),
        alike=sum(change == 0 for change in changes),
    )
