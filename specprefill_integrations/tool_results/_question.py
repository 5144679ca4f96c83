"""What all doors for agents have in common: when a result is worth compressing, and for what. Pure.

Knows no framework: a question is put together of texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

DEFAULT_MIN_TOKENS = 500
"""A text of fewer tokens is left whole, where nothing else is said: there is little to save."""

SourceT = TypeVar("SourceT", bound=str)

# So much of a message or of a call's arguments goes into a question: its beginning and its end.
_PART_CHARS = 1000

_SEPARATOR = " | "


def call_in_words(tool: str, arguments: Mapping[str, object]) -> str:
    """A tool call as a part of a question; empty where it has no arguments.

    Args:
        tool: The tool's name.
        arguments: What the model filled in.
    """
    if not arguments:
        return ""
    return f"tool call: {tool} {json.dumps(arguments, ensure_ascii=False, default=str)}"


def joined_question(parts: Mapping[SourceT, str]) -> tuple[str | None, tuple[SourceT, ...]]:
    """One question of several parts, each cut to a thousand characters.

    Args:
        parts: By where they come from, from general to special; blank ones are left out.

    Returns:
        The question, None where there is none, and where its parts come from.
    """
    said = {source: _shortened(text.strip()) for source, text in parts.items() if text.strip()}
    return _SEPARATOR.join(said.values()) or None, tuple(said)


def _shortened(text: str) -> str:
    """A text without its middle: in a pasted file, the question stands first or last."""
    if len(text) <= _PART_CHARS:
        return text
    half = _PART_CHARS // 2
    return f"{text[:half].rstrip()} ... {text[-half:].lstrip()}"
