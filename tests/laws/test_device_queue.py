"""A device is kept busy: what it computes is the same, and the host does not wait in between.

Without a GPU: `tests/fake_cuda.py` computes on the CPU and records copies and waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_layers import reading_bytes
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._encoder_scorer import EncoderSpanScorer
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring.readouts import (
    CalibratedDifferenceReadout,
    LinearReadout,
    PublishedReadout,
)
from tests.fake_cuda import CUDA, Stream, fake_cuda, to_device
from tests.laws.test_batch_scoring import (
    DOUBLE_PRECISION,
    LINEAR,
    SINGLE_PRECISION,
    SLIDING_WINDOW,
    noise,
    requests,
)
from tests.tiny_encoders import tiny_encoder, tiny_pair_tokenizer
from tests.tiny_models import CONFIGS, random_match, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.usefixtures("no_advice_of_transformers")

PLAN = ReadingPlan(window_tokens=90, batch_tokens=100, cache_bytes=0)
ROOM = 10**8


def scorer(architecture="llama", readout=LINEAR, plan=PLAN, *, on_device=True):
    changes = (
        {"sliding_window": SLIDING_WINDOW} if "sliding_window" in CONFIGS[architecture][1] else {}
    )
    model = tiny_model(architecture, dtype=torch.float64, **changes)
    model = to_device(model) if on_device else model
    if readout is LINEAR:
        readout = replace(LINEAR, match=random_match(architecture, 2))
    return AttentionScorer(DraftModel.from_pair(model, tiny_tokenizer()), readout, plan)


def some_requests(count=3):
    return requests()[:count]


def slices(scoring):
    count = 0
    while True:
        try:
            next(scoring)
        except StopIteration:
            return count
        count += 1


@pytest.mark.parametrize(
    ("architecture", "readout", "cache_bytes"),
    [
        ("llama", LINEAR, 0),
        ("llama", LINEAR, ROOM),
        ("llama", CalibratedDifferenceReadout(), ROOM),
        ("llama", PublishedReadout(rows=2), 0),
        ("gemma3", LINEAR, ROOM),
        ("qwen2", LINEAR, 0),
        ("qwen3", LINEAR, 0),
    ],
)
def test_scores_are_those_of_the_cpu_and_no_operation_is_waited_for(
    architecture, readout, cache_bytes
):
    plan = replace(PLAN, cache_bytes=cache_bytes)
    expected = scorer(architecture, readout, on_device=False).score_batch(some_requests())
    with fake_cuda() as device:
        own = scorer(architecture, readout, plan)
        own.score_batch(some_requests(1))  # moves the indices of heads, once for all batches
        for _ in range(2):  # the second time with what was kept
            device.log.clear()
            assert noise(own.score_batch(some_requests()), expected) < DOUBLE_PRECISION
            assert device.waits() == []


@pytest.mark.parametrize("readout", [LINEAR, CalibratedDifferenceReadout()])
def test_what_was_kept_in_one_stream_is_awaited_in_another(readout):
    with fake_cuda() as device:
        own = scorer(readout=readout, plan=replace(PLAN, cache_bytes=ROOM))
        expected = own.score_batch(some_requests())
        device.log.clear()
        own.score_batch(some_requests())
        assert not any("follows" in entry for entry in device.log)
        device.stream = Stream(device, "another stream")
        assert noise(own.score_batch(some_requests()), expected) < DOUBLE_PRECISION
        first_use = device.log.index("another stream follows a stream")
        assert "used in another stream" in device.log[first_use:]
        assert device.waits() == []


def test_each_batch_takes_one_copy_each_way():
    with fake_cuda() as device:
        own = scorer()
        own.score_batch(some_requests(1))
        device.log.clear()
        batches = slices(own.score_in_slices(some_requests()))
    assert batches > 3
    assert device.waits() == []
    counts = {entry: device.log.count(entry) for entry in set(device.log)}
    assert counts == dict.fromkeys(("to device", "to host", "recorded", "awaited"), batches)


def test_a_batch_is_queued_before_the_one_before_is_awaited():
    with fake_cuda() as device:
        own = scorer()
        own.score_batch(some_requests(1))
        device.log.clear()
        own.score_batch(some_requests())
    recorded = [at for at, entry in enumerate(device.log) if entry == "recorded"]
    awaited = [at for at, entry in enumerate(device.log) if entry == "awaited"]
    assert len(recorded) == len(awaited) > 3
    assert all(queued < at for queued, at in zip(recorded[1:], awaited, strict=False))
    # One batch is on its way, not more: results come soon after they are computed.
    assert all(at < queued for at, queued in zip(awaited, recorded[2:], strict=False))


@pytest.mark.parametrize(("architecture", "masks"), [("bert", 1), ("modernbert", 2)])
def test_an_encoder_waits_for_the_masks_of_transformers_alone(architecture, masks):
    """transformers looks whether a mask hides anything: once a batch for each kind of mask."""
    plan = ReadingPlan(window_tokens=40, batch_tokens=100)
    tokenizer = tiny_pair_tokenizer(architecture)
    on_cpu = EncoderSpanScorer.from_pair(tiny_encoder(architecture), tokenizer, plan=plan)
    expected = on_cpu.score_batch(some_requests())
    with fake_cuda() as device:
        model = to_device(tiny_encoder(architecture))
        own = EncoderSpanScorer.from_pair(model, tokenizer, plan=plan)
        found = own.score_batch(some_requests())
        batches = device.log.count("recorded")
    assert batches > 2
    assert noise(found, expected) < SINGLE_PRECISION
    assert device.log.count("to device") == device.log.count("to host") == batches
    assert device.waits() == ["waits: aten._local_scalar_dense.default"] * batches * masks


def test_batches_are_as_large_as_half_of_the_free_memory_allows():
    expected = scorer(on_device=False).score_batch(some_requests())
    with fake_cuda() as device:
        own = scorer(plan=replace(PLAN, batch_tokens=None))
        assert slices(own.score_in_slices(some_requests())) == 1
        device.free_bytes = 2 * 200 * reading_bytes(own.draft.config, 3, 30, 8)
        batches = slices(own.score_in_slices(some_requests()))
        device.free_bytes = 0
        assert slices(own.score_in_slices(some_requests())) > batches > 1
        assert noise(own.score_batch(some_requests()), expected) < DOUBLE_PRECISION


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingByNumber(LinearReadout):
    """Looks at a number in each layer, as no readout should."""

    def begin(self, layout):
        reduction = LinearReadout.begin(self, layout)
        add = reduction.add

        def looking(source, layer, weights):
            if weights.sum().item() > 0:
                add(source, layer, weights)

        reduction.add = looking
        return reduction


def test_the_law_sees_a_readout_that_looks_at_a_number():
    options = {name: getattr(LINEAR, name) for name in LINEAR.__dataclass_fields__}
    with fake_cuda() as device:
        scorer(readout=ReadingByNumber(**options)).score_batch(some_requests(1))
        assert "waits: aten._local_scalar_dense.default" in device.waits()


class TestTheFakeDevice:
    @pytest.mark.parametrize(
        "look",
        [
            lambda numbers: numbers.sum().item(),
            lambda numbers: bool((numbers > 1).any()),
            lambda numbers: numbers.cpu(),
            lambda numbers: numbers.to("cpu", non_blocking=True),
            lambda numbers: numbers[numbers > 1],
            lambda numbers: numbers[[0, 2]],
            lambda numbers: numbers.nonzero(),
            lambda numbers: torch.tensor([1.0, 2.0], device=CUDA),
            lambda numbers: torch.ones(3).to(CUDA, non_blocking=True),  # not pinned
            lambda numbers: torch.ones(3).pin_memory().to(CUDA),
        ],
    )
    def test_it_sees_what_is_waited_for(self, look):
        with fake_cuda() as device:
            numbers = torch.ones(3).pin_memory().to(CUDA, non_blocking=True)
            assert device.waits() == []
            look(numbers)
            assert device.waits()

    @pytest.mark.parametrize(
        "use",
        [
            lambda numbers: numbers.numpy(),
            lambda numbers: numbers.tolist(),
            lambda numbers: numbers + torch.ones(3),
        ],
    )
    def test_it_refuses_what_a_device_refuses(self, use):
        with fake_cuda():
            numbers = torch.ones(3).pin_memory().to(CUDA, non_blocking=True)
            with pytest.raises((RuntimeError, TypeError)):
                use(numbers)

    def test_results_come_with_the_event_and_not_before(self):
        with fake_cuda():
            numbers = torch.arange(3.0).pin_memory().to(CUDA, non_blocking=True)
            target = torch.empty(3, pin_memory=True)
            target.copy_(numbers * 2, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(numbers.device))
            assert target.isnan().all()
            event.synchronize()
            assert target.tolist() == [0, 2, 4]


def test_a_request_of_one_window_needs_no_second_batch():
    with fake_cuda() as device:
        own = scorer()
        request = ScoreRequest("Who?", ["The cat. A dog."], [[]])
        own.score_batch([request])
        device.log.clear()
        own.score_batch([request])
    assert device.log == ["to device", "to host", "recorded", "awaited"]
