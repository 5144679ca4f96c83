"""Shadow mode in LlamaIndex: an agent and a query engine notice nothing, the log has all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import MockLLM
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import (
    ShadowEventHandler,
    SpecPrefillNodePostprocessor,
    compress_tools,
)
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.llama_index.scripted import Script, calls, says

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]

BUDGET = Budget(max_tokens=16)
RAIN = "Rain fell on the hills. " * 10
LOG = f"{RAIN}Job 4711 failed. {RAIN}The dog barked at noon."
QUESTION = "When did the dog bark?"


def read_log() -> str:
    """Read the log."""
    return LOG


@pytest.fixture
def handler() -> Iterator[ShadowEventHandler]:
    handler = ShadowEventHandler()
    handler.install()
    yield handler
    handler.remove()


async def test_an_agent_reads_what_the_tool_returned(handler: ShadowEventHandler) -> None:
    tools = compress_tools(
        [FunctionTool.from_defaults(read_log)],
        compressor=ContextCompressor(KeywordScorer(), shadow_log=handler.log),
        budget=BUDGET,
        min_tokens=50,
        originals=InMemoryOriginals(),
        goal_argument=True,
    )
    assert [tool.metadata.name for tool in tools] == ["read_log"]
    assert tools[0].metadata.get_parameters_dict()["properties"] == {}
    script = Script(calls("read_log"), says("At noon, after job 4711."))
    await FunctionAgent(tools=tools, llm=script.llm).run(QUESTION)
    assert [message.content for message in script.tool_messages] == [LOG]
    found = handler.log.summary()
    assert found.by_tool["read_log"].quoted == 1
    assert found.lost == {"number": 1}
    assert found.answers == 2


def test_nodes_stay_and_a_chat_made_of_a_completion_is_one_answer(
    handler: ShadowEventHandler,
) -> None:
    compressor = ContextCompressor(KeywordScorer(), shadow_log=handler.log)
    postprocessor = SpecPrefillNodePostprocessor(compressor=compressor, budget=BUDGET)
    [found] = postprocessor.postprocess_nodes(
        [NodeWithScore(node=TextNode(text=LOG))], QueryBundle(QUESTION)
    )
    assert found.node.get_content() == LOG
    MockLLM().complete(f"{LOG} {QUESTION}")  # it says what it was asked
    summary = handler.log.summary()
    assert (summary.answers, summary.total.quoted) == (1, 1)
    assert summary.lost["number"] == 1
