"""Laws of agents with the middleware, over conversations of ten turns."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import SpecPrefillMiddleware
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.langchain.agents import ScriptedModel, calls, stamp, tool_messages

MIN_TOKENS = 12
BUDGET = Budget(max_tokens=30)
REFERENCE = re.compile(r"\[reference (\w+)\]")

words = st.sampled_from(
    [
        "dog",
        "cat",
        "rain",
        "snow",
        "noon",
        "night",
        "hill",
        "river",
        "bark",
        "sleep",
        "fall",
        "rise",
    ]
)
questions = st.lists(words, min_size=1, max_size=4).map(" ".join)
sentences = st.lists(words, min_size=3, max_size=8).map(lambda found: " ".join(found) + ".")
results = st.tuples(st.sampled_from([" ", "\n", "\n\n"]), st.lists(sentences, max_size=30)).map(
    lambda drawn: drawn[0].join(drawn[1])
)


class Turn(NamedTuple):
    """A question, and what the tools give for it."""

    question: str
    results: list[str]


ten_turns = st.lists(
    st.builds(Turn, questions, st.lists(results, min_size=1, max_size=3)), min_size=10, max_size=10
)


class Run:
    """An agent that was asked ten questions, and called all tools of a turn at once."""

    def __init__(self, turns: Sequence[Turn], *, is_async: bool = False) -> None:
        self.originals = {
            f"{number}.{call}": text
            for number, turn in enumerate(turns)
            for call, text in enumerate(turn.results)
        }
        self.store = InMemoryOriginals()
        script: list[AIMessage] = []
        for number, turn in enumerate(turns):
            names = [f"read:{number}.{call}" for call in range(len(turn.results))]
            script += [calls(*names), AIMessage(f"Answer {number}.")]
        self.model = ScriptedModel(script=script)
        self.state: Any = None
        asyncio.run(self.ask(turns)) if is_async else self.ask_in_threads(turns)

    def agent(self) -> Any:
        @tool("read")
        def read(call: Annotated[str, InjectedToolCallId]) -> str:
            """Read what belongs to the call."""
            return self.originals[call]

        middleware = SpecPrefillMiddleware(
            compressor=ContextCompressor(KeywordScorer(), on_error="raise"),
            budget=BUDGET,
            min_tokens=MIN_TOKENS,
            originals=self.store,
            metrics=CompressionMetrics(),
        )
        return create_agent(
            self.model, [read], middleware=[middleware], checkpointer=InMemorySaver()
        )

    def ask_in_threads(self, turns: Sequence[Turn]) -> None:
        agent, config = self.agent(), {"configurable": {"thread_id": "1"}}
        for turn in turns:
            self.state = agent.invoke({"messages": [HumanMessage(turn.question)]}, config)

    async def ask(self, turns: Sequence[Turn]) -> None:
        agent, config = self.agent(), {"configurable": {"thread_id": "1"}}
        for turn in turns:
            self.state = await agent.ainvoke({"messages": [HumanMessage(turn.question)]}, config)


def count(text: str) -> int:
    return KeywordScorer().count_tokens([text])[0]


@settings(max_examples=8)
@given(ten_turns, st.booleans())
def test_every_request_begins_with_the_one_before(turns, is_async) -> None:
    requests = Run(turns, is_async=is_async).model.request_bytes()
    assert len(requests) == 20
    for before, after in pairwise(requests):
        assert after[: len(before)] == before
        assert len(after) > len(before)


@settings(max_examples=8)
@given(ten_turns)
def test_every_call_has_its_answer_within_the_budget(turns) -> None:
    run = Run(turns)
    answers = tool_messages(run.state)
    assert [answer.tool_call_id for answer in answers] == list(run.originals)
    for answer in answers:
        original, what = run.originals[answer.tool_call_id], stamp(answer)
        if what["skipped_because"]:
            assert answer.content == original
        else:
            assert what["original_tokens"] == count(original) >= MIN_TOKENS
            assert what["kept_tokens"] == count(answer.content) <= 30


@settings(max_examples=8)
@given(ten_turns)
def test_every_reference_leads_to_the_original(turns) -> None:
    run = Run(turns)
    for answer in tool_messages(run.state):
        original = run.originals[answer.tool_call_id]
        if answer.content != original:
            [reference] = REFERENCE.findall(answer.content)
            assert run.store.get(reference) == original


@settings(max_examples=5)
@given(ten_turns)
def test_asynchronous_agents_see_the_same(turns) -> None:
    def seen(run: Run) -> list[list[Any]]:
        # Each store has references of its own.
        return [
            [
                (m.type, REFERENCE.sub("", m.text))
                for m in request
                if isinstance(m, (ToolMessage, HumanMessage))
            ]
            for request in run.model.requests
        ]

    assert seen(Run(turns)) == seen(Run(turns, is_async=True))


def test_another_question_would_have_changed_the_prefix() -> None:
    """So the first law is not kept by chance: the same text is cut differently."""
    words = ("dog", "cat", "hill") * 9
    text = " ".join(f"The {word} was there on day {day}." for day, word in enumerate(words))
    run = Run([Turn(question, [text]) for question in ("dog", "cat", "hill", *"abcdefg")])
    first, second, *_ = (answer.content for answer in tool_messages(run.state))
    assert "dog" in first
    assert "cat" in second
    assert first != second
