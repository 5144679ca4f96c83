"""The content of a chat message: a text, or a list of blocks of which some are text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specprefill_integrations.tool_results._result import breaks_in

Content = str | list[str | dict[str, Any]]
"""A message's content: a text, or a list of texts and blocks."""

# Under these keys a text block holds citations, by position in its text or by quotation.
_CITATIONS = ("annotations", "citations")


def texts_of(content: Content) -> list[str]:
    """Return the texts of a content: the text itself, or those of its text blocks."""
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _text_of(block)) is not None]


def open_texts_of(content: Content) -> list[str]:
    """Return the texts that may change: those of blocks with citations would make them false."""
    if isinstance(content, str):
        return [content]
    return [text for block in content if (text := _open_text_of(block)) is not None]


def breaks_of(content: Content) -> list[int]:
    """Return the places of the open texts that come right after a block that stays."""
    blocks = [content] if isinstance(content, str) else content
    return breaks_in([_open_text_of(block) is not None for block in blocks])


def with_texts(content: Content, texts: Sequence[str | None]) -> Content:
    """Return a content with other texts; images, files and all other blocks stay.

    Args:
        content: The content, which is not changed.
        texts: One for each of `open_texts_of(content)`; None for a block that is left out.
    """
    if isinstance(content, str):
        [text] = texts
        return content if text is None else text
    remaining = iter(texts)
    blocks: list[str | dict[str, Any]] = []
    for block in content:
        if _open_text_of(block) is None:
            blocks.append(block)
        elif (text := next(remaining)) is not None:
            blocks.append(_with_text(block, text))
    return blocks


def _text_of(block: str | dict[str, Any]) -> str | None:
    """Return the text of a block; None for a block of another type."""
    if isinstance(block, str):
        return block
    text = block.get("text")
    return text if block.get("type") == "text" and isinstance(text, str) else None


def _open_text_of(block: str | dict[str, Any]) -> str | None:
    """Return the text of a block; None for a block of another type or with citations."""
    is_cited = isinstance(block, dict) and any(map(block.get, _CITATIONS))
    return None if is_cited else _text_of(block)


def _with_text(block: str | dict[str, Any], text: str) -> str | dict[str, Any]:
    return text if isinstance(block, str) else {**block, "text": text}
