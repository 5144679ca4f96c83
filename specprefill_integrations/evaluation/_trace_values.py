"""Questions, answers and texts in the values of a trace, as JSON holds them. Pure.

Knows the shapes in which LangChain and LlamaIndex write messages and documents, and no trace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from specprefill_integrations.observability._app_run import FoundText
from specprefill_integrations.types import METADATA_KEY

_QUESTIONS = (
    "query",
    "question",
    "input",
    "user_msg",
    "message",
    "str_or_query_bundle",
    "query_bundle",
    "query_str",
)
_ANSWERS = ("answer", "output", "result", "response", "reply")

_HUMAN = {"human", "user", "HumanMessage"}
_AI = {"ai", "assistant", "AIMessage", "AIMessageChunk"}


def question_in(value: Any) -> str | None:  # noqa: ANN401 - as it stands in the trace
    """What was asked: a text, the last human message, or what is named like a question."""
    value = _unpacked(value)
    if isinstance(value, dict):
        return _question_in_fields(value)
    if isinstance(value, list):
        return _last_human_text(value)
    return value if isinstance(value, str) else None


def reply_in(value: Any) -> str | None:  # noqa: ANN401 - as it stands in the trace
    """What was answered: blank for nothing, None where it does not say or tools are called."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _reply_of_message(value[-1]) or "" if value else None
    if not isinstance(value, dict):
        return None
    if _role(value) is not None:
        return _reply_of_message(value)
    for name in _ANSWERS:
        if value.get(name):
            return reply_in(value[name])
    messages = value.get("messages")
    return reply_in(messages) if isinstance(messages, list) else None


def text_of_document(document: Any) -> FoundText | None:  # noqa: ANN401 - as it stands in the trace
    """A document that LangChain wrote; None where it is none."""
    fields = _unpacked(document)
    if not isinstance(fields, dict) or not isinstance(fields.get("page_content"), str):
        return None
    metadata = object_in(fields, "metadata")
    return FoundText(fields["page_content"], title_in(metadata), METADATA_KEY in metadata)


def text_of_tool_output(output: Any, tool: str | None) -> FoundText | None:  # noqa: ANN401
    """What a tool gave, as a message or as anything else; None where it is nothing, or an error."""
    fields = _unpacked(output)
    if isinstance(fields, dict) and "content" in fields:
        if fields.get("status") == "error":
            return None
        return FoundText(text_of_content(fields["content"]), fields.get("name") or tool)
    if output is None:
        return None
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    return FoundText(text, tool)


def text_of_content(content: Any) -> str:  # noqa: ANN401 - a text, or a list of texts and blocks
    """The texts of a message's content."""
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "\n\n".join(text for text in texts if isinstance(text, str))


def objects_in(record: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list; none where there is no list."""
    items = record.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def object_in(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; an empty one where there is none."""
    item = record.get(name)
    return item if isinstance(item, dict) else {}


def title_in(metadata: Mapping[str, Any]) -> str | None:
    """The title that metadata names."""
    title = metadata.get("title")
    return title if isinstance(title, str) else None


def _question_in_fields(fields: Mapping[str, Any]) -> str | None:
    if "content" in fields:
        return text_of_content(fields["content"])
    for name in (*_QUESTIONS, "messages"):
        found = question_in(fields.get(name))
        if found:
            return found
    only = list(fields.values())
    return only[0] if len(only) == 1 and isinstance(only[0], str) else None


def _last_human_text(messages: Sequence[Any]) -> str | None:
    for message in reversed(messages):
        if isinstance(message, list) and len(message) == 2 and message[0] in _HUMAN:  # noqa: PLR2004
            return text_of_content(message[1])
        if _role(message) in _HUMAN:
            return text_of_content(_unpacked(message).get("content"))
    return None


def _reply_of_message(message: Any) -> str | None:  # noqa: ANN401 - as it stands in the trace
    fields = _unpacked(message)
    if _role(message) not in _AI or fields.get("tool_calls"):
        return None
    return text_of_content(fields.get("content"))


def _role(message: Any) -> str | None:  # noqa: ANN401 - as it stands in the trace
    """Who speaks, in the words of the one who wrote it down; None where this is no message."""
    if not isinstance(message, dict):
        return None
    if "kwargs" in message and isinstance(message.get("id"), list) and message["id"]:
        return str(message["id"][-1])
    role = message.get("role") or message.get("type")
    return role if isinstance(role, str) and "content" in message else None


def _unpacked(value: Any) -> Any:  # noqa: ANN401 - as it stands in the trace
    """The fields of an object that LangChain wrote in its own way; all else as it is."""
    inner = value.get("kwargs") if isinstance(value, dict) and "lc" in value else None
    return inner if isinstance(inner, dict) else value
