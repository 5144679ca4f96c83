"""Token usage in the answers of LangChain's models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from specprefill_integrations.observability import TokenUsage

_LIVES = re.compile(r"ephemeral_\w+_input_tokens")


def usage_of(response: LLMResult) -> TokenUsage:
    """Return the usage in LangChain's standard form; other forms are ignored."""
    message = _message_of(next((g for some in response.generations for g in some), None))
    usage = message.usage_metadata if message else None
    if usage is None:
        return TokenUsage()
    details: Mapping[str, Any] = usage.get("input_token_details", {})
    # Anthropic's writes are told by their lifetime, too: `ephemeral_5m_input_tokens`.
    written = [n for name, n in details.items() if name == "cache_creation" or _LIVES.match(name)]
    return TokenUsage(
        input_tokens=usage["input_tokens"],
        cached_tokens=details.get("cache_read"),
        cache_write_tokens=sum(written) if written else None,
        output_tokens=usage["output_tokens"],
    )


def _message_of(generation: Generation | None) -> AIMessage | None:
    if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
        return generation.message
    return None
