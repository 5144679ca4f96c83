"""One agent for several tenants: a function chooses the store from the runtime of a run."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ContextEditingMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.memory import InMemoryStore

from specprefill_integrations import Budget
from specprefill_integrations.langchain import (
    RecallTool,
    SpecPrefillContextEdit,
    SpecPrefillMiddleware,
    StoreOriginals,
    compress_messages,
)
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.langchain.agents import LONG, QUESTION, read

BUDGET = Budget(max_tokens=40)
REFERENCE = re.compile(r"\[reference ([0-9a-f]{12})\]")


@dataclass
class User:
    tenant: str


class Reader(BaseChatModel):
    """Reads, recalls by the reference that the human message or else the text names, and ends."""

    @property
    def _llm_type(self) -> str:
        return "reader"

    def bind_tools(self, tools: Any, **_: Any) -> Reader:
        return self

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        answers = [message for message in messages if isinstance(message, ToolMessage)]
        call = None
        if not answers:
            call = {"name": "read", "args": {"name": "a"}, "id": "1"}
        elif len(answers) == 1:
            [reference] = REFERENCE.findall(messages[0].text) or REFERENCE.findall(answers[0].text)
            call = {"name": "recall_original", "args": {"reference": reference}, "id": "2"}
        message = AIMessage("Done.", tool_calls=[call] if call else [])
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.fixture
def stores() -> dict[str, InMemoryOriginals]:
    return {"a": InMemoryOriginals(), "b": InMemoryOriginals()}


@pytest.fixture(params=["sync", "async"])
def store_of(request, stores):
    def of(runtime: Any) -> InMemoryOriginals | None:
        return stores.get(runtime.context.tenant)

    async def aof(runtime: Any) -> InMemoryOriginals | None:
        return of(runtime)

    return of if request.param == "sync" else aof


async def run(agent: Any, tenant: str, said: str, store_of: Any) -> tuple[str, str]:
    """Return what the model read of the text, and of the recall."""
    asked = {"messages": [HumanMessage(f"{said} {QUESTION}")]}
    if store_of.__name__ == "of":
        state = agent.invoke(asked, context=User(tenant))
    else:
        state = await agent.ainvoke(asked, context=User(tenant))
    answers = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    return answers[0].text, answers[-1].text


@pytest.fixture
def agent(compressor, store_of):
    middleware = SpecPrefillMiddleware(
        compressor=compressor, budget=BUDGET, min_tokens=50, originals=store_of
    )
    middleware.tools[0].max_tokens = 10_000
    return create_agent(Reader(), [read], middleware=[middleware], context_schema=User)


async def test_each_tenant_recalls_its_own_and_no_other(agent, store_of, stores) -> None:
    shown, references = {}, {}
    for tenant in stores:
        shown[tenant], recalled = await run(agent, tenant, "", store_of)
        assert recalled == LONG
        [references[tenant]] = REFERENCE.findall(shown[tenant])
    assert references["a"] != references["b"]
    for tenant, other in (("a", "b"), ("b", "a")):
        said = f"[reference {references[other]}]"
        again, recalled = await run(agent, tenant, said, store_of)
        assert REFERENCE.findall(again) == [references[tenant]]
        assert "not kept here" in recalled


async def test_without_a_store_no_reference_is_named(agent, store_of) -> None:
    shown, recalled = await run(agent, "c", "[reference 3f9a0c1b2d4e]", store_of)
    assert "[...]" in shown
    assert not REFERENCE.findall(shown)
    assert "not kept here" in recalled


def test_two_threads_of_one_agent(compressor, stores) -> None:
    together = Barrier(2, timeout=30)

    def of(runtime: Any) -> InMemoryOriginals:
        together.wait()
        return stores[runtime.context.tenant]

    middleware = SpecPrefillMiddleware(
        compressor=compressor, budget=BUDGET, min_tokens=50, originals=of
    )
    middleware.tools[0].max_tokens = 10_000
    agent = create_agent(Reader(), [read], middleware=[middleware], context_schema=User)

    def use(tenant: str) -> tuple[str, str]:
        state = agent.invoke({"messages": [HumanMessage(QUESTION)]}, context=User(tenant))
        texts = [message.text for message in state["messages"] if message.type == "tool"]
        return texts[0], texts[1]

    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            for tenant, (shown, recalled) in zip("ab", threads.map(use, "ab"), strict=True):
                [reference] = REFERENCE.findall(shown)
                assert recalled == LONG
                assert stores[tenant].get(reference) == LONG
                assert stores["b" if tenant == "a" else "a"].get(reference) is None


async def test_a_namespace_of_the_agents_store_for_each_tenant(compressor) -> None:
    def of(runtime: Any) -> StoreOriginals:
        return StoreOriginals(runtime.store, namespace=("originals", runtime.context.tenant))

    middleware = SpecPrefillMiddleware(
        compressor=compressor, budget=BUDGET, min_tokens=50, originals=of
    )
    middleware.tools[0].max_tokens = 10_000
    agent = create_agent(
        Reader(), [read], middleware=[middleware], context_schema=User, store=InMemoryStore()
    )
    shown, recalled = await run(agent, "a", "", of)
    again, _ = await run(agent, "a", "", of)
    assert (shown, recalled) == (again, LONG)
    _, recalled = await run(agent, "b", shown, of)
    assert "not kept here" in recalled


def test_a_model_sees_and_fills_in_no_runtime(compressor, stores, caplog) -> None:
    tool = RecallTool(
        originals=lambda runtime: stores[runtime.context["tenant"]], compressor=compressor
    )
    schema = convert_to_openai_tool(tool)["function"]["parameters"]
    assert list(schema["properties"]) == ["reference", "around"]
    reference = stores["a"].put(LONG)
    asked = {"reference": reference, "runtime": {"context": {"tenant": "a"}}}
    assert "not kept here" in tool.invoke(asked)
    assert "could not be asked" in caplog.text


def history() -> list[Any]:
    call = {"name": "read", "args": {}, "id": "1"}
    return [
        HumanMessage(QUESTION, id="q"),
        AIMessage("", tool_calls=[call], id="a"),
        ToolMessage(LONG, tool_call_id="1", id="t", name="read"),
    ]


@pytest.mark.parametrize("of", ["edit", "step"])
def test_what_is_remembered_of_a_conversation_is_of_its_tenant(compressor, stores, of) -> None:
    seen = {}

    class Writer(Reader):
        def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
            seen["text"] = messages[2].text
            message = AIMessage("Done.")
            return ChatResult(generations=[ChatGeneration(message=message)])

    settings = {
        "compressor": compressor,
        "budget": BUDGET,
        "min_tokens": 50,
        "keep_results": 0,
        "originals": lambda runtime: stores[runtime.context.tenant],
    }
    if of == "edit":
        edit = ContextEditingMiddleware(edits=[SpecPrefillContextEdit(**settings)])
        agent = create_agent(Writer(), [], middleware=[edit], context_schema=User)
    else:
        agent = create_agent(Writer(), [], context_schema=User)
        step, inner = compress_messages(**settings), Writer()
        graph = StateGraph(MessagesState, context_schema=User)
        chain = step | inner
        graph.add_node("model", lambda state: {"messages": chain.invoke(state["messages"])})
        graph.add_edge(START, "model")
        agent = graph.compile()
    for tenant in "abab":
        agent.invoke({"messages": history()}, context=User(tenant))
        [reference] = REFERENCE.findall(seen["text"])
        assert stores[tenant].get(reference) == LONG
        assert stores["b" if tenant == "a" else "a"].get(reference) is None


@pytest.mark.parametrize("of", [lambda _: 1 / 0, lambda _: "a store"], ids=["raises", "no store"])
async def test_a_function_that_fails_passes_texts_through(compressor, of, caplog) -> None:
    compressor = compressor.replace(on_error="pass_through")
    step = compress_messages(
        compressor=compressor, budget=BUDGET, min_tokens=50, keep_results=0, originals=of
    )
    messages = history()
    assert step.invoke(messages) == messages
    assert await step.ainvoke(messages) == messages
    assert caplog.text.count("No store was chosen") == 1
    middleware = SpecPrefillMiddleware(
        compressor=compressor, budget=BUDGET, min_tokens=50, originals=of
    )
    agent = create_agent(Reader(), [read], middleware=[middleware], context_schema=User)
    shown, recalled = await run(agent, "a", "[reference 3f9a0c1b2d4e]", run)
    assert shown == LONG
    assert "not kept here" in recalled
    assert "could not be asked" in caplog.text


@pytest.mark.parametrize("wrong", ["originals.db", {}, 5])
def test_what_is_neither_a_store_nor_a_function(compressor, wrong) -> None:
    for make in (SpecPrefillMiddleware, compress_messages, SpecPrefillContextEdit):
        with pytest.raises(TypeError, match="originals must be an OriginalStore or a function"):
            make(compressor=compressor, budget=BUDGET, originals=wrong)
