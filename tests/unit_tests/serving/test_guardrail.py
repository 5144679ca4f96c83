"""LiteLLM's Generic Guardrail API: what the proxy sends, and what it may be answered."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import httpx
import yaml

from specprefill_integrations import ContextCompressor
from specprefill_integrations.serving import ApiKeys, ServiceLimits
from specprefill_integrations.serving._guardrail import GuardrailOptions, RecallOptions
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.serving.running import serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

PATH = "/beta/litellm_basic_guardrail_api"
KEY = {"x-api-key": "key-of-the-proxy"}
FACT = "The treasury holds four hundred ducats."
TEXT = " ".join(["The cat sat on the mat.", "A dog barked at the moon.", FACT] * 4)
OPTIONS = {"budget": {"max_tokens": 24}, "min_tokens": 0}


def call(number: int) -> dict[str, Any]:
    function = {"name": "read", "arguments": '{"path": "a.txt"}'}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}],
    }


ROWS: list[dict[str, Any]] = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {}}]},
    {"role": "user", "content": "How many ducats are in the treasury?", "x": [1, None]},
    call(1),
    {"role": "tool", "tool_call_id": "c1", "content": TEXT},
]


def asked(rows: list[Any] = ROWS, **more: Any) -> dict[str, Any]:
    """A request with the fields that LiteLLM sends."""
    return {
        "input_type": "request",
        "litellm_call_id": "1",
        "litellm_trace_id": None,
        "structured_messages": copy.deepcopy(rows),
        "texts": ["..."],
        "images": None,
        "tools": [{"type": "function", "function": {"name": "read"}}],
        "tool_calls": None,
        "request_data": {"user_api_key_hash": "h"},
        "request_headers": {"host": "a"},
        "litellm_version": "1",
        "model": "m",
        "additional_provider_specific_params": OPTIONS,
        **more,
    }


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    keys = ApiKeys(["key-of-the-proxy"])
    limits = ServiceLimits(max_documents=3, max_query_chars=1_000, max_tokens=1_000)
    with (
        serving(ContextCompressor(KeywordScorer()), api_keys=keys, limits=limits) as url,
        httpx.Client(base_url=url, headers=KEY, timeout=10) as found,
    ):
        yield found


def rows_of(client: httpx.Client, rows: list[Any], **options: Any) -> list[Any]:
    given = {**OPTIONS, **options}
    reply = client.post(PATH, json=asked(rows, additional_provider_specific_params=given))
    assert reply.status_code == 200, reply.text
    assert reply.json()["action"] == "GUARDRAIL_INTERVENED"
    found: list[Any] = reply.json()["structured_messages"]
    return found


def test_only_the_tool_result_is_another(client: httpx.Client) -> None:
    found = rows_of(client, ROWS)
    assert found[:3] == ROWS[:3]
    assert {**found[3], "content": TEXT} == ROWS[3]
    assert FACT in found[3]["content"]
    assert len(found[3]["content"]) < len(TEXT)


def test_marks_for_caches_stay(client: httpx.Client) -> None:
    block = {"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}
    found = rows_of(client, [*ROWS[:3], {**ROWS[3], "content": [block]}])
    [given] = found[3]["content"]
    assert {**given, "text": TEXT} == block
    assert len(given["text"]) < len(TEXT)


def test_a_later_turn_shows_the_same_rows(client: httpx.Client) -> None:
    first = rows_of(client, ROWS)
    later = [
        *ROWS,
        {"role": "assistant", "content": "400."},
        {"role": "user", "content": "At what did the dog bark?"},
        call(2),
        {"role": "tool", "tool_call_id": "c2", "content": TEXT},
    ]
    second = rows_of(client, later)
    assert second[:4] == first
    assert len(second) == len(later)
    assert "A dog barked at the moon." in second[7]["content"]


def test_rows_beyond_the_limit_leave_those_before_them_short(client: httpx.Client) -> None:
    turns = [*ROWS[:2]]
    former: list[Any] = []
    for number in range(1, 9):
        short = {"role": "tool", "tool_call_id": f"c{number}", "content": "Short."}
        turns += [call(number), short, {**short, "content": f"{number}. {TEXT}"}]
        found = rows_of(client, turns, min_tokens=20)
        assert found[: len(former)] == former
        is_short = [one["content"] != row["content"] for one, row in zip(found, turns, strict=True)]
        assert sum(is_short) == min(number, 3)
        former = found


def test_tokens_beyond_the_limit_leave_rows_before_them_short(client: httpx.Client) -> None:
    huge = {**ROWS[3], "content": TEXT * 20}
    found = rows_of(client, [*ROWS, call(1), huge, call(1), ROWS[3]])
    assert found[5] == huge
    assert found[3] == found[7] != ROWS[3]


@pytest.mark.parametrize(
    "request_",
    [
        asked(ROWS[:2]),
        asked([]),
        asked(structured_messages=None),
        asked(input_type="response"),
        asked(additional_provider_specific_params={**OPTIONS, "exclude_tools": ["re*"]}),
        asked(additional_provider_specific_params=None),  # short, by the default of min_tokens
        asked([*ROWS[:3], {"role": "tool", "tool_call_id": "c1", "content": "Short."}]),
        asked([{"role": "tool", "tool_call_id": 7, "content": {"odd": [TEXT]}}, {"role": None}]),
    ],
    ids=range(8),
)
def test_what_is_not_compressed_goes_on_as_it_came(
    client: httpx.Client, request_: dict[str, Any]
) -> None:
    reply = client.post(PATH, json=request_)
    assert (reply.status_code, reply.json()["action"]) == (200, "NONE")
    assert not reply.json().get("structured_messages")


def test_rows_in_another_format_do_not_hinder_the_others(client: httpx.Client) -> None:
    odd = [{"role": "user", "content": 7}, {"content": "x"}, {"role": "tool", "content": {"a": 1}}]
    found = rows_of(client, [*odd, *ROWS])
    assert found[:6] == [*odd, *ROWS[:3]]
    assert FACT in found[6]["content"]


def test_settings_that_mean_nothing_are_refused(client: httpx.Client) -> None:
    for options in ({"keep_fractoin": 0.3}, {"budget": {"keep_fraction": 7}}):
        reply = client.post(PATH, json=asked(additional_provider_specific_params=options))
        assert reply.status_code == 422


def test_it_needs_a_key(client: httpx.Client) -> None:
    for headers in ({"x-api-key": "another-key"}, {"x-api-key": ""}):
        assert client.post(PATH, json=asked(), headers=headers).status_code == 401


def test_the_settings_shown_are_valid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gateways.md").read_text("utf-8")
    generic, own = (
        yaml.safe_load(block)["guardrails"][0]["litellm_params"]
        for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    )
    GuardrailOptions.model_validate(generic["additional_provider_specific_params"])
    RecallOptions.model_validate(own["additional_provider_specific_params"])
    assert (generic["unreachable_fallback"], generic["fail_on_error"]) == ("fail_open", False)
