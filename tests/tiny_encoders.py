"""Tiny seeded token classifiers, each with a tokenizer that joins pairs as its family does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import PreTrainedModel, PreTrainedTokenizerFast

POSITIONS = 128

SMALL: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "id2label": {0: "DROP", 1: "KEEP"},
    "label2id": {"DROP": 0, "KEEP": 1},
}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", {"type_vocab_size": 2}),
    # Relative positions, no token types.
    "deberta-v2": (
        "DebertaV2Config",
        {
            "relative_attention": True,
            "position_buckets": 16,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    # Every other layer sees a window.
    "modernbert": (
        "ModernBertConfig",
        {
            "local_attention": 16,
            "global_attn_every_n_layers": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    # Positions start behind those of padding.
    "xlm-roberta": (
        "XLMRobertaConfig",
        {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1, "type_vocab_size": 1},
    ),
}

# Vocabularies are written down: trained ones differ from one training to the next.
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
CHARACTERS = [chr(code) for code in range(33, 127)]
WORDS = ["the", "cat", "dog", "ran", "away", "from", "house", "nothing", "answer", "was"]


def tiny_encoder(
    architecture: str, *, dtype: torch.dtype = torch.float32, **changes: Any
) -> PreTrainedModel:
    """A seeded token classifier of an architecture: the same weights at every call."""
    class_name, own = CONFIGS[architecture]
    config = getattr(transformers, class_name)(**{**SMALL, **own, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model: Any = transformers.AutoModelForTokenClassification.from_config(config)
        # The library's own start is so small that all tokens would look alike.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.2)
                elif parameter.abs().sum() == 0:
                    parameter.normal_(std=0.5)
    found: PreTrainedModel = model.eval().to(dtype)
    return found


def tiny_pair_tokenizer(architecture: str) -> PreTrainedTokenizerFast:
    """A tokenizer with ids below 300, for the models of `tiny_encoder`."""
    return {
        "bert": _word_pieces,
        "deberta-v2": _sentence_pieces,
        "modernbert": _bytes,
        "xlm-roberta": _roberta_pieces,
    }[architecture]()


def save_tiny_encoder(folder: Path, architecture: str = "bert", **changes: Any) -> Path:
    """A tiny encoder and its tokenizer in transformers' own format."""
    tiny_encoder(architecture, **changes).save_pretrained(folder)
    tiny_pair_tokenizer(architecture).save_pretrained(folder)
    return folder


def _word_pieces() -> PreTrainedTokenizerFast:
    pieces = [*SPECIAL, *CHARACTERS, *WORDS, *(f"##{one}" for one in CHARACTERS)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _as_fast(tokenizer, ["input_ids", "token_type_ids", "attention_mask"], POSITIONS)


def _sentence_pieces() -> PreTrainedTokenizerFast:
    return _as_fast(
        _unigram(SPECIAL),
        ["input_ids", "token_type_ids", "attention_mask"],
        POSITIONS,
    )


def _roberta_pieces() -> PreTrainedTokenizerFast:
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "[UNK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        sep_token="</s>",
        unk_token="[UNK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def _bytes() -> PreTrainedTokenizerFast:
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("t", "h"), ("th", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return _as_fast(tokenizer, ["input_ids", "attention_mask"])


def _unigram(special: list[str]) -> Tokenizer:
    pieces = [(piece, 0.0) for piece in special]
    pieces += [(one, -9.0) for one in ["\u2581", *CHARACTERS]]
    pieces += [(f"\u2581{word}", -3.0) for word in WORDS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _as_fast(
    tokenizer: Tokenizer, input_names: list[str], max_length: int | None = None
) -> PreTrainedTokenizerFast:
    """A tokenizer with BERT's special tokens."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    options = {} if max_length is None else {"model_max_length": max_length}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        pad_token="[PAD]",
        sep_token="[SEP]",
        model_input_names=input_names,
        **options,
    )
