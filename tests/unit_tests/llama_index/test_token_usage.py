"""Tokens of answers, in the shapes that providers' answers have."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse

from specprefill_integrations.llama_index._token_usage import usage_of
from specprefill_integrations.observability import TokenUsage

TOLD = TokenUsage(input_tokens=100, cached_tokens=40, output_tokens=7)

OPENAI = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 40},
}
RESPONSES = {"input_tokens": 100, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 40}}
ANTHROPIC = {
    "input_tokens": 50,
    "output_tokens": 7,
    "cache_read_input_tokens": 40,
    "cache_creation_input_tokens": 10,
}
GEMINI = {
    "prompt_token_count": 100,
    "candidates_token_count": 7,
    "cached_content_token_count": 40,
}


def answer(raw=None, **about) -> ChatResponse:
    message = ChatMessage(role="assistant", content="x")
    return ChatResponse(message=message, raw=raw, additional_kwargs=about)


@pytest.mark.parametrize(
    "raw",
    [
        {"usage": OPENAI},
        {"usage": RESPONSES},
        {"usage": ANTHROPIC},
        {"usage_metadata": GEMINI},
        SimpleNamespace(usage=SimpleNamespace(**OPENAI)),
        SimpleNamespace(
            usage=SimpleNamespace(
                **OPENAI | {"prompt_tokens_details": SimpleNamespace(cached_tokens=40)}
            )
        ),
    ],
    ids=["openai", "responses", "anthropic", "gemini", "object", "objects"],
)
def test_each_shape_says_the_same(raw) -> None:
    for found in (usage_of(answer(raw)), usage_of(CompletionResponse(text="x", raw=raw))):
        assert replace(found, cache_write_tokens=None) == TOLD
        is_told = "cache_creation_input_tokens" in str(raw)
        assert found.cache_write_tokens == (10 if is_told else None)


def test_what_an_integration_wrote_beside_it() -> None:
    found = usage_of(answer(None, prompt_tokens=100, completion_tokens=7, total_tokens=107))
    assert found == TokenUsage(input_tokens=100, output_tokens=7)


def test_nothing_said_is_nothing_known() -> None:
    for response in (None, answer(), answer({}), answer({"usage": None}), answer("text")):
        assert usage_of(response) == TokenUsage()
