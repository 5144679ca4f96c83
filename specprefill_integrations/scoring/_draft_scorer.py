"""The scorer of a draft model, behind the one scoring engine of its kind."""

from __future__ import annotations

from collections.abc import Sequence

from specprefill_integrations._arguments import checked
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_model import Devices, DraftModel, DraftSource, Dtype
from specprefill_integrations.scoring._engine import ScoringEngine, shared_engine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._profiles import ReadoutProfile
from specprefill_integrations.scoring._span_scorer import (
    EncodedText,
    ScoreRequest,
    ScorerWrapper,
    SpanScorer,
)
from specprefill_integrations.scoring.readouts import PublishedReadout, Readout


class ReplicatedScorer(ScorerWrapper):
    """Equal scorers on several devices; an engine lets them all score at the same time.

    Everything else is that of the first. Two are equal if their scorers are.
    """

    def __init__(self, scorers: Sequence[AttentionScorer]) -> None:
        """Wrap scorers.

        Args:
            scorers: Scorers with the same draft, readout and plan.
        """
        super().__init__(scorers[0])
        self.scorers = tuple(scorers)
        """The scorers."""

    @property
    def replicas(self) -> Sequence[SpanScorer]:
        """Those of all scorers, device after device in turn."""
        rounds = zip(*(scorer.replicas for scorer in self.scorers), strict=False)
        return [replica for found in rounds for replica in found]

    def encode(self, texts: Sequence[str]) -> Sequence[EncodedText] | None:
        """See `SpanScorer.encode`."""
        return self.scorer.encode(texts)

    def score_request(self, request: ScoreRequest) -> list[list[float]]:
        """See `SpanScorer.score_request`."""
        [scores] = self.scorer.score_batch([request])
        return scores

    @property
    def batch_chars(self) -> int:
        """See `SpanScorer.batch_chars`."""
        return self.scorer.batch_chars

    def __eq__(self, other: object) -> bool:
        """Return True for another one of equal scorers."""
        return isinstance(other, ReplicatedScorer) and self.scorers == other.scorers

    def __hash__(self) -> int:
        """Return the hash of the scorers."""
        return hash(self.scorers)


@checked
def draft_scorer(  # noqa: PLR0913 - mirrors from_draft_model
    draft: DraftSource,
    *,
    device: Devices | None,
    dtype: Dtype | None,
    revision: str | None,
    trust_remote_code: bool,
    is_published: bool,
    readout: Readout | ReadoutProfile | None,
    window_tokens: int | None,
    prefilter: float | None,
    limits: EngineLimits | None,
) -> ScoringEngine:
    """Return a scorer that shares weights and queue with all others like it.

    See `ContextCompressor.from_draft_model`.
    """
    if is_published:
        if readout is not None:
            msg = "readout= does not apply to the published algorithm, which has its own."
            raise ValueError(msg)
        if prefilter is not None:
            msg = "prefilter= does not apply to the published algorithm, which reads all."
            raise ValueError(msg)
        readout = PublishedReadout()
    devices = device if isinstance(device, tuple) else (device,)
    if not devices:
        msg = "device=() names no device."
        raise ValueError(msg)
    plan = ReadingPlan(window_tokens=window_tokens, prefilter=prefilter)
    scorers = [
        AttentionScorer(
            DraftModel.from_source(
                draft,
                device=one,
                dtype=dtype,
                revision=revision,
                trust_remote_code=trust_remote_code,
            ),
            readout,
            plan,
        )
        for one in devices
    ]
    scorer = scorers[0] if len(scorers) == 1 else ReplicatedScorer(scorers)
    return shared_engine(scorer, limits=limits)
