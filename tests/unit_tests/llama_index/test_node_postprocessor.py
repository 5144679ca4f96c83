"""The laws of `SpecPrefillNodePostprocessor`."""

from __future__ import annotations

import asyncio
import copy
import json
import threading

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)

from specprefill_integrations import Budget, ContextCompressor, GapStyle, Span
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor
from specprefill_integrations.splitting._rendering import render_kept
from specprefill_integrations.testing import KeywordScorer

QUESTION = "dog barked"
HALF = Budget(keep_fraction=0.5)
SHARED = "specprefill_integrations.llama_index._with_compressor.shared_compressor"

SENTENCES = [
    "The dog barked at night.",
    "Cats sleep.",
    "Ünïcödé 👩‍👩‍👧 prices rose!",
    "犬は夜に吠えた。",
    "word",
    "\n\n",
    "  ",
]
texts = st.lists(st.sampled_from(SENTENCES), max_size=8).map(" ".join) | st.just("")
questions = st.sampled_from(
    [None, QueryBundle(QUESTION), QueryBundle("prices", image_path="a.png"), QueryBundle("")]
)
budgets = st.builds(
    Budget, keep_fraction=st.none() | st.floats(0.01, 1), max_tokens=st.integers(1, 60)
) | st.builds(Budget, keep_fraction=st.floats(0.01, 1))


@st.composite
def node_lists(draw: st.DrawFn) -> list[NodeWithScore]:
    """Nodes of several classes, named after their place."""
    return [
        NodeWithScore(node=draw(_nodes(str(place), text)), score=draw(st.none() | st.floats(0, 1)))
        for place, text in enumerate(draw(st.lists(texts, max_size=5)))
    ]


def _nodes(place: str, text: str) -> st.SearchStrategy:
    common = {
        "id_": place,
        "metadata": {"place": place},
        "excluded_llm_metadata_keys": ["mine"],
        "relationships": {NodeRelationship.NEXT: RelatedNodeInfo(node_id="next")},
        "embedding": [1.0],
    }
    return st.sampled_from(
        [
            TextNode(text=text, start_char_idx=7, end_char_idx=7 + len(text), **common),
            IndexNode(text=text, index_id="there", **common),
            ImageNode(
                text=text, image_url="http://localhost/a.png", text_embedding=[2.0], **common
            ),
            Document(text=text, **common),
            Node(
                text_resource=MediaResource(text=text),
                image_resource=MediaResource(url="http://localhost/a.png"),
                **common,
            ),
        ]
    )


def keyword_door(budget: Budget) -> SpecPrefillNodePostprocessor:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    return SpecPrefillNodePostprocessor(compressor=compressor, budget=budget)


def text_of(found: NodeWithScore) -> str:
    return found.node.get_content(metadata_mode=MetadataMode.NONE)


class TestLaws:
    @given(node_lists(), questions, budgets)
    def test_all_but_the_text_survives_in_order(self, nodes, question, budget) -> None:
        out = keyword_door(budget).postprocess_nodes(nodes, question)
        places = [int(found.node.id_) for found in out]
        assert places == sorted(set(places))
        for found in out:
            original = nodes[int(found.node.id_)]
            assert type(found.node) is type(original.node)
            assert found.score == original.score
            assert found.node.relationships == original.node.relationships
            assert {**found.metadata, "specprefill": 0} == {**original.metadata, "specprefill": 0}

    @given(node_lists(), questions, budgets)
    def test_inputs_are_never_mutated(self, nodes, question, budget) -> None:
        before = copy.deepcopy(nodes)
        for found in keyword_door(budget).postprocess_nodes(nodes, question):
            found.score = 0.0
            found.node.metadata["mine"] = True
            found.node.relationships.clear()
            found.node.excluded_llm_metadata_keys.append("mine too")
            found.node.excluded_embed_metadata_keys.append("mine too")
        assert nodes == before

    @given(node_lists(), questions, budgets)
    def test_async_gives_the_same_as_sync(self, nodes, question, budget) -> None:
        door = keyword_door(budget)
        assert asyncio.run(door.apostprocess_nodes(nodes, question)) == (
            door.postprocess_nodes(nodes, question)
        )

    @given(node_lists(), questions, budgets)
    def test_kept_spans_give_back_the_text(self, nodes, question, budget) -> None:
        for found in keyword_door(budget).postprocess_nodes(nodes, question):
            original = nodes[int(found.node.id_)]
            if "specprefill" not in found.metadata:
                assert found == original
                continue
            spans = [Span(*span) for span in found.metadata["specprefill"]["kept"]]
            assert text_of(found) == render_kept(text_of(original), spans, GapStyle())

    @given(node_lists(), questions, budgets)
    def test_offsets_and_embeddings_live_as_long_as_the_text(self, nodes, question, budget) -> None:
        for found in keyword_door(budget).postprocess_nodes(nodes, question):
            node, original = found.node, nodes[int(found.node.id_)].node
            same = text_of(found) == text_of(nodes[int(node.id_)])
            assert node.embedding == (original.embedding if same else None)
            for name in ("start_char_idx", "end_char_idx", "text_embedding"):
                if hasattr(original, name):
                    assert getattr(node, name) == (getattr(original, name) if same else None)

    @given(node_lists(), questions, budgets)
    def test_all_nodes_share_one_budget(self, nodes, question, budget) -> None:
        out = keyword_door(budget).postprocess_nodes(nodes, question)
        before, after = (
            sum(KeywordScorer().count_tokens([text_of(each) for each in found]))
            for found in (nodes, out)
        )
        assert after <= budget.widest_limit(before)

    @given(node_lists(), questions, budgets)
    def test_a_second_pass_changes_nothing(self, nodes, question, budget) -> None:
        door = keyword_door(budget)
        once = door.postprocess_nodes(nodes, question)
        assert door.postprocess_nodes(once, question) == once

    @given(node_lists(), questions, budgets)
    def test_the_stamp_is_json_and_enters_no_prompt(self, nodes, question, budget) -> None:
        for found in keyword_door(budget).postprocess_nodes(nodes, question):
            assert json.loads(json.dumps(found.metadata)) == found.metadata
            for mode in (MetadataMode.LLM, MetadataMode.EMBED):
                assert "specprefill" not in found.node.get_content(metadata_mode=mode)

    @given(node_lists(), questions)
    def test_what_passed_whole_is_an_equal_copy(self, nodes, question) -> None:
        out = keyword_door(Budget(keep_fraction=1)).postprocess_nodes(nodes, question)
        assert out == nodes
        assert not {id(found.node) for found in out} & {id(found.node) for found in nodes}

    @given(node_lists(), questions, budgets)
    def test_pictures_are_never_lost(self, nodes, question, budget) -> None:
        out = keyword_door(budget).postprocess_nodes(nodes, question)
        for found in nodes:
            image = getattr(found.node, "image_url", None) or getattr(
                found.node, "image_resource", None
            )
            assert not image or found.node.id_ in {each.node.id_ for each in out}


class TestTranslation:
    def test_keeps_what_the_question_needs_and_says_so(self, compressor, nodes) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=20))
        [first, second] = door.postprocess_nodes(nodes, query_str="dog")
        assert text_of(first) == "[...] The dog barked at night. [...]"
        assert first.metadata == {
            "file_name": "a.txt",
            "specprefill": {
                "kept": [[32, 56]],
                "original_tokens": 20,
                "kept_tokens": 16,
                "skipped_because": None,
                "query_sources": ["caller"],
                "references": [],
                "start_char_idx": 100,
            },
        }
        assert (second.node.id_, text_of(second)) == ("b", "The dog slept.")

    def test_a_quotation_can_be_found_in_the_source(self, compressor, nodes) -> None:
        source = "x" * 100 + text_of(nodes[0])
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=20))
        stamp = door.postprocess_nodes(nodes, query_str="dog")[0].metadata["specprefill"]
        [(start, end)] = stamp["kept"]
        offset = stamp["start_char_idx"]
        assert source[offset + start : offset + end] == "The dog barked at night."

    @pytest.mark.parametrize("mine", ["mine", {}, {"kept": []}])
    def test_what_an_app_keeps_under_our_key_stays(self, compressor, nodes, mine) -> None:
        nodes[0].node.metadata["specprefill"] = mine
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=20))
        once = door.postprocess_nodes(nodes, query_str="dog")
        assert text_of(once[0]) == "[...] The dog barked at night. [...]"
        assert once[0].metadata["specprefill"] == mine
        assert once[0].metadata["specprefill_"]["kept"] == [[32, 56]]
        assert "specprefill_" in once[0].node.excluded_llm_metadata_keys
        assert door.postprocess_nodes(once, query_str="rain") == once

    async def test_one_call_is_one_scoring_of_all_texts(self, compressor, scorer, nodes) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
        door.postprocess_nodes(nodes, query_str=QUESTION)
        assert scorer.calls == [(QUESTION, [text_of(found) for found in nodes])]
        await door.apostprocess_nodes(nodes, query_str=QUESTION)
        assert scorer.calls == [(QUESTION, [text_of(found) for found in nodes])] * 2

    async def test_both_doors_for_a_question(self, compressor, scorer, nodes) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
        out = door.postprocess_nodes(nodes, query_str=QUESTION)
        bundle = QueryBundle(QUESTION, custom_embedding_strs=["other"])
        assert door.postprocess_nodes(nodes, query_bundle=bundle) == out
        assert await door.apostprocess_nodes(nodes, query_str=QUESTION) == out
        assert await door.apostprocess_nodes(nodes, query_bundle=bundle) == out
        assert {query for query, _ in scorer.calls} == {QUESTION}
        with pytest.raises(ValueError, match="both"):
            door.postprocess_nodes(nodes, query_bundle=bundle, query_str=QUESTION)

    async def test_no_question(self, compressor, scorer, nodes) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
        out = door.postprocess_nodes(nodes)
        assert out
        assert await door.apostprocess_nodes(nodes) == out
        assert [query for query, _ in scorer.calls] == [None, None]

    def test_metadata_is_neither_scored_nor_counted(self, compressor, scorer, nodes) -> None:
        nodes[0].node.metadata["summary"] = "dog " * 50
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
        [first, *_] = door.postprocess_nodes(nodes, query_str=QUESTION)
        assert "summary" not in "".join(scorer.calls[0][1])
        assert first.metadata["specprefill"]["original_tokens"] == 20

    def test_a_node_of_which_nothing_is_kept_is_dropped(self, compressor, nodes) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=4))
        out = door.postprocess_nodes(nodes, query_str="dog slept")
        assert [(found.node.id_, found.score) for found in out] == [("b", 0.5)]

    def test_nodes_without_text_stay_where_they_are(self, compressor, scorer, nodes) -> None:
        image = MediaResource(url="http://localhost/a.png")
        blanks = [
            NodeWithScore(node=ImageNode(image_url="http://localhost/a.png"), score=0.1),
            NodeWithScore(node=Node(image_resource=image), score=0.2),
            NodeWithScore(node=TextNode(text="")),
        ]
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=4))
        mixed = [blanks[0], nodes[0], blanks[1], nodes[1], blanks[2]]
        out = door.postprocess_nodes(mixed, query_str="dog slept")
        assert [*out[:2], out[3]] == blanks
        assert out[2].node.id_ == "b"
        assert len(scorer.calls[0][1]) == 2

    def test_a_picture_outlives_its_text_without_an_empty_block(self, compressor, nodes) -> None:
        picture = Node(
            id_="p",
            text_resource=MediaResource(text="Prices rose again in spring."),
            image_resource=MediaResource(url="http://localhost/a.png"),
        )
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=4))
        out = door.postprocess_nodes([NodeWithScore(node=picture), *nodes], query_str="dog slept")
        assert [found.node.id_ for found in out] == ["p", "b"]
        assert [block.block_type for block in out[0].node.get_content_blocks()] == ["image"]
        assert picture.text_resource.text

    @pytest.mark.usefixtures("no_shared_compressor")
    def test_nothing_to_read_needs_no_compressor(self) -> None:
        door = SpecPrefillNodePostprocessor(budget=HALF)
        blank = NodeWithScore(node=TextNode(text=" "))
        assert door.postprocess_nodes([blank], query_str=QUESTION) == [blank]
        assert door.postprocess_nodes([]) == []

    def test_compressed_nodes_cost_nothing_of_the_next_budget(
        self, compressor, scorer, nodes
    ) -> None:
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=4))
        [kept] = door.postprocess_nodes(nodes, query_str="dog slept")
        again = door.postprocess_nodes([nodes[0], kept, nodes[1]], query_str="dog slept")
        assert again[0] == kept
        assert [found.node.id_ for found in again] == ["b", "b"]
        assert len(scorer.calls[-1][1]) == 2

    def test_a_failing_draft_leaves_nodes_as_they_were(self, scorer, nodes) -> None:
        scorer.error = RuntimeError("out of memory")
        door = SpecPrefillNodePostprocessor(compressor=ContextCompressor(scorer), budget=HALF)
        assert door.postprocess_nodes(nodes, query_str=QUESTION) == nodes

    def test_an_error_asked_for_is_raised(self, compressor, scorer, nodes) -> None:
        scorer.error = ZeroDivisionError()
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
        with pytest.raises(ZeroDivisionError):
            door.postprocess_nodes(nodes, query_str=QUESTION)


class TestEventLoop:
    async def test_no_blocking_call_on_the_loop(self, compressor, scorer, nodes) -> None:
        scorer.seconds = 0.01
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
        with blockbuster_ctx():
            assert await door.apostprocess_nodes(nodes, query_str=QUESTION)

    async def test_other_tasks_go_on_while_the_draft_reads(self, compressor, scorer, nodes) -> None:
        scorer.wait_for = threading.Event()
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)

        async def other_task() -> None:
            await asyncio.sleep(0.01)
            scorer.wait_for.set()

        reading = door.apostprocess_nodes(nodes, query_str=QUESTION)
        out, _ = await asyncio.gather(reading, other_task())
        assert out

    async def test_the_shared_compressor_is_built_at_first_use_off_the_loop(
        self, monkeypatch, compressor, nodes
    ) -> None:
        builders = []
        monkeypatch.setattr(
            SHARED, lambda: builders.append(threading.current_thread()) or compressor
        )
        door = SpecPrefillNodePostprocessor(budget=HALF)
        assert not builders
        out = await door.apostprocess_nodes(nodes, query_str=QUESTION)
        assert door.postprocess_nodes(nodes, query_str=QUESTION) == out
        assert [thread is threading.main_thread() for thread in builders] == [False, True]
        assert door.compressor is None


@pytest.fixture
def no_shared_compressor(monkeypatch) -> None:
    monkeypatch.setattr(SHARED, lambda: pytest.fail("The shared compressor was asked for."))
