"""The edit in LangChain's own `ContextEditingMiddleware`."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ClearToolUsesEdit, ContextEditingMiddleware
from langchain_core.messages import HumanMessage, ToolMessage

from specprefill_integrations import Budget
from specprefill_integrations.langchain import SpecPrefillContextEdit
from specprefill_integrations.observability._metrics import CompressionMetrics
from tests.unit_tests.langchain.agents import (
    EVIDENCE,
    LONG,
    QUESTION,
    ScriptedModel,
    calls,
    read,
    scripted,
    tool_messages,
)

SHORT = f"[...] {EVIDENCE} [...]"
CALLS = [calls(f"read:{number}") for number in range(1, 7)]


@pytest.fixture
def make(compressor: Any) -> Any:
    def make(**options: Any) -> SpecPrefillContextEdit:
        settings = {
            "budget": Budget(max_tokens=16),
            "min_tokens": 50,
            "metrics": CompressionMetrics(),
        }
        return SpecPrefillContextEdit(compressor=compressor, **{**settings, **options})

    return make


def seen(model: ScriptedModel) -> list[list[Any]]:
    """The tool results of each request."""
    return [[m.content for m in r if isinstance(m, ToolMessage)] for r in model.requests]


def agent(model: ScriptedModel, *edits: Any) -> Any:
    return create_agent(model, [read], middleware=[ContextEditingMiddleware(edits=edits)])


class TestEdit:
    def test_old_results_shrink_above_the_trigger(self, make) -> None:
        model = scripted(*CALLS[:4])
        state = agent(model, make(trigger=("tokens", 700), keep_results=1)).invoke(
            {"messages": [HumanMessage(QUESTION)]}
        )
        # The approximate counter makes 187 tokens or so of each result.
        assert seen(model)[:4] == [[], [LONG], [LONG] * 2, [LONG] * 3]
        assert seen(model)[4] == [SHORT, SHORT, SHORT, LONG]
        assert [m.content for m in tool_messages(state)] == [LONG] * 4

    async def test_asynchronous_agents_too(self, make) -> None:
        model = scripted(*CALLS[:3])
        await agent(model, make(keep_results=1)).ainvoke({"messages": [HumanMessage(QUESTION)]})
        assert seen(model)[-1] == [SHORT, SHORT, LONG]

    def test_what_shrank_stays_the_same(self, make, scorer) -> None:
        model = scripted(*CALLS)
        agent(model, make(trigger=("tokens", 400), keep_results=1)).invoke(
            {"messages": [HumanMessage(QUESTION)]}
        )
        assert len(scorer.calls) < len(CALLS)
        for before, after in zip(seen(model), seen(model)[1:], strict=False):
            shrunk = [index for index, content in enumerate(before) if content == SHORT]
            assert all(after[index] == SHORT for index in shrunk)
        assert seen(model)[-1].count(SHORT) >= 3

    def test_it_edits_short_conversations_too(self, make) -> None:
        assert make().trigger is None

    def test_beside_langchains_own_edit(self, make) -> None:
        model = scripted(*CALLS[:4])
        clearing = ClearToolUsesEdit(trigger=0, keep=2)
        agent(model, clearing, make(keep_results=1)).invoke({"messages": [HumanMessage(QUESTION)]})
        assert seen(model)[-1] == ["[cleared]", "[cleared]", SHORT, LONG]

    def test_the_list_is_edited_and_its_messages_are_not(self, make) -> None:
        old = ToolMessage(LONG, tool_call_id="1", id="t1", name="read")
        messages: list[Any] = [HumanMessage(QUESTION), calls("read:1"), old]
        before = copy.deepcopy(messages)
        edit = make(trigger=("tokens", 5), keep_results=0)
        edit.apply(messages, count_tokens=lambda _: 6)
        assert messages[2].content == SHORT
        assert (old, messages[:2]) == (before[2], before[:2])

    def test_the_counter_is_the_callers(self, make) -> None:
        messages: list[Any] = [ToolMessage(LONG, tool_call_id="1"), HumanMessage(QUESTION)]
        make(trigger=("tokens", 5), keep_results=0).apply(messages, count_tokens=lambda _: 4)
        assert messages[0].content == LONG
