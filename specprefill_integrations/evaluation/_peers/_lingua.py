"""LLMLingua and LongLLMLingua of the package `llmlingua`, with our draft as their language model.

Based on arXiv:2310.05736 and arXiv:2310.06839. The package (0.2.2) knows caches of keys and values
as pairs a layer, which transformers 5 no longer takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from specprefill_integrations.evaluation._case_compressor import KeptTexts, clocked, token_limit
from specprefill_integrations.evaluation._peers._lingua_offline import OfflinePromptCompressor
from specprefill_integrations.evaluation._peers._settings import PeerSettings
from specprefill_integrations.pipeline._token_counting import CountTokens
from specprefill_integrations.scoring._draft_model import DraftModel

LinguaName = Literal["llmlingua", "longllmlingua"]

_OPTIONS: Mapping[LinguaName, Mapping[str, object]] = {
    "llmlingua": {},
    "longllmlingua": {
        "rank_method": "longllmlingua",
        "condition_in_question": "after_condition",
        "condition_compare": True,
        "reorder_context": "sort",
        "dynamic_context_compression_ratio": 0.3,
        "context_budget": "+100",
    },
}
"""What the package's own page sets; everything else is as it ships."""

_ANY_LENGTH = 2**30


class PairCaches:
    """A model whose caches go in and come out as pairs of keys and values a layer."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - transformers' classes are not typed
        """Stand in for a causal language model."""
        self._model = model
        self._cache_class: Any = None  # the model's own, known once it has made one

    def __call__(
        self,
        input_ids: Any,  # noqa: ANN401
        *,
        past_key_values: Iterable[Sequence[Any]] | None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run the model. The cache that goes in stays as it is."""
        cache = None
        if past_key_values is not None:
            cache = self._cache_class()
            for layer, (keys, values) in enumerate(past_key_values):
                cache.update(keys, values, layer)
        response = self._model(input_ids, past_key_values=cache, **options)
        self._cache_class = type(response.past_key_values)
        response.past_key_values = [
            (layer.keys, layer.values) for layer in response.past_key_values.layers
        ]
        return response


class DraftPromptCompressor(OfflinePromptCompressor):
    """The package's compressor over a draft that is loaded already."""

    def __init__(self, draft: DraftModel) -> None:
        """Use this draft's weights and tokenizer."""
        super().__init__(draft.name, draft.tokenizer, is_second=False)
        self.tokenizer = draft.tokenizer
        self.model = PairCaches(draft.model)
        self.device = draft.device
        self.max_position_embeddings = draft.max_positions or _ANY_LENGTH


class Lingua:
    """Drops tokens that the language model expects anyway; the texts become one."""

    def __init__(self, name: LinguaName, draft: DraftModel, count_tokens: CountTokens) -> None:
        """Compress with this language model, as the name says."""
        self.parameters: Mapping[str, object] = {"model": draft.name, **_OPTIONS[name]}
        self._compressor = DraftPromptCompressor(draft)
        self._options = _OPTIONS[name]
        self._count_tokens = count_tokens

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Compress to a number of tokens, `target_token`. See `CaseCompressor`.

        How many are left is the package's own estimate: it may be more or fewer.
        """
        target = token_limit(self._count_tokens, texts, keep_fraction)

        def compressed() -> list[str]:
            found = self._compressor.compress_prompt(
                list(texts),
                question=query or "",
                target_token=target,
                concate_question=False,
                **self._options,
            )
            return [found["compressed_prompt"]]

        return clocked(compressed)


def build_llmlingua(name: LinguaName, settings: PeerSettings) -> Lingua:
    """Load the whole draft."""
    choice = settings.draft
    draft = DraftModel.from_source(choice.draft, device=choice.device, dtype=choice.dtype)
    draft.load()
    return Lingua(name, draft, settings.count_tokens)
