"""A guardrail of LiteLLM's proxy that compresses tool results by a service, and recalls originals.

Needs litellm, which is no dependency of this package; tested with 1.108.7. Never install 1.82.7,
1.82.8 or 1.107.0: the first two of them stole credentials, the last is suspected.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cachetools import TTLCache
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.litellm_core_utils.prompt_templates.factory import (
    get_attribute_or_key,
    get_tool_calls_from_response,
    has_tool_with_name,
)
from litellm.proxy.guardrails.guardrail_hooks.content_text import assistant_text_from_response
from litellm.types.guardrails import GuardrailEventHooks
from litellm.types.integrations.custom_logger import (
    HEADROOM_INTERCEPTION_PREFIX,
    AgenticLoopPlan,
    AgenticLoopRequestPatch,
    as_converted_stream,
)
from litellm.types.utils import CallTypes

from specprefill_integrations.errors import SpecPrefillError
from specprefill_integrations.originals._recall import answer_recall, find_reference
from specprefill_integrations.pipeline._failures import FailureLog
from specprefill_integrations.scoring._span_scorer import estimated_tokens
from specprefill_integrations.serving._chat import RECALL_TOOL, with_recall_tool
from specprefill_integrations.serving._contract import (
    CompressAnswer,
    CompressRequest,
    OriginalAnswer,
)
from specprefill_integrations.serving._guardrail import RecallOptions, as_message, contents_of
from specprefill_integrations.serving._service_client import ServiceClient

logger = logging.getLogger(__name__)

_SECONDS = 10.0
_MAX_RETRIES = 1
_MAX_CONNECTIONS = 64

# LiteLLM asks a model again up to three times, numbered from 0, and then fails the request.
_LAST_ROUND = 2

# References that a request was given, so that it can recall no other request's originals.
_MAX_REQUESTS = 10_000
_REMEMBERED_SECONDS = 15 * 60

# LiteLLM answers a streaming request at once only if no tool of the proxy's may be called; it
# knows the ways to convert a stream by their names, and has none for others.
_STREAM_PREFIX = HEADROOM_INTERCEPTION_PREFIX
_CONVERTED = frozenset(
    (CallTypes.completion, CallTypes.acompletion, CallTypes.responses, CallTypes.aresponses)
)


class SpecPrefillGuardrail(CustomGuardrail):  # type: ignore[misc] # litellm is not installed here
    """Compresses the tool results of requests; if the service fails, they go on as they came.

    Where the model asks for an original, the proxy fetches it and asks the model again: the caller
    sees neither the tool nor the call.
    """

    records_own_guardrail_information: ClassVar[bool] = True
    server_fulfilled_tool_names: ClassVar[frozenset[str]] = frozenset({RECALL_TOOL})

    def __init__(
        self,
        *,
        api_base: str,
        api_key: str | None = None,
        timeout: float | None = None,
        additional_provider_specific_params: Mapping[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 - LiteLLM's own
    ) -> None:
        """Take the settings of LiteLLM's config.

        Args:
            api_base: The service.
            api_key: The key.
            timeout: Maximum duration of a call of the service, in seconds; 10 by default.
            additional_provider_specific_params: See `RecallOptions`.
            kwargs: Further settings of every guardrail.

        Raises:
            ValueError: A setting is none of `RecallOptions`, or out of range.
        """
        super().__init__(supported_event_hooks=[GuardrailEventHooks.pre_call], **kwargs)
        self.options = RecallOptions.model_validate(additional_provider_specific_params or {})
        self._seconds = _SECONDS if timeout is None else float(timeout)
        self._client = ServiceClient(
            api_base, api_key=api_key, max_retries=_MAX_RETRIES, max_connections=_MAX_CONNECTIONS
        )
        self._issued: TTLCache[str, frozenset[str]] = TTLCache(_MAX_REQUESTS, _REMEMBERED_SECONDS)
        self._failures = FailureLog(types_only=True)

    async def apply_guardrail(
        self,
        inputs: Mapping[str, Any],
        request_data: dict[str, Any],
        input_type: str,
        logging_obj: object = None,
    ) -> Mapping[str, Any]:
        """Compress the tool results of a request.

        Returns:
            Other inputs, with a list of as many rows; the very same inputs where no row changes,
            since LiteLLM takes any others for a change and writes all rows anew.
        """
        try:
            return await self._applied(inputs, request_data, input_type, logging_obj)
        except Exception as error:  # noqa: BLE001 - no failure of ours may block a request
            self._failures.add(logger, "A request goes on as it came", "failed", error)
            return inputs

    async def _applied(
        self,
        inputs: Mapping[str, Any],
        request_data: dict[str, Any],
        input_type: str,
        logging_obj: object,
    ) -> Mapping[str, Any]:
        rows = inputs.get("structured_messages") or []
        if input_type != "request" or not any(row.get("role") == "tool" for row in rows):
            return inputs
        started = time.time()
        try:
            answer = await self._compress(rows)
        except SpecPrefillError as error:
            self._failures.add(logger, "A request goes on as it came", "failed", error)
            self._note(request_data, {"error": type(error).__name__}, started)
            return inputs
        changed = contents_of(answer)
        if not changed:
            return inputs
        before, after = answer.original_tokens, answer.kept_tokens
        counts = {"tokens_before": before, "tokens_after": after, "tokens_saved": before - after}
        self._note(request_data, counts, started)
        found = {
            **inputs,
            "structured_messages": [
                {**row, "content": changed[index]} if index in changed else row
                for index, row in enumerate(rows)
            ],
        }
        references = frozenset(one for result in answer.results or [] for one in result.references)
        call_id = _call_id(logging_obj, request_data)
        if references and call_id:
            self._issued[call_id] = references
            found["tools"] = with_recall_tool(inputs.get("tools") or [], has_around=True)
        return found

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: CallTypes | None
    ) -> dict[str, Any] | None:
        """Have a streaming request answered whole and then streamed.

        Otherwise the call of the recall tool would reach the caller.
        """
        found: dict[str, Any] | None = await super().async_pre_call_deployment_hook(
            kwargs, call_type
        )
        now = kwargs if found is None else found
        may_recall = has_tool_with_name(now.get("tools"), RECALL_TOOL)
        if call_type in _CONVERTED and now.get("stream") and may_recall:
            return dict(as_converted_stream(now, _STREAM_PREFIX))
        return found

    async def async_should_run_agentic_loop(
        self,
        *,
        response: object,
        tools: list[dict[str, Any]] | None,
        kwargs: Mapping[str, Any],
        **_: Any,  # noqa: ANN401 - LiteLLM's own
    ) -> tuple[bool, dict[str, Any]]:
        """Return the calls of the recall tool in an answer of the model.

        With the number of the round, since LiteLLM fails a request that makes a call twice.
        """
        if not has_tool_with_name(tools, RECALL_TOOL):
            return False, {}
        calls = [
            dict(one)
            for one in get_tool_calls_from_response(response)
            if one["name"] == RECALL_TOOL
        ]
        return bool(calls), {"tool_calls": calls, "round": _round(kwargs)}

    async def async_build_agentic_loop_plan(  # noqa: PLR0913 - LiteLLM's own
        self,
        *,
        tools: dict[str, Any],
        model: str,
        messages: list[dict[str, Any]],
        response: object,
        anthropic_messages_optional_request_params: dict[str, Any],
        logging_obj: object,
        kwargs: dict[str, Any],
        **_: Any,  # noqa: ANN401 - LiteLLM's own
    ) -> AgenticLoopPlan:
        """Fetch the originals that the model asked for, and ask it again.

        Other calls in the same answer are left out, since nobody has answered them; the model
        makes them again.
        """
        issued = self._issued.get(_call_id(logging_obj, kwargs) or "", frozenset())
        calls = tools["tool_calls"]
        answers = [await self._recall(one.get("arguments"), issued) for one in calls]
        further = dict(anthropic_messages_optional_request_params)
        if tools["round"] >= _LAST_ROUND:
            further |= _without_recall_tool(further, response)
        patch = AgenticLoopRequestPatch(
            model=_full_name(logging_obj, model),
            messages=[*messages, *_turn_of(response, calls, answers)],
            max_tokens=further.pop("max_tokens", None) or kwargs.get("max_tokens"),
            optional_params=further,
            kwargs={name: value for name, value in kwargs.items() if _is_passed_on(name)},
        )
        return AgenticLoopPlan(run_agentic_loop=True, request_patch=patch)

    async def _compress(self, rows: Sequence[dict[str, Any]]) -> CompressAnswer:
        options = self.options.model_dump(exclude={"max_recalled_tokens"})
        request = CompressRequest(messages=list(map(as_message, rows)), **options)
        return await self._client.acall("v1/compress", request, CompressAnswer, self._seconds)

    async def _recall(self, arguments: object, issued: frozenset[str]) -> str:
        """Answer a call of the recall tool; only references of this request are looked up."""
        given = arguments if isinstance(arguments, Mapping) else {}
        words, around = str(given.get("reference", "")), str(given.get("around") or "")
        reference = find_reference(words)
        text = None
        if reference in issued:
            try:
                answer = await self._client.acall(
                    f"v1/originals/{reference}", None, OriginalAnswer, self._seconds
                )
                text = answer.text
            except Exception as error:  # noqa: BLE001 - the model is told that it is not there
                self._failures.add(logger, "An original was not recalled", "failed", error)
        return answer_recall(
            words,
            text,
            around,
            max_tokens=self.options.max_recalled_tokens,
            count_tokens=lambda texts: list(map(estimated_tokens, texts)),
        )

    def _note(
        self, request_data: dict[str, Any], counts: Mapping[str, object], started: float
    ) -> None:
        """Add what was done to LiteLLM's log of the request."""
        ended = time.time()
        self.add_standard_logging_guardrail_information_to_request_data(
            guardrail_json_response=dict(counts),
            request_data=request_data,
            guardrail_status="guardrail_failed_to_respond" if "error" in counts else "success",
            guardrail_provider="specprefill",
            start_time=started,
            end_time=ended,
            duration=ended - started,
        )


def _round(kwargs: Mapping[str, Any]) -> int:
    """Return how often the model was asked again for this request."""
    return int(kwargs.get("_agentic_loop_depth") or 0)


def _without_recall_tool(params: Mapping[str, Any], response: object) -> dict[str, Any]:
    """Return the parameters of a request whose answer makes no further call of the recall tool."""
    tools = params.get("tools") or []
    others = [one for one in tools if not has_tool_with_name([one], RECALL_TOOL)]
    if others:
        return {"tools": others}
    is_anthropic = isinstance(get_attribute_or_key(response, "content", None), list)
    return {"tool_choice": {"type": "none"} if is_anthropic else "none"}


def _call_id(logging_obj: object, request: Mapping[str, Any]) -> str | None:
    """Return the id that a request and the calls made for it share."""
    found = getattr(logging_obj, "litellm_call_id", None) or request.get("litellm_call_id")
    return found if isinstance(found, str) else None


def _full_name(logging_obj: object, model: str) -> str:
    """Return the model with its provider, where LiteLLM knows it."""
    details = getattr(logging_obj, "model_call_details", None) or {}
    return details.get("agentic_loop_params", {}).get("model") or model


def _is_passed_on(name: str) -> bool:
    return name != "litellm_logging_obj" and not name.startswith(_STREAM_PREFIX)


def _turn_of(
    response: object, calls: Sequence[Mapping[str, Any]], answers: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what follows in a conversation: the model's calls and their answers, in its format."""
    text = assistant_text_from_response(response)
    if isinstance(get_attribute_or_key(response, "output", None), list):  # /v1/responses
        said = [{"role": "assistant", "content": text}] if text else []
        return [*said, *_response_items(calls, answers)]
    if isinstance(get_attribute_or_key(response, "content", None), list):  # /v1/messages
        used = [
            {"type": "tool_use", "id": c["id"], "name": c["name"], "input": c.get("arguments", {})}
            for c in calls
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": answer}
            for call, answer in zip(calls, answers, strict=True)
        ]
        said = [{"type": "text", "text": text}] if text else []
        return [
            {"role": "assistant", "content": [*said, *used]},
            {"role": "user", "content": results},
        ]
    rows = [{"id": c["id"], "type": "function", "function": _function_of(c)} for c in calls]
    return [
        {"role": "assistant", "content": text, "tool_calls": rows},
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": answer}
            for call, answer in zip(calls, answers, strict=True)
        ),
    ]


def _response_items(
    calls: Sequence[Mapping[str, Any]], answers: Sequence[str]
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for call, answer in zip(calls, answers, strict=True):
        items += (
            {"type": "function_call", "call_id": call["id"], **_function_of(call)},
            {"type": "function_call_output", "call_id": call["id"], "output": answer},
        )
    return items


def _function_of(call: Mapping[str, Any]) -> dict[str, str]:
    return {"name": call["name"], "arguments": json.dumps(call.get("arguments", {}))}
