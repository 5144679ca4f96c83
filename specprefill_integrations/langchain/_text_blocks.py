"""The texts in a message's content, and the same content with other texts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Content = str | list[str | dict[str, Any]]
"""What LangChain's messages hold: a text, or a list of texts and blocks."""

# Under these keys a text block says what it is cited for: by places in it, or as it stands.
_CITATIONS = ("annotations", "citations")


def texts_of(content: Content) -> list[str]:
    """The texts of a content in their order: the text itself, or those of its text blocks."""
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _text_of(block)) is not None]


def open_texts_of(content: Content) -> list[str]:
    """Those of its texts that may change: not of blocks with citations, which would be false."""
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _open_text_of(block)) is not None]


def with_texts(content: Content, texts: Sequence[str]) -> Content:
    """The same content with other texts; images, files and all other blocks stay put.

    Args:
        content: The content, which is not changed.
        texts: One for each of `open_texts_of(content)`.
    """
    if isinstance(content, str):
        [text] = texts
        return text
    remaining = iter(texts)
    return [
        block if _open_text_of(block) is None else _with_text(block, next(remaining))
        for block in content
    ]


def _text_of(block: str | dict[str, Any]) -> str | None:
    """The text of a block; None where it is of another type."""
    if isinstance(block, str):
        return block
    text = block.get("text")
    return text if block.get("type") == "text" and isinstance(text, str) else None


def _open_text_of(block: str | dict[str, Any]) -> str | None:
    """The text of a block; None where it is of another type or has citations."""
    is_cited = isinstance(block, dict) and any(map(block.get, _CITATIONS))
    return None if is_cited else _text_of(block)


def _with_text(block: str | dict[str, Any], text: str) -> str | dict[str, Any]:
    return text if isinstance(block, str) else {**block, "text": text}
