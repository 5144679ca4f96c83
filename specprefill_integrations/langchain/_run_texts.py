"""The question, the found texts and the answer in the inputs and outputs of an app's run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, LLMResult

from specprefill_integrations._metadata import own_metadata
from specprefill_integrations.langchain._conversation import last_user_text
from specprefill_integrations.observability._app_run import FoundText
from specprefill_integrations.tool_results._content import texts_of

_QUESTIONS = ("query", "question", "input")
_ANSWERS = ("answer", "output", "result", "response", "reply")


def question_in(inputs: object) -> str | None:
    """Return the question: a text, the last human message, or a field such as `query`.

    Args:
        inputs: The inputs of the outermost run.
    """
    if isinstance(inputs, str):
        return inputs
    if isinstance(inputs, BaseMessage):
        return str(inputs.text)
    if isinstance(inputs, list):
        return _user_text(inputs)
    for name in _QUESTIONS:
        asked = _field(inputs, name)
        if isinstance(asked, str | BaseMessage):
            return question_in(asked)
    messages = _field(inputs, "messages")
    if isinstance(messages, list):
        return _user_text(messages)
    texts = list(inputs.values()) if isinstance(inputs, Mapping) else []
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def reply_in(outputs: object) -> str | None:
    """Return the answer: blank where there is none, None where the outputs do not show it.

    Args:
        outputs: The outputs of the outermost run.
    """
    if isinstance(outputs, str):
        return outputs
    if isinstance(outputs, AIMessage):
        return "" if outputs.tool_calls else str(outputs.text)
    for name in _ANSWERS:
        answer = _field(outputs, name)
        if isinstance(answer, str | AIMessage):
            return reply_in(answer)
    messages = outputs if isinstance(outputs, list) else _field(outputs, "messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], BaseMessage):
        return reply_in(messages[-1]) or ""
    return None


def texts_of_documents(documents: Sequence[Document]) -> list[FoundText]:
    """Return the texts that a retriever found."""
    return [
        FoundText(
            document.page_content,
            _title(document.metadata),
            own_metadata(document.metadata) is not None,
        )
        for document in documents
    ]


def texts_of_output(output: object, tool: str | None) -> list[FoundText]:
    """Return the texts of a tool's output: its messages, or anything else written as a text.

    Args:
        output: The output; error messages are left out.
        tool: The tool's name.
    """
    messages = list(_messages_in(output))
    if messages:
        return [
            FoundText(
                "\n\n".join(texts_of(message.content)),
                message.name or tool,
                own_metadata(message.response_metadata) is not None,
            )
            for message in messages
            if message.status != "error"
        ]
    if _is_command(output):
        return []
    return [FoundText(_as_text(output), tool)]


def said_in(response: LLMResult) -> str | None:
    """Return what a model said to the user; blank where it called tools."""
    generation = next((one for some in response.generations for one in some), None)
    if isinstance(generation, ChatGeneration):
        return reply_in(generation.message)
    return None if generation is None else generation.text


def _user_text(messages: list[Any]) -> str | None:
    try:
        return last_user_text(convert_to_messages(messages)) or None
    except (KeyError, NotImplementedError, TypeError, ValueError):  # these are no messages
        return None


def _messages_in(output: object) -> Iterator[ToolMessage]:
    if isinstance(output, ToolMessage):
        yield output
    elif isinstance(output, list):
        for item in output:
            yield from _messages_in(item)
    elif _is_command(output):
        yield from _messages_in(_field(getattr(output, "update", None), "messages"))


def _as_text(output: object) -> str:
    """Write an output as agents do for their model."""
    if isinstance(output, str):
        return output
    try:
        return json.dumps(output, ensure_ascii=False)
    except (TypeError, ValueError):  # JSON cannot express it
        return str(output)


def _is_command(output: object) -> bool:
    """True for a LangGraph `Command`; LangGraph may not be installed."""
    return type(output).__name__ == "Command" and hasattr(output, "update")


def _title(metadata: Mapping[str, Any]) -> str | None:
    title = metadata.get("title")
    return title if isinstance(title, str) else None


def _field(value: object, name: str) -> object:
    """Return a field of a state, which may be a mapping or an object."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
