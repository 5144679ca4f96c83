"""Copies of what integrations hold: same content, independent afterwards."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import cloudpickle
import pytest

from specprefill_integrations.observability import (
    CompressionMetrics,
    TokenUsage,
    TtftLog,
    TtftRecord,
    process_metrics,
)
from specprefill_integrations.observability._app_run import FoundText
from specprefill_integrations.observability._app_run_recorder import AppRunRecorder
from specprefill_integrations.observability._case_file import CaseFile
from specprefill_integrations.observability._run_tree import RunTree
from specprefill_integrations.observability._ttft_recorder import TtftRecorder

COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda original: pickle.loads(pickle.dumps(original)),  # noqa: S301 - our own
    "cloudpickle": lambda original: pickle.loads(cloudpickle.dumps(original)),  # noqa: S301
}


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def copied(request: pytest.FixtureRequest):
    return request.param


def test_metrics_start_with_the_same_totals(copied) -> None:
    metrics = CompressionMetrics()
    metrics.record(tokens_before=9, tokens_after=2, skipped_because="too_small")
    other = copied(metrics)
    assert other.totals() == metrics.totals()
    other.record(skipped_because="too_small")
    assert (metrics.totals().calls, other.totals().calls) == (1, 2)
    assert (metrics.totals().skips["too_small"], other.totals().skips["too_small"]) == (1, 2)


def test_those_of_the_process_stay_its_own(copied) -> None:
    assert copied({"metrics": process_metrics()})["metrics"] is process_metrics()


def test_a_log_starts_with_the_same_records(copied) -> None:
    log = TtftLog(max_records=2)
    for name in "abc":
        log.add(TtftRecord(run_id=name, started=0.0, total_seconds=1.0))
    log.add_failure()
    other = copied(log)
    assert (other.records, other.failed_calls) == (log.records, 1)
    other.add(TtftRecord(run_id="d", started=0.0, total_seconds=1.0))
    assert [record.run_id for record in other.records] == ["c", "d"]
    assert [record.run_id for record in log.records] == ["b", "c"]


def test_a_recorder_starts_with_nothing_under_way(copied) -> None:
    recorder = TtftRecorder(TtftLog())
    recorder.call_started("call", "app")
    other = copied(recorder)
    assert not other.is_under_way("call")
    other.call_started("call", "app")
    other.call_ended("call", TokenUsage())
    assert (len(other.log.records), len(recorder.log.records)) == (1, 0)


def test_so_does_a_tree_of_runs(copied) -> None:
    tree = RunTree()
    tree.started("inner", "outer")
    assert copied(tree).path_to("inner") == ("inner",)


def test_a_case_file_has_one_writer(tmp_path: Path) -> None:
    file = CaseFile(tmp_path / "cases.jsonl", 1)
    recorder = AppRunRecorder(file, task="t", sample=1.0)
    assert copy.deepcopy(file) is file
    other = copy.deepcopy(recorder)
    other.began("run", None, lambda: "Who?")
    other.began("find", "run", lambda: None)
    other.source_began("find", "Who?")
    other.source_ended("find", lambda: [FoundText("Ada.")])
    other.ended("run", lambda: "Ada")
    assert (other.counts, file.cases) == ({"recorded": 1}, 1)
    for original in (file, recorder):
        with pytest.raises(TypeError, match="a file of its own"):
            pickle.dumps(original)
