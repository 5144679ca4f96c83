"""The middleware among the framework's own parts: nodes, graphs, streams, other middleware."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from blockbuster import blockbuster_ctx
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolCallRequest,
    ToolRetryMiddleware,
    wrap_tool_call,
)
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import RecallTool, SpecPrefillMiddleware
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.langchain.agents import (
    EVIDENCE,
    LONG,
    QUESTION,
    ScriptedModel,
    calls,
    read,
    scripted,
    stamp,
    tool_messages,
)

SHORT = f"[...] {EVIDENCE} [...]"
ASK = {"messages": [HumanMessage(QUESTION)]}


@pytest.fixture
def make(compressor: ContextCompressor) -> Callable[..., SpecPrefillMiddleware]:
    """Makes middleware of one compressor, which notes its calls."""

    def make(**options: Any) -> SpecPrefillMiddleware:
        settings = {
            "budget": Budget(max_tokens=16),
            "min_tokens": 50,
            "metrics": CompressionMetrics(),
        }
        return SpecPrefillMiddleware(compressor=compressor, **{**settings, **options})

    return make


@pytest.fixture
def middleware(make: Any) -> SpecPrefillMiddleware:
    return make()


class TestHooks:
    async def test_both_ways_to_run_an_agent_give_the_same(self, middleware, scorer) -> None:
        one_agent, other_agent = (
            create_agent(scripted(calls("read")), [read], middleware=[middleware]) for _ in "12"
        )
        [one] = tool_messages(one_agent.invoke(ASK))
        [other] = tool_messages(await other_agent.ainvoke(ASK))
        assert one.content == other.content == SHORT
        assert stamp(one) == stamp(other)
        assert scorer.calls[0] == scorer.calls[1]

    async def test_the_event_loop_is_never_held_up(self, middleware, scorer) -> None:
        scorer.wait_for = threading.Event()
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])

        async def other_task() -> None:
            await asyncio.sleep(0.2)
            scorer.wait_for.set()

        state, _ = await asyncio.gather(agent.ainvoke(ASK), other_task())
        assert tool_messages(state)[0].content == SHORT

    async def test_no_blocking_call_on_the_loop(self, make, scorer) -> None:
        scorer.seconds = 0.01
        agent = create_agent(
            scripted(calls("read")), [read], middleware=[make(originals=InMemoryOriginals())]
        )
        with blockbuster_ctx("specprefill_integrations"):
            [message] = tool_messages(await agent.ainvoke(ASK))
        assert stamp(message)["skipped_because"] is None

    def test_agents_without_tools_still_work(self, middleware) -> None:
        agent = create_agent(scripted(), middleware=[middleware])
        assert agent.invoke(ASK)["messages"][-1].content == "Done."

    def test_tools_that_are_not_registered(self, middleware) -> None:
        @wrap_tool_call
        def stands_in(request: Any, handler: Any) -> ToolMessage:
            assert request.tool is None
            return ToolMessage(LONG, tool_call_id=request.tool_call["id"], name="ghost")

        agent = create_agent(scripted(calls("ghost")), [read], middleware=[middleware, stands_in])
        assert [m.content for m in tool_messages(agent.invoke(ASK))] == [SHORT]

    def test_an_unknown_tools_error_stays(self, middleware) -> None:
        agent = create_agent(scripted(calls("ghost")), [read], middleware=[middleware])
        [message] = tool_messages(agent.invoke(ASK))
        assert message.status == "error"
        assert "ghost is not a valid tool" in message.content

    def test_two_of_them_need_two_names(self, make) -> None:
        with pytest.raises(AssertionError, match="duplicate middleware"):
            create_agent(scripted(), [read], middleware=[make(), make()])
        assert make().name == "SpecPrefillMiddleware"
        inner = make(name="logs", exclude_tools=["read"])
        agent = create_agent(
            scripted(calls("read")), [read], middleware=[make(name="files"), inner]
        )
        [message] = tool_messages(agent.invoke(ASK))
        assert message.content == SHORT
        assert inner.metrics.totals().skips == {"excluded_tool": 1}

    def test_of_two_the_outer_leaves_the_inners_work_alone(self, make, scorer) -> None:
        outer, inner = make(name="outer", budget=Budget(max_tokens=3), min_tokens=1), make()
        agent = create_agent(scripted(calls("read")), [read], middleware=[outer, inner])
        state = agent.invoke(ASK)
        assert tool_messages(state)[0].content == SHORT
        assert outer.metrics.totals().skips == {"already_compressed": 1}
        assert len(scorer.calls) == 1


class TestParallelCalls:
    NAMES = tuple(f"read:{number}" for number in range(4))

    def check(self, state: Any, scorer: Any) -> None:
        messages = tool_messages(state)
        assert [message.tool_call_id for message in messages] == ["0", "1", "2", "3"]
        assert [message.content for message in messages] == [SHORT] * 4
        assert len({message.id for message in messages}) == 4
        assert len(scorer.calls) == 4

    def test_in_threads(self, middleware, scorer) -> None:
        agent = create_agent(scripted(calls(*self.NAMES)), [read], middleware=[middleware])
        self.check(agent.invoke(ASK), scorer)

    async def test_in_tasks(self, middleware, scorer) -> None:
        agent = create_agent(scripted(calls(*self.NAMES)), [read], middleware=[middleware])
        self.check(await agent.ainvoke(ASK), scorer)


def as_dictionary(message: ToolMessage) -> dict[str, Any]:
    """As OpenAI's protocol writes it, with what only LangChain knows."""
    return {
        "role": "tool",
        "content": message.content,
        "tool_call_id": message.tool_call_id,
        "artifact": message.artifact,
    }


class TestCommands:
    """A tool may answer with a command, or with a list of commands and messages."""

    @pytest.fixture(params=["command", "dictionaries", "list", "both"])
    def one_tool(self, request: Any) -> Any:
        @tool("read")
        def read_with_command(tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
            """Read."""
            answer = ToolMessage(LONG, tool_call_id=tool_call_id, artifact=[1])
            seen = ToolMessage(LONG, tool_call_id="earlier")
            note = Command(update={"messages": [seen], "note": [LONG]})
            return {
                "command": Command(update={"messages": [seen, answer], "note": [LONG]}),
                "dictionaries": Command(update={"messages": [as_dictionary(answer)]}),
                "list": [answer],
                "both": [note, answer],
            }[request.param]

        return read_with_command

    async def test_the_answer_shrinks_and_the_rest_stays(self, middleware, one_tool) -> None:
        class WithNote(AgentState):
            note: list[str]

        def agent() -> Any:
            return create_agent(
                scripted(calls("read")), [one_tool], middleware=[middleware], state_schema=WithNote
            )

        for state in (agent().invoke(ASK), await agent().ainvoke(ASK)):
            answers = [m for m in tool_messages(state) if m.tool_call_id == "1"]
            assert [m.content for m in answers] == [SHORT]
            assert answers[0].artifact == [1]
            assert all(m.content == LONG for m in tool_messages(state) if m.tool_call_id != "1")
            assert state.get("note", [LONG]) == [LONG]

    def test_handing_over_to_another_graph(self, middleware) -> None:
        @tool
        def hand_over(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
            """Hand over."""
            done = ToolMessage(LONG, tool_call_id=tool_call_id)
            return Command(goto="other", graph=Command.PARENT, update={"messages": [done]})

        agent = create_agent(scripted(calls("hand_over")), [hand_over], middleware=[middleware])
        graph = StateGraph(MessagesState)
        graph.add_node("agent", agent, destinations=("other",))
        graph.add_node("other", lambda _: {"messages": [AIMessage("Taken over.")]})
        graph.add_edge(START, "agent")
        state = graph.compile().invoke(ASK)
        assert state["messages"][-1].content == "Taken over."
        [message] = tool_messages(state)
        assert (message.content, stamp(message)["skipped_because"]) == (LONG, "return_direct")

    def test_commands_that_hold_no_answer(self, middleware) -> None:
        @tool
        def forget() -> Any:
            """Forget."""
            return Command(update={"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES)]})

        agent = create_agent(scripted(calls("forget")), [forget], middleware=[middleware])
        assert [m.text for m in agent.invoke(ASK)["messages"]] == ["Done."]
        assert middleware.metrics.totals().calls == 0


class TestOtherGraphs:
    """`ToolNode` takes the hook without `create_agent`; states come in three shapes."""

    def test_a_list_of_messages(self, middleware, scorer) -> None:
        node = ToolNode([read], wrap_tool_call=middleware.wrap_tool_call)
        graph = StateGraph(MessagesState)
        graph.add_node("tools", lambda state: {"messages": node.invoke(state["messages"])})
        graph.add_edge(START, "tools")
        state = graph.compile().invoke({"messages": [HumanMessage(QUESTION), calls("read")]})
        assert [m.content for m in tool_messages(state)] == [SHORT]
        assert scorer.calls[0][0] == QUESTION

    def test_a_model_with_messages(self, middleware, scorer) -> None:
        class State(BaseModel):
            messages: list[Any]

        graph = StateGraph(State)
        graph.add_node("tools", ToolNode([read], wrap_tool_call=middleware.wrap_tool_call))
        graph.add_edge(START, "tools")
        state = graph.compile().invoke({"messages": [HumanMessage(QUESTION), calls("read")]})
        assert [m.content for m in tool_messages(state)] == [SHORT]
        assert scorer.calls[0][0] == QUESTION

    async def test_a_loop_of_model_and_tools_recalls(self, make) -> None:
        middleware = make(originals=InMemoryOriginals(), budget=Budget(max_tokens=40))
        node = ToolNode(
            [read, *middleware.tools],
            wrap_tool_call=middleware.wrap_tool_call,
            awrap_tool_call=middleware.awrap_tool_call,
        )

        def says(state: MessagesState) -> Any:
            results = tool_messages(state)
            if not results:
                return {"messages": [calls("read:1")]}
            if len(results) == 2:
                return {"messages": [AIMessage("Done.")]}
            [reference] = stamp(results[0])["references"]
            return {"messages": [calls("recall_original:2", reference=reference)]}

        graph = StateGraph(MessagesState)
        graph.add_node("model", says)
        graph.add_node("tools", node)
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", tools_condition)
        graph.add_edge("tools", "model")
        compiled = graph.compile()
        for state in (compiled.invoke(ASK), await compiled.ainvoke(ASK)):
            cut, recalled = tool_messages(state)
            assert EVIDENCE in cut.text
            assert stamp(cut)["skipped_because"] is None
            assert (recalled.text, stamp(recalled)["skipped_because"]) == (LONG, "recalled")

    @pytest.mark.parametrize("has_tool", [True, False])
    def test_marks_name_a_reference_only_where_it_can_be_fetched(
        self, make, compressor, has_tool
    ) -> None:
        originals = InMemoryOriginals()
        middleware = make(originals=originals, budget=Budget(max_tokens=40))
        recall = RecallTool(originals=originals if has_tool else InMemoryOriginals())
        node = ToolNode([read, recall], wrap_tool_call=middleware.wrap_tool_call)
        graph = StateGraph(MessagesState)
        graph.add_node("tools", node)
        graph.add_edge(START, "tools")
        state = graph.compile().invoke({"messages": [HumanMessage(QUESTION), calls("read")]})
        [message] = tool_messages(state)
        assert EVIDENCE in message.content
        assert ("[reference " in message.content) == has_tool

    def test_outside_of_a_graph(self, middleware) -> None:
        call = calls("read").tool_calls[0]
        request = ToolCallRequest(tool_call=call, tool=read, state=ASK, runtime=None)
        message = middleware.wrap_tool_call(request, lambda r: read.invoke(r.tool_call))
        assert message.content == SHORT


class TestInterrupts:
    def test_a_tool_that_asks_first(self, middleware) -> None:
        @tool("read")
        def ask_first() -> str:
            """Ask, then read."""
            return LONG if interrupt("May I?") == "yes" else "No."

        agent = create_agent(
            scripted(calls("read")),
            [ask_first],
            middleware=[middleware],
            checkpointer=InMemorySaver(),
        )
        config = {"configurable": {"thread_id": "1"}}
        state = agent.invoke(ASK, config)
        assert state["__interrupt__"][0].value == "May I?"
        assert middleware.metrics.totals().calls == 0
        state = agent.invoke(Command(resume="yes"), config)
        assert [m.content for m in tool_messages(state)] == [SHORT]

    @pytest.mark.parametrize("ours_first", [True, False])
    def test_a_human_who_approves_or_refuses(self, make, ours_first) -> None:
        pair: list[AgentMiddleware] = [
            make(),
            HumanInTheLoopMiddleware(interrupt_on={"read": True}),
        ]
        agent = create_agent(
            scripted(calls("read:1", "read:2")),
            [read],
            middleware=pair if ours_first else pair[::-1],
            checkpointer=InMemorySaver(),
        )
        config = {"configurable": {"thread_id": "1"}}
        assert "__interrupt__" in agent.invoke(ASK, config)
        decisions = [{"type": "approve"}, {"type": "reject", "message": "No."}]
        state = agent.invoke(Command(resume={"decisions": decisions}), config)
        contents = {m.tool_call_id: m.content for m in tool_messages(state)}
        assert contents["1"] == SHORT
        assert contents["2"].endswith("No.")


class TestCheckpoints:
    def test_a_thread_goes_on_with_what_was_seen(self, middleware, scorer) -> None:
        saver = InMemorySaver()
        config = {"configurable": {"thread_id": "1"}}
        model = scripted(calls("read:1"), AIMessage("Noon."), calls("read:2", path="b.txt"))
        agent = create_agent(model, [read], middleware=[middleware], checkpointer=saver)
        agent.invoke(ASK, config)
        state = agent.invoke({"messages": [HumanMessage("Where did rain fall?")]}, config)
        first, second = tool_messages(state)
        assert first.content == SHORT != second.content
        assert len(scorer.calls) == 2
        kept = tool_messages(agent.get_state(config).values)
        assert [stamp(message) for message in kept] == [stamp(first), stamp(second)]


class TestStreams:
    async def test_what_is_streamed_is_what_the_model_sees(self, middleware) -> None:
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
        streamed = [
            chunk
            async for chunk, _ in agent.astream(ASK, stream_mode="messages")
            if isinstance(chunk, ToolMessage)
        ]
        assert [chunk.content for chunk in streamed] == [SHORT]

    def test_counts_in_the_custom_stream(self, middleware) -> None:
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
        [chunk] = list(agent.stream(ASK, stream_mode="custom"))
        data = chunk["specprefill_compression"]
        assert data.pop("elapsed_seconds") > 0
        assert data == {
            "tool": "read",
            "tool_call_id": "1",
            "original_tokens": 186,
            "kept_tokens": 16,
            "query_sources": ["user_message"],
            "skipped_because": None,
            "language_warnings": [],
        }


class Listener(BaseCallbackHandler):
    """Notes custom events, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.raise_error = error is not None
        self.error = error

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        self.heard.append((name, data))
        if self.error:
            raise self.error


class AsyncListener(AsyncCallbackHandler):
    """Notes custom events."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    async def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        self.heard.append((name, data))


class TestEvents:
    def test_callbacks_hear_of_every_result(self, middleware) -> None:
        listener = Listener()
        agent = create_agent(scripted(calls("read:1", "ghost:2")), [read], middleware=[middleware])
        agent.invoke(ASK, {"callbacks": [listener]})
        assert {name for name, _ in listener.heard} == {"specprefill_compression"}
        reasons = {data["tool_call_id"]: data["skipped_because"] for _, data in listener.heard}
        assert reasons == {"1": None, "2": "tool_error"}
        assert EVIDENCE not in repr(listener.heard)

    async def test_asynchronous_callbacks_too(self, middleware) -> None:
        listener = AsyncListener()
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
        await agent.ainvoke(ASK, {"callbacks": [listener]})
        [(name, data)] = listener.heard
        assert (name, data["kept_tokens"]) == ("specprefill_compression", 16)

    async def test_a_listener_that_fails_stops_nothing(self, middleware) -> None:
        listener = Listener(ZeroDivisionError())
        config = {"callbacks": [listener]}
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
        assert tool_messages(agent.invoke(ASK, config))[0].content == SHORT
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
        assert tool_messages(await agent.ainvoke(ASK, config))[0].content == SHORT
        assert len(listener.heard) == 2


class TestSubAgents:
    def test_an_agent_as_a_tool(self, make) -> None:
        inside, outside = make(), make()
        researcher = create_agent(
            scripted(calls("read")), [read], middleware=[inside], name="researcher"
        )

        @tool
        def research(question: str) -> str:
            """Ask the researcher."""
            state = researcher.invoke({"messages": [HumanMessage(question)]})
            return f"{state['messages'][-1].text} {LONG}"

        agent = create_agent(
            scripted(calls("research", question=QUESTION)), [research], middleware=[outside]
        )
        [message] = tool_messages(agent.invoke({"messages": [HumanMessage("Help me")]}))
        assert EVIDENCE in message.content
        assert stamp(message)["query_sources"] == ["user_message", "tool_call"]
        assert inside.metrics.totals().compressed == outside.metrics.totals().compressed == 1


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "ours last"])
class TestBesideOthers:
    def agent(self, model: Any, ours: Any, other: Any, ours_first: Any, one: Any = read) -> Any:
        return create_agent(model, [one], middleware=[ours, other] if ours_first else [other, ours])

    def test_a_retry_compresses_once(self, middleware, scorer, ours_first) -> None:
        tries = []

        @tool("read")
        def flaky() -> str:
            """Fail, then read."""
            tries.append(1)
            if len(tries) == 1:
                raise ConnectionError
            return LONG

        retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
        agent = self.agent(scripted(calls("read")), middleware, retry, ours_first, flaky)
        [message] = tool_messages(agent.invoke(ASK))
        assert message.content == SHORT
        assert (len(tries), len(scorer.calls)) == (2, 1)

    def test_what_a_retry_gives_up_is_an_error(self, middleware, ours_first) -> None:
        @tool("read")
        def broken() -> str:
            """Fail."""
            raise ConnectionError(LONG)

        retry = ToolRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
        agent = self.agent(scripted(calls("read")), middleware, retry, ours_first, broken)
        [message] = tool_messages(agent.invoke(ASK))
        assert message.status == "error"
        assert LONG in message.content

    def test_a_model_that_is_retried_sees_the_same_again(self, middleware, ours_first) -> None:
        class Flaky(ScriptedModel):
            def _generate(self, messages: Any, *rest: Any, **options: Any) -> Any:
                result = super()._generate(messages, *rest, **options)
                if len(self.requests) == 2:
                    raise ConnectionError
                return result

        done = AIMessage("Done.")
        model = Flaky(script=[calls("read"), done, done])
        retry = ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
        self.agent(model, middleware, retry, ours_first).invoke(ASK)
        _, failed, retried = model.request_bytes()
        assert failed == retried
        assert len(retried) == 3

    def test_cleared_results_stay_cleared(self, middleware, scorer, ours_first) -> None:
        clearing = ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=1, keep=1)])
        model = scripted(calls("read:1"), calls("read:2"))
        state = self.agent(model, middleware, clearing, ours_first).invoke(ASK)
        seen = [m.content for m in model.requests[-1] if isinstance(m, ToolMessage)]
        assert seen == ["[cleared]", SHORT]
        assert [m.content for m in tool_messages(state)] == [SHORT, SHORT]
        assert len(scorer.calls) == 2

    def test_summaries_take_over_what_was_compressed(self, middleware, scorer, ours_first) -> None:
        summarize = SummarizationMiddleware(
            model=ScriptedModel(script=[AIMessage("It barked at noon.")] * 3),
            trigger=("messages", 5),
            keep=("messages", 2),
        )
        model = scripted(calls("read:1"), calls("read:2"))
        state = self.agent(model, middleware, summarize, ours_first).invoke(ASK)
        summary, *_ = model.requests[-1]
        assert "It barked at noon." in summary.text
        [message] = tool_messages(state)
        assert (message.tool_call_id, message.content) == ("2", SHORT)
        asked = {query for query, _ in scorer.calls}
        assert asked == {QUESTION}


def test_a_summary_is_no_question(middleware, scorer) -> None:
    summary = HumanMessage("It rained.", additional_kwargs={"lc_source": "summarization"})
    agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
    agent.invoke({"messages": [HumanMessage(QUESTION), summary]})
    assert scorer.calls[0][0] == QUESTION
