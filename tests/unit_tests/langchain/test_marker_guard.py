"""Agents that write shortened texts back: ignored, noticed or refused, as it is set."""

from __future__ import annotations

import re
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool

from specprefill_integrations import Budget, GapStyle
from specprefill_integrations.langchain import SpecPrefillMiddleware
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

BUDGET = Budget(max_tokens=40)


class Editor(ScriptedModel):
    """Writes back what it read; if that is refused, it recalls the original as it is told to."""

    script: list[AIMessage] = []  # noqa: RUF012 - a field

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        said = self.answer([one for one in messages if isinstance(one, ToolMessage)])
        return ChatResult(generations=[ChatGeneration(message=said)])

    def answer(self, results: list[ToolMessage]) -> AIMessage:
        if not results:
            return calls("read:0")
        last, number = results[-1], len(results)
        if last.name in {"read", "recall_original"}:
            return calls(f"write:{number}", edits=[{"path": "b.txt", "text": last.text}])
        asked = re.search(r"its reference (\w+)", last.text)
        if last.status == "error" and asked:
            return calls(f"recall_original:{number}", reference=asked[1])
        return AIMessage("Done.")


def files_and_tool(*, return_direct: bool = False) -> tuple[dict[str, str], BaseTool]:
    files: dict[str, str] = {}

    @tool(return_direct=return_direct)
    def write(edits: list[dict[str, str]]) -> str:
        """Write files."""
        files.update({edit["path"]: edit["text"] for edit in edits})
        return "Written."

    return files, write


async def run(middleware: SpecPrefillMiddleware, *, is_async: bool) -> tuple[Any, dict[str, str]]:
    files, write = files_and_tool()
    agent = create_agent(Editor(), [read, write], middleware=[middleware])
    asked = {"messages": [HumanMessage(QUESTION)]}
    state = await agent.ainvoke(asked) if is_async else agent.invoke(asked)
    return state, files


@pytest.fixture
def make(compressor):
    def made(**options: Any) -> SpecPrefillMiddleware:
        given = {"compressor": compressor, "budget": BUDGET, "min_tokens": 50}
        return SpecPrefillMiddleware(**{**given, **options})

    return made


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_refused_agent_recalls_the_original_and_writes_that(make, caplog, is_async) -> None:
    middleware = make(originals=InMemoryOriginals(), on_marker_in_arguments="refuse")
    middleware.tools[0].max_tokens = 10_000
    state, files = await run(middleware, is_async=is_async)
    assert files == {"b.txt": LONG}
    shortened, refused, recalled, written = tool_messages(state)
    assert EVIDENCE in shortened.text
    assert (refused.status, refused.tool_call_id, refused.name) == ("error", "1", "write")
    [reference] = stamp(shortened)["references"]
    assert f"Recall the original first, by its reference {reference}." in refused.text
    assert '"edits[0].text"' in refused.text
    assert stamp(refused)["skipped_because"] == "tool_error"
    assert (recalled.text, written.text) == (LONG, "Written.")
    assert state["messages"][-1].text == "Done."
    [record] = caplog.records
    assert record.message == (
        'Refused a call of write with a gap marker in its argument "edits[0].text".'
    )


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("action", "warnings"), [("ignore", 0), ("warn", 1)])
async def test_a_call_that_is_not_refused_goes_on(make, caplog, is_async, action, warnings) -> None:
    middleware = make(originals=InMemoryOriginals(), on_marker_in_arguments=action)
    state, files = await run(middleware, is_async=is_async)
    shortened, written = tool_messages(state)
    assert files == {"b.txt": shortened.text}
    assert (written.text, written.status) == ("Written.", "success")
    assert len(caplog.records) == warnings
    assert EVIDENCE not in caplog.text


async def test_without_a_store_it_is_told_to_read_the_text_itself(make) -> None:
    state, files = await run(make(on_marker_in_arguments="refuse"), is_async=False)
    assert files == {}
    _, refused = tool_messages(state)
    assert "Read the complete text first" in refused.text
    assert "ecall" not in refused.text


@pytest.mark.parametrize("style", [GapStyle(marker="<<{lines} cut>>"), GapStyle(marker="~~~")])
async def test_the_markers_are_those_of_the_compressor(make, compressor, style) -> None:
    middleware = make(compressor=compressor.replace(gaps=style), on_marker_in_arguments="refuse")
    state, files = await run(middleware, is_async=True)
    assert files == {}
    assert tool_messages(state)[1].status == "error"


async def test_nothing_happens_by_default(make) -> None:
    middleware = make(originals=InMemoryOriginals())
    assert middleware.settings.on_marker_in_arguments == "ignore"


async def test_excluded_tools_are_guarded(make) -> None:
    """Their results stay whole, but those that write are often among them."""
    middleware = make(exclude_tools=["write*"], on_marker_in_arguments="refuse")
    _, files = await run(middleware, is_async=True)
    assert files == {}


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_recall_tool_may_be_called_with_markers(make, is_async) -> None:
    """Models pass the whole marker as the reference."""
    originals = InMemoryOriginals()
    middleware = make(originals=originals, on_marker_in_arguments="refuse")
    reference = originals.put("A short text.")
    model = ScriptedModel(
        script=[
            calls("recall_original", reference=f"[...] [reference {reference}]"),
            AIMessage("Done."),
        ]
    )
    agent = create_agent(model, [read], middleware=[middleware])
    asked = {"messages": [HumanMessage(QUESTION)]}
    state = await agent.ainvoke(asked) if is_async else agent.invoke(asked)
    [message] = tool_messages(state)
    assert message.text == "A short text."


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_refusal_is_never_the_answer_of_the_agent(make, is_async) -> None:
    """The agent ends after a tool that returns directly, but not after a refused call of it."""
    middleware = make(originals=InMemoryOriginals(), on_marker_in_arguments="refuse")
    middleware.tools[0].max_tokens = 10_000
    files, write = files_and_tool(return_direct=True)
    agent = create_agent(Editor(), [read, write], middleware=[middleware])
    asked = {"messages": [HumanMessage(QUESTION)]}
    state = await agent.ainvoke(asked) if is_async else agent.invoke(asked)
    assert [message.name for message in tool_messages(state)] == [
        "read",
        "write",
        "recall_original",
        "write",
    ]
    _, refused, _, written = tool_messages(state)
    assert (refused.status, stamp(refused)["skipped_because"]) == ("error", "return_direct")
    assert state["messages"][-1] is written
    assert (written.text, files) == ("Written.", {"b.txt": LONG})


@pytest.mark.parametrize("other", ["read", "write", "show"])
async def test_the_model_is_asked_once_after_a_refusal_beside_other_calls(make, other) -> None:
    middleware = make(on_marker_in_arguments="refuse")
    _, write = files_and_tool(return_direct=True)

    @tool(return_direct=True)
    def show(text: str) -> str:
        """Show a text."""
        return text

    arguments = {"write": {"edits": [{"path": "a", "text": "[...]"}]}, "show": {"text": "Hi."}}
    both = AIMessage(
        "",
        tool_calls=[
            {"name": "write", "args": arguments["write"], "id": "1"},
            {"name": other, "args": arguments.get(other, {}), "id": "2"},
        ],
    )
    model = scripted(both)
    agent = create_agent(model, [read, write, show], middleware=[middleware])
    state = await agent.ainvoke({"messages": [HumanMessage(QUESTION)]})
    refused, beside = tool_messages(state)
    assert (refused.status, beside.status) == ("error", "error" if other == "write" else "success")
    assert len(model.requests) == 2
    assert state["messages"][-1].text == "Done."
