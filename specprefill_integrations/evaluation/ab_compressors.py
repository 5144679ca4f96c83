"""The compressors of an A/B measurement's scorers: alike but for what scores. One draft for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.scoring.span_scorer import SpanScorer, wrapped_scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class AbDraft:
    """The draft of a measurement; fields as in `ContextCompressor.from_draft_model`."""

    draft: str | None = None
    """Which one."""

    device: str | None = None
    """Where it runs."""

    dtype: str | None = None
    """What it computes in."""

    window_tokens: int | None = None
    """Tokens of context that it reads at a time."""

    def compressor(
        self, scorer: Literal["readout", "specprefill"] = "readout"
    ) -> ContextCompressor:
        """A new compressor as it ships; all of them share the draft's weights."""
        return ContextCompressor.from_draft_model(
            self.draft,
            device=self.device,
            dtype=self.dtype,
            scorer=scorer,
            window_tokens=self.window_tokens,
        )


def build_compressors(
    scorers: Sequence[str], draft: AbDraft
) -> tuple[dict[str, ContextCompressor], str]:
    """A compressor a scorer: units, gap markers and counter are the readout's, as it ships.

    Args:
        scorers: `readout`, `specprefill` or any of `BASELINES`.
        draft: What reads and counts.

    Returns:
        They by the names of their scorers, and the name of the draft, which is loaded.
    """
    compressors = {name: _with_scorer(name, draft) for name in scorers}
    scorer = wrapped_scorer(draft.compressor().scorer)
    # A scorer without a draft (KeywordScorer) has nothing to load and no name but its own.
    reading = getattr(scorer, "reading_draft", None)
    if reading is None:
        return compressors, type(scorer).__name__
    reading.load()  # now, so that no clock sees it
    return compressors, reading.name


def _with_scorer(name: str, draft: AbDraft) -> ContextCompressor:
    compressor = draft.compressor()
    if name != "readout":
        compressor.scorer = _scorer(name, draft, compressor)
    return compressor


def _scorer(name: str, draft: AbDraft, like: ContextCompressor) -> SpanScorer:
    # Here, so that `--help` is quick.
    from specprefill_integrations.evaluation.baselines import BASELINES  # noqa: PLC0415

    if name == "specprefill":
        return draft.compressor("specprefill").scorer
    return BASELINES[name](like.scorer.count_tokens)
