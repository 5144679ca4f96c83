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


TURNS = (("When do gates open?", "At eight."), ("Which gates were lost?", "Gates 7 and 12."))


@pytest.mark.parametrize(
    "message",
    [
        "And the second one?",
        "and the second one",
        "What about the other?",
        "Why?",
        "Who lost them?",
        "Is that certain?",
        "Und das zweite?",
        "その二つ目は？",
        "continue",
        "Show me its log.",
        "Yes, please do that.",
        "Can you expand on point 2?",
        "Which of the two is cheaper?",
        "Compare both for a small garden",
        "When was the third painted? And the last?",
        "I would like option b",
        "Can you tell me more about it?",
        "Why did that order fail?",
        "What happened there?",
    ],
)
def test_a_message_that_refers_brings_what_it_refers_to(message) -> None:
    request = ToolRequest(user_message=message, earlier_turns=TURNS)
    assert query_of(request) == Query(
        text=f"Which gates were lost? | Gates 7 and 12. | {message}",
        sources=("earlier_turns", "user_message"),
    )
    assert query_of(request, user_message_only=True) == query_of(request)


@pytest.mark.parametrize(
    "message",
    [
        "When was gate 12 painted?",
        "Fix the failing test of the parser.",
        "gate 12 paint supplier",
        "When was the last gate painted?",
        "Name the two largest rivers.",
        "Where does json define the error that a decoder raises?",
        "Which exception does the queue raise when it is full?",
        "Is there a file named gates.txt?",
        "Please find the error in the parser",
        "Wann wurde Tor zwölf gestrichen?",
        "",
        # Long messages say what they are about.
        f"It is {'very ' * 30}late. When was gate 12 painted?",
    ],
)
def test_other_messages_stand_alone(message) -> None:
    found = query_of(ToolRequest(user_message=message, earlier_turns=TURNS))
    assert found.text == (message or None)


def test_messages_that_refer_to_messages_that_refer() -> None:
    request = ToolRequest(
        user_message="And the third?", earlier_turns=(*TURNS, ("And the second?", "Gate 12."))
    )
    assert query_of(request).text == (
        "Which gates were lost? | And the second? | Gate 12. | And the third?"
    )


def test_long_earlier_turns_are_cut() -> None:
    turns = (("Which gates? " + "so " * 900, "Gate 7. " + "x " * 900 + "Gate 12."),)
    found = query_of(ToolRequest(user_message="And that one?", earlier_turns=turns)).text
    assert found.startswith("Which gates?")
    assert "Gate 12. | And that one?" in found
    assert len(found) < 700


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"command": 'grep -n "foo bar" src/main.c'}, ['grep -n "foo bar" src/main.c']),
        (
            {"sql": "SELECT name\nFROM gates\n\tWHERE state = 'lost'"},
            ["SELECT name\nFROM gates\n\tWHERE state = 'lost'"],
        ),
        ({"filter": {"state": "lost", "tags": ["a\nb"]}}, ['"state": "lost"', "a\nb"]),
        ({"filter": '{"state": "lost"}'}, ['{"state": "lost"}']),
        ({"path": "C:\\new\\table.txt"}, ["C:\\new\\table.txt"]),
        ({"pattern": r"\bgate_\d+\b"}, [r"\bgate_\d+\b"]),
        ({"jq": '.items[] | select(.name == "a\\nb")'}, ['select(.name == "a\\nb")']),
        ({"name": "größe", "emoji": "☂"}, ["größe", "☂"]),
    ],
)
def test_arguments_are_read_as_they_were_written(arguments, words) -> None:
    found = query_of(ToolRequest(tool_name="run", user_message="Lost?", arguments=arguments))
    assert found.text.startswith("Lost? | tool call: run {")
    for word in words:
        assert word in found.text


@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_long_argument_hides_a_short_one(place) -> None:
    others = [("content", "rain " * 2000), ("context", "hill " * 2000)]
    others.insert(place, ("name", "gate_214"))
    request = ToolRequest(tool_name="edit", arguments=dict(others), user_message="Change it.")
    found = query_of(request).text
    assert '"name": "gate_214"' in found
    assert len(found) < 1200


def test_a_pasted_log_leaves_the_question() -> None:
    log = "\n".join(f"12:00:{n % 60:02} step {n} is done" for n in range(2000))
    for message in (f"{log}\n\nWhich step hangs?", f"Which step hangs?\n{log}"):
        for given in (
            query_of(ToolRequest(user_message=message)),
            query_of(REQUEST, message),
            query_of(replace(REQUEST, goal=message)),
        ):
            assert "Which step hangs?" in given.text
            assert len(given.text) < 1200
