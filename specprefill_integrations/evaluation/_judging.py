"""What replies are compared with: right answers, or another reply where nobody knows the right one.

One measurement has one judge: correctness and agreement never meet in one figure. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from specprefill_integrations.evaluation._answers import (
    BINARY_METRICS,
    MetricName,
    agreement,
    agreement_metric_of,
    metric_of,
    score_reply,
)
from specprefill_integrations.evaluation._cases import EvaluationCase

JudgeBy = Literal["answers", "reply", "full"]
"""Right answers; what the app answered when the case was recorded; what the same model answers to
the full prompt. Only the first says what is right."""

MEANINGS: Mapping[JudgeBy, str] = {
    "answers": "correctness",
    "reply": "agreement with what the app answered, not correctness",
    "full": "agreement with the answer to the full prompt, not correctness",
}
"""What a score means; wherever one is shown, this stands beside it."""

ScoreName = Literal["score", "agreement"]
"""What a column or an axis of scores is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Scores the replies of one measurement, all in the same way."""

    by: JudgeBy = "answers"
    """What replies are compared with."""

    metric: MetricName | None = None
    """How, where cases do not say it."""

    @property
    def meaning(self) -> str:
        """What its scores mean."""
        return MEANINGS[self.by]

    @property
    def score_name(self) -> ScoreName:
        """What its scores are called."""
        return "score" if self.by == "answers" else "agreement"

    @property
    def compares_with_full(self) -> bool:
        """Whether scores of an arm minus those of the full prompt mean anything.

        They do not where the answer to the full prompt is the measure: it agrees with itself.
        """
        return self.by != "full"

    def why_not(self, case: EvaluationCase) -> str | None:
        """Why a case cannot be judged; None where it can."""
        if self.by == "answers" and not case.answers:
            return "no_answer_given"
        if self.by == "reply" and not (case.reply or "").strip():
            return "no_reply_recorded"
        return None

    def metric_of(self, case: EvaluationCase) -> MetricName:
        """How replies to a case are compared.

        Raises:
            EvaluationDataError: The case names a metric that there is not.
        """
        if self.by == "answers":
            return metric_of(case, self.metric)
        return agreement_metric_of(case, self.metric)

    def is_binary(self, metrics: tuple[MetricName, ...]) -> bool:
        """Whether scores by these metrics say right or wrong and nothing in between."""
        return self.by == "answers" and BINARY_METRICS.issuperset(metrics)

    def score(self, case: EvaluationCase, reply: str, full_reply: str) -> float:
        """How good a reply is, or how much it agrees, from 0 to 1.

        Args:
            case: One that can be judged.
            reply: The reply.
            full_reply: The reply to the full prompt.
        """
        if self.by == "answers":
            return score_reply(case, reply, self.metric_of(case))
        other = full_reply if self.by == "full" else case.reply or ""
        return agreement(reply, other, agreement_metric_of(case, self.metric))
