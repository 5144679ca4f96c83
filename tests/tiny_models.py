"""Tiny seeded models of every attention design we support, built from configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel

from specprefill_integrations.scoring._draft_layers import keeps_values
from specprefill_integrations.scoring._transformers_versions import attention_for
from specprefill_integrations.scoring.readouts import ValueMatch

SMALL: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LATENT: dict[str, Any] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
    "n_shared_experts": 1,
}
LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {"head_dim": 16}),
    "qwen3_moe": (
        "Qwen3MoeConfig",
        {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    ),
    # Soft-capped scores; every other layer sees a window.
    "gemma2": (
        "Gemma2Config",
        {
            "head_dim": 16,
            "sliding_window": 8,
            "attn_logit_softcapping": 2.0,
            "query_pre_attn_scalar": 16,
            "layer_types": LAYERS,
        },
    ),
    "gemma3": (
        "Gemma3TextConfig",
        {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16, "layer_types": LAYERS},
    ),
    "mistral": ("MistralConfig", {"sliding_window": 8, "head_dim": 16}),
    "phi3": ("Phi3Config", {"sliding_window": None}),
    "granite": ("GraniteConfig", {"attention_multiplier": 0.1}),
    # A learned sink takes part in the softmax; every other layer sees a window.
    "gpt_oss": (
        "GptOssConfig",
        {
            "head_dim": 16,
            "sliding_window": 8,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "layer_types": LAYERS,
        },
    ),
    "olmo2": ("Olmo2Config", {}),
    # Multi-head latent attention: keys larger than values.
    "deepseek_v2": ("DeepseekV2Config", LATENT),
    "deepseek_v3": ("DeepseekV3Config", LATENT),
}


def tiny_model(
    architecture: str,
    *,
    attention: str | None = None,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> PreTrainedModel:
    """A seeded model of an architecture: the same weights at every call."""
    class_name, own = CONFIGS[architecture]
    config = getattr(transformers, class_name)(**{**SMALL, **own, **changes})
    model_class = transformers.AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.manual_seed(7)
        options = attention_for(config) if attention is None else {"attn_implementation": attention}
        model = model_class.from_config(config, **options)
        # The grouped matrix product of experts knows no float64.
        model.set_experts_implementation("eager")
        # The library's own start is so small that every softmax is flat: nothing would be tested.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.15)
                elif parameter.abs().sum() == 0:
                    parameter.normal_(std=0.5)
    return model.eval().to(dtype)


def tiny_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with ids below 300, BOS in front, and exact offsets."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = ["the cat and the dog sat on the mat. What is the answer?"]
    tokenizer.train_from_iterator(sample, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )


def random_match(architecture: str, layer: int) -> ValueMatch | None:
    """Make a match with random weights; None if the layer keeps no values.

    Args:
        architecture: A key of `CONFIGS`.
        layer: The layer.
    """
    model = tiny_model(architecture)
    if not keeps_values(model.config.get_text_config(), layer):
        return None
    with torch.no_grad():
        cache = model(input_ids=torch.tensor([[7]]), use_cache=True).past_key_values
    _, heads, _, dim = cache.layers[layer].values.shape
    tokens, question = np.random.default_rng(0).normal(size=(2, heads * dim, 4))
    return ValueMatch(layer=layer, token_weights=tokens, question_weights=question)


def save_tiny_draft(folder: Path, architecture: str = "llama") -> Path:
    """A tiny model and its tokenizer in transformers' own format."""
    tiny_model(architecture).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
