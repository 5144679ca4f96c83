"""From how many tokens on messages are compressed, where that is measured while agents run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.langchain import (
    SpecPrefillMiddleware,
    ToolPolicy,
    compress_messages,
)
from specprefill_integrations.langchain._history import HistoryCompressor
from specprefill_integrations.observability import BreakEven, TtftLog
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import (
    _tool_result_compressor as tool_result_compressor,
)
from specprefill_integrations.tool_results._thresholds import Thresholds
from tests.unit_tests.langchain.agents import (
    LONG,
    QUESTION,
    ScriptedModel,
    calls,
    read,
    scripted,
    stamp,
    tool_messages,
)
from tests.unit_tests.observability.measured_calls import LENGTHS, add_calls, note_texts

BUDGET = Budget(max_tokens=16)

Speed = Literal["slow", "fast", "unknown"]
"""Of the model: compressing always pays, never does, or nobody knows."""

REASONS = {"slow": None, "fast": "never_pays", "unknown": "too_small"}

speeds = st.lists(st.sampled_from(sorted(REASONS)), min_size=10, max_size=10)


def set_speed(log: TtftLog, speed: Speed) -> None:
    """Make the model as fast as that by its last calls, which are all that the log keeps."""
    add_calls(log, 100_000 if speed == "fast" else 1, is_streamed=speed != "unknown")


def a_log() -> TtftLog:
    return TtftLog(max_records=len(LENGTHS))


def a_middleware(log: TtftLog | None, **options: Any) -> SpecPrefillMiddleware:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    given = {"budget": BUDGET, "min_tokens": "auto", "metrics": CompressionMetrics(), **options}
    return SpecPrefillMiddleware(compressor=compressor, ttft_log=log, **given)


def answer(middleware: SpecPrefillMiddleware) -> ToolMessage:
    agent = create_agent(scripted(calls("read")), [read], middleware=[middleware])
    [message] = tool_messages(agent.invoke({"messages": [HumanMessage(QUESTION)]}))
    return message


class TestMiddleware:
    @pytest.mark.parametrize(("draft", "reason"), [(4000, None), (10, "never_pays")])
    def test_a_break_even(self, draft: float, reason: str | None) -> None:
        figures = BreakEven.in_seconds(
            budget=BUDGET, draft_tokens_per_second=draft, target_tokens_per_second=100
        )
        middleware = a_middleware(None, min_tokens=figures)
        message = answer(middleware)
        assert stamp(message)["skipped_because"] == reason
        assert (message.content == LONG) == (reason is not None)
        assert middleware.metrics.totals().skips == ({reason: 1} if reason else {})

    def test_auto_begins_with_the_default(self) -> None:
        assert stamp(answer(a_middleware(a_log())))["skipped_because"] == "too_small"

    def test_a_tool_may_differ(self) -> None:
        log = a_log()
        policies = {"read": ToolPolicy(min_tokens=100), "other": ToolPolicy(min_tokens="auto")}
        assert stamp(answer(a_middleware(log, tool_policies=policies)))["skipped_because"] is None
        auto = {"read": ToolPolicy(min_tokens="auto")}
        middleware = a_middleware(log, min_tokens=100, tool_policies=auto)
        assert stamp(answer(middleware))["skipped_because"] == "too_small"

    def test_what_it_compresses_is_what_it_measures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """But not what stays whole."""
        readings: list[tuple[int, float]] = []
        monkeypatch.setattr(Thresholds, "note", lambda _, *reading: readings.append(reading))

        @tool
        def repeat(times: int) -> str:
            """Say it again."""
            return LONG * times

        middleware = a_middleware(None, min_tokens=300)
        model = scripted(*(calls(f"repeat:{times}", times=times) for times in (2, 3, 1, 4)))
        agent = create_agent(model, [repeat], middleware=[middleware])
        state = agent.invoke({"messages": [HumanMessage(QUESTION)]})
        two, three, one, four = (stamp(message) for message in tool_messages(state))
        assert (two["skipped_because"], one["skipped_because"]) == (None, "too_small")
        tokens = [found["original_tokens"] for found in (two, three, four)]
        assert [read_tokens for read_tokens, _ in readings] == tokens
        assert (
            0
            < sum(seconds for _, seconds in readings)
            <= (middleware.metrics.totals().draft_seconds)
        )

    def test_what_cannot_be_answered_is_refused(self) -> None:
        with pytest.raises(ValueError, match="ttft_log="):
            a_middleware(None)
        with pytest.raises(ValueError, match="ttft_log="):
            a_middleware(None, min_tokens=9, tool_policies={"a": ToolPolicy(min_tokens="auto")})
        unclear = Budget(attention_mass=0.9)
        with pytest.raises(BudgetError):
            a_middleware(a_log(), budget=unclear)
        with pytest.raises(BudgetError):
            a_middleware(a_log(), tool_policies={"a": ToolPolicy(budget=unclear)})


class NotedThresholds(Thresholds):
    """Has seen texts of all lengths."""

    def __init__(self, ttft_log: TtftLog | None = None, model: object = None) -> None:
        super().__init__(ttft_log, model)
        note_texts(self)


class TestWhatWasSeenStays:
    """However often it changes from where on compressing pays."""

    @settings(max_examples=5)
    @given(speeds)
    def test_of_agents(self, speeds: list[Speed]) -> None:
        log = a_log()
        middleware = a_middleware(log)
        note_texts(middleware.settings.thresholds)
        script = [one for n in range(10) for one in (calls(f"read:{n}"), AIMessage("Done."))]
        model = ScriptedModel(script=script)
        agent = create_agent(model, [read], middleware=[middleware], checkpointer=InMemorySaver())
        state: Any = None
        for speed in speeds:
            set_speed(log, speed)
            said = {"messages": [HumanMessage(QUESTION)]}
            state = agent.invoke(said, {"configurable": {"thread_id": "1"}})
        reasons = [stamp(message)["skipped_because"] for message in tool_messages(state)]
        assert reasons == [REASONS[speed] for speed in speeds]
        for before, after in pairwise(model.request_bytes()):
            assert after[: len(before)] == before

    @settings(max_examples=10)
    @given(speeds)
    def test_of_histories(self, speeds: list[Speed]) -> None:
        log = a_log()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tool_result_compressor, "Thresholds", NotedThresholds)
            history = HistoryCompressor(
                compressor=ContextCompressor(KeywordScorer(), on_error="raise"),
                budget=BUDGET,
                keep_results=0,
                min_tokens="auto",
                ttft_log=log,
                metrics=CompressionMetrics(),
            )
        messages: list[BaseMessage] = []
        shown: list[BaseMessage] = []
        for number, speed in enumerate(speeds):
            set_speed(log, speed)
            messages += [
                HumanMessage(QUESTION, id=f"h{number}"),
                calls(f"read:{number}"),
                ToolMessage(LONG, tool_call_id=str(number), id=f"t{number}", name="read"),
            ]
            before, shown = shown, history.compress(messages)
            assert shown[: len(before)] == before
            assert (shown[-1].content == LONG) == (speed != "slow")


def test_compress_messages_takes_the_same() -> None:
    log = a_log()
    options = {"compressor": ContextCompressor(KeywordScorer()), "budget": BUDGET}
    with pytest.raises(ValueError, match="ttft_log="):
        compress_messages(min_tokens="auto", **options)
    step = compress_messages(
        min_tokens="auto", ttft_log=log, metrics=CompressionMetrics(), **options
    )
    messages = [HumanMessage(LONG, id="1"), HumanMessage(QUESTION, id="2")]
    assert step.invoke(messages) == messages
