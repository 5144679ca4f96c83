"""A/B runs with a scripted model: who is asked what and when, what is counted, what survives."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from specprefill_integrations import ContextCompressor
from specprefill_integrations.errors import (
    BudgetError,
    EvaluationDataError,
    MissingDependencyError,
)
from specprefill_integrations.evaluation._ab import run_ab
from specprefill_integrations.evaluation._ab_limits import AbLimits, is_transient, wait_seconds
from specprefill_integrations.evaluation._ab_prompts import build_prompt, check_template
from specprefill_integrations.evaluation._ab_run import AbRun, case_key
from specprefill_integrations.evaluation._ab_summary import AbSummary, summarize_ab
from specprefill_integrations.evaluation._ab_variants import (
    Variant,
    in_turn,
    keep_fractions_of,
    variants_of,
)
from specprefill_integrations.evaluation._case_compressor import SpanCompressor
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._lineup import Lineup
from specprefill_integrations.evaluation._run_log import open_run_log
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.evaluation.ab_doubles import (
    EVIDENCE,
    NOISE,
    ScriptedTarget,
    a_case,
    keyword_prompts,
)

VARIANTS = variants_of(["words"], [0.2, 0.5])
NAMES = [variant.name for variant in VARIANTS]
CASES = [a_case(str(number)) for number in range(4)]


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class BrokenScorer(SpanScorer):
    def score_spans(self, *_: object) -> list[list[float]]:
        msg = "no draft today"
        raise RuntimeError(msg)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def run(
    path: Path,
    target: ScriptedTarget,
    cases: Sequence[EvaluationCase] = CASES,
    variants: Sequence[Variant] = VARIANTS,
    **limits: Any,
) -> tuple[AbRun, str | None]:
    with open_run_log(path, {"test": True}) as log:
        found = AbRun(
            target, keyword_prompts(), variants, log, AbLimits(first_wait_seconds=0, **limits)
        )
        return found, found.run(cases)


def summarize(found: AbRun, cases: Sequence[EvaluationCase] = CASES) -> AbSummary:
    return summarize_ab(cases, found.records, NAMES, margin=0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


class TestOrder:
    def test_each_case_begins_with_the_next_variant(self, path: Path) -> None:
        found, stopped = run(path, ScriptedTarget())
        assert stopped is None
        asked = [(record["id"], record["variant"]) for record in found.records]
        assert asked == [
            (case.id, variant.name)
            for turn, case in enumerate(CASES)
            for variant in in_turn(VARIANTS, turn)
        ]
        assert {record["variant"] for record in found.records[::3]} == set(NAMES)

    def test_cases_side_by_side_variants_one_by_one(self, path: Path) -> None:
        target = ScriptedTarget(seconds=0.05)
        found, _ = run(path, target, concurrency=3)
        assert 2 <= target.most_at_once <= 3
        for case in CASES:
            variants = [record["variant"] for record in found.records if record["id"] == case.id]
            assert variants == [variant.name for variant in in_turn(VARIANTS, CASES.index(case))]


class TestPrompts:
    def test_compressed_ones_hold_less_and_what_is_asked_for(self, path: Path) -> None:
        target = ScriptedTarget()
        found, _ = run(path, target, CASES[:1])
        full, fifth, half = target.prompts
        assert f"Passage 2:\n{NOISE}" in full
        assert len(fifth) < len(half) < len(full)
        assert all(EVIDENCE in prompt and CASES[0].query in prompt for prompt in target.prompts)
        kept = {record["variant"]: record["kept_tokens"] for record in found.records}
        tokens = found.records[0]["context_tokens"]
        assert kept["full"] == tokens
        assert 0 < kept["words@0.2"] <= 0.2 * tokens < kept["words@0.5"] <= 0.5 * tokens
        assert found.records[0]["draft_seconds"] == 0 < found.records[1]["draft_seconds"]

    def test_a_template_keeps_foreign_braces(self) -> None:
        prompt = build_prompt(
            "{x} {question} {passages}", "f1", "{passages}?", ["", "a {question}"]
        )
        assert prompt == "{x} {passages}? Passage 2:\na {question}"
        with pytest.raises(EvaluationDataError, match=r"no \{passages\} and \{question\}"):
            check_template("{instruction}")

    def test_fractions(self) -> None:
        assert keep_fractions_of(".2, 0.20,1") == [0.2, 1.0]
        for wrong in ("", "a", "0", "1.1"):
            with pytest.raises(BudgetError):
                keep_fractions_of(wrong)


class TestResuming:
    def test_nothing_is_asked_twice(self, path: Path) -> None:
        first, second = ScriptedTarget(), ScriptedTarget()
        run(path, first, CASES[:2])
        found, _ = run(path, second)
        assert (len(first.prompts), len(second.prompts)) == (6, 6)
        assert summarize(found).all.cases == 4

    def test_variants_may_be_added_and_only_they_are_asked(self, path: Path) -> None:
        run(path, ScriptedTarget())
        target = ScriptedTarget()
        found, _ = run(path, target, variants=[*VARIANTS, Variant("words", 0.3)])
        assert len(target.prompts) == len(CASES)
        assert {record["variant"] for record in found.records} == {*NAMES, "words@0.3"}
        assert summarize(found).all.cases == 4

    def test_what_a_log_says_of_itself_is_no_call(self, path: Path) -> None:
        with open_run_log(path, {"test": True}) as log:
            log.append({"session": {"command": []}})
        found, _ = run(path, ScriptedTarget())
        assert len(found.records) == 12
        assert summarize(found).all.cases == 4

    def test_what_failed_is_asked_again(self, path: Path) -> None:
        found, _ = run(path, ScriptedTarget(errors=[StatusError(400)]))
        assert summarize(found).all.variants["full"].failed == 1
        again = ScriptedTarget()
        found, _ = run(path, again)
        assert len(again.prompts) == 1
        assert summarize(found).all.cases == 4
        assert summarize(found).all.variants["full"].failed == 0

    def test_corrected_answers_are_judged_anew_without_asking(self, path: Path) -> None:
        run(path, ScriptedTarget())
        corrected = [a_case(case.id, answers=("Eve",)) for case in CASES]
        target = ScriptedTarget()
        found, _ = run(path, target, corrected)
        assert target.prompts == []
        assert summarize(found, corrected).all.variants["full"].score == 0
        assert case_key(CASES[0]) != case_key(a_case("0", texts=("other",)))

    def test_it_survives_kill_9(self, path: Path) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from tests.unit_tests.evaluation.ab_doubles import ScriptedTarget\n"
            "from tests.unit_tests.evaluation.test_ab_run import run\n"
            "run(Path(sys.argv[1]), ScriptedTarget(seconds=0.2))"
        )
        command = [sys.executable, "-c", script, str(path)]
        with subprocess.Popen(command) as process:  # noqa: S603 - Python itself
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and process.poll() is None:
                if path.exists() and path.read_bytes().count(b"\n") >= 4:
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        written = path.read_bytes().count(b"\n") - 1
        assert 3 <= written < 12
        with path.open("ab") as file:
            file.write(b'{"case": "torn')
        target = ScriptedTarget()
        found, _ = run(path, target)
        assert len(target.prompts) == 12 - written
        assert summarize(found).all.cases == 4


class TestFailures:
    def test_passing_ones_are_tried_again(self, path: Path) -> None:
        target = ScriptedTarget(errors=[StatusError(429), ConnectionError("gone")])
        found, _ = run(path, target, CASES[:1])
        assert [record["failures"] for record in found.records] == [2, 0, 0]
        assert summarize(found, CASES[:1]).all.cases == 1

    def test_not_more_often_than_allowed_and_counted(self, path: Path) -> None:
        target = ScriptedTarget(errors=[StatusError(503)] * 2)
        found, _ = run(path, target, retries=1)
        assert len(target.prompts) == 13
        summary = summarize(found)
        assert (summary.all.cases, summary.all.incomplete) == (3, 1)
        assert summary.all.variants["full"].failed == 1
        assert summary.errors == {"StatusError: status 503": 1}

    def test_refusals_are_not_tried_again(self, path: Path) -> None:
        target = ScriptedTarget(errors=[StatusError(401)])
        run(path, target)
        assert len(target.prompts) == 12

    def test_a_model_that_keeps_failing_ends_it(self, path: Path) -> None:
        target = ScriptedTarget(errors=[StatusError(401)] * 20)
        found, stopped = run(path, target, max_failures=5)
        assert stopped == "target_fails"
        assert len(target.prompts) == 5
        assert found.sent_tokens == sum(record["sent_tokens"] for record in found.records)
        assert summarize(found).all.variants["full"].score is None

    def test_a_scorer_that_fails_is_counted(self, path: Path) -> None:
        prompts = keyword_prompts(broken=SpanCompressor(ContextCompressor(BrokenScorer())))
        variants = variants_of(["words", "broken"], [0.5])
        with open_run_log(path, {}) as log:
            found = AbRun(ScriptedTarget(), prompts, variants, log)
            found.run(CASES)
        summary = summarize_ab(
            CASES, found.records, [variant.name for variant in variants], margin=0.05
        )
        assert summary.all.cases == 0
        assert [variant.failed for variant in summary.all.variants.values()] == [0, 0, 4]
        assert summary.errors == {"compression: RuntimeError: no draft today": 4}

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ConnectionError(), True),
            (TimeoutError(), True),
            (StatusError(429), True),
            (StatusError(500), True),
            (StatusError(400), False),
            (StatusError(404), False),
            (ValueError(), False),
        ],
    )
    def test_which_may_pass(self, error: Exception, expected: bool) -> None:  # noqa: FBT001
        assert is_transient(error) is expected

    def test_waits_grow_to_a_minute(self) -> None:
        assert 0.5 <= wait_seconds(1, 1) <= 1
        assert 2 <= wait_seconds(1, 3) <= 4
        assert 30 <= wait_seconds(1, 500) <= 60


class TestInputTokens:
    def test_it_stops_before_too_many_are_sent(self, path: Path) -> None:
        one, _ = run(path.with_name("one"), ScriptedTarget(), CASES[:1])
        limit = 2 * one.sent_tokens + 20
        target = ScriptedTarget()
        found, stopped = run(path, target, max_input_tokens=limit)
        assert stopped == "max_input_tokens"
        sent = sum(len(prompt.split()) for prompt in target.prompts)
        assert found.sent_tokens == sent <= limit
        assert len(target.prompts) == 3  # the estimate of the second case was too high for it
        assert summarize(found).all.incomplete == 3

    def test_earlier_runs_count(self, path: Path) -> None:
        found, _ = run(path, ScriptedTarget())
        target = ScriptedTarget()
        more = [*CASES, a_case("more")]
        found, stopped = run(path, target, more, max_input_tokens=found.sent_tokens)
        assert (stopped, target.prompts) == ("max_input_tokens", [])

    def test_what_is_complete_needs_none(self, path: Path) -> None:
        run(path, ScriptedTarget())
        assert run(path, ScriptedTarget(), max_input_tokens=1)[1] is None

    def test_a_model_that_does_not_say_is_believed_to_count_alike(self, path: Path) -> None:
        target = ScriptedTarget(says_tokens=False, errors=[StatusError(500)])
        found, _ = run(path, target, CASES[:1])
        [count] = {len(target.prompts)}
        counted = KeywordScorer().count_tokens(target.prompts)
        assert (count, found.sent_tokens) == (4, sum(counted))


class TestSummary:
    def test_figures(self, path: Path) -> None:
        far = a_case("far", task="other", query="Who likes fish?")
        cases = [*CASES, far]
        found, _ = run(path, ScriptedTarget(), cases)
        summary = summarize(found, cases)
        assert list(summary.tasks) == ["keepers", "other"]
        keepers, other = summary.tasks.values()
        assert (keepers.cases, keepers.metrics) == (4, ("contains",))
        assert keepers.variants["words@0.2"].score == 1
        assert keepers.variants["full"].versus_reference is None
        assert other.variants["full"].score == 1
        assert other.variants["words@0.2"].score == 0
        pooled = summary.all.variants["words@0.2"]
        assert (pooled.score, pooled.versus_reference.difference) == (0.8, pytest.approx(-0.2))
        assert pooled.versus_reference.verdict == "not_shown"
        assert 0 < pooled.kept_tokens_fraction <= 0.2
        assert pooled.first_token_seconds == 0.5
        assert pooled.first_token_with_draft_seconds > 0.5

    def test_only_cases_that_all_variants_answered_count(self, path: Path) -> None:
        found, _ = run(path, ScriptedTarget())
        some = [
            record for record in found.records if record["variant"] == "full" or record["id"] != "2"
        ]
        summary = summarize_ab(CASES, some, NAMES, margin=0.05)
        assert (summary.all.cases, summary.all.incomplete) == (3, 1)
        assert summary.all.variants["full"].failed == 0

    def test_scores_between_right_and_wrong_are_resampled(self, path: Path) -> None:
        cases = [a_case(str(n), metric="f1", answers=("Ada B",)) for n in range(3)]
        found, _ = run(path, ScriptedTarget(), cases)
        versus = summarize(found, cases).all.variants["words@0.5"].versus_reference
        assert (versus.mcnemar_p, versus.cases_needed) == (None, 20)


class TestRunAb:
    def test_records_are_flat_and_say_what_was_asked(self, path: Path) -> None:
        compressor = ContextCompressor(KeywordScorer())
        with open_run_log(path, {"model": "scripted"}) as log:
            found = run_ab(
                [*CASES, a_case("x", query="")], ScriptedTarget(), compressor, [0.5], log
            )
        assert (found.model, found.draft, found.log) == ("scripted", "KeywordScorer", str(path))
        assert found.left_out == {"no_question": 1}
        full, half = found.records()
        assert (full["variant"], full["scorer"], full["difference"]) == ("full", None, None)
        assert (half["variant"], half["keep_fraction"]) == ("compressor@0.5", 0.5)
        assert (half["cases"], half["score"], half["difference"]) == (4, 1, 0)
        assert half["difference_low"] < 0 < half["difference_high"]

    def test_without_a_scorer_nothing_is_asked(self, path: Path) -> None:
        target = ScriptedTarget()
        nothing = Lineup(compressors={}, count_tokens=len, draft="", skipped={"bm25": "missing"})
        with (
            open_run_log(path, {}) as log,
            pytest.raises(EvaluationDataError, match=r"nothing to compare .*\nbm25: missing"),
        ):
            run_ab(CASES, target, nothing, [0.5], log)
        assert target.prompts == []

    def test_retries_need_their_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tenacity", None)
        with pytest.raises(MissingDependencyError, match=r"tenacity.*\[evaluate\]"):
            AbLimits().retrying(lambda: True)
