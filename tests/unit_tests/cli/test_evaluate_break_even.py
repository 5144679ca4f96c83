"""`specprefill evaluate break-even`: figures by hand, by a log, by prices."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from specprefill_integrations import Budget
from specprefill_integrations.cli._evaluate import app
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._break_even_log import read_log_times
from specprefill_integrations.observability import BreakEven
from specprefill_integrations.observability._prices import Prices

BY_HAND = ("--keep=.2", "--draft-speed=4000", "--target-speed=1000", "--overhead-seconds=.4948")
AT_900 = "Compression pays from 900 tokens on: it shortens the time to first token.\n"
VARIANTS = {"full": 1.0, "readout@0.1": 0.1, "readout@0.5": 0.5}


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["break-even", *options])


def found(*options: str) -> dict[str, Any]:
    result = run(*options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(*options: str) -> str:
    result = run(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    return " ".join(result.stderr.split())


def a_record(case: int, variant: str, tokens: int, **changes: Any) -> dict[str, Any]:
    """As `AbRun` writes it: a draft of 4,000 tokens a second, a model of 1,000."""
    keep = VARIANTS.get(variant, 0.5)
    return {
        "case": f"c{case}",
        "id": str(case),
        "variant": variant,
        "reply": "Ada",
        "context_tokens": tokens,
        "kept_tokens": round(keep * tokens),
        "draft_seconds": 0.0 if variant == "full" else 0.4948 + tokens / 4000,
        "first_token_seconds": 0.3 + keep * tokens / 1000,
        "total_seconds": 99.0,
        "input_tokens": None,
        "output_tokens": None,
        "failures": 0,
        "sent_tokens": 7,
        **changes,
    }


def a_log(path: Path, *records: dict[str, Any]) -> Path:
    lines = [{"run": {"version": "1"}}, {"session": {}}, *records]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Nine cases of 1,000 to 9,000 tokens."""
    records = [a_record(n, variant, 1000 * n) for n in range(1, 10) for variant in VARIANTS]
    return a_log(tmp_path / "ab.jsonl", *records)


class TestByHand:
    def test_the_verdict_is_the_one_line(self) -> None:
        result = run(*BY_HAND)
        assert (result.exit_code, result.stdout, result.stderr) == (0, AT_900, "")

    def test_json(self) -> None:
        assert found(*BY_HAND) == {
            "quantity": "seconds",
            "keep_fraction": 0.2,
            "max_tokens": None,
            "least_tokens": 900,
            "verdict": AT_900.strip(),
            "draft": {"tokens_per_second": 4000, "overhead_seconds": 0.4948, "measured": None},
            "target": {"tokens_per_second": 1000, "overhead_seconds": 0, "measured": None},
            "prices": None,
            "later_reads": 0,
        }

    def test_it_may_never_pay(self) -> None:
        never = found("--keep=.9", *BY_HAND[1:])
        assert never["least_tokens"] is None
        assert never["verdict"].startswith("Compression does not pay at any length")

    def test_a_number_of_tokens_is_a_budget_too(self) -> None:
        assert found("--max-tokens=100", *BY_HAND[1:])["least_tokens"] == 794

    @pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra report")
    def test_a_picture(self, tmp_path: Path) -> None:
        picture = tmp_path / "break-even.svg"
        assert run(*BY_HAND, f"--picture={picture}").stdout == AT_900
        assert "900 tokens" in picture.read_text("utf-8")


class TestByALog:
    def test_both_speeds_are_measured(self, log: Path) -> None:
        answer = found("--keep=.2", f"--log={log}")
        assert answer["least_tokens"] == 900
        draft, target = answer["draft"], answer["target"]
        assert draft["tokens_per_second"] == pytest.approx(4000)
        assert draft["overhead_seconds"] == pytest.approx(0.4948)
        assert draft["measured"]["points"] == 9
        assert target["tokens_per_second"] == pytest.approx(1000)
        assert target["measured"]["points"] == 27
        assert target["measured"]["fixed_seconds"] == pytest.approx(0.3)

    def test_people_are_told_what_the_verdict_rests_on(self, log: Path) -> None:
        result = run("--keep=.2", f"--log={log}")
        assert result.stdout == AT_900
        draft, model = result.stderr.splitlines()
        assert draft.startswith("draft: 4,000 tokens a second (between 4,000 and 4,000), 0.495 s")
        assert "27 measurements" in model

    def test_what_is_given_wins(self, log: Path) -> None:
        answer = found("--keep=.2", f"--log={log}", "--target-speed=500")
        assert answer["target"]["measured"] is None
        assert answer["least_tokens"] == 367
        answer = found("--keep=.2", f"--log={log}", "--draft-speed=8000")
        assert answer["draft"]["overhead_seconds"] == 0
        assert answer["least_tokens"] == 1
        answer = found("--keep=.2", f"--log={log}", "--overhead-seconds=0")
        assert answer["draft"]["tokens_per_second"] == pytest.approx(4000)
        assert answer["least_tokens"] == 1

    def test_it_serves_for_money_too(self, log: Path) -> None:
        answer = found("--keep=.2", f"--log={log}", "--input-price=1", "--draft-price=3.6")
        assert (answer["quantity"], answer["target"]) == ("money", None)
        assert answer["draft"]["measured"]["points"] == 9

    def test_the_former_name_of_the_published_algorithm_warns(self, tmp_path: Path) -> None:
        records = [
            {**a_record(n, "readout@0.1", 1000 * n), "variant": "published@0.1"}
            for n in range(1, 10)
        ]
        log = a_log(tmp_path / "ab.jsonl", *records)
        result = run("--keep=.2", f"--log={log}", "--scorer=specprefill", "--input-price=1")
        assert result.exit_code == 0
        assert result.stderr.startswith("warning: --scorer specprefill is now --scorer published\n")

    def test_lengths_that_do_not_differ_are_refused(self, tmp_path: Path) -> None:
        alike = [a_record(n, variant, 1000 + 100 * n) for n in range(9) for variant in VARIANTS]
        said = refusal("--keep=.2", f"--log={a_log(tmp_path / 'ab.jsonl', *alike)}")
        assert "how fast the draft reads: the longest text is not twice as long" in said
        assert "give --draft-speed" in said

    def test_few_times_are_refused(self, tmp_path: Path) -> None:
        few = [a_record(n, "full", 1000 * n) for n in range(1, 8)]
        path = a_log(tmp_path / "ab.jsonl", *few)
        said = refusal("--keep=.2", "--draft-speed=4000", f"--log={path}")
        assert "how fast the model reads: it has fewer than 8 such times" in said
        assert "give --target-speed" in said

    def test_what_is_no_log_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "no.jsonl"
        assert "cannot be read" in refusal("--keep=.2", f"--log={path}")
        for text in ("", "x\n", "[]\n", '{"a": 1}\n', '{"run": {}}\n{"case": 1}\n'):
            path.write_text(text, "utf-8")
            assert "not a log of" in refusal("--keep=.2", f"--log={path}")


class TestLogTimes:
    def test_a_case_is_read_once_and_asked_about_often(self, tmp_path: Path) -> None:
        records = [
            a_record(1, "full", 1000),
            a_record(1, "readout@0.1", 1000, draft_seconds=1.0),
            a_record(1, "readout@0.5", 1000, draft_seconds=3.0),
            a_record(1, "bm25@0.5", 1000, draft_seconds=0.1),
        ]
        times = read_log_times([a_log(tmp_path / "ab.jsonl", *records)], "readout")
        assert times.draft == [(1000, 2.0)]
        assert times.target == [(1000, 1.3), (100, 0.4), (500, 0.8), (500, 0.8)]

    def test_what_was_left_whole_was_not_read(self, tmp_path: Path) -> None:
        records = [
            a_record(1, "readout@0.5", 1000, draft_seconds=2.0),
            a_record(1, "readout@1", 1000, kept_tokens=1000, draft_seconds=0.0),
            a_record(2, "readout@0.5", 3000, kept_tokens=3000, draft_seconds=0.0),
        ]
        times = read_log_times([a_log(tmp_path / "ab.jsonl", *records)], "readout")
        assert times.draft == [(1000, 2.0)]

    def test_failed_calls_and_empty_answers_say_nothing(self, tmp_path: Path) -> None:
        records = [
            {"case": "c1", "id": "1", "variant": "full", "error": "Oh", "sent_tokens": 0},
            a_record(1, "readout@0.5", 1000, first_token_seconds=None),
        ]
        times = read_log_times([a_log(tmp_path / "ab.jsonl", *records)], "readout")
        assert times.target == []
        assert len(times.draft) == 1

    def test_a_line_that_is_being_written_is_none_yet(self, log: Path) -> None:
        before = read_log_times([log], "readout")
        with log.open("a", encoding="utf-8") as file:
            file.write('{"case": "c1", "variant": "fu')
        assert read_log_times([log], "readout") == before

    def test_logs_of_other_lengths_tell_together(self, tmp_path: Path) -> None:
        halves = [
            a_log(
                tmp_path / f"{name}.jsonl",
                *[a_record(n, variant, 1000 * n) for n in cases for variant in VARIANTS],
            )
            for name, cases in {"short": range(1, 5), "long": range(5, 10)}.items()
        ]
        whole = [a_record(n, variant, 1000 * n) for n in range(1, 10) for variant in VARIANTS]
        one = a_log(tmp_path / "one.jsonl", *whole)
        assert read_log_times(halves, "readout") == read_log_times([one], "readout")
        asked = [f"--log={half}" for half in halves]
        assert found("--keep=.2", *asked) == found("--keep=.2", f"--log={one}")

    def test_logs_are_of_one_model_and_draft(self, log: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.jsonl"
        for part in ("model", "draft"):
            other.write_text(json.dumps({"run": {part: "another"}}) + "\n", "utf-8")
            with pytest.raises(EvaluationDataError, match=f"with another {part} than"):
                read_log_times([log, other], "readout")

    def test_a_scorer_must_be_known(self, log: Path) -> None:
        with pytest.raises(EvaluationDataError, match="'bm25', only readout"):
            read_log_times([log], "bm25")


class TestMoney:
    def test_given_prices(self) -> None:
        options = ("--input-price=1", "--cached-input-price=.1", "--draft-price=3.6")
        answer = found(
            "--keep=.2", "--draft-speed=10000", "--overhead-seconds=1", "--later-reads=1", *options
        )
        expected = BreakEven.in_money(
            budget=Budget(keep_fraction=0.2),
            prices=Prices(input_per_million=1, cached_input_per_million=0.1, draft_per_hour=3.6),
            draft_tokens_per_second=10_000,
            overhead_seconds=1,
            later_reads=1,
        )
        assert answer["verdict"] == expected.verdict
        assert answer["least_tokens"] == expected.least_tokens == 1283
        assert answer["prices"]["cached_input_per_million"] == 0.1

    @pytest.mark.skipif(find_spec("genai_prices") is None, reason="needs the extra report")
    def test_prices_of_a_model(self) -> None:
        answer = found("--keep=.2", "--draft-speed=4000", "--prices-of=gpt-4o", "--draft-price=1")
        assert answer["quantity"] == "money"
        assert answer["prices"]["input_per_million"] > 0
        assert answer["prices"]["draft_per_hour"] == 1
        assert "'no-such'" in refusal("--keep=.2", "--draft-speed=9", "--prices-of=no-such")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (BY_HAND[1:], "give --keep, --max-tokens or both"),
        (("--keep=2", *BY_HAND[1:]), "in (0, 1]"),
        (("--keep=.2",), "the speed of the draft is missing: give --log, or --draft-speed"),
        (("--keep=.2", "--draft-speed=9"), "the speed of the model is missing:"),
        (("--keep=.2", "--draft-speed=0", "--target-speed=9"), "above 0; got 0"),
        ((*BY_HAND, "--overhead-seconds=-1"), "at least 0; got -1"),
        ((*BY_HAND, "--prices-of=a", "--input-price=1"), "not both"),
        ((*BY_HAND, "--input-price=-1"), "at least 0; got -1"),
        ((*BY_HAND, "--draft-price=1"), "prices of tokens are missing"),
        ((*BY_HAND, "--prices-of=a", "--cached-input-price=1"), "not both"),
        ((*BY_HAND, "--provider=openai"), "--provider needs --prices-of"),
        (
            (*BY_HAND, "--input-price=1"),
            "--target-speed (time) and prices (cost) cannot be combined",
        ),
        ((*BY_HAND, "--later-reads=1"), "--later-reads needs prices"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_line(options: tuple[str, ...], said: str) -> None:
    assert said in refusal(*options)
