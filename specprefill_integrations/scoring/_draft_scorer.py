"""The scorer of a draft model, behind the one scoring engine of its kind."""

from __future__ import annotations

from specprefill_integrations._arguments import checked
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_model import Device, DraftModel, DraftSource, Dtype
from specprefill_integrations.scoring._engine import ScoringEngine, shared_engine
from specprefill_integrations.scoring._engine_limits import EngineLimits
from specprefill_integrations.scoring._profiles import ReadoutProfile
from specprefill_integrations.scoring.readouts import PublishedReadout, Readout


@checked
def draft_scorer(  # noqa: PLR0913 - mirrors from_draft_model
    draft: DraftSource,
    *,
    device: Device | None,
    dtype: Dtype | None,
    revision: str | None,
    trust_remote_code: bool,
    is_published: bool,
    readout: Readout | ReadoutProfile | None,
    window_tokens: int | None,
    limits: EngineLimits | None,
) -> ScoringEngine:
    """Return a scorer that shares weights and queue with all others like it.

    See `ContextCompressor.from_draft_model`.
    """
    if is_published:
        if readout is not None:
            msg = "readout= does not apply to the published algorithm, which has its own."
            raise ValueError(msg)
        readout = PublishedReadout()
    model = DraftModel.from_source(
        draft,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    scorer = AttentionScorer(model, readout, ReadingPlan(window_tokens=window_tokens))
    return shared_engine(scorer, limits=limits)
