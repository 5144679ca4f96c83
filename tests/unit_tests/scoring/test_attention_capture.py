"""Captured rows equal the textbook's, on every attention design; the model notices nothing."""

from __future__ import annotations

import threading

import pytest
import torch
from transformers import DynamicCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from specprefill_integrations.scoring._attention_capture import attention_rows, capture_attention
from specprefill_integrations.scoring._transformers_versions import cache_name
from tests.tiny_models import CONFIGS, tiny_model

ROWS = 5
TOKENS = 24
EAGER_ONLY = {"gemma2", "gpt_oss"}


def token_ids(batch: int = 2, length: int = TOKENS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(3, 300, (batch, length), generator=generator)


def capture(model, ids, rows=ROWS, **kwargs):
    found = {}
    with torch.no_grad(), capture_attention(model, rows=rows, on_layer=found.__setitem__):
        output = model(input_ids=ids, **kwargs)
    return found, output


def textbook(architecture, ids, **kwargs):
    """Full M x M attention weights from an eager model in float64."""
    model = tiny_model(architecture, attention="eager", dtype=torch.float64)
    with torch.no_grad():
        return model(input_ids=ids, output_attentions=True, **kwargs).attentions


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_rows_equal_the_textbook_weights(architecture):
    ids = token_ids()
    found, _ = capture(tiny_model(architecture, dtype=torch.float64), ids)
    expected = textbook(architecture, ids)
    assert sorted(found) == list(range(len(expected)))
    for layer, weights in enumerate(expected):
        assert found[layer].shape == (2, 4, ROWS, TOKENS)
        # Some models take their softmax in float32 whatever they are run in.
        torch.testing.assert_close(
            found[layer], weights[:, :, -ROWS:].double(), atol=2e-6, rtol=1e-4
        )


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_float32_rows_are_close_to_the_float64_textbook(architecture):
    ids = token_ids()
    found, _ = capture(tiny_model(architecture), ids)
    for layer, weights in enumerate(textbook(architecture, ids)):
        assert found[layer].dtype == torch.float32
        torch.testing.assert_close(
            found[layer].double(), weights[:, :, -ROWS:].double(), atol=1e-4, rtol=1e-3
        )


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_a_padded_prompt_has_the_rows_of_the_textbook_without_padding(architecture):
    ids = token_ids()
    mask = torch.ones_like(ids)
    mask[0, :6] = 0
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    # Eager attention of a padding position is NaN in float64 (its mask overflows the softmax).
    dtype = torch.float32 if architecture in EAGER_ONLY else torch.float64
    model = tiny_model(architecture, dtype=dtype)
    found, _ = capture(model, ids, attention_mask=mask, position_ids=positions)
    alone = textbook(architecture, ids[:1, 6:])
    beside = textbook(architecture, ids[1:])
    for layer, rows in found.items():
        assert rows[0, :, :, :6].abs().max() == 0
        expected = [alone[layer][0], beside[layer][0]]
        for got, weights in zip([rows[0, :, :, 6:], rows[1]], expected, strict=True):
            expected_rows = weights[:, -ROWS:].double()
            torch.testing.assert_close(got.double(), expected_rows, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_rows_over_cached_keys_equal_the_textbook(architecture):
    ids = token_ids()
    model = tiny_model(architecture, dtype=torch.float64)
    cache = DynamicCache()
    with torch.no_grad():
        model(input_ids=ids[:, :-ROWS], **{cache_name(model): cache})
    found, _ = capture(model, ids[:, -ROWS:], **{cache_name(model): cache})
    for layer, weights in enumerate(textbook(architecture, ids)):
        torch.testing.assert_close(
            found[layer], weights[:, :, -ROWS:].double(), atol=2e-6, rtol=1e-4
        )


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_the_models_own_output_is_bit_equal(architecture):
    ids = token_ids()
    model = tiny_model(architecture)
    assert model.config._attn_implementation == ("eager" if architecture in EAGER_ONLY else "sdpa")
    with torch.no_grad():
        plain = model(input_ids=ids).logits
    _, captured = capture(model, ids)
    assert torch.equal(plain, captured.logits)


def test_no_m_by_m_matrix_is_made():
    """Peak state grows with rows x M: nothing of 2,000 x 2,000 is allocated beside the model."""
    query, key = torch.randn(1, 4, 2000, 16), torch.randn(1, 2, 2000, 16)
    shapes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            shapes.extend(t.shape for t in [out] if isinstance(t, torch.Tensor))
            return out

    with Watch():
        attention_rows(query, key, None, rows=3)
    assert shapes
    assert max(shape.numel() for shape in shapes) <= 2000 * 4 * 16


def test_hooks_are_gone_after_an_exception():
    model = tiny_model("llama")
    names = set(ALL_ATTENTION_FUNCTIONS.valid_keys())
    sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def fail(layer, weights):
        msg = f"layer {layer}"
        raise RuntimeError(msg)

    with (
        pytest.raises(RuntimeError, match="layer 0"),
        torch.no_grad(),
        capture_attention(model, rows=1, on_layer=fail),
    ):
        model(input_ids=token_ids())
    assert model.config._attn_implementation == "sdpa"
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa
    assert set(ALL_ATTENTION_FUNCTIONS.valid_keys()) - names <= {"specprefill_sdpa"}
    with torch.no_grad():
        model(input_ids=token_ids())  # nothing is called any more


def test_another_thread_on_the_same_model_is_not_captured():
    model = tiny_model("llama")
    ids = token_ids()
    found = {}
    others = []

    def run_plain():
        with torch.no_grad():
            others.append(model(input_ids=ids).logits)

    with torch.no_grad(), capture_attention(model, rows=1, on_layer=found.__setitem__):
        thread = threading.Thread(target=run_plain)
        thread.start()
        thread.join()
        assert not found
        own = model(input_ids=ids).logits
    assert torch.equal(own, others[0])
    assert sorted(found) == [0, 1, 2]


def test_captures_on_one_model_wait_for_each_other():
    model = tiny_model("llama")
    results = [{} for _ in range(4)]

    def run(found):
        for length in (9, 17, 24):
            with torch.no_grad(), capture_attention(model, rows=1, on_layer=found.__setitem__):
                model(input_ids=token_ids(length=length))

    threads = [threading.Thread(target=run, args=(found,)) for found in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.config._attn_implementation == "sdpa"
    for found in results[1:]:
        assert all(torch.equal(found[layer], results[0][layer]) for layer in range(3))


@pytest.mark.parametrize("window", [None, 1, 4, 100])
def test_without_a_mask_causality_and_window_are_applied(window):
    """Flash attention gets no mask: the rows must hide what it hides."""
    query, key = torch.randn(2, 4, 12, 8), torch.randn(2, 2, 12, 8)
    full = (query @ key.repeat_interleave(2, dim=1).transpose(2, 3)) * 8**-0.5
    at = torch.arange(12)
    hidden = at[None, :] > at[:, None]
    if window is not None:
        hidden |= at[None, :] <= at[:, None] - window
    expected = full.masked_fill(hidden, -torch.inf).softmax(-1)[:, :, -3:]
    found = attention_rows(query, key, None, rows=3, sliding_window=window)
    torch.testing.assert_close(found, expected)


def test_padding_only_masks_hide_padded_keys():
    """Flash attention's mask says which keys are real, and nothing else."""
    query, key = torch.randn(2, 4, 12, 8), torch.randn(2, 2, 12, 8)
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, :5] = 0
    found = attention_rows(query, key, mask, rows=3)
    assert found[1, :, :, :5].abs().max() == 0
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 4, 3))
    torch.testing.assert_close(found[0], attention_rows(query, key, None, rows=3)[0])
