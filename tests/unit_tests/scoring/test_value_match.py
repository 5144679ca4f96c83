"""The match of values: its formula, and values of the draft as they are."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._reading import all_heads, read_cases
from specprefill_integrations.errors import DraftModelUnsupportedError, ReadoutProfileError
from specprefill_integrations.scoring._context_reading import ContextReader
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring.readouts._value_match import ValueMatch, by_token
from specprefill_integrations.types import Span
from tests.laws.test_context_cache import hybrid
from tests.tiny_models import SMALL, tiny_model, tiny_tokenizer


def match_of(rng, values=6, rank=3, layer=1):
    return ValueMatch(
        layer=layer,
        token_weights=rng.normal(size=(values, rank)),
        question_weights=rng.normal(size=(values, rank)),
    )


def slow_match(match, token, question):
    """The formula in loops."""
    rank = range(match.token_weights.shape[1])
    values = range(len(token))
    of_token = [sum(token[i] * match.token_weights[i, r] for i in values) for r in rank]
    of_question = [sum(question[i] * match.question_weights[i, r] for i in values) for r in rank]
    length = sum(number**2 for number in of_question) ** 0.5
    return sum(a * b for a, b in zip(of_token, of_question, strict=True)) / length


@given(seed=st.integers(0, 999), tokens=st.integers(1, 5), batch=st.integers(1, 3))
def test_the_match_is_its_formula(seed, tokens, batch):
    rng = np.random.default_rng(seed)
    match = match_of(rng)
    values, question = rng.normal(size=(batch, tokens, 6)), rng.normal(size=(batch, 1, 6))
    found = match.scores(torch.from_numpy(values).float(), torch.from_numpy(question).float())
    expected = [
        [slow_match(match, token, asked[0]) for token in own]
        for own, asked in zip(values, question, strict=True)
    ]
    assert np.allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 999), factor=st.floats(0.1, 10))
def test_a_mean_over_tokens_is_the_match_of_their_mean_and_the_question_only_a_direction(
    seed, factor
):
    rng = np.random.default_rng(seed)
    match = match_of(rng)
    values, question = (torch.from_numpy(rng.normal(size=(n, 6))).float() for n in (5, 1))
    mean = match.scores(values, question).mean()
    assert float(match.scores(values.mean(0, keepdim=True), factor * question)) == pytest.approx(
        float(mean), rel=1e-3, abs=1e-4
    )


def test_values_are_those_of_the_projection():
    """Head after head, as the layer computes them, whatever the padding."""
    model = tiny_model("llama", dtype=torch.float64)
    seen = []
    model.base_model.layers[1].self_attn.v_proj.register_forward_hook(
        lambda _module, _args, output: seen.append(output)
    )
    contexts = [[7, 8, 9, 10], [20, 21]]
    ids = torch.tensor([[7, 8, 9, 10], [20, 21, 0, 0]])
    reader = ContextReader(DraftModel.from_pair(model, None), 0)
    with torch.inference_mode():
        batch = reader.read(contexts, ids, torch.tensor([4, 2]))
    found = by_token(batch.values(1))
    assert torch.allclose(found[0], seen[0][0])
    assert torch.allclose(found[1, 2:], seen[0][1, :2])  # padded on the left


def test_matches_are_equal_by_value_and_copies_are_equal():
    one, same = (match_of(np.random.default_rng(1)) for _ in range(2))
    others = [
        match_of(np.random.default_rng(2)),
        match_of(np.random.default_rng(1), layer=2),
        match_of(np.random.default_rng(1), rank=2),
    ]
    copies = [same, copy.deepcopy(one), pickle.loads(pickle.dumps(one))]  # noqa: S301 - our own
    assert all(one == found and hash(one) == hash(found) for found in copies)
    assert all(one != found for found in [*others, "a match"])


@pytest.mark.parametrize(
    ("tokens", "question", "words"),
    [
        (np.zeros((4, 2)), np.zeros((4, 3)), "the same shape"),
        (np.zeros(4), np.zeros(4), "token_weights must be a matrix"),
        (np.zeros((4, 0)), np.zeros((4, 0)), "token_weights must be a matrix"),
        (np.zeros((4, 2)), np.full((4, 2), np.nan), "question_weights must be a matrix of finite"),
    ],
)
def test_weights_are_matrices_of_the_same_shape(tokens, question, words):
    with pytest.raises(ValueError, match=words):
        ValueMatch(layer=0, token_weights=tokens, question_weights=question)


def test_a_draft_with_other_values_is_refused():
    match = match_of(np.random.default_rng(0))
    with pytest.raises(
        ReadoutProfileError, match="fitted to 6 values of a token, and the draft has 5"
    ):
        match.scores(torch.zeros(1, 2, 5), torch.zeros(1, 1, 5))


def test_weights_cannot_be_changed_from_outside():
    weights = np.ones((4, 2), dtype=np.float32)
    match = ValueMatch(layer=0, token_weights=weights, question_weights=weights)
    weights[:] = 5
    assert match.token_weights.tolist() == [[1, 1]] * 4
    with pytest.raises(ValueError, match="read-only"):
        match.token_weights[0] = 7


def sharing():
    """A model whose last layer uses the keys and values of another one."""
    config = transformers.Gemma3nTextConfig(
        **SMALL,
        head_dim=16,
        num_kv_shared_layers=1,
        layer_types=["full_attention"] * 3,
        vocab_size_per_layer_input=300,
        hidden_size_per_layer_input=8,
        laurel_rank=4,
        activation_sparsity_pattern=[0.0] * 3,
    )
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize(("make", "layer"), [(hybrid, 0), (sharing, 2)])
def test_layers_that_keep_no_values_are_refused(make, layer):
    batch = ContextReader(DraftModel.from_pair(make(), None), 0).read(
        [[7, 8]], torch.tensor([[7, 8]]), torch.tensor([2])
    )
    with pytest.raises(DraftModelUnsupportedError, match=f"values of layer {layer} are needed"):
        batch.values(layer)


@pytest.mark.parametrize(("make", "layer"), [(hybrid, None), (sharing, 1)])
def test_calibration_reads_the_last_layer_that_keeps_values(make, layer):
    draft = DraftModel.from_pair(make(), tiny_tokenizer())
    text = "The cat sat on the mat. The dog ran away from it all."
    case = LabeledCase(kind="k", query="Who ran?", texts=(text,), evidence=(((0, Span(24, 53)),),))
    [units] = read_cases(draft, all_heads(draft, last_depth=1), [case], own_kinds=["k"])
    assert (None if units.values is None else units.values.layer) == layer
