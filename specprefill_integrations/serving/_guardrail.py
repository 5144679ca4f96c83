"""LiteLLM's Generic Guardrail API: compresses the tool results of a request on its way to a model.

The proxy takes any answer but a rewritten conversation, or none, for a failure. So a request that
exceeds a limit goes on as it came.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from specprefill_integrations.serving._contract import (
    ChatMessage,
    CompressAnswer,
    CompressRequest,
    ToolResultFields,
)
from specprefill_integrations.serving._problems import Problem

logger = logging.getLogger(__name__)

GUARDRAIL_PATH = "/beta/litellm_basic_guardrail_api"
"""The path that LiteLLM adds to `api_base`."""


class GuardrailOptions(ToolResultFields):
    """Settings from LiteLLM's config: `additional_provider_specific_params`."""


class RecallOptions(GuardrailOptions):
    """Settings of `SpecPrefillGuardrail`, under the same name."""

    keep_originals: bool = True
    """Offer the model a tool that recalls originals; the service must keep them."""

    max_recalled_tokens: int = Field(default=2000, gt=0)
    """Tokens of an answer of that tool, counted as four characters each."""


class GuardrailRequest(BaseModel):
    """A request of LiteLLM; the fields that matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input_type: Literal["request", "response"]
    structured_messages: list[dict[str, Any]] | None = None
    additional_provider_specific_params: GuardrailOptions | None = None


class GuardrailAnswer(BaseModel):
    """`NONE` leaves the request as it is."""

    action: Literal["NONE", "GUARDRAIL_INTERVENED"]
    structured_messages: list[dict[str, Any]] | None = None


NOTHING_TO_DO = GuardrailAnswer(action="NONE")


async def guarded(
    asked: GuardrailRequest, compress: Callable[[CompressRequest], Awaitable[CompressAnswer]]
) -> GuardrailAnswer:
    """Compress the tool results of a request.

    Args:
        asked: The request.
        compress: Compresses tool results.

    Returns:
        As many rows as came; those that did not change are as they came.
    """
    rows = asked.structured_messages or []
    if asked.input_type == "response" or not any(row.get("role") == "tool" for row in rows):
        return NOTHING_TO_DO
    options = asked.additional_provider_specific_params or GuardrailOptions()
    request = CompressRequest(messages=list(map(as_message, rows)), **dict(options))
    try:
        answer = await compress(request)
    except Problem as problem:
        logger.warning("A request goes on as it came: %s", problem.message)
        return NOTHING_TO_DO
    changed = contents_of(answer)
    if not changed:
        return NOTHING_TO_DO
    rows = [
        {**row, "content": changed[index]} if index in changed else row
        for index, row in enumerate(rows)
    ]
    return GuardrailAnswer(action="GUARDRAIL_INTERVENED", structured_messages=rows)


def as_message(row: dict[str, Any]) -> ChatMessage:
    """Read a row; of one in another format, nothing but its role."""
    try:
        return ChatMessage.model_validate(row)
    except ValidationError:
        return ChatMessage(role=str(row.get("role", "")))


def contents_of(answer: CompressAnswer) -> dict[int, Any]:
    """Return the contents that have changed, by the index of their rows."""
    messages = answer.messages or []
    return {
        one.index: messages[one.index].content
        for one in answer.results or []
        if one.skipped_because is None
    }
