"""The question behind a tool call, free of frameworks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from specprefill_integrations.tool_results import ToolRequest
from specprefill_integrations.tool_results._question import Query, query_of, searches

REQUEST = ToolRequest(
    tool_name="read",
    arguments={"path": "a.log"},
    user_message="When did the dog bark?",
    assistant_message="The log may tell.",
)


def test_all_parts_from_general_to_special() -> None:
    assert query_of(REQUEST) == Query(
        text='When did the dog bark? | The log may tell. | tool call: read {"path": "a.log"}',
        sources=("user_message", "assistant_message", "tool_call"),
    )


def test_the_user_alone_where_the_conversation_has_moved_on() -> None:
    expected = Query(text="When did the dog bark?", sources=("user_message",))
    assert query_of(REQUEST, user_message_only=True) == expected


@pytest.mark.parametrize("setting", ["Cats?", lambda request: f"{request.arguments['path']}?"])
def test_a_setting_stands_alone(setting) -> None:
    for user_message_only in (True, False):
        found = query_of(REQUEST, setting, user_message_only=user_message_only)
        assert found.text in {"Cats?", "a.log?"}
        assert found.sources == ("setting",)


@pytest.mark.parametrize("setting", [None, "", " \n", lambda _: None, lambda _: " "])
def test_a_blank_one_asks_the_conversation(setting) -> None:
    assert query_of(REQUEST, setting) == query_of(REQUEST)


@pytest.mark.parametrize("setting", [None, "Cats?", lambda _: "Cats?"])
def test_the_models_goal_comes_first(setting) -> None:
    request = replace(REQUEST, goal="Which dog?")
    assert query_of(request, setting) == Query(text="Which dog?", sources=("goal",))
    for blank in (None, "", " \n"):
        assert query_of(replace(REQUEST, goal=blank), setting) == query_of(REQUEST, setting)


def test_nothing_at_all() -> None:
    assert query_of(ToolRequest()) == Query()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"query": "dogs"}, True),
        ({"path": "a", "Pattern": "bark"}, True),
        ({"query": " "}, False),
        ({"query": 3}, False),
        ({"path": "query"}, False),
        ({}, False),
    ],
)
def test_some_arguments_say_what_is_looked_for(arguments, expected) -> None:
    assert searches(arguments) is expected
