"""A/B measurements of the likelihood of right answers: scores, differences, logs, the report."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specprefill_integrations import ContextCompressor
from specprefill_integrations.cli import build_app
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation import AbResult, EvaluationCase, Judge, run_ab
from specprefill_integrations.evaluation._ab_limits import AbLimits
from specprefill_integrations.evaluation._ab_summary import format_verdict
from specprefill_integrations.evaluation._judging import is_answered
from specprefill_integrations.evaluation._likelihood import answer_key, mean_log_probability
from specprefill_integrations.evaluation._lineup import build_lineup
from specprefill_integrations.evaluation._logged_run import read_logged_run
from specprefill_integrations.evaluation._report._findings import judge
from specprefill_integrations.evaluation._report._headline import headline
from specprefill_integrations.evaluation._report._sections import sections_of
from specprefill_integrations.evaluation._run_log import open_run_log
from specprefill_integrations.evaluation._statistics import (
    bootstrap_interval,
    compare_log_pairs,
    compare_pairs,
)
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import save_tiny_draft
from tests.unit_tests.evaluation.ab_doubles import (
    EVIDENCE,
    NOISE,
    ScriptedLikelihoods,
    ScriptedTarget,
    a_case,
)
from tests.unit_tests.evaluation.completion_server import serve_completions
from tests.unit_tests.evaluation.report_doubles import SeenPage, write_data
from tests.unit_tests.evaluation.test_likelihood import EchoingModel

JUDGE = Judge(metric="answer_likelihood")
FAR = "Who likes fish?"  # the keyword scorer drops the evidence for it


def measure(
    path: Path, cases: list[EvaluationCase], target: ScriptedLikelihoods, **options: Any
) -> AbResult:
    compressor = ContextCompressor(KeywordScorer())
    with open_run_log(path / "ab.jsonl", {"model": "scripted", "metric": JUDGE.metric}) as log:
        return run_ab(cases, target, {"words": compressor}, [0.2], log, judge=JUDGE, **options)


class TestScores:
    @staticmethod
    def record(**answers: tuple[float, int]) -> dict[str, Any]:
        found = {
            answer_key(answer): {"log_likelihood": total, "tokens": tokens}
            for answer, (total, tokens) in answers.items()
        }
        return {"likelihoods": found}

    def test_the_most_probable_answer_counts_by_token(self) -> None:
        case = a_case("1", answers=("Ada", "Byron"))
        record = self.record(Ada=(-3.0, 1), Byron=(-4.0, 4))
        assert mean_log_probability(case, record) == -1
        assert JUDGE.score_record(case, record, {}) == pytest.approx(math.exp(-1))

    def test_all_count_where_all_are_needed(self) -> None:
        case = a_case("1", answers=("Ada", "Byron"), needs_all=True)
        record = self.record(Ada=(-3.0, 1), Byron=(-4.0, 4))
        assert mean_log_probability(case, record) == pytest.approx(-7 / 5)

    def test_what_was_not_asked_is_not_answered(self) -> None:
        for case in (a_case("1"), a_case("1", answers=())):
            assert not is_answered(case, {})
            assert not is_answered(case, {"error": "no"})
            assert is_answered(case, {"reply": ""})
        assert not is_answered(a_case("1", answers=("Ada", "Bob")), self.record(Ada=(-1.0, 1)))
        assert is_answered(a_case("1", answers=("Ada",)), self.record(Ada=(-1.0, 1)))

    def test_it_is_no_metric_of_a_case_and_judges_by_right_answers(self) -> None:
        with pytest.raises(EvaluationDataError, match="known metrics"):
            Judge().metric_of(a_case("1", metric="answer_likelihood"))
        with pytest.raises(EvaluationDataError, match="judges by right answers, not by 'reply'"):
            Judge(by="reply", metric="answer_likelihood")
        assert JUDGE.metric_of(a_case("1", metric="f1")) == "answer_likelihood"
        assert JUDGE.why_not(a_case("1", answers=())) == "no_answer_given"
        assert not JUDGE.is_binary(("answer_likelihood",))


def test_the_interval_is_that_of_the_mean_of_paired_differences() -> None:
    draw = random.Random(3)  # noqa: S311 - no secret
    full = [draw.uniform(0.3, 0.9) for _ in range(60)]
    other = [max(0.0, one + draw.gauss(-0.02, 0.1)) for one in full]
    versus = compare_pairs(other, full, margin=0.1, binary=False)
    differences = [b - a for a, b in zip(full, other, strict=True)]
    mean = fmean(differences)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in differences) / 59)
    assert versus.difference == pytest.approx(mean)
    assert versus.interval == pytest.approx(bootstrap_interval(differences))
    # With 60 pairs, the bootstrap is close to Student's interval.
    for end, sign in zip(versus.interval, (-1, 1), strict=True):
        assert end == pytest.approx(mean + sign * 2.001 * deviation / math.sqrt(60), abs=0.005)


def test_likelihoods_are_compared_by_ratio_however_low_they_are() -> None:
    draw = random.Random(5)  # noqa: S311 - no secret
    full = [draw.uniform(-9.0, -5.0) for _ in range(60)]  # probabilities below 1 %
    other = [one + draw.gauss(-0.2, 0.3) for one in full]
    versus = compare_log_pairs(other, full, margin=0.05)
    assert versus.difference == pytest.approx(math.exp(fmean(other) - fmean(full)) - 1)
    low, high = bootstrap_interval([b - a for a, b in zip(full, other, strict=True)])
    assert versus.interval == pytest.approx((math.exp(low) - 1, math.exp(high) - 1))
    assert versus.verdict == "worse"
    assert format_verdict(versus, 0.05) == "less likely"
    wide = compare_log_pairs(other, full, margin=-versus.interval[0] + 1e-6)
    assert wide.verdict == "not_worse"
    assert format_verdict(wide, 0.5) == "not less likely by more than 50 %"
    assert compare_log_pairs(other, full, margin=-versus.interval[0] - 1e-6).verdict == "worse"


class TestRun:
    def test_scores_and_differences(self, tmp_path: Path) -> None:
        near = "Who keeps the lighthouse?"
        cases = [a_case(str(n), query=FAR if n % 4 == 0 else near) for n in range(24)]
        cases += [a_case("none", answers=())]
        found = measure(tmp_path, cases, ScriptedLikelihoods())
        full, words = (found.summary.all.variants[name] for name in ("full", "words@0.2"))
        assert found.left_out == {"no_answer_given": 1}
        assert found.summary.score_name == "likelihood"
        assert found.summary.all.metrics == ("answer_likelihood",)
        likely, unlikely = math.exp(-0.5), math.exp(-2)
        assert full.score == pytest.approx(likely)
        assert words.score == pytest.approx(likely**0.75 * unlikely**0.25)
        assert (full.log_probability, words.log_probability) == (-0.5, pytest.approx(-0.875))
        versus = words.versus_reference
        assert versus is not None
        assert versus.is_relative
        assert versus.difference == pytest.approx(words.score / full.score - 1)
        assert (versus.mcnemar_p, versus.verdict) == (None, "worse")
        assert words.first_token_seconds is None
        rows = found.records()
        assert [row["log_probability"] for row in rows] == [-0.5, pytest.approx(-0.875)]

    def test_too_few_pairs_have_no_verdict(self, tmp_path: Path) -> None:
        found = measure(tmp_path, [a_case(str(n)) for n in range(3)], ScriptedLikelihoods())
        versus = found.summary.all.variants["words@0.2"].versus_reference
        assert versus is not None
        assert (versus.difference, versus.verdict) == (0, "not_shown")

    def test_a_log_holds_no_answers_and_is_continued(self, tmp_path: Path) -> None:
        cases = [a_case("1", answers=("Ada Lovelace", "Ada"))]
        measure(tmp_path, cases, ScriptedLikelihoods())
        held = (tmp_path / "ab.jsonl").read_text("utf-8")
        assert "Ada" not in held
        again = ScriptedLikelihoods()
        measure(tmp_path, cases, again)
        fewer = measure(tmp_path, [a_case("1", answers=("Ada Lovelace",))], again)
        assert again.asked == []
        assert fewer.summary.all.variants["full"].log_probability == -1
        more = measure(tmp_path, [a_case("1", answers=("Ada", "Bob"))], again)
        assert [answers for _, answers in again.asked] == [("Ada", "Bob")] * 2
        assert more.summary.all.variants["full"].log_probability == -0.5

    def test_a_prompt_that_is_too_long_is_a_failure_of_its_case(self, tmp_path: Path) -> None:
        target = ScriptedLikelihoods(errors=[ValueError("prompt and answer have 9 tokens")])
        found = measure(tmp_path, [a_case("1"), a_case("2")], target)
        assert (found.summary.all.cases, found.summary.all.incomplete) == (1, 1)
        assert found.summary.all.variants["full"].failed == 1
        assert found.summary.errors == {"ValueError: prompt and answer have 9 tokens": 1}
        assert len(target.asked) == 4  # it was not tried again

    def test_tokens_of_every_answer_count(self, tmp_path: Path) -> None:
        case = a_case("1", answers=("Ada", "Bob", "Eve"))
        target = ScriptedLikelihoods()
        found = measure(tmp_path, [case], target)
        assert found.sent_tokens == sum(3 * (len(prompt.split()) + 1) for prompt, _ in target.asked)
        counted = sum(KeywordScorer().count_tokens([prompt for prompt, _ in target.asked]))
        limits = AbLimits(max_input_tokens=2 * counted)
        (tmp_path / "other").mkdir()
        stopped = measure(tmp_path / "other", [case], ScriptedLikelihoods(), limits=limits)
        assert (stopped.stopped, stopped.sent_tokens) == ("max_input_tokens", 0)

    def test_the_target_is_of_the_judges_kind(self, tmp_path: Path) -> None:
        compressor = ContextCompressor(KeywordScorer())
        for target, other in ((ScriptedTarget(), JUDGE), (ScriptedLikelihoods(), Judge())):
            with (
                open_run_log(tmp_path / "ab.jsonl", {}) as log,
                pytest.raises(EvaluationDataError, match="needs a target of likelihoods"),
            ):
                run_ab([a_case("1")], target, compressor, [0.2], log, judge=other)


@pytest.mark.usefixtures("_here_without_weights")
class TestReference:
    """Variants that are compared with one another, without full prompts."""

    @staticmethod
    def measure(path: Path, cases: list[EvaluationCase], **options: Any) -> AbResult:
        lineup = build_lineup(["bm25", "head+tail"])
        with open_run_log(path / "ab.jsonl", {"model": "scripted", "metric": JUDGE.metric}) as log:
            return run_ab(cases, ScriptedLikelihoods(), lineup, [0.3], log, judge=JUDGE, **options)

    def test_no_full_prompt_is_asked(self, tmp_path: Path) -> None:
        cases = [a_case(str(n)) for n in range(20)]
        found = self.measure(tmp_path, cases, reference="bm25@0.3")
        assert [variant.name for variant in found.variants] == ["bm25@0.3", "head+tail@0.3"]
        assert found.summary.reference == "bm25@0.3"
        first, other = found.summary.all.variants.values()
        assert first.versus_reference is None
        assert other.versus_reference is not None
        assert other.score is not None
        assert first.score is not None
        assert other.versus_reference.difference == pytest.approx(other.score / first.score - 1)
        held = (tmp_path / "ab.jsonl").read_text("utf-8")
        assert '"variant": "full"' not in held

    def test_full_prompts_can_be_sampled(self, tmp_path: Path) -> None:
        cases = [a_case(str(n)) for n in range(6)]
        sampled = self.measure(tmp_path, cases[:2])
        whole = self.measure(tmp_path, cases, reference="bm25@0.3")
        assert (sampled.summary.all.cases, whole.summary.all.cases) == (2, 6)
        run, data = read_logged_run(tmp_path / "ab.jsonl"), cases
        assert len(run.records) == 2 * 3 + 4 * 2
        assert judge(run, data, margin=0.05).summary.all.cases == 2
        findings = judge(run, data, margin=0.05, reference="bm25@0.3")
        assert findings.summary.all == whole.summary.all
        assert [one.name for one in findings.compressed_variants] == ["head+tail@0.3"]
        assert "compared with bm25@0.3" in headline(findings)
        [quality, *_] = sections_of(findings)
        assert "vs. bm25@0.3 (95 %)" in quality.table.columns

    def test_an_unknown_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EvaluationDataError, match=r"\(full, bm25@0.3, .*got 'bm25@0.2'"):
            self.measure(tmp_path, [a_case("1")], reference="bm25@0.2")
        with pytest.raises(EvaluationDataError, match="judged by those to the full prompt"):
            Judge(by="full").check_reference("bm25@0.3")


@pytest.fixture
def _here_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        ContextCompressor, "from_draft_model", lambda *_, **__: ContextCompressor(KeywordScorer())
    )
    monkeypatch.chdir(tmp_path)


def invoke(*args: object) -> Result:
    return CliRunner().invoke(build_app(), ["evaluate", *map(str, args)])


@pytest.mark.usefixtures("_here_without_weights")
@pytest.mark.allow_hosts(["127.0.0.1"])
class TestCommand:
    ASKED = ("--metric", "answer_likelihood", "--keep", ".2")

    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        cases = [a_case("1"), a_case("2", answers=("Ada", "Ada Byron")), a_case("3", answers=())]
        short = [replace(case, texts=(f"{NOISE}{EVIDENCE}",)) for case in cases]
        return write_data(tmp_path / "data.jsonl", short)

    def test_a_model_in_this_process_and_the_report(self, data: Path, tmp_path: Path) -> None:
        model = save_tiny_draft(tmp_path / "tiny")
        options = ("--model", model, "--model-options", '{"device": "cpu"}', "--resume", "ab.jsonl")
        done = invoke("ab", data, *options, *self.ASKED, "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert (found["errors"], found["left_out"]) == ({}, {"no_answer_given": 1})
        assert (found["score_name"], found["all"]["cases"]) == ("likelihood", 2)
        full, compressed = found["all"]["variants"].values()
        assert 0 < full["score"] < 1
        assert full["log_probability"] < 0
        assert compressed["versus_reference"]["pairs"] == 2
        shown = invoke("ab", data, *options, *self.ASKED)
        assert "scores: probability of a token of the right answer" in shown.stdout
        assert "likelihood" in shown.stdout
        pytest.importorskip("matplotlib")
        made = invoke("report", "ab.jsonl", "--data", data, "--out", "report", "--heat", 0)
        assert made.exit_code == 0, made.output
        page = SeenPage(Path("report/report.html").read_text("utf-8"))
        assert "Answer likelihood" in page.text
        assert str(tmp_path) not in page.text
        assert "whether right answers from tiny stay as likely" in page.text
        assert ["variant", "less likely", "more likely", "unchanged"] in [t[0] for t in page.tables]
        assert ["variant", "kept", "score"] in [table[0] for table in page.tables]

    def test_a_served_model(self, data: Path) -> None:
        with serve_completions(EchoingModel()) as server:
            asked = ("--model", "tiny", "--base-url", server.url)
            done = invoke("ab", data, *asked, *self.ASKED, "--json")
            assert done.exit_code == 0, done.output
            assert len(server.requests) == 6  # two variants of one and of two answers
            assert json.loads(done.stdout)["all"]["cases"] == 2
        [log] = Path().glob("specprefill-ab-*.jsonl")
        setup = json.loads(log.read_text("utf-8").splitlines()[0])["run"]
        assert (setup["metric"], setup["model_options"]) == ("answer_likelihood", {})

    def test_another_reference(self, data: Path) -> None:
        both = ("--scorer", "bm25", "--scorer", "head+tail", "--keep", ".5,.8")
        compared = ("--reference", "bm25@0.5", "--resume", "ab.jsonl")
        asked = ("--metric", "answer_likelihood", "--model", "tiny", *both, *compared)
        with serve_completions(EchoingModel()) as server:
            shown = invoke("ab", data, *asked, "--base-url", server.url)
        assert shown.exit_code == 0, shown.output
        assert "vs. bm25@0.5" in shown.stdout
        pytest.importorskip("matplotlib")
        made = invoke(
            *("report", "ab.jsonl", "--data", data, "--out", "report", "--heat", 0),
            *("--reference", "bm25@0.5", "--input-price", 1),
        )
        assert made.exit_code == 0, made.output
        page = SeenPage(Path("report/report.html").read_text("utf-8"))
        assert "full prompt" not in page.text.replace("Full and compressed prompts", "")
        assert "· bm25@0.5: " in page.text

    def test_wrong_options_are_usage_errors(self, data: Path) -> None:
        asked = ("--model", "tiny", *self.ASKED)
        refused = invoke("ab", data, *asked, "--judge-by", "reply")
        assert refused.exit_code == 2
        assert "judges by right answers" in refused.stderr
        hosted = invoke("ab", data, "--model", "openai:gpt-5-mini", *self.ASKED)
        assert hosted.exit_code == 1
        assert "does not tell how probable a given answer is" in hosted.stderr
