"""What a model's answer says of its tokens, in the three shapes that providers' answers have.

LlamaIndex leaves an answer as its provider gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from specprefill_integrations.observability import TokenUsage

_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count")
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count")
_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_CACHED = ("cached_content_token_count", "prompt_cache_hit_tokens")


def usage_of(response: ChatResponse | CompletionResponse | None) -> TokenUsage:
    """Read it from what the provider sent, or from what the integration wrote beside it.

    Args:
        response: The last one of a stream, or the only one; None where nothing came.
    """
    if response is None:
        return TokenUsage()
    raw = _as_mapping(response.raw)
    usage = _as_mapping(raw.get("usage") or raw.get("usage_metadata"))
    usage = usage or response.additional_kwargs
    output_tokens = _first(usage, _OUTPUT)
    if "cache_read_input_tokens" in usage:
        return _usage_beside_cache(usage, output_tokens)
    details = next((_as_mapping(usage[name]) for name in _DETAILS if usage.get(name)), {})
    cached_tokens = _first(details, ("cached_tokens",))
    return TokenUsage(
        input_tokens=_first(usage, _INPUT),
        cached_tokens=_first(usage, _CACHED) if cached_tokens is None else cached_tokens,
        output_tokens=output_tokens,
    )


def _usage_beside_cache(usage: Mapping[str, Any], output_tokens: int | None) -> TokenUsage:
    """Of Anthropic, whose input tokens are only those that the cache has nothing to do with."""
    cached_tokens = usage["cache_read_input_tokens"] or 0
    written_tokens = usage.get("cache_creation_input_tokens") or 0
    return TokenUsage(
        input_tokens=(_first(usage, _INPUT) or 0) + cached_tokens + written_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
    )


def _as_mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a provider sends
    """A dictionary, or an object's attributes."""
    if isinstance(value, Mapping):
        return value
    return getattr(value, "__dict__", {})


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first number under one of these names."""
    return next((usage[name] for name in names if isinstance(usage.get(name), int)), None)
