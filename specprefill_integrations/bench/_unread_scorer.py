"""A scorer that does everything but read: random numbers stand for the draft's attention."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._prompts import Prompt, PromptInputs, QuestionTokens
from specprefill_integrations.scoring._span_scorer import ScoreRequest


class UnreadScorer(AttentionScorer):
    """Scores by random numbers, the same at every call."""

    @classmethod
    def of(cls, draft: str | None) -> UnreadScorer:
        """Take a draft's tokenizer and profile; its weights are not loaded."""
        return cls(DraftModel.from_source(draft, device="cpu"))

    def score_request(self, request: ScoreRequest) -> list[list[float]]:
        """Use what was encoded, as an engine does."""
        [scores] = self.score_batch([request])
        return scores

    @property
    def reader(self) -> PromptReader:
        """A reader that reads nothing."""
        return _RandomReader(self.draft, self.active_readout)


class _RandomReader(PromptReader):
    """Returns random numbers as features."""

    def features(
        self,
        prompts: Sequence[Prompt],
        null_question: QuestionTokens | None,
        inputs: PromptInputs,
    ) -> Tensor:
        """Return positive numbers. Shape: (batch, context, features)."""
        del prompts, null_question
        features = len(getattr(self._readout, "own_weights", (0,)))
        batch, longest = inputs.context_ids.shape
        return _random(1 << longest.bit_length(), features)[:longest].expand(batch, -1, -1)


@cache
def _random(tokens: int, features: int) -> Tensor:
    generator = torch.Generator().manual_seed(tokens)
    return torch.rand((tokens, features), generator=generator)
