"""The draft that a measurement is about: which one, how it reads, and what it is once loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from specprefill_integrations.compressor import ContextCompressor

if TYPE_CHECKING:
    from specprefill_integrations.scoring._draft_model import DraftModel

DraftScorerName = Literal["readout", "specprefill"]
"""The scorers of `ContextCompressor.from_draft_model`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftChoice:
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
        self,
        scorer: DraftScorerName = "readout",
        kind: Literal["prose", "code"] = "prose",
    ) -> ContextCompressor:
        """A new compressor as it ships; all of them share the draft's weights."""
        return ContextCompressor.from_draft_model(
            self.draft,
            device=self.device,
            dtype=self.dtype,
            scorer=scorer,
            kind=kind,
            window_tokens=self.window_tokens,
        )


def load_draft(compressor: ContextCompressor) -> DraftModel | None:
    """Load what a compressor reads with now, so that no clock sees it.

    Returns:
        The draft; None where the compressor's scorer has none (`KeywordScorer`).
    """
    draft: DraftModel | None = getattr(compressor.scorer.unwrapped, "reading_draft", None)
    if draft is not None:
        draft.load()
    return draft


def draft_name(compressor: ContextCompressor) -> str:
    """The name of the draft; of the scorer where it has none."""
    scorer = compressor.scorer.unwrapped
    draft: DraftModel | None = getattr(scorer, "reading_draft", None)
    return type(scorer).__name__ if draft is None else draft.name
