"""Shadow mode in LangChain: an agent and a chain notice nothing, the log has all."""

from __future__ import annotations

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import (
    ShadowCallbackHandler,
    SpecPrefillDocumentCompressor,
    SpecPrefillMiddleware,
    compress_messages,
)
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.langchain.agents import LONG, QUESTION, calls, read, scripted

BUDGET = Budget(max_tokens=16)


def shadow(handler: ShadowCallbackHandler) -> ContextCompressor:
    return ContextCompressor(KeywordScorer(), shadow_log=handler.log)


async def test_an_agent_runs_as_without_the_middleware() -> None:
    handler = ShadowCallbackHandler()
    middleware = SpecPrefillMiddleware(
        compressor=shadow(handler),
        budget=BUDGET,
        min_tokens=50,
        originals=InMemoryOriginals(),
        goal_argument=True,
        on_marker_in_arguments="refuse",
    )
    requests, tools = [], []
    for used in ([], [middleware]):
        model = scripted(calls("read", path="[...]"), AIMessage("It was Rain."))
        agent = create_agent(model, [read], middleware=used)
        asked = {"messages": [HumanMessage(QUESTION, id="q")]}
        await agent.ainvoke(asked, config={"callbacks": [handler]})
        requests.append([[message.content for message in one] for one in model.requests])
        metadata = [m.response_metadata for one in model.requests for m in one]
        assert metadata == [{}] * len(metadata)
        tools.append(model.tools)
    assert requests[0] == requests[1]
    assert tools[0] == tools[1]
    found = handler.log.summary()
    assert found.by_tool["read"].cut == 1
    assert found.by_tool["read"].kept_tokens == 16
    assert found.answers == 4
    assert found.lost == {"name": 1}
    assert found.saved_tokens > 100


def test_documents_and_conversations_stay() -> None:
    handler = ShadowCallbackHandler()
    compressor = SpecPrefillDocumentCompressor(compressor=shadow(handler), budget=BUDGET)
    document = Document(LONG, metadata={"page": 1})
    assert compressor.compress_documents([document], QUESTION) == [document]
    step = compress_messages(
        compressor=shadow(handler), budget=BUDGET, min_tokens=50, keep_results=0
    )
    messages = [HumanMessage(LONG, id="1"), AIMessage("Yes.", id="2"), HumanMessage("And?", id="3")]
    assert step.invoke(messages) == messages
    FakeListChatModel(responses=["It was Rain."]).invoke(LONG, config={"callbacks": [handler]})
    assert [record["event"] for record in handler.log.records] == [
        "compression",
        "compression",
        "answer",
    ]
    assert handler.log.summary().total.quoted >= 1
