"""`specprefill bench --gpu` runs without a GPU if asked to, and counts operations rightly."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from specprefill_integrations import bench
from specprefill_integrations.bench._gpu import _batches, _text, forward_flops, peak_flops
from specprefill_integrations.bench._random_draft import LARGE_SHAPES, SHAPES, RandomDraft
from specprefill_integrations.cli import build_app
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.scoring import AttentionScorer, CalibratedDifferenceReadout
from specprefill_integrations.scoring._attention_scorer import ReadingPlan
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._transfers import padded
from specprefill_integrations.splitting._prose import ProseSplitter


def run(*options):
    return CliRunner().invoke(build_app(), ["bench", "--gpu", *options])


def test_the_command_prints_the_figures_of_each_draft_and_length():
    options = ("--device", "cpu", "--shape", "tiny", "--tokens", "600", "--repeats", "1")
    result = run(*options, "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["tiny, 600 tokens"]
    for name in ("compress", "score", "forward"):
        assert figures[f"{name}_tokens_per_second"] > 0
    ratio = figures["forward_tokens_per_second"] / figures["score_tokens_per_second"]
    shares = figures["forward_share_of_peak"] / figures["score_share_of_peak"]
    assert shares == pytest.approx(ratio)
    assert figures["peak_bytes"] is None
    assert run("--shape", "tiny", "--device", "cpu", "--tokens", "600").exit_code == 0


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run("--quiet")
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines() == [
        "error: There is no CUDA device here that PyTorch can use; --device 'cpu' measures the CPU."
    ]


@pytest.mark.parametrize("count", [300, 2_000])
def test_the_forward_pass_alone_reads_the_windows_that_scoring_reads(count):
    """All tokens of the text, in the same batches."""
    scorer = AttentionScorer(
        RandomDraft.of("tiny", "cpu", None), plan=ReadingPlan(window_tokens=512, batch_tokens=600)
    )
    text = _text(scorer, count)
    request = ScoreRequest("Who?", [text], [ProseSplitter()(text)])
    batches = _batches(scorer, request)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        read = PromptReader.read
        patch.setattr(
            PromptReader, "read", lambda self, *args: seen.append(args[0]) or read(self, *args)
        )
        scorer.score_batch([request])
    contexts = [[one.context[one.is_text.index(True) :] for one in prompts] for prompts in seen]
    assert [padded(ids).tolist() for ids in contexts] == [ids.tolist() for ids in batches]
    assert sum(sum(one.is_text) for prompts in seen for one in prompts) == count


def test_each_run_reads_another_text_and_tokenizes_it_once(monkeypatch):
    compressed, tokenized = [], []
    compress, tokenize = ContextCompressor.compress, DraftTokenizer.tokenize

    def noted_compress(self, text, *args, **kwargs):
        compressed.append(text)
        tokenized.clear()
        found = compress(self, text, *args, **kwargs)
        assert tokenized.count(text) == 1
        return found

    def noted_tokenize(self, texts):
        tokenized.extend(texts)
        return tokenize(self, texts)

    monkeypatch.setattr(ContextCompressor, "compress", noted_compress)
    monkeypatch.setattr(DraftTokenizer, "tokenize", noted_tokenize)
    bench.measure_gpu(repeats=3, shapes=["tiny"], lengths=[600], device="cpu")
    assert len(set(compressed)) == 3


def test_an_unknown_shape_is_refused_by_name():
    with pytest.raises(ValueError, match=r"smollm2-135m.*got 'gpt5'"):
        bench.measure_gpu(repeats=1, shapes=["gpt5"], device="cpu")


def test_large_shapes_are_those_of_their_models():
    """Layers and parameters as published, embeddings included; Qwen's tie them."""
    millions = {"smollm2-135m": 134.5, "qwen2.5-0.5b": 494.0, "qwen2.5-1.5b": 1543.7}
    for shape in LARGE_SHAPES:
        options = SHAPES[shape]
        width, inner, layers = (
            options[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers")
        )
        keys = width // options["num_attention_heads"] * options["num_key_value_heads"]
        layer = 2 * width * width + 2 * width * keys + 3 * width * inner
        total = layers * layer + options["vocab_size"] * width
        assert total / 1e6 == pytest.approx(millions[shape], rel=0.001)


def test_the_profile_of_the_embedded_draft_decides_which_layers_have_weights():
    draft = RandomDraft.of("smollm2-135m", "cpu", None)
    readout = AttentionScorer(draft).active_readout
    assert {layer for layer, _ in readout.heads} <= set(range(draft.config.num_hidden_layers))
    assert isinstance(
        AttentionScorer(RandomDraft.of("qwen2.5-1.5b", "cpu", None)).active_readout,
        CalibratedDifferenceReadout,
    )
    tiny = RandomDraft.of("tiny", "cpu", "float64")
    assert tiny.model.dtype == torch.float64
    assert tiny.model.config.num_hidden_layers <= tiny.config.num_hidden_layers


def test_operations_are_those_that_pytorch_counts():
    model = RandomDraft.of("tiny", "cpu", None).model
    ids = torch.ones((1, 256), dtype=torch.long)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(input_ids=ids, use_cache=False)
    # PyTorch counts the masked half of attention as well.
    attention = 2 * 2 * model.config.num_hidden_layers * 64 * 256 / 2
    assert counter.get_total_flops() / 256 == pytest.approx(forward_flops(model, 256) + attention)


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA H800 PCIe", 756),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165),
    ],
)
def test_the_peak_of_a_device_goes_by_its_whole_name(monkeypatch, name, teraflops):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    assert peak_flops(torch.device("cuda", 0), torch.bfloat16) == teraflops * 1e12


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA RTX A1000",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA H200 MIG 3g.71gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "GRID A100-10C",
    ],
)
def test_another_device_with_a_similar_name_or_a_part_is_measured(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    monkeypatch.setattr(torch, "ones", Mock(side_effect=ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        peak_flops(torch.device("cuda", 0), torch.bfloat16)


def test_a_device_without_a_stated_peak_is_measured():
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8
