"""Several agents in one conversation: langgraph-swarm and langgraph-supervisor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.prebuilt import InjectedState
from langgraph.types import Command
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import RecallTool, SpecPrefillMiddleware
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals, OriginalStore
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

ASK = {"messages": [HumanMessage(QUESTION)]}


@pytest.fixture
def originals() -> OriginalStore:
    return InMemoryOriginals()


@pytest.fixture
def make(compressor: ContextCompressor, originals: OriginalStore) -> Callable[..., Any]:
    """Makes an agent with a middleware of its own; all share one store."""

    def make(name: str, model: ScriptedModel, *tools: Any, **options: Any) -> Any:
        settings = {"originals": originals, "metrics": CompressionMetrics(), **options}
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(max_tokens=40), min_tokens=50, **settings
        )
        return create_agent(model, list(tools), middleware=[middleware], name=name)

    return make


@pytest.fixture
def reference(compressor: ContextCompressor, originals: OriginalStore) -> str:
    """The reference of the long result: the same in one store every time."""
    middleware = SpecPrefillMiddleware(
        compressor=compressor, budget=Budget(max_tokens=40), min_tokens=50, originals=originals
    )
    agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
    [reference] = stamp(tool_messages(agent.invoke(ASK))[0])["references"]
    return reference


@tool
def transfer_at_length(
    state: Annotated[Any, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
) -> Command[Any]:
    """Hand over with a long message."""
    done = ToolMessage(LONG, tool_call_id=tool_call_id)
    update = {"messages": [*state["messages"], done], "active_agent": "second"}
    return Command(goto="second", graph=Command.PARENT, update=update)


class TestSwarm:
    @pytest.fixture
    def swarm(self, make) -> Callable[..., Any]:
        def swarm(*turns: Any, hand_over: Any = None, **options: Any) -> Any:
            hand_over = hand_over or create_handoff_tool(agent_name="second")
            first = scripted(calls("read:1"), calls(f"{hand_over.name}:2"))
            agents = [
                make("first", first, read, hand_over),
                make("second", scripted(*turns), read, **options),
            ]
            return create_swarm(agents, default_active_agent="first").compile()

        return swarm

    async def test_the_next_agent_recalls_what_the_one_before_was_shown(
        self, swarm, reference
    ) -> None:
        def graph() -> Any:
            return swarm(calls("recall_original:3", reference=reference))

        for state in (graph().invoke(ASK), await graph().ainvoke(ASK)):
            cut, handed, recalled = tool_messages(state)
            assert EVIDENCE in cut.text
            assert stamp(cut)["references"] == [reference]
            assert handed.text == "Successfully transferred to second"
            assert recalled.text == LONG

    def test_it_goes_on_compressing(self, swarm) -> None:
        cut, _, again = tool_messages(swarm(calls("read:3")).invoke(ASK))
        assert again.text == cut.text != LONG

    def test_a_long_handoff_is_not_cut(self, swarm) -> None:
        state = swarm(calls("read:3"), hand_over=transfer_at_length).invoke(ASK)
        _, handed, cut = tool_messages(state)
        assert (handed.text, stamp(handed)["skipped_because"]) == (LONG, "return_direct")
        assert stamp(cut)["skipped_because"] is None

    def test_an_agent_without_the_recall_tool_is_told_so(self, swarm, reference) -> None:
        asks = calls("recall_original:3", reference=reference)
        [*_, answer] = tool_messages(swarm(asks, originals=None).invoke(ASK))
        assert answer.status == "error"
        assert "recall_original is not a valid tool, try one of [read]" in answer.text


class TestSupervisor:
    @pytest.mark.filterwarnings("ignore:create_react_agent")
    async def test_it_recalls_what_its_agents_were_shown(
        self, make, originals, compressor, reference
    ) -> None:
        def graph() -> Any:
            boss = scripted(
                calls("transfer_to_reader:1"), calls("recall_original:3", reference=reference)
            )
            recall = RecallTool(originals=originals, compressor=compressor)
            reader = make("reader", scripted(calls("read:2")), read)
            made = create_supervisor(
                [reader], model=boss, tools=[recall], output_mode="full_history"
            )
            return made.compile()

        for state in (graph().invoke(ASK), await graph().ainvoke(ASK)):
            handed, cut, back, recalled = tool_messages(state)
            assert handed.text == "Successfully transferred to reader"
            assert EVIDENCE in cut.text
            assert stamp(cut)["references"] == [reference]
            assert back.text == "Successfully transferred back to supervisor"
            assert recalled.text == LONG
