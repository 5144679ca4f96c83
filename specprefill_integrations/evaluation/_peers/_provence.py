"""Provence and rerankers like it, which drop sentences. Based on arXiv:2501.16214.

Weights (`naver/provence-reranker-debertav3-v1`, CC BY-NC 4.0, and others) come with no package, and
bring their own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import AutoModel

from specprefill_integrations.evaluation._case_compressor import (
    KeptTexts,
    clocked,
    count_texts,
    token_limit,
)
from specprefill_integrations.evaluation._settings import PeerSettings
from specprefill_integrations.types import CountTokens

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
"""Sentence thresholds that are tried; the authors recommend 0.1 and 0.5."""


class Provence:
    """Keeps the sentences above a threshold: the lowest one that meets the budget.

    If none does, the highest is used. The time is that of one threshold, as in an app with a fixed
    threshold.
    """

    def __init__(self, model: Any, weights: str, count_tokens: CountTokens) -> None:  # noqa: ANN401 - its own class
        """Compress with a model that has `process`."""
        self.parameters: Mapping[str, object] = {"model": weights, "thresholds": list(THRESHOLDS)}
        self._model = model
        self._count_tokens = count_tokens

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Search for the threshold. See `CaseCompressor`."""
        limit = token_limit(self._count_tokens, texts, keep_fraction)
        low, high = 0, len(THRESHOLDS) - 1
        best = self._pruned(texts, query or "", THRESHOLDS[high])
        while low < high:
            middle = (low + high) // 2
            found = self._pruned(texts, query or "", THRESHOLDS[middle])
            if count_texts(self._count_tokens, found.texts) <= limit:
                best, high = found, middle
            else:
                low = middle + 1
        return best

    def _pruned(self, texts: Sequence[str], query: str, threshold: float) -> KeptTexts:
        return clocked(
            lambda: self._model.process([query], [list(texts)], threshold=threshold)[
                "pruned_context"
            ][0]
        )


def build_provence(settings: PeerSettings) -> Provence:
    """Load the weights and their code.

    Raises:
        OSError: There are none.
        PermissionError: Their code may not run.
    """
    weights = settings.weights_of("provence")
    if not settings.trust_remote_code:
        msg = "its weights bring their own code; --trust-remote-code allows it to run"
        raise PermissionError(msg)
    model = load_own_code_model(
        weights, device=settings.draft.device, trust_remote_code=settings.trust_remote_code
    )
    return Provence(model, weights, settings.count_tokens)


def load_own_code_model(weights: str, *, device: str | None, trust_remote_code: bool) -> Any:  # noqa: ANN401 - its own class
    """Load a model whose code comes with its weights.

    Args:
        weights: A folder or a hub id.
        device: The device; None for the CPU.
        trust_remote_code: Lets the model's own code run, without which it cannot be loaded.

    Raises:
        OSError: There is no such model.
        ValueError: Its code may not run.
    """
    model = AutoModel.from_pretrained(weights, trust_remote_code=trust_remote_code)
    return model.to(device or "cpu").eval()
