"""Token usage in the answers of models, in the three forms that providers use."""

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
    """Read the usage from the provider's raw answer, or from what the integration added.

    Args:
        response: The answer, or the last chunk of a stream; None where there is none.
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
    """Read the usage of Anthropic, whose input tokens do not include cached ones."""
    cached_tokens = usage["cache_read_input_tokens"] or 0
    written_tokens = usage.get("cache_creation_input_tokens") or 0
    return TokenUsage(
        input_tokens=(_first(usage, _INPUT) or 0) + cached_tokens + written_tokens,
        cached_tokens=cached_tokens,
        cache_write_tokens=written_tokens,
        output_tokens=output_tokens,
    )


def _as_mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - of any provider
    """Return a dictionary, or an object's attributes."""
    if isinstance(value, Mapping):
        return value
    return getattr(value, "__dict__", {})


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first number under one of these names."""
    return next((usage[name] for name in names if isinstance(usage.get(name), int)), None)
