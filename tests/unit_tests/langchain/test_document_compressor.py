"""The laws of `SpecPrefillDocumentCompressor`."""

from __future__ import annotations

import asyncio
import copy
import json
import threading

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ValidationError

from specprefill_integrations import Budget, ContextCompressor, GapStyle, Span
from specprefill_integrations._metadata import metadata_of
from specprefill_integrations.langchain import SpecPrefillDocumentCompressor
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.splitting._rendering import render_kept
from specprefill_integrations.testing import KeywordScorer

QUESTION = "When did the dog bark?"
HALF = Budget(keep_fraction=0.5)

SENTENCES = [
    "The dog barked at night.",
    "Cats sleep.",
    "Ünïcödé 👩‍👩‍👧 prices rose!",
    "犬は夜に吠えた。",
    "When did it rain?",
    "word",
    "\n\n",
    "  ",
]
texts = st.lists(st.sampled_from(SENTENCES), max_size=8).map(" ".join) | st.just("")
questions = st.sampled_from([QUESTION, "prices", "", None])
budgets = st.builds(
    Budget,
    keep_fraction=st.none() | st.floats(0.01, 1),
    max_tokens=st.integers(1, 60),
) | st.builds(Budget, keep_fraction=st.floats(0.01, 1))


@st.composite
def document_lists(draw: st.DrawFn) -> list[Document]:
    """Documents that know their place, some without an id or a text."""
    return [
        Document(text, id=draw(st.sampled_from([None, f"id-{place}"])), metadata={"place": place})
        for place, text in enumerate(draw(st.lists(texts, max_size=5)))
    ]


def keyword_door(budget: Budget) -> SpecPrefillDocumentCompressor:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    return SpecPrefillDocumentCompressor(compressor=compressor, budget=budget)


class TestLaws:
    @given(document_lists(), questions, budgets)
    def test_order_ids_and_metadata_survive(self, documents, question, budget) -> None:
        out = keyword_door(budget).compress_documents(documents, question)
        places = [document.metadata["place"] for document in out]
        assert places == sorted(set(places))
        for document in out:
            original = documents[document.metadata["place"]]
            assert document.id == original.id
            assert {**document.metadata, "specprefill": 0} == {
                **original.metadata,
                "specprefill": 0,
            }

    @given(document_lists(), questions, budgets)
    def test_inputs_are_never_mutated(self, documents, question, budget) -> None:
        before = copy.deepcopy(documents)
        out = keyword_door(budget).compress_documents(documents, question)
        for document in out:
            document.metadata["mine"] = True
        assert documents == before

    @given(document_lists(), questions, budgets)
    def test_async_gives_the_same_as_sync(self, documents, question, budget) -> None:
        door = keyword_door(budget)
        assert asyncio.run(door.acompress_documents(documents, question)) == (
            door.compress_documents(documents, question)
        )

    @given(document_lists(), questions, budgets)
    def test_kept_spans_give_back_the_text(self, documents, question, budget) -> None:
        for document in keyword_door(budget).compress_documents(documents, question):
            original = documents[document.metadata["place"]].page_content
            if "specprefill" not in document.metadata:
                assert document.page_content == original
                continue
            spans = document.metadata["specprefill"]["kept"]
            kept = [original[start:end] for start, end in spans]
            # A gap whose text another document has is marked as a repeat.
            found = document.page_content.replace("[... repeated ...]", "[...]")
            assert found == render_kept(original, [Span(*span) for span in spans], GapStyle())
            assert all(part.strip() and part in document.page_content for part in kept)

    @given(document_lists(), questions, budgets)
    def test_all_documents_share_one_budget(self, documents, question, budget) -> None:
        out = keyword_door(budget).compress_documents(documents, question)
        before, after = (
            sum(KeywordScorer().count_tokens([document.page_content for document in found]))
            for found in (documents, out)
        )
        assert after <= budget.widest_limit(before)

    @given(document_lists(), questions, budgets)
    def test_a_second_pass_changes_nothing(self, documents, question, budget) -> None:
        door = keyword_door(budget)
        once = door.compress_documents(documents, question)
        assert door.compress_documents(once, question) == once

    @given(document_lists(), questions, budgets)
    def test_stamps_are_json(self, documents, question, budget) -> None:
        for document in keyword_door(budget).compress_documents(documents, question):
            assert json.loads(json.dumps(document.metadata)) == document.metadata

    @given(document_lists(), questions)
    def test_what_passed_whole_is_an_equal_copy(self, documents, question) -> None:
        out = keyword_door(Budget(keep_fraction=1)).compress_documents(documents, question)
        assert out == documents
        for document, original in zip(out, documents, strict=True):
            assert document is not original
            assert document.metadata is not original.metadata


class TestTranslation:
    def test_keeps_what_the_question_needs_and_says_so(self, compressor, documents) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=20))
        [first, second] = door.compress_documents(documents, "dog")
        assert first == Document(
            "[...] The dog barked at night. [...]",
            id="a",
            metadata={
                "source": "a.txt",
                "start_index": 40,
                "tags": ["x"],
                "specprefill": {
                    "kept": [[32, 56]],
                    "original_tokens": 20,
                    "kept_tokens": 16,
                    "skipped_because": None,
                    "query_sources": ["caller"],
                    "references": [],
                    "start_char_idx": None,
                },
            },
        )
        assert (second.id, second.page_content) == ("b", "The dog slept.")
        assert second.metadata["specprefill"]["kept"] == [[0, 14]]

    @pytest.mark.parametrize("mine", ["mine", {}, {"kept": []}])
    def test_what_an_app_keeps_under_our_key_stays(self, compressor, documents, mine) -> None:
        documents[0].metadata["specprefill"] = mine
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=20))
        once = door.compress_documents(documents, "dog")
        assert once[0].page_content == "[...] The dog barked at night. [...]"
        assert once[0].metadata["specprefill"] == mine
        assert once[0].metadata["specprefill_"]["kept"] == [[32, 56]]
        assert door.compress_documents(once, "rain") == once

    def test_one_call_is_one_scoring_of_all_texts(self, compressor, scorer, documents) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
        door.compress_documents(documents, QUESTION)
        assert scorer.calls == [(QUESTION, [document.page_content for document in documents])]

    async def test_one_async_call_is_one_scoring(self, compressor, scorer, documents) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
        await door.acompress_documents(documents, QUESTION)
        assert scorer.calls == [(QUESTION, [document.page_content for document in documents])]

    def test_a_document_of_which_nothing_is_kept_is_dropped(self, compressor, documents) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=4))
        out = door.compress_documents(documents, "dog slept")
        assert [(document.id, document.page_content) for document in out] == [
            ("b", "The dog slept.")
        ]

    def test_documents_without_text_stay_where_they_are(self, compressor, documents) -> None:
        blanks = [Document("", id="e"), Document(" \n", id="w")]
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=4))
        out = door.compress_documents([blanks[0], *documents, blanks[1]], "dog slept")
        assert [document.id for document in out] == ["e", "b", "w"]
        assert [out[0], out[-1]] == blanks

    @pytest.mark.usefixtures("no_shared_compressor")
    def test_only_blank_documents_need_no_compressor(self) -> None:
        door = SpecPrefillDocumentCompressor(budget=HALF)
        assert door.compress_documents([Document("")], QUESTION) == [Document("")]
        assert door.compress_documents([], QUESTION) == []

    def test_compressed_documents_cost_nothing_of_the_next_budget(
        self, compressor, scorer, documents
    ) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=Budget(max_tokens=4))
        [kept] = door.compress_documents(documents, "dog slept")
        again = door.compress_documents([documents[0], kept, documents[1]], "dog slept")
        assert again[0] == kept
        assert [document.id for document in again] == ["b", "b"]
        assert kept.page_content not in scorer.calls[-1][1][:1]
        assert len(scorer.calls[-1][1]) == 2

    def test_a_failing_draft_leaves_documents_as_they_were(self, scorer, documents) -> None:
        scorer.error = RuntimeError("out of memory")
        door = SpecPrefillDocumentCompressor(compressor=ContextCompressor(scorer), budget=HALF)
        assert door.compress_documents(documents, QUESTION) == documents

    def test_an_error_asked_for_is_raised(self, compressor, scorer, documents) -> None:
        scorer.error = ZeroDivisionError()
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
        with pytest.raises(ZeroDivisionError):
            door.compress_documents(documents, QUESTION)

    def test_any_sequence_is_taken(self, compressor, documents) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
        assert door.compress_documents(tuple(documents), QUESTION) == door.compress_documents(
            documents, QUESTION
        )


class TestConstruction:
    def test_is_a_document_compressor(self, compressor) -> None:
        assert isinstance(
            SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF),
            BaseDocumentCompressor,
        )

    def test_unknown_options_are_errors(self, compressor) -> None:
        with pytest.raises(ValidationError, match="keep_fraction"):
            SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF, keep_fraction=0.1)

    def test_options_go_by_keyword(self, compressor) -> None:
        with pytest.raises(TypeError, match="positional"):
            SpecPrefillDocumentCompressor(compressor, HALF)

    def test_a_budget_is_required(self, compressor) -> None:
        with pytest.raises(ValidationError, match="budget"):
            SpecPrefillDocumentCompressor(compressor=compressor)

    def test_the_shared_compressor_waits_for_the_first_use(
        self, monkeypatch, compressor, documents
    ) -> None:
        asked = []
        monkeypatch.setattr(
            "specprefill_integrations.langchain._document_compressor.shared_compressor",
            lambda: asked.append(threading.current_thread()) or compressor,
        )
        door = SpecPrefillDocumentCompressor(budget=HALF)
        assert not asked
        assert door.compress_documents(documents, QUESTION)
        assert asked == [threading.main_thread()]
        assert door.compressor is None

    async def test_the_shared_compressor_is_built_off_the_event_loop(
        self, monkeypatch, compressor, documents
    ) -> None:
        asked = []
        monkeypatch.setattr(
            "specprefill_integrations.langchain._document_compressor.shared_compressor",
            lambda: asked.append(threading.current_thread()) or compressor,
        )
        assert await SpecPrefillDocumentCompressor(budget=HALF).acompress_documents(
            documents, QUESTION
        )
        assert len(asked) == 1
        assert asked[0] is not threading.current_thread()

    def test_deep_copies_compress_alike(self, compressor, documents) -> None:
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
        [first, second] = copy.deepcopy([door, door])
        assert first is second
        assert first is not door
        assert first.compress_documents(documents, QUESTION) == door.compress_documents(
            documents, QUESTION
        )


class TestEventLoop:
    async def test_no_blocking_call_on_the_loop(self, compressor, scorer, documents) -> None:
        scorer.seconds = 0.01
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)
        with blockbuster_ctx():
            assert await door.acompress_documents(documents, QUESTION)

    async def test_other_tasks_go_on_while_the_draft_reads(
        self, compressor, scorer, documents
    ) -> None:
        scorer.wait_for = threading.Event()
        door = SpecPrefillDocumentCompressor(compressor=compressor, budget=HALF)

        async def other_task() -> None:
            await asyncio.sleep(0.01)
            scorer.wait_for.set()

        out, _ = await asyncio.gather(door.acompress_documents(documents, QUESTION), other_task())
        assert out


@pytest.fixture
def no_shared_compressor(monkeypatch) -> None:
    def refuse() -> None:
        pytest.fail("The shared compressor was asked for.")

    monkeypatch.setattr(
        "specprefill_integrations.langchain._document_compressor.shared_compressor", refuse
    )


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ([Document("  ")], "no_text"),
        ([Document("A dog.", metadata={"specprefill": metadata_of()})], "already_compressed"),
    ],
)
def test_documents_that_need_no_compressor_are_counted_too(documents, reason) -> None:
    metrics = CompressionMetrics()
    compressor = SpecPrefillDocumentCompressor(budget=HALF, metrics=metrics)
    assert compressor.compress_documents(documents, QUESTION) == documents
    assert asyncio.run(compressor.acompress_documents(documents, QUESTION)) == documents
    assert compressor.compress_documents([], QUESTION) == []
    assert (metrics.totals().calls, metrics.totals().skips) == (2, {reason: 2})
