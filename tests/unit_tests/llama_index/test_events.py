"""What LlamaIndex's instrumentation hears of compression."""

from __future__ import annotations

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index_instrumentation.dispatcher import instrument_tags

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import (
    ContextCompressionEndEvent,
    ContextCompressionSkippedEvent,
    ContextCompressionStartEvent,
    SpecPrefillNodePostprocessor,
)
from specprefill_integrations.observability._metrics import process_metrics
from specprefill_integrations.scoring._span_scorer import ScorerWrapper
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.llama_index.scripted import Recorder, handling

HALF = Budget(keep_fraction=0.5)


@pytest.fixture
def door(compressor) -> SpecPrefillNodePostprocessor:
    return SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)


async def test_a_start_and_an_end_with_counts(door, nodes) -> None:
    with handling(Recorder()) as heard:
        out = door.postprocess_nodes(nodes, query_str="dog barked")
        await door.apostprocess_nodes(nodes, query_str="dog barked")
    assert heard.names == ["Start", "End", "Start", "End"]
    start, end = heard.events[:2]
    assert isinstance(start, ContextCompressionStartEvent)
    assert isinstance(end, ContextCompressionEndEvent)
    assert (start.integration, start.query_sources, start.text_count) == (
        "node_postprocessor",
        ("caller",),
        3,
    )
    stamps = [found.metadata["specprefill"] for found in out]
    assert end.kept_tokens == sum(stamp["kept_tokens"] for stamp in stamps)
    assert (end.original_tokens, end.text_count) == (34, 3)
    assert 0 < end.kept_tokens <= 17
    assert end.elapsed_seconds > 0


def test_no_question_has_no_source(door, nodes) -> None:
    with handling(Recorder()) as heard:
        door.postprocess_nodes(nodes)
    assert {event.query_sources for event in heard.events} == {()}


def test_no_event_holds_a_text(door, nodes) -> None:
    with handling(Recorder()) as heard:
        door.postprocess_nodes(nodes, query_str="dog barked")
        door.postprocess_nodes([], query_str="dog barked")
        door.postprocess_nodes([NodeWithScore(node=TextNode(text=" "))], query_str="dog barked")
    for event in heard.events:
        said = event.model_dump_json()
        assert "dog" not in said
        assert "Prices" not in said


def test_the_end_says_which_languages_are_a_problem(nodes) -> None:
    class Warns(ScorerWrapper):
        def language_warnings(self, query, texts):
            return [("text_unknown_to_draft",), *[() for _ in texts[1:]]]

    compressor = ContextCompressor(Warns(KeywordScorer()))
    door = SpecPrefillNodePostprocessor(compressor=compressor, budget=HALF)
    before = process_metrics().totals().language_warnings.get("text_unknown_to_draft", 0)
    with handling(Recorder()) as heard:
        door.postprocess_nodes(nodes, query_str="dog barked")
    assert heard.events[-1].language_warnings == ("text_unknown_to_draft",)
    after = process_metrics().totals().language_warnings["text_unknown_to_draft"]
    assert after == before + 1


def test_skips_say_why(scorer, nodes) -> None:
    failing = ContextCompressor(scorer)
    scorer.error = RuntimeError("out of memory")
    whole = SpecPrefillNodePostprocessor(compressor=failing, budget=Budget(keep_fraction=1))
    with handling(Recorder()) as heard:
        SpecPrefillNodePostprocessor(compressor=failing, budget=HALF).postprocess_nodes(nodes)
        whole.postprocess_nodes(nodes)
        whole.postprocess_nodes([NodeWithScore(node=TextNode(text=" "))])
        whole.postprocess_nodes([])
    assert heard.names == ["Start", "Skipped", "Start", "Skipped", "Skipped"]
    assert heard.reasons == ["scorer_failed", "within_budget", "no_text"]
    assert heard.events[1].original_tokens == 34
    assert heard.events[1].elapsed_seconds > 0
    assert heard.events[-1].elapsed_seconds == 0
    assert isinstance(heard.events[1], ContextCompressionSkippedEvent)


def test_the_ledger_of_the_process_adds_up_what_events_say(door, nodes) -> None:
    before = process_metrics().totals()
    with handling(Recorder()) as heard:
        once = door.postprocess_nodes(nodes, query_str="dog barked")
        door.postprocess_nodes(once, query_str="dog barked")
    after = process_metrics().totals()
    assert (after.calls - before.calls, after.compressed - before.compressed) == (2, 1)
    assert after.tokens_before - before.tokens_before == 34
    assert after.tokens_after - before.tokens_after == heard.events[1].kept_tokens
    assert after.draft_seconds - before.draft_seconds == pytest.approx(
        heard.events[1].elapsed_seconds
    )
    skipped = after.skips["already_compressed"] - before.skips.get("already_compressed", 0)
    assert skipped == 1


def test_nodes_that_were_compressed_before_say_so(door, nodes) -> None:
    once = door.postprocess_nodes(nodes, query_str="dog barked")
    with handling(Recorder()) as heard:
        assert door.postprocess_nodes(once, query_str="dog barked") == once
    assert heard.reasons == ["already_compressed"]


def test_nothing_kept_has_a_reason(compressor, nodes) -> None:
    strict = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=1))
    with handling(Recorder()) as heard:
        assert strict.postprocess_nodes(nodes, query_str="dog barked") == []
    assert heard.reasons == ["nothing_kept"]
    assert (heard.events[-1].original_tokens, heard.events[-1].kept_tokens) == (34, 0)


def test_names_of_events_never_change() -> None:
    for event in (
        ContextCompressionStartEvent,
        ContextCompressionEndEvent,
        ContextCompressionSkippedEvent,
    ):
        assert event.class_name() == event.__name__


class Failing(BaseEventHandler):
    def handle(self, event, **_) -> None:
        raise KeyboardInterrupt


def test_a_handler_that_fails_costs_nothing(door, nodes) -> None:
    before = door.postprocess_nodes(nodes, query_str="dog barked")
    with handling(Failing()):
        assert door.postprocess_nodes(nodes, query_str="dog barked") == before


def test_events_know_their_span_and_tags(door, nodes) -> None:
    spans = SimpleSpanHandler()
    root = get_dispatcher("root")
    root.add_span_handler(spans)
    try:
        with handling(Recorder()) as heard, instrument_tags({"run": "7"}):
            door.postprocess_nodes(nodes, query_str="dog barked")
    finally:
        root.span_handlers.remove(spans)
    names = {event.span_id.partition("-")[0] for event in heard.events}
    assert names == {"SpecPrefillNodePostprocessor._postprocess_nodes"}
    assert [event.tags for event in heard.events] == [{"run": "7"}] * 2
