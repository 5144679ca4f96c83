"""Laws of compressed conversations, over messages of all shapes that providers and tools make."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations._metadata import own_metadata
from specprefill_integrations.langchain import compress_messages
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results._content import open_texts_of
from tests.laws.test_compressing_kinds import any_texts

BUDGET = Budget(max_tokens=25)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
blocks = st.one_of(
    any_texts(),
    st.fixed_dictionaries({"type": st.just("text"), "text": any_texts()}),
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": any_texts()},
        optional={
            "cache_control": st.just({"type": "ephemeral"}),
            "citations": st.just([{"cited_text": "x"}]),
            "annotations": st.sampled_from([[], None, [{"type": "citation"}]]),
            "id": st.text(max_size=3),
        },
    ),
    st.fixed_dictionaries({"type": st.just("text"), "text": st.none() | st.integers()}),
    st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    st.just({"type": "reasoning", "reasoning": "why"}),
    st.dictionaries(st.text(max_size=6), json_values, max_size=3),
)
contents = any_texts() | st.lists(blocks, max_size=4)
extras = st.dictionaries(st.sampled_from(["specprefill", "model", "x"]), json_values, max_size=2)
ids = st.none() | st.sampled_from(["a", "b", "c"])
calls_made = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["read", "search", ""]),
            "args": st.dictionaries(st.sampled_from(["query", "path", "0"]), json_values),
            "id": st.sampled_from(["1", "2", "3"]),
            "type": st.just("tool_call"),
        }
    ),
    max_size=2,
)
roles = st.sampled_from(["human", "system", "ai", "tool", "tool", "tool", "function"])


@st.composite
def messages(draw: st.DrawFn) -> BaseMessage:
    """Messages of all roles."""
    role, content, message_id = draw(roles), draw(contents), draw(ids)
    if role == "human":
        return HumanMessage(content, id=message_id, response_metadata=draw(extras))
    if role == "system":
        return SystemMessage(content, id=message_id)
    if role == "ai":
        return AIMessage(content, id=message_id, tool_calls=draw(calls_made))
    if role == "function":
        return FunctionMessage(content=content, name="f", id=message_id)
    return ToolMessage(
        content,
        tool_call_id=draw(st.sampled_from(["1", "2", "3", ""])),
        name=draw(st.sampled_from([None, "read", "recall_original", "odd\nname"])),
        artifact=draw(st.none() | json_values),
        status=draw(st.sampled_from(["success", "success", "error"])),
        response_metadata=draw(extras),
        id=message_id,
    )


conversations = st.lists(messages(), max_size=6)


def step() -> Any:
    return compress_messages(
        compressor=ContextCompressor(KeywordScorer(), on_error="raise"),
        budget=BUDGET,
        keep_results=1,
        min_tokens=10,
        originals=InMemoryOriginals(),
    )


def without_texts(message: BaseMessage) -> dict[str, Any]:
    """Everything of a message but the texts that may change and our metadata."""
    found = message.model_dump()
    found["response_metadata"] = {
        key: value
        for key, value in found["response_metadata"].items()
        if own_metadata({key: value}) is None
    }
    if isinstance(message.content, str):
        return {**found, "content": None}
    found["content"] = [
        block if not open_texts_of([block]) else isinstance(block, str) or {**block, "text": None}
        for block in message.content
    ]
    return found


@settings(max_examples=40)
@given(conversations)
def test_only_texts_change_and_nothing_of_the_input(conversation: list[BaseMessage]) -> None:
    before = [message.model_copy(deep=True) for message in conversation]
    shown = step().invoke(conversation)
    assert conversation == before
    assert [type(message) for message in shown] == [type(message) for message in conversation]
    assert list(map(without_texts, shown)) == list(map(without_texts, conversation))


@settings(max_examples=40)
@given(conversations)
def test_both_ways_give_the_same_and_twice_the_same(conversation: list[BaseMessage]) -> None:
    runnable = step()
    shown = runnable.invoke(conversation)
    assert runnable.invoke(conversation) == shown
    texts = [open_texts_of(message.content) for message in shown]
    again = asyncio.run(step().ainvoke(conversation))
    references = [open_texts_of(message.content) for message in again]
    assert [len(found) for found in texts] == [len(found) for found in references]


def test_a_conversation_that_cannot_be_counted_passes_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    long = "The dog barked all night. " * 40
    conversation = [
        HumanMessage(long, id="a"),
        HumanMessage([{"type": "text", "text": None}], id="b"),
    ]
    compressor = ContextCompressor(KeywordScorer())
    runnable = compress_messages(
        compressor=compressor, budget=BUDGET, min_tokens=10, trigger=("tokens", 1)
    )
    assert runnable.invoke(conversation) == conversation
    assert "could not be counted" in caplog.text
    strict = compress_messages(
        compressor=compressor.replace(on_error="raise"), budget=BUDGET, trigger=("tokens", 1)
    )
    with pytest.raises(TypeError):
        strict.invoke(conversation)
