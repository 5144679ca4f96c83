"""The laws of `SpecPrefillTransform`, in LlamaIndex's own pipelines."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import threading

import pytest
from blockbuster import blockbuster_ctx
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.bridge.pydantic import ValidationError
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    Document,
    ImageNode,
    MediaResource,
    MetadataMode,
    Node,
    TextNode,
    TransformComponent,
)
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor, SpecPrefillTransform
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.llama_index.scripted import Recorder, handling

# LlamaIndex imports langchain-community by itself where it is installed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`langchain-community` is being sunset:DeprecationWarning"
)

SHARED = "specprefill_integrations.llama_index._with_compressor.shared_compressor"
FEW = Budget(max_tokens=16)
LONG = "Cats sleep for most of the day. The dog barked at night. Rain fell on the hills."
BARKED = "[...] The dog barked at night. [...]"


@pytest.fixture
def transform(compressor):
    def made(**settings) -> SpecPrefillTransform:
        given = {
            "compressor": compressor,
            "compressor_name": "keywords",
            "budget": FEW,
            "query": "dog barked",
            **settings,
        }
        return SpecPrefillTransform(**given)

    return made


@pytest.fixture
def plain(nodes) -> list[TextNode]:
    return [found.node for found in nodes]


def text_of(node) -> str:
    return node.get_content(metadata_mode=MetadataMode.NONE)


class TestNodes:
    async def test_each_node_has_a_budget_of_its_own(self, transform, plain) -> None:
        door = transform()
        out = door(plain)
        assert [text_of(node) for node in out] == [BARKED, "The dog slept.", text_of(plain[2])]
        assert await door.acall(plain) == out
        for node in out:
            assert door([plain["abc".index(node.id_)]]) == [node]
        assert len(KeywordScorer().token_spans(BARKED)) <= 16

    def test_all_but_the_text_survives(self, transform, plain) -> None:
        first, second, _ = transform()(plain)
        assert (first.id_, first.relationships) == ("a", plain[0].relationships)
        assert first.metadata["file_name"] == "a.txt"
        assert (first.embedding, first.start_char_idx, first.end_char_idx) == (None, None, None)
        assert second == plain[1]

    def test_inputs_are_never_changed(self, transform, plain) -> None:
        before = copy.deepcopy(plain)
        for node in transform()(plain):
            node.metadata["mine"] = True
            node.relationships.clear()
            node.excluded_llm_metadata_keys.append("mine")
        assert plain == before

    async def test_what_is_not_open_passes_through(self, transform, plain) -> None:
        image = Node(image_resource=MediaResource(url="http://localhost/a.png"))
        blanks = [TextNode(text=" "), image, ImageNode(image_url="http://localhost/a.png")]
        door = transform()
        with handling(Recorder()) as heard:
            assert door(blanks) == await door.acall(blanks) == blanks
            once = door(plain[:1])
            assert door(once) == await door.acall(once) == once
        assert heard.reasons == ["no_text"] * 6 + ["already_compressed"] * 2

    async def test_no_node_is_lost(self, transform, plain) -> None:
        door = transform(budget=Budget(max_tokens=1))
        with handling(Recorder()) as heard:
            assert door(plain) == await door.acall(plain) == plain
        assert heard.reasons == ["nothing_kept"] * 6

    def test_a_failing_draft_leaves_nodes_as_they_were(self, transform, scorer, plain) -> None:
        scorer.error = RuntimeError("out of memory")
        with handling(Recorder()) as heard:
            out = transform(compressor=ContextCompressor(scorer))(plain)
        assert out == plain
        assert heard.reasons == ["scorer_failed", "within_budget", "within_budget"]
        with pytest.raises(RuntimeError, match="out of memory"):
            transform()(plain)

    def test_names_of_files_are_heeded(self, transform) -> None:
        rows = "\n".join(["name,sound", *(f"cat {n},purr" for n in range(40)), "dog,barked"])
        node = TextNode(text=rows, metadata={"file_name": "sounds.csv"})
        [out] = transform()([node])
        assert text_of(out).startswith("name,sound\n")
        assert "dog,barked" in text_of(out)

    async def test_events_say_where_the_question_is_from(self, transform, plain, scorer) -> None:
        with handling(Recorder()) as heard:
            transform()(plain[:1])
            await transform(query=None).acall(plain[:1])
        assert heard.names == ["Start", "End"] * 2
        assert {event.integration for event in heard.events} == {"ingestion"}
        assert [event.query_sources for event in heard.events[::2]] == [("setting",), ()]
        assert [query for query, _ in scorer.calls] == ["dog barked", None]
        end = heard.events[1]
        assert (end.original_tokens, end.kept_tokens, end.text_count) == (20, 16, 1)


class TestStores:
    def test_metadata_is_flat_and_in_no_prompt(self, transform, plain) -> None:
        [out] = transform()(plain[:1])
        assert json.loads(out.metadata["specprefill"]) == {
            "kept": [[32, 56]],
            "original_tokens": 20,
            "kept_tokens": 16,
            "skipped_because": None,
            "query_sources": ["setting"],
            "references": [],
            "start_char_idx": 100,
        }
        assert node_to_metadata_dict(out, flat_metadata=True)["specprefill"]
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert "specprefill" not in out.get_content(metadata_mode=mode)

    async def test_compressed_before_it_is_embedded_and_once_only(
        self, transform, compressor
    ) -> None:
        pipeline = IngestionPipeline(
            transformations=[SentenceSplitter(), transform(), MockEmbedding(embed_dim=4)]
        )
        ran = pipeline.run(documents=[Document(text=LONG)])
        [node] = await pipeline.arun(documents=[Document(text=LONG)])
        assert text_of(node) == text_of(ran[0]) == BARKED
        assert node.embedding
        index = VectorStoreIndex([node], embed_model=MockEmbedding(embed_dim=4))
        found = index.as_retriever().retrieve("Why does rain fall?")
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=3))
        assert door.postprocess_nodes(found, query_str="Why does rain fall?") == found

    def test_split_afterwards_it_is_not_compressed_again(self, transform) -> None:
        splitter = SentenceSplitter(chunk_size=64, chunk_overlap=0)
        pipeline = IngestionPipeline(transformations=[transform(), splitter, transform()])
        out = pipeline.run(documents=[Document(text=LONG)])
        assert "".join(text_of(node) for node in out) == BARKED


class TestCache:
    """A pipeline's cache knows a component by its dictionary alone."""

    @pytest.fixture
    def run(self, scorer):
        cache = IngestionCache()

        def through(door: SpecPrefillTransform) -> tuple[str, int]:
            """What becomes of the text, and how often the draft was asked."""
            scorer.calls.clear()
            pipeline = IngestionPipeline(transformations=[door], cache=cache)
            [node] = pipeline.run(documents=[Document(text=LONG, id_="d")])
            return text_of(node), len(scorer.calls)

        return through

    def test_the_same_settings_hit(self, run, transform) -> None:
        assert run(transform()) == (BARKED, 1)
        assert run(transform()) == (BARKED, 0)

    @pytest.mark.parametrize(
        "settings",
        [
            {"query": "rain"},
            {"query": None},
            {"budget": Budget(max_tokens=17)},
            {"budget": Budget(keep_fraction=0.5)},
            {"compressor_name": "other keywords"},
        ],
        ids=str,
    )
    def test_every_setting_misses(self, run, transform, settings) -> None:
        run(transform())
        assert run(transform(**settings))[1] == 1

    def test_a_compressor_without_a_name_is_refused(self, transform) -> None:
        shared = SpecPrefillTransform(budget=FEW).compressor_name
        for name in ("", shared):
            with pytest.raises(ValidationError, match="compressor_name="):
                transform(compressor_name=name)

    def test_the_shared_compressor_has_a_name(self, transform) -> None:
        shared = SpecPrefillTransform(budget=FEW, query="dog barked")
        assert "specprefill-integrations" in shared.to_dict()["compressor_name"]
        restored = SpecPrefillTransform.from_dict(shared.to_dict())
        assert restored.to_dict() == shared.to_dict() != transform().to_dict()

    def test_a_cached_node_is_what_was_made(self, transform, run) -> None:
        cache = IngestionCache()
        pipeline = IngestionPipeline(transformations=[transform()], cache=cache)
        made = pipeline.run(documents=[Document(text=LONG, id_="d")])
        assert pipeline.run(documents=[Document(text=LONG, id_="d")]) == made


class TestSerialization:
    def test_is_a_transform_of_a_stable_name(self) -> None:
        assert issubclass(SpecPrefillTransform, TransformComponent)
        assert SpecPrefillTransform.class_name() == "SpecPrefillTransform"

    def test_every_option_is_in_the_dictionary(self, transform) -> None:
        data = transform().to_dict()
        assert data == {
            "budget": {
                "keep_fraction": None,
                "max_tokens": 16,
                "attention_mass": None,
                "target_recall": None,
                "min_tokens": 64,
            },
            "query": "dog barked",
            "compressor": "a compressor: pass compressor= to restore it",
            "compressor_name": "keywords",
            "class_name": "SpecPrefillTransform",
        }
        assert {*data, "metrics"} - {"class_name"} == {*SpecPrefillTransform.model_fields}
        assert not SpecPrefillTransform.__private_attributes__

    def test_unknown_options_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="querry"):
            SpecPrefillTransform(budget=FEW, querry="dog")

    def test_copies_compress_alike(self, transform, plain, caplog) -> None:
        door = transform()
        with caplog.at_level(logging.WARNING):
            for copied in (copy.deepcopy(door), door.model_copy(deep=True)):
                assert copied(plain) == door(plain)
        assert not caplog.records


class TestEventLoop:
    async def test_no_blocking_call_on_the_loop(self, transform, scorer, plain) -> None:
        scorer.seconds = 0.01
        with blockbuster_ctx():
            assert text_of((await transform().acall(plain))[0]) == BARKED

    async def test_other_tasks_go_on_while_the_draft_reads(self, transform, scorer, plain) -> None:
        scorer.wait_for = threading.Event()

        async def other_task() -> None:
            await asyncio.sleep(0.01)
            scorer.wait_for.set()

        out, _ = await asyncio.gather(transform().acall(plain), other_task())
        assert text_of(out[0]) == BARKED

    async def test_the_shared_compressor_is_built_at_first_use_off_the_loop(
        self, monkeypatch, compressor, plain
    ) -> None:
        builders = []
        monkeypatch.setattr(
            SHARED, lambda: builders.append(threading.current_thread()) or compressor
        )
        door = SpecPrefillTransform(budget=FEW, query="dog barked")
        assert door([TextNode(text=" ")])
        assert not builders
        out = await door.acall(plain[:1])
        assert door(plain[:1]) == out
        assert [thread is threading.main_thread() for thread in builders] == [False, True]
        assert door.compressor is None
