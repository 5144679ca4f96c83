"""Settings of a measurement: its draft, and what peers are built with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from specprefill_integrations._arguments import PositiveInt, Share, checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.types import CountTokens

if TYPE_CHECKING:
    from specprefill_integrations.scoring._draft_model import DraftModel

DraftScorerName = Literal["readout", "published"]
"""Scorers that read with a draft."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class DraftChoice:
    """The draft of a measurement; fields as in `ContextCompressor.from_draft_model`."""

    draft: str | None = None
    """Hub id, folder, GGUF file or package; the default draft if None."""

    device: str | None = None
    """Device that the draft runs on."""

    dtype: str | None = None
    """Data type of its weights."""

    window_tokens: PositiveInt | None = None
    """Tokens of context that it reads at a time."""

    prefilter: Share | None = None
    """Share of the tokens that it reads; not used by the published algorithm."""

    def compressor(
        self,
        scorer: DraftScorerName = "readout",
        kind: Literal["prose", "code"] = "prose",
    ) -> ContextCompressor:
        """Build a new compressor; all of them share the draft's weights."""
        return ContextCompressor.from_draft_model(
            self.draft,
            device=self.device,
            dtype=self.dtype,
            scorer=scorer,
            kind=kind,
            window_tokens=self.window_tokens,
            prefilter=self.prefilter if scorer == "readout" else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """Settings that all peers share."""

    count_tokens: CountTokens
    """Counts the tokens that fractions refer to."""

    draft: DraftChoice = field(default_factory=DraftChoice)
    """Language model of the peers that need one."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Folders or hub ids of weights that come with no package, by the name of their user."""

    trust_remote_code: bool = False
    """True if code that comes with such weights may run."""

    def weights_of(self, name: str) -> str:
        """The folder or hub id of a peer's weights.

        Raises:
            FileNotFoundError: None was given.
        """
        if name not in self.models:
            msg = f"its weights are missing; pass --peer-model {name}=FOLDER_OR_HUB_ID"
            raise FileNotFoundError(msg)
        return self.models[name]


def load_draft(compressor: ContextCompressor) -> DraftModel | None:
    """Load a compressor's draft now, so that no measurement includes the loading.

    Returns:
        The draft; None if the compressor's scorer has none, such as `KeywordScorer`.
    """
    draft = _draft_of(compressor)
    if draft is not None:
        draft.load()
    return draft


def draft_name(compressor: ContextCompressor) -> str:
    """The draft's name; the scorer's class if it has no draft."""
    draft = _draft_of(compressor)
    return type(compressor.scorer.unwrapped).__name__ if draft is None else draft.name


def _draft_of(compressor: ContextCompressor) -> DraftModel | None:
    draft: DraftModel | None = getattr(compressor.scorer.unwrapped, "reading_draft", None)
    return draft
