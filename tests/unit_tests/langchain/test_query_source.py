"""Which question stands behind a tool call, and where it was found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from specprefill_integrations import Budget
from specprefill_integrations.langchain import SpecPrefillMiddleware
from specprefill_integrations.langchain._conversation import (
    last_user_text,
    messages_of,
    request_of,
)
from specprefill_integrations.tool_results._question import Query, query_of
from tests.unit_tests.langchain.agents import QUESTION, calls, read, scripted, stamp, tool_messages


def query_behind(*messages: Any) -> Query:
    """The question of the only call of the last message."""
    return query_of(request_of(messages[-1].tool_calls[0], messages))


class TestToolCalls:
    def test_the_last_human_message_and_the_call(self) -> None:
        human = [HumanMessage("Hello."), AIMessage("Hi."), HumanMessage(QUESTION)]
        assert query_behind(*human, calls("read", path="a.txt")) == Query(
            text=f'{QUESTION} | tool call: read {{"path": "a.txt"}}',
            sources=("user_message", "tool_call"),
        )

    def test_what_the_last_message_refers_to(self) -> None:
        earlier = [
            HumanMessage("Which dogs barked?"),
            calls("read:0", said="I look."),
            AIMessage("Rex and Bella barked."),
            HumanMessage("Rain fell.", additional_kwargs={"lc_source": "summarization"}),
        ]
        call = calls("read", path="a.txt")
        assert query_behind(*earlier, HumanMessage("And the second one?"), call) == Query(
            text="Which dogs barked? | Rex and Bella barked. | And the second one? "
            '| tool call: read {"path": "a.txt"}',
            sources=("earlier_turns", "user_message", "tool_call"),
        )

    def test_the_text_before_a_call_that_does_not_say_what_it_looks_for(self) -> None:
        call = calls("read", said="The log may tell.", path="a.log")
        assert query_behind(HumanMessage(QUESTION), call) == Query(
            text=f'{QUESTION} | The log may tell. | tool call: read {{"path": "a.log"}}',
            sources=("user_message", "assistant_message", "tool_call"),
        )

    def test_not_before_a_call_that_does(self) -> None:
        call = calls("search", said="I am going to search.", Query="dog AND bark")
        assert query_behind(HumanMessage(QUESTION), call) == Query(
            text=f'{QUESTION} | tool call: search {{"Query": "dog AND bark"}}',
            sources=("user_message", "tool_call"),
        )

    def test_a_call_without_arguments_says_nothing(self) -> None:
        assert query_behind(HumanMessage(QUESTION), calls("read")).sources == ("user_message",)

    def test_nothing_at_all(self) -> None:
        assert query_behind(SystemMessage("Be kind."), calls("read")) == Query()

    def test_the_text_is_that_of_the_message_with_the_call(self) -> None:
        call = calls("read:1", said="First.")
        later = calls("read:2", said="Second.")
        for one, text in ((call, "First."), (later, "Second.")):
            assert query_of(request_of(one.tool_calls[0], [call, later])).text == text

    def test_text_blocks_are_text(self) -> None:
        human = HumanMessage([{"type": "text", "text": QUESTION}, {"type": "image", "url": "x"}])
        assert query_behind(human, calls("read")).text == QUESTION

    def test_what_is_long_loses_its_middle(self) -> None:
        human = HumanMessage(f"{QUESTION} {'rain ' * 500} Answer in French.")
        text = str(query_behind(human, calls("write", content="x" * 5000)).text)
        assert text.startswith(QUESTION)
        assert "Answer in French. | tool call: write" in text
        assert len(text) < 2100

    def test_arguments_of_any_kind_and_script(self) -> None:
        call = AIMessage("", tool_calls=[{"name": "f", "args": {"x": [1, None, "雨"]}, "id": "1"}])
        assert query_behind(call).text == 'tool call: f {"x": [1, null, "雨"]}'


class TestConversations:
    def test_a_summary_serves_where_there_is_nothing_else(self) -> None:
        summary = HumanMessage("A dog.", additional_kwargs={"lc_source": "summarization"})
        assert last_user_text([HumanMessage("Cats?"), summary]) == "Cats?"
        assert last_user_text([summary]) == "A dog."
        assert last_user_text([AIMessage("Hi.")]) == ""

    def test_states_come_in_three_shapes(self) -> None:
        messages = [HumanMessage(QUESTION)]
        for state in (messages, {"messages": messages}, SimpleNamespace(messages=messages)):
            assert messages_of(state) == messages
        for state in ({}, SimpleNamespace(), None, {"messages": None}, ["text"]):
            assert messages_of(state) == []


class TestSettings:
    def ask(self, compressor: Any, query: Any) -> list[str]:
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(max_tokens=16), min_tokens=50, query=query
        )
        agent = create_agent(scripted(calls("read", path="a")), [read], middleware=[middleware])
        state = agent.invoke({"messages": [HumanMessage(QUESTION)]})
        [message] = tool_messages(state)
        return stamp(message)["query_sources"]

    def test_an_explicit_question_stands_alone(self, compressor, scorer) -> None:
        assert self.ask(compressor, "rain?") == ["setting"]
        assert scorer.calls[0][0] == "rain?"

    def test_a_function_sees_the_request(self, compressor, scorer) -> None:
        sources = self.ask(compressor, lambda request: f"{request.arguments['path']}, dog")
        assert sources == ["setting"]
        assert scorer.calls[0][0] == "a, dog"

    @pytest.mark.parametrize("nothing", [None, " ", lambda _: None])
    def test_nothing_set_leaves_it_to_the_messages(self, compressor, nothing) -> None:
        assert self.ask(compressor, nothing) == ["user_message", "tool_call"]
