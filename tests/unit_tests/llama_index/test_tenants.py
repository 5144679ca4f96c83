"""One agent for several tenants: a function chooses the store from the context of a run."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context

from specprefill_integrations import Budget
from specprefill_integrations.llama_index import compress_tool, compress_tools, recall_tool
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.llama_index.scripted import Script, calls, says

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key"),
]

QUESTION = "When did the dog bark?"
LONG = f"{'Rain fell on the hills. ' * 15}The dog barked at noon. {'It snowed all day. ' * 15}"
BUDGET = Budget(max_tokens=40)
REFERENCE = re.compile(r"\[reference ([0-9a-f]{12})\]")


def read(name: str) -> str:
    """Read a file."""
    return LONG


@pytest.fixture
def stores() -> dict[str, InMemoryOriginals]:
    return {"a": InMemoryOriginals(), "b": InMemoryOriginals()}


@pytest.fixture
def tools(compressor, stores):
    async def of(context: Context) -> InMemoryOriginals | None:
        return stores.get(await context.store.get("tenant"))

    wrapped = compress_tools(
        [FunctionTool.from_defaults(read)],
        compressor=compressor,
        budget=BUDGET,
        min_tokens=50,
        originals=of,
    )
    assert [tool.metadata.name for tool in wrapped] == ["read", "recall_original"]
    return wrapped


async def run(tools: list[Any], tenant: str, reference: str = "") -> tuple[str, str]:
    """Return what the model read of the text, and of the recall by a reference."""
    script = Script(calls("read", name="a"))
    agent = FunctionAgent(tools=tools, llm=script.llm)
    context = Context(agent)
    await context.store.set("tenant", tenant)
    script.remaining.append(says("Done."))
    await agent.run(QUESTION, ctx=context)
    [shown] = [str(message.content) for message in script.tool_messages]
    found = reference or REFERENCE.findall(shown)[0]
    script.remaining += [calls("recall_original", reference=found, runtime="b"), says("Done.")]
    await agent.run(QUESTION, ctx=context)
    return shown, str(script.tool_messages[-1].content)


async def test_each_tenant_recalls_its_own_and_no_other(tools, stores) -> None:
    references = {}
    for tenant in stores:
        shown, recalled = await run(tools, tenant)
        assert recalled == LONG
        [references[tenant]] = REFERENCE.findall(shown)
    assert references["a"] != references["b"]
    for tenant, other in (("a", "b"), ("b", "a")):
        again, recalled = await run(tools, tenant, references[other])
        assert REFERENCE.findall(again) == [references[tenant]]
        assert "not kept here" in recalled


def test_two_threads_with_the_same_tools(tools, stores) -> None:
    with ThreadPoolExecutor(2) as threads:
        for _ in range(3):
            done = threads.map(lambda tenant: asyncio.run(run(tools, tenant)), "ab")
            for tenant, (shown, recalled) in zip("ab", done, strict=True):
                [reference] = REFERENCE.findall(shown)
                assert recalled == LONG
                assert stores[tenant].get(reference) == LONG
                assert stores["b" if tenant == "a" else "a"].get(reference) is None


async def test_outside_of_an_agent_the_context_is_none(compressor, stores) -> None:
    asked = []

    def of(context: object) -> InMemoryOriginals:
        asked.append(context)
        return stores["a"]

    tool = compress_tool(
        FunctionTool.from_defaults(read),
        compressor=compressor,
        budget=BUDGET,
        min_tokens=50,
        originals=of,
    )
    recall = recall_tool(of, compressor=compressor, max_tokens=10_000)
    [reference] = REFERENCE.findall(tool.call(name="a").content)
    assert REFERENCE.findall((await tool.acall(name="a")).content) == [reference]
    assert recall.call(reference=reference).content == LONG
    assert (await recall.acall(reference=reference, runtime="b")).content == LONG
    wrapped = compress_tool(recall, compressor=compressor, budget=BUDGET)
    assert wrapped.call(reference=reference).content == LONG
    assert set(asked) == {None}
    with pytest.raises(TypeError, match="originals must be an OriginalStore or a function"):
        recall_tool("originals.db")
