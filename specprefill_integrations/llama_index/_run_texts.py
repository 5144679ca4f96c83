"""The question, the found texts and the answer in the spans and events of an app's run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.tools import ToolOutput

from specprefill_integrations._metadata import own_metadata
from specprefill_integrations.llama_index._nodes import text_of
from specprefill_integrations.llama_index._tool_output import texts_of
from specprefill_integrations.observability._app_run import FoundText

_STREAMS = (AsyncStreamingResponse, StreamingAgentChatResponse, StreamingResponse)

_QUESTIONS = (
    "user_msg",
    "message",
    "str_or_query_bundle",
    "query_bundle",
    "query",
    "question",
    "input",
)


def question_in(bound_args: inspect.BoundArguments) -> str | None:
    """Return the question: an argument such as `query` of the call, or a field of its start event.

    Args:
        bound_args: The arguments of the outermost call.
    """
    given = bound_args.arguments
    start_event = given.get("start_event")
    for name in _QUESTIONS:
        asked = (given.get(name), getattr(start_event, name, None))
        text = next(filter(None, map(text_of_question, asked)), None)
        if text:
            return text
    return None


def text_of_question(question: object) -> str | None:
    """Return a question as a text; None if it is of an unknown class."""
    if isinstance(question, QueryBundle):
        return question.query_str
    if isinstance(question, ChatMessage):
        return question.content
    return question if isinstance(question, str) else None


def is_stream(result: object) -> bool:
    """True if an answer is a stream; reading it would consume it."""
    return isinstance(result, _STREAMS)


def reply_in(result: object) -> str | None:
    """Return the answer; None where the result does not show it.

    Args:
        result: The result of the outermost call, not a stream.
    """
    result = getattr(result, "result", result)  # of a workflow's last event
    result = getattr(result, "response", result)  # of engines and agents
    if isinstance(result, ChatMessage):
        return result.content or ""
    return result if isinstance(result, str) else None


def texts_of_nodes(nodes: Sequence[NodeWithScore]) -> list[FoundText]:
    """Return the texts that a retriever found."""
    return [
        FoundText(
            text_of(found.node),
            _title(found.node.metadata),
            own_metadata(found.node.metadata) is not None,
        )
        for found in nodes
    ]


def texts_of_output(output: ToolOutput, *, is_compressed: bool) -> list[FoundText]:
    """Return the text of a tool's output; none if the tool failed.

    Args:
        output: The output.
        is_compressed: True if it was compressed.
    """
    if output.is_error:
        return []
    return [FoundText("\n\n".join(texts_of(output)), output.tool_name, is_compressed)]


def said_in(response: ChatResponse | CompletionResponse | None) -> str | None:
    """Return what a model said."""
    if isinstance(response, ChatResponse):
        return response.message.content
    return None if response is None else response.text


def _title(metadata: dict[str, object]) -> str | None:
    title = metadata.get("title")
    return title if isinstance(title, str) else None
