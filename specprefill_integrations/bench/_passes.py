"""The passes to compare: scoring a text, and a plain forward pass over it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._context_cache import context_cache
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._windows import plan_windows
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.types import Span


@dataclass(frozen=True)
class BenchPasses:
    """A text, prepared for scoring and for plain forward passes."""

    scorer: AttentionScorer
    """The scorer."""

    query: str
    """The question."""

    text: str
    """The text."""

    units: Sequence[Span]
    """Its units."""

    pieces: Sequence[Tensor]
    """Tokens in the fewest pieces that the draft's positions allow. Shape of each: (1, tokens)."""

    windows: Sequence[Tensor]
    """Tokens in the windows that scoring reads. Shape of each: (1, tokens)."""

    @classmethod
    def prepare(  # noqa: PLR0913 - mirrors from_draft_model
        cls,
        text: str,
        query: str,
        *,
        tokens: int,
        draft: str | None,
        scorer: Literal["readout", "published"],
        device: str | None,
        dtype: str | None,
        window_tokens: int | None,
        prefilter: float | None,
    ) -> BenchPasses:
        """Load the draft and tokenize the first `tokens` tokens of a text."""
        compressor = ContextCompressor.from_draft_model(
            draft,
            device=device,
            dtype=dtype,
            scorer=scorer,
            window_tokens=window_tokens,
            prefilter=prefilter,
        )
        # The same text is scored again and again.
        attention = cast("AttentionScorer", compressor.scorer.uncached)
        model = attention.draft
        tokenizer = DraftTokenizer(model.tokenizer)
        text = text[: int(tokenizer.tokenize([text])[0].offsets[:tokens][-1, 1])]
        units = ProseSplitter()(text)
        for part in (model, attention.reading_draft):
            for parameter in part.model.parameters():  # mapped from disk until read
                parameter.sum()
        [found] = tokenizer.tokenize([text])
        ids = torch.tensor([found.ids], device=model.device)
        longest = model.max_positions or ids.shape[1]
        width = window_tokens or attention.active_readout.window_tokens
        cuts = found.cuts([unit.start for unit in units])
        windows = plan_windows([found.tokens], [cuts], min(width, longest))
        return cls(
            attention,
            query,
            text,
            units,
            torch.split(ids, longest, dim=1),
            [ids[:, piece.start : piece.end] for window in windows for piece in window],
        )

    @property
    def draft(self) -> DraftModel:
        """The draft model."""
        return self.scorer.draft

    @property
    def tokens(self) -> int:
        """Number of tokens of the text."""
        return sum(piece.shape[1] for piece in self.pieces)

    def score(self) -> NDArray[np.float64]:
        """Score every unit. Shape: (units,)."""
        [scores] = self.scorer.score_spans(self.query, [self.text], [self.units])
        return np.array(scores)

    def keeping(self, query: str) -> BenchPasses:
        """Return a copy that asks another question, and whose scorer keeps what it has read."""
        plan = replace(self.scorer.plan, cache_bytes=None)
        return replace(self, query=query, scorer=replace(self.scorer, plan=plan))

    def forget(self) -> None:
        """Drop what was kept of the text."""
        context_cache(self.scorer.reading_draft).clear()

    def forward(self) -> None:
        """Read the tokens in the fewest pieces."""
        self._read(self.pieces)

    def forward_windows(self) -> None:
        """Read the tokens window by window."""
        self._read(self.windows)

    def wait(self) -> None:
        """Wait for the device to finish."""
        if self.draft.device.type == "cuda":
            torch.cuda.synchronize(self.draft.device)

    def held_bytes(self, *, reset_peak: bool = False) -> int:
        """Memory in use; on CUDA, the peak since the last `reset_peak`."""
        if reset_peak:
            gc.collect()
        if self.draft.device.type == "cuda":
            if reset_peak:
                torch.cuda.reset_peak_memory_stats(self.draft.device)
            return torch.cuda.max_memory_allocated(self.draft.device)
        return int(psutil.Process().memory_info().rss)

    @torch.inference_mode()
    def _read(self, parts: Sequence[Tensor]) -> None:
        for ids in parts:
            self.draft.model.base_model(input_ids=ids, use_cache=False)
