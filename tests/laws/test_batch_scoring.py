"""Requests that are read together score as they would alone, on every attention design.

The tolerance is a share of the difference between a request's highest and lowest score. In single
precision it is what the documentation promises; in double precision what is left is far below it,
so nothing but noise separates the two. (Not as far as could be: experts are chosen, and positions
turned, in single precision.)
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import replace

import numpy as np
import pytest
import torch

from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._transformers_versions import cache_name
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from specprefill_integrations.splitting._prose import ProseSplitter
from tests.tiny_models import CONFIGS, random_match, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.usefixtures("no_advice_of_transformers")

FIRST = "The cat sat on the mat. The dog ran away from the house.\n\nIt was late."
SECOND = "Nothing was said. 猫は魚が好きです。犬は？ The answer is 42."

SINGLE_PRECISION = 1e-4
DOUBLE_PRECISION = 1e-6

# Prompts are shorter and longer than this, and are read in one window and in several.
SLIDING_WINDOW = 100

ASKED = [
    ("What is the answer?", [FIRST * 3, SECOND]),
    ("Who?", ["The cat. A dog."]),
    (None, [SECOND]),
    ("Which of the animals that are named ran away from the house, and why?", [FIRST]),
    ("Who?", [FIRST, SECOND * 4, FIRST]),
]
PASSES = ("question", "null_question")
HEADS = ((1, 0), (1, 3), (2, 2))
LINEAR = LinearReadout(
    heads=HEADS,
    passes=PASSES,
    own_weights=(0.5, -0.25, 1.0, -1.0, 0.5, 0.25),
    around_weights=(0.1, 0.2, 0.3, 0.2, -0.1, 0.1),
    lexical_weights=(1.0, 0.5),
)


def requests():
    return [
        ScoreRequest(query, texts, [ProseSplitter()(text) for text in texts])
        for query, texts in ASKED
    ]


def scorer(architecture, readout, dtype, batch_tokens=10_000):
    changes = (
        {"sliding_window": SLIDING_WINDOW} if "sliding_window" in CONFIGS[architecture][1] else {}
    )
    model = tiny_model(architecture, dtype=dtype, **changes)
    draft = DraftModel.from_pair(model, tiny_tokenizer())
    if readout is LINEAR:
        readout = replace(LINEAR, match=random_match(architecture, 2))
    plan = ReadingPlan(window_tokens=90, batch_tokens=batch_tokens, cache_bytes=0)
    return AttentionScorer(draft, readout, plan)


def noise(together, alone):
    """The largest difference, as a share of how far a request's scores are apart."""
    worst = 0.0
    for mine, other in zip(together, alone, strict=True):
        assert list(map(len, mine)) == list(map(len, other))
        a, b = np.concatenate(mine), np.concatenate(other)
        worst = max(worst, float(np.abs(a - b).max() / np.ptp(b)))
    return worst


@pytest.mark.parametrize(
    "readout", [CalibratedDifferenceReadout(), LINEAR, PublishedReadout()], ids=type
)
@pytest.mark.parametrize("architecture", sorted(set(CONFIGS) - {"gemma2"}))
def test_together_as_alone(architecture, readout):
    shared = scorer(architecture, readout, torch.float64)
    alone = [shared.score_spans(r.query, r.texts, r.spans) for r in requests()]
    assert noise(shared.score_batch(requests()), alone) < DOUBLE_PRECISION


# Gemma 2 runs eagerly, whose padding rows are NaN in float64.
@pytest.mark.parametrize("architecture", ["deepseek_v3", "gemma2", "gemma3", "llama", "qwen3"])
def test_in_single_precision_the_noise_is_as_promised(architecture):
    shared = scorer(architecture, LINEAR, torch.float32)
    alone = [shared.score_spans(r.query, r.texts, r.spans) for r in requests()]
    assert noise(shared.score_batch(requests()), alone) < SINGLE_PRECISION


def test_a_context_is_read_in_one_pass_with_others_and_questions_in_another():
    """What makes batches worth it: passes do not grow in number with the requests."""
    shared = scorer("llama", LINEAR, torch.float32)
    shapes = []
    shared.draft.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    shared.score_batch(requests())
    windows = shapes[0][0]
    assert windows > len(ASKED)
    assert [rows for rows, _ in shapes] == [windows] * 3  # contexts, questions, "N/A"


def test_no_pass_goes_beyond_the_drafts_positions():
    """A window that fills them is read with another whose question is longer."""
    draft = DraftModel.from_pair(
        tiny_model("llama", dtype=torch.float64, max_position_embeddings=120), tiny_tokenizer()
    )
    shared = AttentionScorer(draft, LINEAR, ReadingPlan(cache_bytes=0))
    alone = [shared.score_spans(r.query, r.texts, r.spans) for r in requests()]
    read = []
    draft.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(
            kwargs["input_ids"].shape[1] + kwargs[cache_name(module)].get_seq_length()
        ),
        with_kwargs=True,
    )
    assert noise(shared.score_batch(requests()), alone) < DOUBLE_PRECISION
    assert max(read) <= 120


def test_an_answer_does_not_depend_on_the_order_of_requests():
    shared = scorer("llama", LINEAR, torch.float64)
    forward, backward = shared.score_batch(requests()), shared.score_batch(requests()[::-1])
    assert noise(backward[::-1], forward) < DOUBLE_PRECISION


def test_reading_stops_between_batches_when_nobody_waits():
    shared = scorer("llama", LINEAR, torch.float32, batch_tokens=90)
    wanted = iter([True, True, False])
    with pytest.raises(CancelledError):
        shared.score_batch(requests(), is_wanted=lambda: next(wanted))
    assert next(wanted, "all asked") == "all asked"


def test_slices_of_several_batches_in_turn_score_exactly_as_each_batch_at_once():
    shared = scorer("llama", LINEAR, torch.float32, batch_tokens=90)
    batches = [requests()[:2], requests()[2:3], requests()[3:]]
    expected = [shared.score_batch(batch) for batch in batches]
    readings = [shared.score_in_slices(batch) for batch in batches]
    found, slices = {}, 0
    while len(found) < len(batches):
        for number, reading in enumerate(readings):
            if number not in found:
                try:
                    next(reading)
                    slices += 1
                except StopIteration as end:
                    found[number] = end.value
    assert [found[number] for number in range(len(batches))] == expected
    assert slices > 3 * len(batches)


def test_no_request_is_no_answer():
    assert scorer("llama", LINEAR, torch.float32).score_batch([]) == []


def test_where_the_devices_memory_runs_out_smaller_batches_are_read(monkeypatch):
    shared = scorer("llama", LINEAR, torch.float64)
    expected = shared.score_batch(requests())
    read, sizes = PromptReader.read, []

    def short_of_memory(self, prompts, null_question):
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError
        return read(self, prompts, null_question)

    monkeypatch.setattr(PromptReader, "read", short_of_memory)
    assert noise(shared.score_batch(requests()), expected) < DOUBLE_PRECISION
    assert sizes[0] > 4
    assert min(sizes) <= 2


def test_where_it_does_not_suffice_for_one_window_the_error_is_raised(monkeypatch):
    def no_memory(self, prompts, null_question):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(PromptReader, "read", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        scorer("llama", LINEAR, torch.float64).score_batch(requests())
