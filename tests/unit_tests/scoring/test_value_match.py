"""The match of values: its formula, and values of the draft as they are."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.scoring._context_reading import ContextReader
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring.readouts._value_match import ValueMatch, by_token
from tests.tiny_models import tiny_model


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
        (np.zeros((4, 2)), np.full((4, 2), np.nan), "question_weights must be a matrix of finite"),
    ],
)
def test_weights_are_matrices_of_the_same_shape(tokens, question, words):
    with pytest.raises(ValueError, match=words):
        ValueMatch(layer=0, token_weights=tokens, question_weights=question)


def test_a_draft_with_other_values_is_refused():
    match = match_of(np.random.default_rng(0))
    with pytest.raises(ValueError, match="fitted to 6 values of a token, and the draft has 5"):
        match.scores(torch.zeros(1, 2, 5), torch.zeros(1, 1, 5))
