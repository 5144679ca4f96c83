"""A window whose keys and values are kept scores as if it had been read anew.

The tolerances are those of `tests/laws/test_batch_scoring.py`.
"""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._context_cache import (
    ContextCache,
    context_cache,
    context_key,
)
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.scoring._transformers_versions import cache_name
from specprefill_integrations.scoring.readouts import (
    CalibratedDifferenceReadout,
    PublishedReadout,
)
from specprefill_integrations.splitting._prose import ProseSplitter
from tests.laws.test_batch_scoring import (
    DOUBLE_PRECISION,
    FIRST,
    HEADS,
    LINEAR,
    SECOND,
    SINGLE_PRECISION,
    SLIDING_WINDOW,
    noise,
)
from tests.tiny_models import (
    CONFIGS,
    SMALL,
    random_match,
    save_tiny_draft,
    tiny_model,
    tiny_tokenizer,
)

pytestmark = pytest.mark.usefixtures("no_advice_of_transformers")

LONG = [FIRST * 3, SECOND * 4]
QUESTIONS = ("Who?", "What is the answer?", None, "Which of the animals ran away, and why?")


def asked(question, texts):
    return ScoreRequest(question, texts, [ProseSplitter()(text) for text in texts])


def scorer_of(model, readout=LINEAR, **plan):
    draft = DraftModel.from_pair(model, tiny_tokenizer())
    return AttentionScorer(draft, readout, ReadingPlan(**{"window_tokens": 90, **plan}))


def scorer(architecture="llama", readout=LINEAR, dtype=torch.float64, **plan):
    changes = (
        {"sliding_window": SLIDING_WINDOW} if "sliding_window" in CONFIGS[architecture][1] else {}
    )
    if readout is LINEAR:
        readout = replace(LINEAR, match=random_match(architecture, 2))
    return scorer_of(tiny_model(architecture, dtype=dtype, **changes), readout, **plan)


def cold(warm):
    return replace(warm, plan=replace(warm.plan, cache_bytes=0))


def scores(scorer, request):
    return scorer.score_spans(request.query, request.texts, request.spans)


def read_shapes(scorer):
    """The shapes of all further passes, and how many tokens each found in the cache."""
    shapes = []
    scorer.reading_draft.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(
            (*kwargs["input_ids"].shape, kwargs[cache_name(module)].get_seq_length())
        ),
        with_kwargs=True,
    )
    return shapes


def contexts_read(shapes):
    return sum(rows for rows, _, before in shapes if not before)


@pytest.mark.parametrize(
    "readout", [CalibratedDifferenceReadout(), LINEAR, PublishedReadout()], ids=type
)
@pytest.mark.parametrize("architecture", sorted(set(CONFIGS) - {"gemma2"}))
def test_further_questions_score_as_if_read_anew(architecture, readout):
    warm = scorer(architecture, readout)
    scores(warm, asked("First?", LONG))
    shapes = read_shapes(warm)
    requests = [asked(question, LONG) for question in QUESTIONS]
    found = [scores(warm, request) for request in requests]
    assert contexts_read(shapes) == 0
    assert noise(found, [scores(cold(warm), one) for one in requests]) < DOUBLE_PRECISION


def test_a_large_text_is_found_in_other_company():
    """As in a chat over changing passages, and by an agent that reads a file again."""
    warm = scorer(alone_tokens=60)
    page = LONG[1]
    scores(warm, asked("First?", ["A note.", page, "Another one."]))
    shapes = read_shapes(warm)
    request = asked("Who?", ["Something else.", "And more.", page])
    found = scores(warm, request)
    scores(warm, asked("What is the answer?", [page]))
    assert contexts_read(shapes) == 1  # the two small texts
    assert noise([found], [scores(cold(warm), request)]) < DOUBLE_PRECISION


# Gemma 2 runs eagerly, whose padding rows are NaN in float64.
@pytest.mark.parametrize("architecture", ["deepseek_v3", "gemma2", "gemma3", "llama", "qwen3"])
def test_in_single_precision_the_noise_is_that_of_batches(architecture):
    warm = scorer(architecture, dtype=torch.float32, batch_tokens=10_000)
    scores(warm, asked("First?", LONG))
    requests = [asked(question, [*LONG, FIRST]) for question in QUESTIONS]
    found = warm.score_batch(requests)
    assert noise(found, [scores(cold(warm), one) for one in requests]) < SINGLE_PRECISION


@pytest.mark.parametrize("architecture", ["deepseek_v3", "gpt_oss", "llama", "mistral"])
@pytest.mark.parametrize("readout", [LINEAR, PublishedReadout()], ids=type)
def test_kept_and_new_windows_are_read_in_one_batch(architecture, readout):
    warm = scorer(architecture, readout, batch_tokens=10_000)
    scores(warm, asked("First?", [FIRST]))
    scores(warm, asked("First?", [SECOND * 2]))
    shapes = read_shapes(warm)
    requests = [
        asked("Who?", [SECOND * 2]),
        asked("What is it?", ["A dog. It was new."]),
        asked("Who?", [FIRST]),
        asked("Where is it, and whose?", ["A dog. It was new."]),
    ]
    found = warm.score_batch(requests)
    assert contexts_read(shapes) == 1  # of the text that is new, which is asked about twice
    assert noise(found, [scores(cold(warm), one) for one in requests]) < DOUBLE_PRECISION


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(QUESTIONS), st.sampled_from(["The cat. A dog.", FIRST, SECOND])),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 400_000),
)
def test_whatever_was_asked_before_and_whatever_the_room(requests, cache_bytes):
    warm = WARM[cache_bytes % 3]
    warm = replace(warm, plan=replace(warm.plan, cache_bytes=cache_bytes))
    before = context_cache(warm.reading_draft).held_bytes  # by readers with another room
    batch = [asked(question, [text]) for question, text in requests]
    found = warm.score_batch(batch)
    assert noise(found, [scores(cold(warm), one) for one in batch]) < DOUBLE_PRECISION
    assert context_cache(warm.reading_draft).held_bytes <= max(cache_bytes, before)


WARM = [scorer(one, batch_tokens=500) for one in ("llama", "gemma3", "deepseek_v2")]


def hybrid():
    """A model in which two of three layers keep a state in place of keys."""
    config = transformers.Qwen3NextConfig(
        **SMALL,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = transformers.AutoModelForCausalLM.from_config(config)
    return model.eval()


def test_of_layers_without_keys_nothing_is_kept():
    warm = scorer_of(hybrid(), CalibratedDifferenceReadout(), batch_tokens=1)
    request = asked("Who?", LONG)
    first, shapes = scores(warm, request), read_shapes(warm)
    assert scores(warm, request) == first == scores(cold(warm), request)
    assert contexts_read(shapes) > 0
    assert context_cache(warm.reading_draft).held_bytes == 0


def test_a_batch_asks_twice_about_a_window_of_layers_without_keys():
    warm = scorer_of(hybrid(), CalibratedDifferenceReadout(), batch_tokens=10_000)
    requests = [asked("Who?", [FIRST]), asked("Why is it?", [FIRST])]
    found = warm.score_batch(requests)
    assert noise(found, [scores(cold(warm), one) for one in requests]) < SINGLE_PRECISION


def test_switched_off_nothing_is_kept_or_looked_for():
    warm = scorer()
    scores(warm, asked("Who?", LONG))
    held = context_cache(warm.reading_draft).held_bytes
    shapes = read_shapes(warm)
    scores(cold(warm), asked("Why?", LONG))
    assert contexts_read(shapes) > 0
    assert context_cache(warm.reading_draft).held_bytes == held > 0
    other = cold(scorer())
    scores(other, asked("Who?", LONG))
    assert context_cache(other.reading_draft).held_bytes == 0


def test_a_text_that_is_larger_than_the_room_is_found_in_part():
    """In turn, each window would drop the one that is needed next."""
    warm = scorer(batch_tokens=1)
    text = " ".join(f"Sentence {number} is about cats." for number in range(40))
    request = asked("Who?", [text])
    scores(warm, request)
    windows = len(context_cache(warm.reading_draft))
    small = context_cache(warm.reading_draft).held_bytes // 2
    other = scorer(batch_tokens=1, cache_bytes=small)
    scores(other, request)
    kept = len(context_cache(other.reading_draft))
    assert 0 < kept < windows
    shapes = read_shapes(other)
    scores(other, asked("Why?", [text]))
    assert contexts_read(shapes) == windows - kept
    assert context_cache(other.reading_draft).held_bytes <= small


def test_the_memory_is_that_of_keys_values_and_rows():
    warm = scorer("llama", dtype=torch.bfloat16, batch_tokens=10_000)
    texts = [[FIRST], [SECOND], ["A dog. It was new."]]
    warm.score_batch([asked("Who?", found) for found in texts])
    held = context_cache(warm.reading_draft)
    tokenizer = tiny_tokenizer()
    start = len(tokenizer.encode("Context:\n\n"))
    parts = ("\n\nQuestion: ", "N/A", "\nAnswer:")
    asked_tokens = sum(len(tokenizer.encode(p, add_special_tokens=False)) for p in parts)
    lengths = [start + sum(warm.count_tokens(found)) for found in texts]
    dim = SMALL["hidden_size"] // SMALL["num_attention_heads"]
    keys_and_values = 2 * SMALL["num_hidden_layers"] * SMALL["num_key_value_heads"] * dim * 2
    layers_read = len({layer for layer, _ in HEADS})
    rows = layers_read * SMALL["num_attention_heads"] * asked_tokens * 4
    expected = [n * keys_and_values + (n + asked_tokens) * rows for n in lengths]
    assert held.held_bytes == sum(expected)
    assert sum(storages(held).values()) == held.held_bytes  # nothing larger stays behind a view


def storages(cache):
    """The memory behind all tensors that are kept, by its address."""
    found = [
        tensor
        for entry in cache._entries.values()
        for tensor in (
            *(t for layer in entry.cache.layers for t in (layer.keys, layer.values)),
            *(row for rows in entry.rows.values() for row in rows.values()),
        )
    ]
    parts = [tensor.untyped_storage() for tensor in found]
    return {part.data_ptr(): part.nbytes() for part in parts}


def test_the_question_without_content_is_read_once():
    warm = scorer(batch_tokens=1)
    scores(warm, asked("Who?", [SECOND * 4]))
    shapes = read_shapes(warm)
    scores(warm, asked("Who was it?", [SECOND * 4]))
    again = len(shapes)
    scores(cold(warm), asked("Who was it?", [SECOND * 4]))
    assert len(shapes) - again == 3 * again  # the window, the question, and "N/A"


def test_readouts_of_other_layers_share_keys_and_add_rows():
    model = tiny_model("llama", dtype=torch.float64)
    first = scorer_of(model, CalibratedDifferenceReadout(heads=((2, 1),)))
    second = replace(first, readout=CalibratedDifferenceReadout(heads=((0, 0), (2, 2))))
    scores(first, asked("Who?", LONG))
    shapes = read_shapes(first)
    request = asked("Why?", LONG)
    found = [scores(second, request), scores(first, request), scores(second, request)]
    assert contexts_read(shapes) == 0
    expected = [scores(cold(one), request) for one in (second, first, second)]
    assert noise(found, expected) < DOUBLE_PRECISION


def test_threads_share_what_is_kept():
    warm = scorer(dtype=torch.float64, cache_bytes=150_000)
    requests = [asked(q, [text]) for q in QUESTIONS for text in (FIRST, SECOND, FIRST + SECOND)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: scores(warm, one), requests * 3))
    expected = [scores(cold(warm), one) for one in requests] * 3
    assert noise(found, expected) < DOUBLE_PRECISION


def test_weights_that_were_changed_are_read_with_anew():
    model = tiny_model("llama", dtype=torch.float64)
    warm = scorer_of(model)
    request = asked("Who?", LONG)
    before = scores(warm, request)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.1)
    after = scores(warm, request)
    assert after == scores(cold(warm), request) != before


def test_a_draft_with_fewer_layers_has_a_cache_of_its_own(tmp_path):
    whole = DraftModel.from_source(save_tiny_draft(tmp_path))
    first_two = CalibratedDifferenceReadout(heads=((1, 0),))
    scorers = [AttentionScorer(whole, first_two), AttentionScorer(whole, PublishedReadout())]
    for layers, one in zip((2, 3), scorers, strict=True):
        scores(one, asked("Who?", [FIRST]))
        [entry] = context_cache(one.reading_draft)._entries.values()
        assert len(entry.cache.layers) == layers


def test_copies_of_a_scorer_share_what_is_kept_and_a_pickle_does_not_hold_it(tmp_path):
    warm = AttentionScorer(DraftModel.from_source(save_tiny_draft(tmp_path)), LINEAR)
    size = len(pickle.dumps(warm))
    scores(warm, asked("Who?", LONG))
    assert len(pickle.dumps(warm)) == size
    shapes = read_shapes(warm)
    for other in (copy.copy(warm), pickle.loads(pickle.dumps(warm))):  # noqa: S301 - our own
        scores(other, asked("Why?", LONG))
    assert contexts_read(shapes) == 0


def test_what_is_kept_goes_with_the_draft():
    warm = scorer()
    scores(warm, asked("Who?", LONG))
    cache = weakref.ref(context_cache(warm.reading_draft))
    del warm
    gc.collect()
    assert cache() is None


def test_where_the_devices_memory_runs_out_what_is_kept_is_dropped(monkeypatch):
    warm = scorer(batch_tokens=1)
    expected = scores(warm, asked("Who?", LONG))
    kept = context_cache(warm.reading_draft)
    read, failed = PromptReader.read, []

    def short_of_memory(self, prompts, null_question):
        if len(kept) > 0 and not failed:
            failed.append(len(kept))
            raise torch.OutOfMemoryError
        return read(self, prompts, null_question)

    monkeypatch.setattr(PromptReader, "read", short_of_memory)
    shapes = read_shapes(warm)
    assert noise([scores(warm, asked("Who?", LONG))], [expected]) < DOUBLE_PRECISION
    assert failed
    assert contexts_read(shapes) == failed[0]


class TestContextCache:
    def entry(self, tokens, batch=1):
        cache = transformers.DynamicCache()
        cache.update(torch.ones(batch, 2, tokens, 4), torch.ones(batch, 2, tokens, 4), 0)
        return cache

    def test_the_least_recently_used_goes_first(self):
        cache, room = ContextCache(), 3 * 2 * 2 * 4 * 4 * 10
        for key in (b"a", b"b", b"c"):
            cache.put(key, self.entry(10), key, room)
        assert cache.held_bytes == room
        assert cache.get(b"a", "later") is not None
        cache.put(b"d", self.entry(10), "new", room)
        assert cache.get(b"b", "new") is None
        assert all(cache.get(key, "new") is not None for key in (b"a", b"c", b"d"))
        assert cache.held_bytes == room

    def test_what_is_larger_than_the_room_is_not_kept(self):
        cache = ContextCache()
        cache.put(b"a", self.entry(10), "one", 100)
        assert len(cache) == cache.held_bytes == 0

    def test_the_same_key_again_counts_once(self):
        cache = ContextCache()
        for _ in range(2):
            cache.put(b"a", self.entry(10), "one", 10_000)
        assert (len(cache), cache.held_bytes) == (1, 2 * 2 * 4 * 4 * 10)

    @given(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.integers(1, 20), st.integers(0, 3)), max_size=30
        ),
        st.integers(0, 4_000),
    )
    def test_keys_values_and_rows_stay_within_the_room(self, steps, room):
        """Rows come with one to three layers; a step without any keeps keys and values alone."""
        cache = ContextCache()
        for reading, (name, tokens, layers) in enumerate(steps):
            key = f"{name}{tokens}".encode()
            if cache.get(key, reading) is None:
                cache.put(key, self.entry(tokens), reading, room)
            rows = {layer: torch.ones(1, 2, 3, tokens) for layer in range(layers)}
            cache.put_rows(key, [1, 2, 3], rows, room)
            assert cache.rows(key, [1, 2]) == {}
            assert sum(storages(cache).values()) == cache.held_bytes <= room
        assert cache.clear() == (len(steps) > 0 and room >= min(s[1] for s in steps) * 64)
        assert cache.held_bytes == 0

    def test_rows_without_a_context_or_without_room_are_not_kept(self):
        cache, rows = ContextCache(), {0: torch.ones(1, 2, 3, 10)}
        cache.put_rows(b"a", [1], rows, 10_000)
        assert cache.rows(b"a", [1]) == {}
        cache.put(b"a", self.entry(10), "one", 1_000)
        held = cache.held_bytes
        cache.put_rows(b"a", [1], rows, held + 239)
        assert cache.rows(b"a", [1]) == {}
        cache.put_rows(b"a", [1], rows, held + 240)
        assert cache.rows(b"a", [1]).keys() == {0}
        assert cache.held_bytes == held + 240

    @given(st.lists(st.integers(0, 300)), st.lists(st.integers(0, 300)))
    def test_keys_are_equal_if_the_tokens_are(self, first, second):
        assert (context_key(first) == context_key(second)) == (first == second)
