"""The layers of a draft as its config describes them."""

from __future__ import annotations

from typing import Any

from specprefill_integrations.scoring.readouts import DraftLayers, Readout

_SOFTMAX = {"full_attention", "sliding_attention", "chunked_attention"}


def draft_layers(config: Any, prompt_tokens: int) -> DraftLayers:  # noqa: ANN401 - transformers' classes are untyped
    """Describe what the layers of a model see of a prompt.

    Args:
        config: The model's config.
        prompt_tokens: Tokens of the prompt.
    """
    kinds = _layer_kinds(config)
    reaches = enumerate(reach or prompt_tokens for _, reach in kinds)
    return DraftLayers(
        depth=len(kinds),
        attention=frozenset(i for i, (kind, _) in enumerate(kinds) if kind in _SOFTMAX),
        local=frozenset(i for i, reach in reaches if reach < prompt_tokens),
    )


def layers_needed(readout: Readout, config: Any, prompt_tokens: int) -> int:  # noqa: ANN401
    """Return how many layers must run for a readout, for prompts up to this length."""
    read = readout.layers(draft_layers(config, 1)) | readout.layers(
        draft_layers(config, prompt_tokens)
    )
    return max(read, default=0) + 1


def reading_bytes(config: Any, layers: int, question_tokens: int, item_bytes: int) -> int:  # noqa: ANN401
    """Estimate the memory that reading takes for each token of a context.

    Args:
        config: The model's config.
        layers: The layers that are read.
        question_tokens: Tokens of the question, whose attention is computed in float32.
        item_bytes: Bytes of a number of the draft.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    dim = getattr(config, "head_dim", None) or width // heads
    # Keys and values: as they were computed, moved or kept, and grown by the question.
    kept = 3 * layers * 2 * key_heads * dim * item_bytes
    inner = getattr(config, "intermediate_size", None) or 4 * width
    passing = (8 * width + 4 * inner + 2 * heads * dim) * item_bytes  # of one layer
    scores = 4 * heads * question_tokens * 4
    values = 3 * key_heads * dim * 4  # for a match: as they are, in float32, multiplied
    return int(kept + passing + scores + values)


def all_attend(config: Any) -> bool:  # noqa: ANN401
    """Return True if every layer of a model attends by softmax."""
    return {kind for kind, _ in _layer_kinds(config)} <= _SOFTMAX


def keeps_values(config: Any, layer: int) -> bool:  # noqa: ANN401
    """Return True if a layer keeps the values of a whole prompt, for itself."""
    shared = getattr(config, "num_kv_shared_layers", None) or 0  # the last ones
    return all_attend(config) and layer < config.num_hidden_layers - shared


def _layer_kinds(config: Any) -> list[tuple[str, int | None]]:  # noqa: ANN401
    """Return each layer's kind and its reach in tokens; None for the whole prompt."""
    kinds = getattr(config, "layer_types", None)
    sliding = getattr(config, "sliding_window", None)
    if not kinds:  # all layers are of one kind
        kinds = ["sliding_attention" if sliding else "full_attention"] * config.num_hidden_layers
    reach = {
        "sliding_attention": sliding,
        "chunked_attention": getattr(config, "attention_chunk_size", None),
    }
    return [(kind, reach.get(kind)) for kind in kinds]
