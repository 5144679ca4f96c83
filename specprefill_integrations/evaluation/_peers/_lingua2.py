"""LLMLingua-2 of the package `llmlingua`. Based on arXiv:2403.12968.

It has weights of its own (`microsoft/llmlingua-2-xlm-roberta-large-meetingbank` and others), which
come with no package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specprefill_integrations.evaluation._case_compressor import KeptTexts, clocked, token_limit
from specprefill_integrations.evaluation._peers._lingua_offline import OfflinePromptCompressor
from specprefill_integrations.evaluation._peers._settings import PeerSettings
from specprefill_integrations.pipeline._token_counting import CountTokens
from specprefill_integrations.scoring._draft_model import DraftModel

_OPTIONS: Mapping[str, object] = {"force_tokens": ["\n", "?"]}
"""What the package's own page sets; everything else is as it ships."""


class Lingua2:
    """Drops words that a classifier says can be spared; the question does not matter."""

    def __init__(
        self, compressor: OfflinePromptCompressor, weights: str, count_tokens: CountTokens
    ) -> None:
        """Compress with a compressor that is loaded."""
        self.parameters: Mapping[str, object] = {"model": weights, **_OPTIONS}
        self._compressor = compressor
        self._count_tokens = count_tokens

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Compress to a number of tokens, `target_token`. See `CaseCompressor`.

        How many are left is the package's own estimate: it may be more or fewer.
        """
        del query
        target = token_limit(self._count_tokens, texts, keep_fraction)
        return clocked(
            lambda: self._compressor.compress_prompt(list(texts), target_token=target, **_OPTIONS)[
                "compressed_prompt_list"
            ]
        )


def build_llmlingua2(settings: PeerSettings) -> Lingua2:
    """Load the weights.

    Raises:
        OSError: There are none.
    """
    weights = settings.weights_of("llmlingua2")
    choice = settings.draft
    draft = DraftModel.from_source(choice.draft, device=choice.device, dtype=choice.dtype)
    compressor = OfflinePromptCompressor(weights, draft.tokenizer, is_second=True)
    compressor.load_model(
        weights, str(draft.device), {"trust_remote_code": settings.trust_remote_code}
    )
    compressor.init_llmlingua2()
    return Lingua2(compressor, weights, settings.count_tokens)
