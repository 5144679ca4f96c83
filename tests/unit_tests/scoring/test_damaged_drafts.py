"""Drafts with missing, damaged or foreign files: one error, which names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import (
    DraftModelDamagedError,
    DraftModelUnsupportedError,
    ScoreError,
)
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from tests.tiny_models import save_tiny_draft, tiny_model, tiny_tokenizer

TEXT = "The cat sat on the mat. A dog barked at the moon. Nothing else happened that night."
BUDGET = Budget(keep_fraction=0.5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save_tiny_draft(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def in_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    tiny_model("llama").save_pretrained(folder, max_shard_size="100KB")
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(request, tmp_path, whole, in_shards):
    """A copy to damage."""
    source = in_shards if "of-" in str(request.node.callspec.params) else whole
    return shutil.copytree(source, tmp_path / "draft")


def cut(name: str) -> Callable[[Path], Path]:
    def damage(folder: Path) -> Path:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        return path

    return damage


def delete(name: str) -> Callable[[Path], Path]:
    def damage(folder: Path) -> Path:
        (folder / name).unlink()
        return folder / name

    return damage


def lose_a_weight(folder: Path) -> Path:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    return path


def shrink_the_embedding(folder: Path) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 200}))
    return folder / "model.safetensors"


def write_list(name: str) -> Callable[[Path], Path]:
    def damage(folder: Path) -> Path:
        (folder / name).write_text("[]")
        return folder / name

    return damage


SHARD = "model-00002-of-00006.safetensors"
INDEX = "model.safetensors.index.json"
OF_WEIGHTS = {
    "weights cut off": cut("model.safetensors"),
    "weights missing": delete("model.safetensors"),
    "a weight missing": lose_a_weight,
    "weights of another size": shrink_the_embedding,
    "shard of-6 cut off": cut(SHARD),
    "shard of-6 missing": delete(SHARD),
    "index of-6 cut off": cut(INDEX),
}
OF_TOKENIZER = {
    "tokenizer cut off": cut("tokenizer.json"),
    "tokenizer missing": delete("tokenizer.json"),
    "tokenizer is a list": write_list("tokenizer.json"),
    "tokenizer's config is a list": write_list("tokenizer_config.json"),
    "tokenizer's config cut off": cut("tokenizer_config.json"),
}


def test_the_shards_are_as_named(in_shards):
    assert (in_shards / SHARD).is_file()


@pytest.mark.parametrize("damage", OF_WEIGHTS)
def test_damaged_weights_are_named_and_tokens_are_counted(folder, damage, whole):
    path = OF_WEIGHTS[damage](folder)
    draft = DraftModel.from_source(folder)
    with pytest.raises(DraftModelDamagedError) as caught:
        draft.load()
    assert repr(str(path)) in str(caught.value)
    assert "\n" not in str(caught.value)
    for layers in (2, 3):
        with pytest.raises(DraftModelDamagedError):
            _ = draft.first_layers(layers).model
    compressor = ContextCompressor.from_draft_model(folder)
    result = compressor.compress(TEXT, "cat", budget=BUDGET)
    assert (result.text, result.skipped_because) == (TEXT, "draft_unavailable")
    expected = DraftTokenizer(DraftModel.from_source(whole).tokenizer).count([TEXT])
    assert [result.original_tokens] == expected


@pytest.mark.parametrize("damage", [*OF_TOKENIZER, "config cut off"])
def test_without_a_tokenizer_the_size_is_an_estimate(folder, damage):
    path = {**OF_TOKENIZER, "config cut off": cut("config.json")}[damage](folder)
    draft = DraftModel.from_source(folder)
    for load in (draft.load, lambda: draft.tokenizer):
        with pytest.raises(DraftModelDamagedError) as caught:
            load()
        assert repr(str(path)) in str(caught.value)
    result = ContextCompressor.from_draft_model(folder).compress(TEXT, "cat", budget=BUDGET)
    assert (result.text, result.skipped_because) == (TEXT, "draft_unavailable")
    assert result.original_tokens == -(-len(TEXT) // 4)


@pytest.mark.parametrize("name", ["a"])
def test_a_tokenizer_of_another_model_is_refused(name, tmp_path):
    small = tiny_model("llama", vocab_size=200)
    small.save_pretrained(tmp_path / name)
    tiny_tokenizer().save_pretrained(tmp_path / name)
    with pytest.raises(DraftModelDamagedError, match=r"tokens, and the model .* 200") as caught:
        DraftModel.from_source(tmp_path / name).load()
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(DraftModelDamagedError, match="200"):
        DraftModel.from_pair(small, tiny_tokenizer())


def test_a_special_token_without_an_embedding_is_none_of_a_text():
    """Gemma 3 has one for images."""
    tokenizer = tiny_tokenizer()
    rows = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    assert len(tokenizer) > rows
    DraftModel.from_pair(tiny_model("llama", vocab_size=rows), tokenizer)
    tokenizer.add_tokens(["no special one"])
    with pytest.raises(DraftModelDamagedError):
        DraftModel.from_pair(tiny_model("llama", vocab_size=rows), tokenizer)


def write_gguf(path: Path) -> Path:
    """A GGUF file with a weight; of no complete model."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(64)
    writer.add_tensor("token_embd.weight", np.zeros((64, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_gguf_file_that_is_cut_off_is_named(tmp_path, monkeypatch, share, caplog):
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "cache"))
    path = write_gguf(tmp_path / "tiny.gguf")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    draft = DraftModel.from_source(path)
    for load in (draft.load, lambda: draft.tokenizer, lambda: draft.config):
        with pytest.raises(DraftModelDamagedError) as caught:
            load()
        assert repr(str(path)) in str(caught.value)
    converting = [m for m in caplog.messages if m.startswith("Converting the draft model")]
    assert len(converting) == 1, "the caller waits, is told so, and only once"


def test_a_gguf_file_of_another_architecture_is_not_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "cache"))
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "no_such_architecture")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(DraftModelUnsupportedError):
        DraftModel.from_source(tmp_path / "other.gguf").load()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"num_attention_heads": 0}, "ZeroDivisionError"),
        ({"num_attention_heads": "x"}, "expected int"),
        ({"hidden_act": "nope"}, "KeyError: 'nope'"),
        ({"model_type": "nope"}, "nope"),
    ],
)
def test_a_config_that_transformers_cannot_use_is_named(whole, tmp_path, values, told):
    folder = shutil.copytree(whole, tmp_path / "draft")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    with pytest.raises(DraftModelUnsupportedError, match=told) as caught:
        DraftModel.from_source(folder).load()
    assert repr(str(path)) in str(caught.value)


def test_weights_of_another_shape_are_told_in_one_readable_line(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "draft")
    shrink_the_embedding(folder)
    with pytest.raises(DraftModelDamagedError) as caught:
        DraftModel.from_source(folder).load()
    told = "has lm_head.weight in the shape [300, 64] instead of [200, 64], and 1 more."
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + bytes(19), b"no GGUF file" * 99])
def test_what_does_not_start_as_gguf_is_not_converted(tmp_path, monkeypatch, content, caplog):
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny.gguf"
    path.write_bytes(content)
    with pytest.raises(DraftModelDamagedError, match="cut off or no GGUF file") as caught:
        DraftModel.from_source(path).load()
    assert repr(str(path)) in str(caught.value)
    assert not [m for m in caplog.messages if m.startswith("Converting")]


def test_scores_that_are_no_numbers_name_the_draft(tmp_path):
    model = tiny_model("llama")
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(float("nan"))
    model.config._name_or_path = "some/draft"
    compressor = ContextCompressor.from_draft_model((model, tiny_tokenizer()))
    result = compressor.compress(TEXT, "cat", budget=BUDGET)
    assert result.skipped_because == "scorer_failed"
    strict = compressor.replace(on_error="raise")
    with pytest.raises(ScoreError, match=r"^The draft model 'some/draft' gave a score"):
        strict.compress(TEXT, "cat", budget=BUDGET)
