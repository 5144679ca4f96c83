"""Token usage in the answers of LangChain's models."""

from __future__ import annotations

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from specprefill_integrations.observability import TokenUsage


def usage_of(response: LLMResult) -> TokenUsage:
    """Return the usage in LangChain's standard form; other forms are ignored."""
    message = _message_of(next((g for some in response.generations for g in some), None))
    usage = message.usage_metadata if message else None
    if usage is None:
        return TokenUsage()
    return TokenUsage(
        input_tokens=usage["input_tokens"],
        cached_tokens=usage.get("input_token_details", {}).get("cache_read"),
        output_tokens=usage["output_tokens"],
    )


def _message_of(generation: Generation | None) -> AIMessage | None:
    if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
        return generation.message
    return None
