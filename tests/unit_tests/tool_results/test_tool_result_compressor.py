"""The policy of all agent integrations, free of frameworks."""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import DraftModelNotFoundError, TokenCounterError
from specprefill_integrations.observability import CompressionMetrics, process_metrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import (
    CompressedResult,
    Outcome,
    ToolPolicy,
    ToolRequest,
    ToolResult,
    ToolResultCompressor,
)

LONG = f"{'Rain fell on the hills. ' * 15}The dog barked at noon. {'Rain fell on the hills. ' * 15}"
REQUEST = ToolRequest(tool_name="read", user_message="When did the dog bark?")


def settings(compressor: ContextCompressor, **options: Any) -> ToolResultCompressor:
    given = {"budget": Budget(max_tokens=16), "min_tokens": 50, "metrics": CompressionMetrics()}
    return ToolResultCompressor(compressor=compressor, **{**given, **options})


def result(*texts: str, **options: Any) -> ToolResult:
    request = options.pop("request", REQUEST)
    return ToolResult(
        texts=texts or (LONG,),
        tool_name=request.tool_name,
        find_request=lambda: request,
        **options,
    )


async def both(
    compressor: ToolResultCompressor, one: ToolResult, starts: list[Any] | None = None
) -> CompressedResult:
    """What both ways make of a result."""
    on_start = None if starts is None else starts.append
    done = compressor.compress(one, on_start)
    other = await compressor.acompress(one, on_start)
    assert (other.texts, other.outcome.as_metadata()) == (done.texts, done.outcome.as_metadata())
    return done


async def test_a_counter_that_counts_nothing_has_failed() -> None:
    """Not `too_small`: a LangChain model without a tokenizer gives 0 for everything."""
    compressor = ContextCompressor(KeywordScorer(), count_tokens=lambda _: 0)
    done = await both(settings(compressor), result())
    assert done.texts == (LONG,)
    assert done.outcome.skipped_because == "counter_failed"
    with pytest.raises(TokenCounterError, match=f"gave 0 for a text of {len(LONG)} characters"):
        settings(compressor.replace(on_error="raise")).compress(result())


async def test_a_long_result_is_compressed(compressor) -> None:
    starts: list[Any] = []
    one = settings(compressor)
    done = await both(one, result(), starts)
    assert done.texts == ("[...] The dog barked at noon. [...]",)
    assert done.outcome.as_metadata() == {
        "original_tokens": 186,
        "kept_tokens": 16,
        "query_sources": ["user_message"],
        "skipped_because": None,
        "kept": None,
        "references": [],
        "start_char_idx": None,
    }
    assert starts == [("user_message",)] * 2
    assert one.metrics is not None
    assert one.metrics.totals().compressed == 2


@pytest.mark.parametrize(
    ("options", "one", "reason"),
    [
        ({}, result(is_error=True), "tool_error"),
        ({"error_min_tokens": 187}, result(is_error=True), "tool_error"),
        ({"min_tokens": 187, "error_min_tokens": 0}, result(is_error=True), "tool_error"),
        ({"error_min_tokens": 0}, result("Rain.", is_error=True), "tool_error"),
        ({}, result(""), "no_text"),
        ({}, ToolResult(texts=()), "no_text"),
        ({}, result("It rained."), "too_small"),
        ({"exclude_tools": ["re*"]}, result(), "excluded_tool"),
        ({"exclude_tools": ["*"]}, result(skip="return_direct"), "return_direct"),
        ({"tool_policies": {"re*": ToolPolicy(min_tokens=999)}}, result(), "too_small"),
        ({"budget": Budget(max_tokens=1)}, result(), "nothing_kept"),
        ({"budget": Budget(keep_fraction=1)}, result(), "within_budget"),
    ],
)
async def test_reasons_to_pass_a_result_through(compressor, options, one, reason) -> None:
    done = await both(settings(compressor, **options), one)
    assert (done.texts, done.outcome.skipped_because) == (tuple(one.texts), reason)


async def test_a_long_error_is_compressed_around_what_failed(compressor) -> None:
    build = [f"[{n}/400] Compiling part_{n} of the program in part_{n}.c" for n in range(400)]
    build[222:222] = ["part_221.c:14:3: error: unknown type name 'door_t'"]
    build.append("make: *** [Makefile:3: all] Error 2")
    whole = "\n".join(build)
    budget = Budget(max_tokens=150)
    one = settings(compressor, budget=budget)
    asked = ToolRequest(tool_name="run", user_message="Build the program.")
    done = await both(one, result(whole, is_error=True, request=asked))
    assert done.outcome.skipped_because is None
    assert (done.outcome.kept_tokens or 0) <= 150
    [text] = done.texts
    assert text
    assert build[222] in text
    assert build[-1] in text
    tokens = done.outcome.original_tokens or 0
    small = settings(compressor, budget=budget, error_min_tokens=tokens + 1)
    done = await both(small, result(whole, is_error=True, request=asked))
    assert (done.texts, done.outcome.skipped_because) == ((whole,), "tool_error")


async def test_no_policy_of_tools_is_for_messages_of_users(compressor) -> None:
    one = settings(
        compressor, exclude_tools=["*"], tool_policies={"*": ToolPolicy(min_tokens=9999)}
    )
    spoken = result(request=ToolRequest(user_message="When did the dog bark?"))
    assert (await both(one, spoken)).outcome.skipped_because is None


async def test_no_reference_where_no_tool_fetches_it(compressor) -> None:
    one = settings(compressor, originals=InMemoryOriginals(), budget=Budget(max_tokens=40))
    assert "[reference " in (await both(one, result())).texts[0]
    assert "[reference " not in (await both(one, result(can_be_recalled=False))).texts[0]


async def test_a_file_name_among_the_arguments_tells_the_kind(compressor) -> None:
    rows = "\n".join(["animal;noon", *(f"cat;{n}" for n in range(40)), "dog;bark"])
    one = settings(compressor, budget=Budget(max_tokens=30))
    request = ToolRequest(tool_name="read", arguments={"path": "a.csv"}, user_message="dog bark")
    [text] = (await both(one, result(rows, request=request))).texts
    assert text.startswith("animal;noon\n")  # a table's header is kept


def test_the_metrics_of_the_process_are_the_default(compressor) -> None:
    before = process_metrics().totals().calls
    settings(compressor, metrics=None).compress(result())
    assert process_metrics().totals().calls == before + 1


def test_a_single_text_is_no_list_of_globs(compressor) -> None:
    with pytest.raises(TypeError, match=r"must be a sequence of str; got 'read'. Write \['read'\]"):
        settings(compressor, exclude_tools="read")


def test_a_deep_copy_is_the_same_object(compressor) -> None:
    one = settings(compressor)
    assert copy.deepcopy(one) is one


async def test_a_call_that_cannot_be_read_costs_nothing_but_the_compression(compressor) -> None:
    def fail() -> ToolRequest:
        msg = "no such message"
        raise RuntimeError(msg)

    forgiving = compressor.replace(on_error="pass_through")
    one = settings(forgiving)
    done = await both(one, ToolResult(texts=(LONG,), tool_name="read", find_request=fail))
    assert (done.texts, done.outcome.skipped_because) == ((LONG,), "failed")
    quiet = settings(forgiving, exclude_tools=["read"])
    done = await both(quiet, ToolResult(texts=(LONG,), tool_name="read", find_request=fail))
    assert done.outcome.skipped_because == "excluded_tool"


async def test_settings_do_not_change_with_what_the_caller_passed(compressor) -> None:
    excluded, policies = ["other"], {"other": ToolPolicy(min_tokens=999)}
    one = settings(compressor, exclude_tools=excluded, tool_policies=policies)
    excluded.append("read")
    policies["read"] = ToolPolicy(min_tokens=999)
    assert (await both(one, result())).outcome.skipped_because is None
    never = settings(compressor, exclude_tools=(glob for glob in ["read"]))
    for _ in range(2):
        assert (await both(never, result())).outcome.skipped_because == "excluded_tool"


async def test_an_error_of_an_excluded_tool_is_excluded(compressor) -> None:
    one = settings(compressor, exclude_tools=["read"])
    assert (await both(one, result(is_error=True))).outcome.skipped_because == "excluded_tool"


@pytest.mark.parametrize(
    ("error", "reason"), [(DraftModelNotFoundError, "draft_unavailable"), (OSError, "failed")]
)
async def test_a_failure_is_heard_once_and_the_size_is_estimated(
    compressor, caplog, error, reason
) -> None:
    def fail(_: str) -> int:
        raise error

    one = settings(compressor.replace(on_error="pass_through", count_tokens=fail))
    for _ in range(3):
        done = await both(one, ToolResult(texts=(LONG, "abcde"), tool_name="read"))
        tokens = math.ceil(len(LONG) / 4) + 2
        assert done.outcome == Outcome(
            original_tokens=tokens, kept_tokens=tokens, skipped_because=reason
        )
    [record] = caplog.records
    assert record.message.startswith(f"Passed the result of read through unchanged: {reason} (")


async def test_the_deadline_holds_while_tokens_are_counted(compressor) -> None:
    """They are counted before the compressor is called."""
    may_end = threading.Event()

    def count(text: str) -> int:
        may_end.wait(60)
        return len(text.split())

    late = compressor.replace(on_error="pass_through", count_tokens=count, deadline_seconds=0.2)
    done = await settings(late).acompress(result())
    may_end.set()
    assert (done.texts, done.outcome.skipped_because) == ((LONG,), "deadline_exceeded")
