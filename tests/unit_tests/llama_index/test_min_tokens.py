"""From how many tokens on a tool's results are compressed, where that is measured."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.llms import LLMMetadata
from llama_index.core.tools import FunctionTool

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.llama_index import compress_tool, compress_tools
from specprefill_integrations.observability import BreakEven, TtftLog
from specprefill_integrations.observability._metrics import process_metrics
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results._thresholds import Thresholds
from tests.unit_tests.llama_index.scripted import Recorder, handling
from tests.unit_tests.observability.measured_calls import LENGTHS, add_calls, note_texts

BUDGET = Budget(max_tokens=40)
LOG = "\n".join([*(["All was calm."] * 100), "The dog barked at night."])


def read_log(times: int) -> str:
    """Read a log."""
    return LOG * times


def wrapped(compressor: ContextCompressor, **options: Any) -> Any:
    settings = {"compressor": compressor, "budget": BUDGET, "query": "Who barked?", **options}
    return compress_tool(FunctionTool.from_defaults(read_log), **settings)


def reasons_of(tool: Any) -> list[str]:
    """Why both doors leave the result whole; nothing where they do not."""
    with handling(Recorder()) as heard:
        tool.call(times=1)
        asyncio.run(tool.acall(times=1))
    return heard.reasons


@pytest.mark.parametrize(
    ("draft", "reasons"), [(4000, []), (10, ["never_pays"] * 2)], ids=["pays", "never"]
)
def test_a_break_even(compressor: ContextCompressor, draft: float, reasons: list[str]) -> None:
    figures = BreakEven.in_seconds(
        budget=BUDGET, draft_tokens_per_second=draft, target_tokens_per_second=100
    )
    before = process_metrics().totals().skips.get("never_pays", 0)
    assert reasons_of(wrapped(compressor, min_tokens=figures)) == reasons
    assert process_metrics().totals().skips.get("never_pays", 0) == before + len(reasons)


def test_auto_begins_with_the_default_and_learns(compressor: ContextCompressor) -> None:
    log = TtftLog(max_records=len(LENGTHS))
    tool = wrapped(compressor, min_tokens="auto", ttft_log=log)
    assert reasons_of(tool) == ["too_small"] * 2
    note_texts(tool.settings.thresholds)
    add_calls(log, 1)
    assert reasons_of(tool) == []
    add_calls(log, 100_000)
    assert reasons_of(tool) == ["never_pays"] * 2


def test_what_it_compresses_is_what_it_measures(
    compressor: ContextCompressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not what stays whole."""
    noted: list[tuple[int, float]] = []
    monkeypatch.setattr(Thresholds, "note", lambda _, *reading: noted.append(reading))
    tool = wrapped(compressor, min_tokens=500)
    for times in (2, 1, 3):
        tool.call(times=times)
    asyncio.run(tool.acall(times=4))
    (two, _), (three, _), (four, seconds) = noted
    counted = [compressor.count_tokens([LOG * times])[0] for times in (2, 3, 4)]
    assert [two, three, four] == counted
    assert seconds > 0


def test_what_cannot_be_answered_is_refused(compressor: ContextCompressor) -> None:
    with pytest.raises(ValueError, match="ttft_log="):
        wrapped(compressor, min_tokens="auto")
    unclear = Budget(attention_mass=0.9)
    with pytest.raises(BudgetError):
        wrapped(compressor, min_tokens="auto", ttft_log=TtftLog(), budget=unclear)


def test_a_share_of_the_models_window() -> None:
    def read_log() -> str:
        """Read the log."""
        return "Rain fell on the hills. " * 20 + "The dog barked at noon."

    for window, is_cut in ((1_000, True), (10_000, False)):
        [tool] = compress_tools(
            [FunctionTool.from_defaults(read_log)],
            compressor=ContextCompressor(KeywordScorer()),
            budget=Budget(max_tokens=16),
            min_tokens=("fraction", 0.1),
            query="When did the dog bark?",
            model=SimpleNamespace(metadata=LLMMetadata(context_window=window)),
        )
        assert (tool.call().content != read_log()) == is_cut


def test_without_a_model_there_is_no_window() -> None:
    with pytest.raises(ValueError, match="context_window"):
        compress_tools([], budget=Budget(max_tokens=16), min_tokens=("fraction", 0.1))
