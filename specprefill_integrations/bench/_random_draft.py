"""Drafts of a given shape with random weights: as fast as real ones, without any download."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
import transformers
from transformers import AutoModel

from specprefill_integrations.bench._sample_texts import documentation, sample_text
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_device import resolved_device, resolved_dtype
from specprefill_integrations.scoring._draft_layers import layers_needed
from specprefill_integrations.scoring._draft_model import DraftModel

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "smollm2-135m": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
    },
    "qwen2.5-0.5b": {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
    },
    "qwen2.5-1.5b": {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
    },
    # For tests: the numbers of a run say nothing.
    "tiny": {
        "model_type": "llama",
        "vocab_size": 4096,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
    },
}
"""Shapes of drafts by name: the embedded draft's and larger ones."""

LARGE_SHAPES = ("smollm2-135m", "qwen2.5-0.5b", "qwen2.5-1.5b")
"""Those that are worth measuring."""

_VOCABULARY = 4_096


class RandomDraft(DraftModel):
    """A draft with random weights, in the layers that its readout needs."""

    @classmethod
    def of(cls, shape: str, device: str | None, dtype: str | None) -> RandomDraft:
        """Describe a draft without making its weights.

        Args:
            shape: A name in `SHAPES`.
            device: See `DraftModel.from_source`.
            dtype: See `DraftModel.from_source`.
        """
        where = resolved_device(device)
        return cls(shape, where, resolved_dtype(dtype, where))

    def _load_config(self) -> Any:  # noqa: ANN401 - transformers' classes are not typed
        options = dict(SHAPES[self.name])
        return transformers.AutoConfig.for_model(options.pop("model_type"), **options)

    def _load_model(self) -> Any:  # noqa: ANN401
        readout = AttentionScorer(self).active_readout
        config = self._load_config()
        config.num_hidden_layers = layers_needed(readout, config, readout.window_tokens)
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: config.num_hidden_layers]
        auto: Any = AutoModel
        with torch.device(self.device):
            return auto.from_config(config, dtype=self.dtype).eval()

    def _load_tokenizer(self) -> Any:  # noqa: ANN401
        return _tokenizer()


@cache
def _tokenizer() -> Any:  # noqa: ANN401
    """Train a tokenizer: one of fewer strings than a draft's, which makes more tokens of a text."""
    texts = iter([*documentation(300_000).split("\n\n"), sample_text("prose", 300_000)])
    classes: Any = transformers
    return classes.GPT2TokenizerFast().train_new_from_iterator(
        texts, _VOCABULARY, show_progress=False
    )
