"""Several agents in one `AgentWorkflow`: what one was shown, the next one recalls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.tools import FunctionTool

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import compress_tools
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.llama_index.scripted import Script, calls, says

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

QUESTION = "Who barked?"
NEEDED = "The dog barked at night."
LOG = "\n".join([*(f"{n:03} Nothing of note." for n in range(50)), NEEDED])
HAND_OVER = calls("handoff", to_agent="second", reason="It knows logs.")


def read_log(name: str) -> str:
    """Read a log."""
    return LOG


@pytest.fixture
def wrap(compressor: ContextCompressor) -> Callable[..., Any]:
    """Wraps the tools of an agent; all agents share one store."""
    originals = InMemoryOriginals()

    def wrap(*tools: Any, **options: Any) -> Any:
        settings = {"budget": Budget(max_tokens=40), "min_tokens": 50, **options}
        plain = [FunctionTool.from_defaults(tool) for tool in tools]
        return compress_tools(plain, compressor=compressor, originals=originals, **settings)

    return wrap


async def run(script: Script, first: list[Any], second: list[Any]) -> list[str]:
    """The results of tools that the agents read, in order."""
    agents = [
        FunctionAgent(name=name, description=name, llm=script.llm, tools=tools)
        for name, tools in (("first", first), ("second", second))
    ]
    workflow = AgentWorkflow(agents=agents, root_agent="first")
    assert str(await workflow.run(user_msg=QUESTION)) == "The dog."
    return [str(message.content) for message in script.tool_messages]


async def reference_of(wrap: Any) -> str:
    """The reference of the long result: the same in one store every time."""
    [tool, _] = wrap(read_log)
    output = await tool.acall(name="a.log")
    return str(output.content).partition("[reference ")[2][:12]


@pytest.mark.parametrize("tools_of_the_second", [[], [read_log]], ids=["none", "its own"])
async def test_the_next_agent_recalls_what_the_one_before_was_shown(
    wrap, tools_of_the_second
) -> None:
    reference = await reference_of(wrap)
    recall = calls("recall_original", reference=reference)
    script = Script(calls("read_log", name="a.log"), HAND_OVER, recall, says("The dog."))
    cut, handed, recalled = await run(script, wrap(read_log), wrap(*tools_of_the_second))
    assert NEEDED in cut
    assert f"[reference {reference}]" in cut
    assert "It knows logs." in handed
    assert recalled == LOG


async def test_an_agent_without_the_recall_tool_is_told_so(wrap) -> None:
    recall = calls("recall_original", reference=await reference_of(wrap))
    script = Script(calls("read_log", name="a.log"), HAND_OVER, recall, says("The dog."))
    [*_, answer] = await run(script, wrap(read_log), [FunctionTool.from_defaults(read_log)])
    assert answer == "Tool recall_original not found. Please select a tool that is available."
