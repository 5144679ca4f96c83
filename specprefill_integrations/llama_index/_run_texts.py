"""What a LlamaIndex app's run says: the question, the texts found, the answer. Pure.

Takes what LlamaIndex hands to its spans and events, in all the shapes that apps give it.
"""

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

from specprefill_integrations.llama_index._nodes import text_of
from specprefill_integrations.llama_index._tool_output import texts_of
from specprefill_integrations.observability._app_run import FoundText
from specprefill_integrations.types import METADATA_KEY

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
    """What an app was asked: what is named like a question, in its call or its start event.

    Args:
        bound_args: What the outermost call was given.
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
    """A question as a text, in any of the classes that hold one."""
    if isinstance(question, QueryBundle):
        return question.query_str
    if isinstance(question, ChatMessage):
        return question.content
    return question if isinstance(question, str) else None


def is_stream(result: object) -> bool:
    """Whether an answer is still to be read; to look into it would read it."""
    return isinstance(result, _STREAMS)


def reply_in(result: object) -> str | None:
    """What an app answered; None where that is not known from what its outermost call gave.

    Args:
        result: An answer that is complete.
    """
    result = getattr(result, "result", result)  # of a workflow's last event
    result = getattr(result, "response", result)  # of engines and agents
    if isinstance(result, ChatMessage):
        return result.content or ""
    return result if isinstance(result, str) else None


def texts_of_nodes(nodes: Sequence[NodeWithScore]) -> list[FoundText]:
    """What a retriever found."""
    return [
        FoundText(
            text_of(found.node), _title(found.node.metadata), METADATA_KEY in found.node.metadata
        )
        for found in nodes
    ]


def texts_of_output(output: ToolOutput, *, is_compressed: bool) -> list[FoundText]:
    """What a tool gave; nothing where it failed.

    Args:
        output: The result.
        is_compressed: Whether it was compressed on its way.
    """
    if output.is_error:
        return []
    return [FoundText("\n\n".join(texts_of(output)), output.tool_name, is_compressed)]


def said_in(response: ChatResponse | CompletionResponse | None) -> str | None:
    """What a model said."""
    if isinstance(response, ChatResponse):
        return response.message.content
    return None if response is None else response.text


def _title(metadata: dict[str, object]) -> str | None:
    title = metadata.get("title")
    return title if isinstance(title, str) else None
