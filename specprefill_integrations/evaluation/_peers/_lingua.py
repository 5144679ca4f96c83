"""LLMLingua and LongLLMLingua with our draft as language model, and LLMLingua-2.

Based on arXiv:2310.05736, arXiv:2310.06839 and arXiv:2403.12968. The package (0.2.2) expects caches
of keys and values as pairs per layer, which transformers 5 no longer accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._case_compressor import KeptTexts, clocked, token_limit
from specprefill_integrations.evaluation._settings import PeerSettings
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._transformers_versions import cache_name

try:
    from llmlingua import PromptCompressor
except ImportError as error:
    # A broken installation must not look like a missing one.
    if error.name != "llmlingua":
        raise
    raise MissingDependencyError(package="llmlingua", extra="peers") from error

LinguaName = Literal["llmlingua", "longllmlingua"]

# What the package's own page sets; everything else is as it ships.
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
_OPTIONS_2: Mapping[str, object] = {"force_tokens": ["\n", "?"]}

_ANY_LENGTH = 2**30


@dataclass(frozen=True, slots=True)
class DraftTokens:
    """Replaces OpenAI's tokenizer, with which the package counts words and savings."""

    tokenizer: Any
    """The draft's tokenizer, which counts the tokens of all compressors."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without special ones."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return found


class OfflinePromptCompressor(PromptCompressor):  # type: ignore[misc] # it has no types
    """The package's compressor without downloads; sets what its own `__init__` sets.

    The package's `__init__` fetches OpenAI's tokenizer and loads weights, both from the network.
    """

    def __init__(self, model_name: str, draft_tokenizer: Any, *, is_second: bool) -> None:  # noqa: ANN401
        """Set everything but `model`, `tokenizer`, `device` and `max_position_embeddings`.

        Args:
            model_name: By which the package chooses how to cut words.
            draft_tokenizer: Counts tokens.
            is_second: Whether it is LLMLingua-2.
        """
        self.model_name = model_name
        self.use_llmlingua2 = is_second
        self.retrieval_model = None
        self.retrieval_model_name = None
        self.open_api_config: dict[str, Any] = {}
        self.cache_bos_num = 10
        self.prefix_bos_num = 100
        self.context_idxs: list[list[int]] = []
        self.oai_tokenizer = DraftTokens(draft_tokenizer)


class PairCaches:
    """A model whose caches go in and come out as pairs of keys and values per layer."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - transformers' classes are not typed
        """Wrap a causal language model."""
        self._model = model
        self._cache_class: Any = None  # the model's own, known once it has made one

    def __call__(
        self,
        input_ids: Any,  # noqa: ANN401
        *,
        past_key_values: Iterable[Sequence[Any]] | None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run the model. The given cache is not changed."""
        cache = None
        if past_key_values is not None:
            cache = self._cache_class()
            for layer, (keys, values) in enumerate(past_key_values):
                cache.update(keys, values, layer)
        name = cache_name(self._model)
        response = self._model(input_ids, **{name: cache}, **options)
        made = getattr(response, name)
        self._cache_class = type(made)
        response.past_key_values = [(layer.keys, layer.values) for layer in made.layers]
        return response


class Lingua:
    """Drops tokens that the language model predicts well; the texts become one.

    The number of kept tokens is the package's own estimate: it may be higher or lower.
    """

    def __init__(self, name: LinguaName, settings: PeerSettings) -> None:
        """Load the draft as the language model."""
        draft = _draft_of(settings)
        draft.load()
        self.parameters: Mapping[str, object] = {"model": draft.name, **_OPTIONS[name]}
        self._options = _OPTIONS[name]
        self._count_tokens = settings.count_tokens
        self._compressor = OfflinePromptCompressor(draft.name, draft.tokenizer, is_second=False)
        self._compressor.tokenizer = draft.tokenizer
        self._compressor.model = PairCaches(draft.model)
        self._compressor.device = draft.device
        self._compressor.max_position_embeddings = draft.max_positions or _ANY_LENGTH

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Compress to `target_token` tokens. See `CaseCompressor`."""
        options = {"question": query or "", "concate_question": False, **self._options}
        target = token_limit(self._count_tokens, texts, keep_fraction)
        return clocked(
            lambda: [
                self._compressor.compress_prompt(list(texts), target_token=target, **options)[
                    "compressed_prompt"
                ]
            ]
        )


class Lingua2:
    """Drops words that a classifier finds dispensable; the question is ignored.

    The number of kept tokens is the package's own estimate. The weights
    (`microsoft/llmlingua-2-xlm-roberta-large-meetingbank` and others) come with no package.
    """

    def __init__(self, settings: PeerSettings) -> None:
        """Load the weights.

        Raises:
            OSError: There are none.
        """
        weights = settings.weights_of("llmlingua2")
        draft = _draft_of(settings)
        self.parameters: Mapping[str, object] = {"model": weights, **_OPTIONS_2}
        self._count_tokens = settings.count_tokens
        self._compressor = OfflinePromptCompressor(weights, draft.tokenizer, is_second=True)
        self._compressor.load_model(
            weights, str(draft.device), {"trust_remote_code": settings.trust_remote_code}
        )
        self._compressor.init_llmlingua2()

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        """Compress to `target_token` tokens. See `CaseCompressor`."""
        del query
        target = token_limit(self._count_tokens, texts, keep_fraction)
        return clocked(
            lambda: self._compressor.compress_prompt(
                list(texts), target_token=target, **_OPTIONS_2
            )["compressed_prompt_list"]
        )


def _draft_of(settings: PeerSettings) -> DraftModel:
    choice = settings.draft
    return DraftModel.from_source(choice.draft, device=choice.device, dtype=choice.dtype)
