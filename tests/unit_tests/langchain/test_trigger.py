"""Thresholds as a share of the model's window, and the other forms of a trigger."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import (
    SpecPrefillContextEdit,
    SpecPrefillMiddleware,
    ToolPolicy,
    compress_messages,
)
from specprefill_integrations.langchain._trigger import ContextTrigger
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.langchain.agents import LONG, QUESTION, calls, read, scripted, tool_messages

BUDGET = Budget(max_tokens=16)


def model_of(tokens: int | None) -> FakeListChatModel:
    profile = None if tokens is None else {"max_input_tokens": tokens}
    return FakeListChatModel(responses=["Done."], profile=profile)


def conversation(count: int) -> list[BaseMessage]:
    return [HumanMessage("word " * 100)] * count


sizes = st.one_of(
    st.tuples(st.just("tokens"), st.integers(1, 1_000)),
    st.tuples(st.just("messages"), st.integers(1, 8)),
    st.tuples(st.just("fraction"), st.floats(0.001, 1)),
)
clauses = st.dictionaries(
    st.sampled_from(["tokens", "messages"]), st.integers(1, 500), min_size=1
) | st.dictionaries(st.just("fraction"), st.floats(0.001, 1), min_size=1)


class TestForms:
    @given(trigger=sizes | clauses | st.lists(sizes | clauses, min_size=1), count=st.integers(0, 9))
    def test_they_mean_what_they_mean_to_langchain(self, trigger: Any, count: int) -> None:
        model = model_of(1_000)
        ours = ContextTrigger.of(trigger, model)
        theirs = SummarizationMiddleware(model, trigger=trigger)
        messages = conversation(count)
        tokens = count_tokens_approximately(messages)
        expected = theirs._should_summarize(messages, tokens)  # type: ignore[arg-type]
        assert ours.is_reached(messages, count_tokens_approximately) == expected

    @pytest.mark.parametrize(
        "trigger",
        [("fraction", 0), ("fraction", 1.5), ("tokens", 0), ("messages", -1), [], {}, [{}]],
    )
    def test_what_names_no_size_is_refused(self, trigger: Any) -> None:
        with pytest.raises(ValueError, match="trigger"):
            ContextTrigger.of(trigger, model_of(1_000))

    def test_tokens_are_whole(self) -> None:
        with pytest.raises(TypeError, match="trigger: tokens"):
            ContextTrigger.of(("tokens", 1.5), None)

    def test_messages_alone_are_not_counted_in_tokens(self) -> None:
        trigger = ContextTrigger.of([("messages", 2), ("tokens", 5)], None)
        assert trigger.is_reached(conversation(2), lambda _: 1 // 0)


class TestWindows:
    @pytest.mark.parametrize("make", [compress_messages, SpecPrefillContextEdit])
    def test_a_conversation_is_compressed_from_its_share_on(self, make: Any) -> None:
        messages = [HumanMessage(LONG, id="1"), AIMessage("Yes.", id="2"), HumanMessage(QUESTION)]
        tokens = count_tokens_approximately(messages)
        for window, is_cut in ((2 * tokens, True), (2 * tokens + 2, False)):
            step = make(
                compressor=ContextCompressor(KeywordScorer()),
                budget=BUDGET,
                min_tokens=10,
                trigger=("fraction", 0.5),
                model=model_of(window),
            )
            compress = step.compress if make is SpecPrefillContextEdit else step.invoke
            assert (compress(messages)[0].content != LONG) == is_cut

    @pytest.mark.parametrize("make", [compress_messages, SpecPrefillContextEdit])
    @pytest.mark.parametrize("option", ["trigger", "min_tokens"])
    def test_an_unknown_window_is_said_when_it_is_made(self, make: Any, option: str) -> None:
        for options in ({}, {"model": model_of(None)}):
            with pytest.raises(ValueError, match=r"model=.*max_input_tokens"):
                make(budget=BUDGET, **{option: ("fraction", 0.5)}, **options)
        with pytest.raises(ValueError, match=r"max_input_tokens"):
            make(budget=BUDGET, tool_policies={"a": ToolPolicy(min_tokens=("fraction", 0.5))})
        with pytest.raises(ValueError, match=r"max_input_tokens"):
            SpecPrefillMiddleware(budget=BUDGET, **{option: ("fraction", 0.5)})

    async def test_a_middleware_begins_where_the_window_is_half_full(self) -> None:
        metrics = CompressionMetrics()
        middleware = SpecPrefillMiddleware(
            compressor=ContextCompressor(KeywordScorer()),
            budget=BUDGET,
            min_tokens=50,
            trigger=("fraction", 0.5),
            model=model_of(1_000),
            metrics=metrics,
        )
        model = scripted(*(calls(f"read:{number}") for number in range(4)))
        agent = create_agent(model, [read], middleware=[middleware])
        state = await agent.ainvoke({"messages": [HumanMessage(QUESTION)]})
        shown = [message.content == LONG for message in tool_messages(state)]
        assert shown == [True, True, False, False]  # of 200 tokens or so each
        assert metrics.totals().skips == {"below_trigger": 2}

    def test_results_of_a_share_of_the_window_are_compressed(self) -> None:
        for window, is_cut in ((1_000, True), (10_000, False)):
            middleware = SpecPrefillMiddleware(
                compressor=ContextCompressor(KeywordScorer()),
                budget=BUDGET,
                min_tokens=("fraction", 0.1),
                model=model_of(window),
            )
            agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
            [message] = tool_messages(agent.invoke({"messages": [HumanMessage(QUESTION)]}))
            assert (message.content != LONG) == is_cut
