"""Long conversations: what shrinks, what stays, and that it stays the same from turn to turn."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import tracemalloc
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations._metadata import metadata_of
from specprefill_integrations.langchain import RecallTool, ToolPolicy, compress_messages
from specprefill_integrations.langchain import _message_memory as message_memory
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.langchain.agents import EVIDENCE, LONG, QUESTION, calls, scripted, stamp

SHORT = f"[...] {EVIDENCE} [...]"


def result(number: int, content: Any = LONG, **fields: Any) -> ToolMessage:
    return ToolMessage(content, tool_call_id=str(number), id=f"t{number}", name="read", **fields)


def conversation(*results: ToolMessage) -> list[Any]:
    """A long paste, a call for each result, an answer, and the question at hand."""
    said: list[Any] = [SystemMessage(LONG, id="s"), HumanMessage(LONG, id="h1")]
    for one in results:
        said += [calls(f"read:{one.tool_call_id}", said=LONG), one]
    return [*said, AIMessage(LONG, id="a"), HumanMessage(QUESTION, id="h2")]


def contents(messages: Any) -> list[Any]:
    """The contents of the tool results and of the paste."""
    return [m.content for m in messages if isinstance(m, ToolMessage) or m.id == "h1"]


@pytest.fixture
def make(compressor: ContextCompressor) -> Any:
    def make(**options: Any) -> Any:
        settings = {
            "compressor": compressor,
            "budget": Budget(max_tokens=16),
            "min_tokens": 50,
            "keep_results": 1,
            "metrics": CompressionMetrics(),
        }
        return compress_messages(**{**settings, **options})

    return make


class TestWhatShrinks:
    def test_old_results_and_old_pastes(self, make) -> None:
        messages = conversation(result(1), result(2), result(3))
        out = make().invoke(messages)
        assert contents(out) == [SHORT, SHORT, SHORT, LONG]
        assert stamp(out[1])["query_sources"] == ["user_message"]

    def test_everything_else_stays_as_it_is(self, make) -> None:
        messages = conversation(result(1), result(2))
        out = make().invoke(messages)
        assert [m.id for m in out] == [m.id for m in messages]
        for before, after in zip(messages, out, strict=True):
            if before.id not in {"h1", "t1"}:
                assert after is before

    def test_nothing_incoming_is_changed(self, make) -> None:
        messages = conversation(result(1, artifact={"a": [1]}), result(2))
        before = copy.deepcopy(messages)
        make().invoke(messages)
        assert messages == before

    def test_ids_names_artifacts_and_pairing_stay(self, make) -> None:
        messages = conversation(result(1, artifact={"a": [1]}), result(2))
        _, _, _, shrunk, *_ = make().invoke(messages)
        assert (shrunk.id, shrunk.name, shrunk.tool_call_id) == ("t1", "read", "1")
        assert shrunk.artifact == {"a": [1]}

    def test_the_last_human_message_is_the_question(self, make) -> None:
        assert make().invoke([HumanMessage(LONG)])[0].content == LONG

    def test_a_question_may_be_set(self, make, scorer) -> None:
        make(query="dog").invoke(conversation(result(1), result(2)))
        assert {query for query, _ in scorer.calls} == {"dog"}

    @pytest.mark.parametrize("keep", [0, 1, 2, 3])
    def test_the_latest_results_stay(self, make, keep) -> None:
        out = make(keep_results=keep).invoke(conversation(result(1), result(2)))
        assert contents(out)[1:] == [SHORT, SHORT][keep:] + [LONG, LONG][:keep]

    @pytest.mark.parametrize(
        "one",
        [
            result(1, status="error"),
            result(1, artifact={"specprefill": metadata_of(skipped_because="recalled")}),
            result(1, response_metadata={"specprefill": metadata_of(skipped_because="recalled")}),
            result(1, response_metadata={"specprefill": metadata_of()}),
            result(1, f"Returning structured response: {LONG}"),
            result(1, "It rained."),
            result(1, [{"type": "image", "url": "x"}]),
        ],
        ids=[
            "error",
            "recalled",
            "recalled before",
            "compressed",
            "structured output",
            "small",
            "no text",
        ],
    )
    def test_some_results_never_do(self, make, one) -> None:
        out = make().invoke(conversation(one, result(2)))
        assert contents(out) == [SHORT, one.content, LONG]

    @pytest.mark.parametrize("name", ["read", None])
    def test_excluded_tools(self, make, name) -> None:
        one = result(1).model_copy(update={"name": name})
        out = make(exclude_tools=["re*"]).invoke(conversation(one, result(2)))
        assert contents(out) == [SHORT, LONG, LONG]

    def test_people_are_no_tools(self, make) -> None:
        out = make(exclude_tools=["*"]).invoke(conversation(result(1), result(2)))
        assert contents(out) == [SHORT, LONG, LONG]

    def test_a_tool_may_differ_but_people_are_no_tools(self, make) -> None:
        policies = {"*": ToolPolicy(min_tokens=10_000)}
        out = make(tool_policies=policies).invoke(conversation(result(1), result(2)))
        assert contents(out) == [SHORT, LONG, LONG]

    def test_a_function_may_make_the_question(self, make, scorer) -> None:
        asked = []

        def question(request) -> str | None:
            asked.append(request)
            return "Rain?" if request.tool_name else None

        out = make(query=question).invoke(conversation(result(1), result(2)))
        assert [stamp(m)["query_sources"] for m in (out[1], out[3])] == [
            ["user_message"],
            ["setting"],
        ]
        assert {query for query, _ in scorer.calls} == {QUESTION, "Rain?"}
        assert [(r.tool_name, r.user_message) for r in asked] == [
            ("", QUESTION),
            ("read", QUESTION),
        ]
        assert asked[1].assistant_message == LONG

    def test_a_summary_of_older_messages_stays(self, make) -> None:
        summary = HumanMessage(LONG, additional_kwargs={"lc_source": "summarization"})
        out = make().invoke([summary, *conversation(result(1), result(2))])
        assert out[0] is summary

    def test_a_short_conversation_stays(self, make) -> None:
        messages = conversation(result(1), result(2))
        assert make(trigger=("tokens", 10_000)).invoke(messages) == messages
        assert contents(make(trigger=("tokens", 100)).invoke(messages)) == [SHORT, SHORT, LONG]

    def test_an_empty_one_too(self, make) -> None:
        assert make().invoke([]) == []


class TestMemory:
    def turns(self, step: Any) -> list[list[Any]]:
        """What is shown of a conversation whose question changes."""
        first = conversation(result(1), result(2), result(3))
        second = [*first, AIMessage("Noon."), HumanMessage("Where did rain fall?", id="h3")]
        return [step.invoke(first), step.invoke(second)]

    def test_another_question_changes_nothing_that_was_shown(self, make, scorer) -> None:
        before, after = self.turns(make())
        assert after[: len(before)] == before
        assert len(scorer.calls) == 3

    def test_that_is_not_by_chance(self, make) -> None:
        before, _ = self.turns(make())
        _, after = self.turns(make(query="Where did rain fall?"))
        assert contents(before) != contents(after)

    def test_what_was_shown_stays_below_the_trigger_too(self, make) -> None:
        step = make(trigger=("tokens", 1000))
        messages = conversation(result(1), result(2))
        shown = step.invoke(messages)
        assert contents(shown) == [SHORT, SHORT, LONG]
        assert step.invoke(messages) == shown

    def test_a_message_that_was_edited_is_another_one(self, make) -> None:
        step = make()
        step.invoke(conversation(result(1), result(2)))
        out = step.invoke(conversation(result(1, "[cleared]"), result(2)))
        assert contents(out) == [SHORT, "[cleared]", LONG]

    def test_what_else_was_written_on_it_since_stays(self, make) -> None:
        step = make()
        step.invoke(conversation(result(1), result(2)))
        again = conversation(result(1, response_metadata={"seen": True}), result(2))
        assert step.invoke(again)[3].response_metadata["seen"] is True

    def test_what_stands_beside_the_text_is_as_it_is_now(self, make) -> None:
        def shown(*blocks: Any) -> Any:
            return step.invoke(conversation(result(1, [*blocks]), result(2)))[3].content

        step = make()
        text, image = {"type": "text", "text": LONG}, {"type": "image", "url": "http://localhost/1"}
        marked = shown({**text, "cache_control": {"type": "ephemeral"}}, image)
        assert marked[0] == {**text, "text": SHORT, "cache_control": {"type": "ephemeral"}}
        # Providers take few marks: one that its app has moved on must not come back.
        again = shown({**text}, {**image, "url": "http://localhost/2"})
        assert again == [{**text, "text": SHORT}, {**image, "url": "http://localhost/2"}]
        assert shown({**text}) == [{**text, "text": SHORT}]
        assert shown(LONG) == [SHORT]

    def test_texts_that_were_parted_otherwise_are_others(self, make, scorer) -> None:
        step = make()
        step.invoke(conversation(result(1, [LONG, LONG]), result(2)))
        out = step.invoke(conversation(result(1, [f"{LONG}\n{LONG}"]), result(2)))
        assert len(out[3].content) == 1
        assert len(scorer.calls) == 3

    def test_what_is_the_last_again_is_whole_again(self, make) -> None:
        step = make()
        step.invoke(conversation(result(1), result(2)))
        taken_back = [*conversation(result(1))[:-1]]
        assert contents(step.invoke(taken_back)) == [LONG, LONG]

    def test_the_same_words_of_somebody_else_are_their_question(self, make) -> None:
        step = make()
        pasted = HumanMessage(LONG)
        assert step.invoke([pasted, AIMessage("Noon."), HumanMessage(QUESTION)])[0].content == SHORT
        assert step.invoke([pasted]) == [pasted]

    def test_messages_without_ids_are_known_by_their_calls(self, make, scorer) -> None:
        step = make()
        messages = [
            message.model_copy(update={"id": None})
            for message in conversation(result(1), result(2), result(3))
        ]
        assert step.invoke(messages) == step.invoke(messages)
        assert len(scorer.calls) == 3

    async def test_of_two_questions_at_once_the_first_answer_counts(self, make) -> None:
        meeting = threading.Barrier(2)

        class BothAtOnce(KeywordScorer):
            def score_spans(self, *asked: Any) -> list[list[float]]:
                meeting.wait(30)
                return super().score_spans(*asked)

        step = make(compressor=ContextCompressor(BothAtOnce(), on_error="raise"))
        one = conversation(result(1), result(2))
        other = [*one[:-1], HumanMessage("Where did rain fall?", id="h2")]
        both = await asyncio.gather(step.ainvoke(one), step.ainvoke(other))
        assert contents(both[0]) == contents(both[1]) != contents(one)
        assert contents(step.invoke(one)) == contents(both[0])

    def test_what_was_left_whole_is_not_looked_at_again(self, make, scorer) -> None:
        metrics = CompressionMetrics()
        step = make(metrics=metrics, budget=Budget(max_tokens=999))
        for _ in range(3):
            step.invoke(conversation(result(1, "Rain. " * 40), result(2)))
        assert metrics.totals().skips == {"within_budget": 2}

    def test_texts_left_whole_are_not_held(self, make) -> None:
        """What is remembered of them is a digest and a reason, also after many turns."""
        step = make(keep_results=0, budget=Budget(keep_fraction=0.1))
        question = "How many times was a door opened?"  # counts need every word
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for number in range(10):
                text = f"call {number}\n" + "door 1 is open\n" * 4000
                said = [result(number, text), HumanMessage(question, id=f"q{number}")]
                assert step.invoke(said) == step.invoke(said) == said
                del text, said
            gc.collect()
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert held < 60_000

    def test_of_blocks_only_those_that_changed_are_held(self, make) -> None:
        blocks = [{"type": "text", "text": text} for text in (LONG, "It snowed.", "Why?")]
        step = make(keep_results=0)
        said = [result(1, blocks), HumanMessage(QUESTION)]
        first, again = step.invoke(said), step.invoke(said)
        assert first == again != said
        copied = pickle.loads(pickle.dumps(step))  # noqa: S301 - our own
        assert copied.invoke(said) == first

    def test_errors_shrink_only_if_they_are_long(self, make) -> None:
        metrics = CompressionMetrics()
        step = make(keep_results=0, metrics=metrics)
        said = [
            result(1, status="error"),
            result(2, LONG * 12, status="error"),
            HumanMessage(QUESTION),
        ]
        for _ in range(2):
            short, long, _ = step.invoke(said)
            assert short == said[0]
            assert (long.status, long.content) == ("error", SHORT)
        assert metrics.totals().skips == {"tool_error": 1}

    def test_a_failure_may_be_made_good(self, scorer, make) -> None:
        step = make(compressor=ContextCompressor(scorer))
        messages = conversation(result(1), result(2))
        scorer.error = RuntimeError("out of memory")
        assert contents(step.invoke(messages)) == [LONG, LONG, LONG]
        scorer.error = None
        assert contents(step.invoke(messages)) == [SHORT, SHORT, LONG]

    def test_the_longest_unused_is_forgotten_first(self, make, scorer, monkeypatch) -> None:
        monkeypatch.setattr(message_memory, "_MAX_REMEMBERED", 2)
        step = make(keep_results=0)
        step.invoke([result(1), result(2), HumanMessage(QUESTION)])
        step.invoke([result(1), HumanMessage(QUESTION)])
        step.invoke([result(3), HumanMessage(QUESTION)])
        assert len(scorer.calls) == 3
        step.invoke([result(1), HumanMessage(QUESTION)])
        assert len(scorer.calls) == 3
        step.invoke([result(2), HumanMessage(QUESTION)])
        assert len(scorer.calls) == 4


class TestReversible:
    def test_references_lead_to_the_original(self, make, compressor) -> None:
        originals = InMemoryOriginals()
        step = make(originals=originals, budget=Budget(max_tokens=40))
        out = step.invoke(conversation(result(1), result(2)))
        reference = originals.reference_of(LONG)
        assert f"[reference {reference}]" in out[3].content
        recall = RecallTool(originals=originals, compressor=compressor)
        call = {"name": recall.name, "args": {"reference": reference}, "id": "9"}
        message = recall.invoke({**call, "type": "tool_call"})
        assert message.content == LONG
        again = conversation(message, result(2))
        assert contents(step.invoke(again))[1:] == [LONG, LONG]


class TestRunnable:
    async def test_the_async_way_does_the_same(self, make) -> None:
        messages = conversation(result(1), result(2), result(3))
        assert await make().ainvoke(messages) == make().invoke(messages)

    async def test_no_blocking_call_on_the_loop(self, make, scorer) -> None:
        scorer.seconds = 0.01
        with blockbuster_ctx("specprefill_integrations"):
            out = await make(originals=InMemoryOriginals()).ainvoke(conversation(result(1)))
        assert len(out[1].content) < len(LONG)

    async def test_callbacks_hear_of_it(self, make) -> None:
        class Listener(BaseCallbackHandler):
            heard: list[Any] = []  # noqa: RUF012

            def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
                self.heard.append((name, data["tool"], data["kept_tokens"]))

        messages = conversation(result(1), result(2))
        make().invoke(messages, {"callbacks": [Listener()]})
        await make().ainvoke(messages, {"callbacks": [Listener()]})
        event = "specprefill_compression"
        assert Listener.heard == [(event, None, 16), (event, "read", 16)] * 2

    def test_in_a_chain_before_a_model(self, make) -> None:
        model = scripted()
        chain = make() | model
        chain.invoke(conversation(result(1), result(2)))
        assert contents(model.requests[0]) == [SHORT, SHORT, LONG]

    def test_a_prompts_value_will_do(self, make) -> None:
        prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("said"), ("human", "Dog?")])
        out = (prompt | make()).invoke({"said": conversation(result(1), result(2))})
        assert contents(out) == [SHORT, SHORT, LONG]

    def test_in_a_graph_that_replaces_its_messages(self, make) -> None:
        graph = StateGraph(MessagesState)
        graph.add_node("shrink", RunnableLambda(lambda s: s["messages"]) | make() | as_update)
        graph.add_edge(START, "shrink")
        messages = conversation(result(1), result(2))
        state = graph.compile().invoke({"messages": messages})
        assert [m.id for m in state["messages"]][:2] == ["s", "h1"]
        assert len(state["messages"]) == len(messages)
        assert contents(state["messages"]) == [SHORT, SHORT, LONG]

    def test_an_error_asked_for_is_raised(self, make, scorer) -> None:
        scorer.error = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            make().invoke(conversation(result(1), result(2)))

    def test_options_go_by_keyword_and_a_budget_is_required(self, compressor) -> None:
        with pytest.raises(TypeError, match="positional"):
            compress_messages(compressor)
        with pytest.raises(TypeError, match="budget"):
            compress_messages(compressor=compressor)


def as_update(messages: list[Any]) -> dict[str, Any]:
    return {"messages": messages}
