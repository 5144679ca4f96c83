"""The stages that `ContextCompressor.from_draft_model` puts together, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from specprefill_integrations.pipeline._rendering import (
    PUBLISHED_CODE_GAPS,
    PUBLISHED_PROSE_GAPS,
    GapStyle,
)
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_model import DraftModel, DraftSource
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._token_chunks import (
    CODE_CHUNK_TOKENS,
    PROSE_CHUNK_TOKENS,
    TokenChunkSplitter,
)


@dataclass(frozen=True, slots=True)
class Stages:
    """What a compressor is made of."""

    scorer: AttentionScorer
    """Says how much a question needs a span."""

    splitter: Splitter | None
    """Cuts a text into units; None: by its kind."""

    gaps: GapStyle | None
    """How gaps are shown; None: by the text's kind."""

    fraction_of: Literal["tokens", "units"]
    """What a kept fraction is a fraction of."""


def build_stages(  # noqa: PLR0913 - mirrors from_draft_model
    draft: DraftSource,
    *,
    device: str | None,
    dtype: str | None,
    scorer: Literal["readout", "specprefill"],
    kind: Literal["prose", "code"],
    window_tokens: int | None,
) -> Stages:
    """Put the stages of a named way to compress together. See `from_draft_model`.

    Raises:
        ValueError: No such scorer or kind.
    """
    model = DraftModel.from_source(draft, device=device, dtype=dtype)
    plan = ReadingPlan(window_tokens=window_tokens)
    if scorer == "readout":
        return Stages(AttentionScorer(model, plan=plan), None, None, "tokens")
    if scorer != "specprefill":
        msg = f"scorer must be 'readout' or 'specprefill'; got {scorer!r}."
        raise ValueError(msg)
    if kind not in ("prose", "code"):
        msg = f"kind must be 'prose' or 'code'; got {kind!r}."
        raise ValueError(msg)
    published = AttentionScorer(model, PublishedReadout(), plan)
    is_code = kind == "code"
    return Stages(
        published,
        TokenChunkSplitter(
            published.token_spans, CODE_CHUNK_TOKENS if is_code else PROSE_CHUNK_TOKENS
        ),
        PUBLISHED_CODE_GAPS if is_code else PUBLISHED_PROSE_GAPS,
        "units",
    )
