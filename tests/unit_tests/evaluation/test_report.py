"""`specprefill evaluate report`: what its files say is what the log holds, and no more."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

pytest.importorskip("matplotlib")

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.cli import build_app
from specprefill_integrations.cli._evaluate_report import write_report
from specprefill_integrations.errors import DraftModelNotFoundError
from specprefill_integrations.evaluation._ab_summary import summarize_ab
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.evaluation.ab_doubles import EVIDENCE, NOISE, a_case, says_what_it_reads
from tests.unit_tests.evaluation.chat_server import serve_chat
from tests.unit_tests.evaluation.report_doubles import (
    RIGHT,
    SESSION,
    WRONG,
    SeenPage,
    a_failure,
    a_record,
    cases_named,
    write_data,
    write_log,
)

ARMS = ["full", "readout@0.1", "readout@0.3", "bm25@0.3"]
NASTY = "<script>alert('x')</script> & \"quoted\" </td></details> $x$ {{ 7 * 7 }} | *b* [a](b)"


@pytest.fixture(autouse=True)
def _here_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        ContextCompressor, "from_draft_model", lambda *_, **__: ContextCompressor(KeywordScorer())
    )
    monkeypatch.chdir(tmp_path)


def run(*args: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(write_report)
    return CliRunner().invoke(app, [*map(str, args)])


def report_on(
    records: Sequence[dict[str, Any]],
    cases: Sequence[EvaluationCase],
    *args: object,
    **log: Any,
) -> tuple[SeenPage, str]:
    """The page to browse and the one for docs."""
    path = write_log(Path("ab.jsonl"), records, **log)
    data = write_data(Path("data.jsonl"), cases)
    result = run(path, "--data", data, "--out", "out", *args)
    assert result.exit_code == 0, result.output
    page = SeenPage(Path("out/report.html").read_text("utf-8"))
    return page, Path("out/results.md").read_text("utf-8")


def some_records(cases: Sequence[EvaluationCase], seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    return [
        a_record(
            case,
            variant,
            reply=draw.choice([RIGHT, WRONG]),
            kept_tokens=draw.randrange(5, 40),
            draft_seconds=draw.random(),
            first_token_seconds=draw.random(),
        )
        for case in cases
        for variant in ARMS
    ]


def rows_of(markdown: str) -> list[list[str]]:
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row[1:-1].split(" | ")] for row in rows]


@pytest.mark.parametrize("seed", range(2))
def test_the_figures_are_those_of_the_summary(seed: int) -> None:
    cases = [*cases_named(*"abcdefghij"), *cases_named("k", "l", task="others")]
    records = some_records(cases, seed)
    page, markdown = report_on(records, cases, "--cases", 0, "--margin", ".2")
    summary = summarize_ab(cases, records, ARMS, margin=0.2)
    expected = []
    for task, group in [*summary.tasks.items(), ("all tasks", summary.all)]:
        for name, variant in group.variants.items():
            row = [task, name, str(group.cases), f"{100 * variant.kept_tokens_fraction:.1f} %"]
            versus = variant.versus_reference
            row.append(f"{100 * variant.score:.1f} %")
            if versus is None:
                row += ["-", ""]
            else:
                low, high = versus.interval
                row.append(
                    f"{100 * versus.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
                )
                start = {"not_worse": "not worse", "worse": "worse", "not_shown": "not shown"}
                row.append(start[versus.verdict])
            expected.append(row)
    times = [
        [
            name,
            f"{variant.draft_seconds:.3f}",
            f"{variant.first_token_seconds:.3f}",
            f"{variant.first_token_with_draft_seconds:.3f}",
        ]
        for name, variant in summary.all.variants.items()
    ]
    for found in (page.tables[0], rows_of(markdown)[:-1]):
        start = 1 if found is page.tables[0] else 2
        for row, wanted in zip(found[start:], expected, strict=False):
            assert row[:-1] == wanted[:-1]
            assert row[-1].startswith(wanted[-1])
    assert len(page.tables[0]) == 1 + len(expected)
    assert [row[:4] for row in page.tables[1][1:]] == times
    assert [row[:4] for row in rows_of(markdown) if row[:4] in times] == times


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    cases = cases_named("one", "two")
    price = ["--input-price", 2, "--draft-price", 1]
    page, _ = report_on(some_records(cases), cases, *price)
    assert "script" not in page.tags
    assert {"iframe", "object", "embed", "img"}.isdisjoint(page.tags)
    for name, value in page.attributes:
        if name in {"src", "href", "xlink:href", "srcset", "data", "action"}:
            assert value.startswith(("#", "data:,")), (name, value)
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", page.source))
    assert "@import" not in page.source
    policy = next(value for _, value in page.attributes if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_nothing_in_a_log_or_in_data_comes_alive() -> None:
    changes = {"query": NASTY, "answers": (NASTY,), "task": NASTY, "texts": (f"{NASTY} {NOISE}",)}
    cases = cases_named(f"one {NASTY}", **changes)
    records = [
        a_record(cases[0], "full", reply=NASTY),
        a_record(cases[0], "readout@0.3", reply=f"no {NASTY[:20]}"),
        a_failure(a_case("other"), "full", NASTY),
    ]
    session = {**SESSION, "command": [NASTY], "machine": {NASTY: NASTY}, "draft": NASTY}
    cases.append(a_case("other"))
    page, markdown = report_on(records, cases, model=f"openai:{NASTY}", sessions=[session])
    assert "script" not in page.tags
    assert page.text.count(NASTY) >= 8
    tables = "\n".join(part for part in markdown.split("```")[::2])
    assert "<script>" not in re.sub(r"\\<", "", tables)
    assert "[a](b)" not in tables


def test_what_no_file_can_hold_is_replaced() -> None:
    bad = "\ud800\x1b[2J"
    cases = cases_named("one", query=bad, task=bad, answers=(f"Ada{bad}",))
    records = [a_record(cases[0], variant, reply=bad) for variant in ("full", "readout@0.3")]
    records.append(a_failure(cases[0], "bm25@0.3", bad))
    path = write_log(Path("my log (1).jsonl"), records, model=bad)
    data = write_data(Path("data.jsonl"), cases)
    result = run(path, path, "--data", data, "--out", "out", "--scorer", "readout")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    markdown = Path("out/results.md").read_text("utf-8")
    assert "\ufffd" in markdown
    assert "(my%20log%20%281%29-1-quality.svg)" in markdown
    assert Path("out/my log (1)-1-quality.svg").is_file()


def test_pictures_in_one_page_do_not_share_names() -> None:
    cases = cases_named("one", "two")
    logs = [write_log(Path(f"{name}.jsonl"), some_records(cases)) for name in ("x", "y")]
    data = write_data(Path("data.jsonl"), cases)
    result = run(*logs, "--data", data, "--out", "out", "--input-price", 2)
    assert result.exit_code == 0, result.output
    page = SeenPage(Path("out/report.html").read_text("utf-8"))
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    for part in ("quality", "waiting", "budget", "cost"):
        for log in ("x", "y"):
            assert Path(f"out/{log}-{part}.svg").read_bytes().startswith(b"<?xml")
            assert Path(f"out/{log}-{part}.png").read_bytes().startswith(b"\x89PNG")
            assert f"({log}-{part}.svg)" in Path("out/results.md").read_text("utf-8")


def test_logs_of_one_name_do_not_write_over_each_other() -> None:
    cases = cases_named("one")
    logs = []
    for folder in ("a", "b"):
        Path(folder).mkdir()
        logs.append(write_log(Path(folder, "ab.jsonl"), some_records(cases)))
    result = run(*logs, "--data", write_data(Path("d.jsonl"), cases), "--out", "out")
    assert result.exit_code == 0, result.output
    assert Path("out/ab-1-quality.svg").is_file()
    assert Path("out/ab-2-quality.svg").is_file()


def test_the_same_report_is_the_same_bytes() -> None:
    cases = cases_named("one", "two")
    found = []
    for _ in range(2):
        report_on(some_records(cases), cases, "--input-price", 2)
        found.append({path.name: path.read_bytes() for path in sorted(Path("out").iterdir())})
    assert found[0] == found[1]
    assert len(found[0]) == 10


def test_only_full_prompts() -> None:
    cases = cases_named("one")
    page, _ = report_on([a_record(cases[0], "full")], cases)
    assert "Nothing to compare: only full prompts were asked." in page.text
    assert "svg" not in page.tags


@pytest.mark.parametrize("variants", [["full"], ["full", "readout@0.3"]])
def test_failures_only(variants: list[str]) -> None:
    cases = cases_named("one")
    page, markdown = report_on([a_failure(cases[0], variant) for variant in variants], cases)
    assert "Nothing to compare" in page.text
    assert [row for table in page.tables for row in table if row[0] == "APIError: no"] == [
        ["APIError: no", str(len(variants))]
    ]
    assert "svg" not in page.tags
    assert "APIError: no" in markdown


def test_cases_that_not_every_arm_answered_are_told_and_left_out() -> None:
    cases = cases_named("one", "two", "three", "four")
    records = [
        *some_records(cases[:2]),
        a_record(cases[2], "full"),
        *(a_record(a_case("elsewhere"), variant) for variant in ARMS),
        a_record(cases[3], "full"),
        a_failure(cases[3], "readout@0.1"),
    ]
    page, markdown = report_on(records, cases)
    for text in (page.text, markdown):
        assert "Excluded: 2 cases not answered with every variant." in text
        assert "Excluded: 1 case in the log that is not in the data or cannot be judged." in text
    assert {row[2] for row in page.tables[0][1:]} == {"2"}


def test_a_model_that_does_not_stream_has_no_picture_of_waiting() -> None:
    cases = cases_named("one")
    records = [a_record(cases[0], variant, first_token_seconds=None) for variant in ARMS]
    report_on(records, cases)
    assert not Path("out/waiting.svg").exists()
    assert Path("out/quality.svg").exists()


class TestCaseByCase:
    CASES = cases_named("worse", "better", "same")

    @property
    def records(self) -> list[dict[str, Any]]:
        replies = {"worse": (RIGHT, "Bob it was"), "better": (WRONG, RIGHT), "same": (RIGHT, RIGHT)}
        return [
            a_record(case, variant, reply=reply)
            for case in self.CASES
            for variant, reply in zip(("full", "readout@0.3"), replies[case.id], strict=True)
        ]

    def test_what_changed_is_shown_with_its_texts(self) -> None:
        page, markdown = report_on(self.records, self.CASES)
        assert (
            page.tags.count("details") == 2 + 2
        )  # of each case, one text of which nothing is kept
        assert page.text.index("Got worse") < page.text.index("Bob it was")
        assert page.text.index("Bob it was") < page.text.index("Got better")
        assert "questions, answers and replies of 2 cases, and the texts of 2" in page.text
        kept = ContextCompressor(KeywordScorer()).compress_documents(
            self.CASES[0].texts, self.CASES[0].query, budget=Budget(keep_fraction=0.3)
        )
        [shown] = {
            "".join(re.findall(r"<mark>(.*?)</mark>", text, re.DOTALL))
            for text in re.findall(r'<div class="text.*?</div>', page.source, re.DOTALL)
            if "<mark>" in text
        }
        spans = [
            text[a:b]
            for text, found in zip(self.CASES[0].texts, kept, strict=True)
            for a, b in found.kept
        ]
        assert re.sub("<[^>]*>", "", shown) == "".join(spans)
        assert "The kept text contains a right answer." in page.text
        assert "kept a different number of tokens" in page.text
        assert "Bob" not in markdown

    def test_without_cases_no_word_of_the_data_is_in_it(self) -> None:
        page, markdown = report_on(self.records, self.CASES, "--cases", 0)
        for text in (page.text, markdown):
            assert not any(word in text for word in ("Who keeps", "Bob", EVIDENCE, "ferry"))
        assert "got worse" in page.text

    def test_without_heat_no_draft_is_loaded_and_no_text_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ContextCompressor, "from_draft_model", None)
        page, _ = report_on(self.records, self.CASES, "--heat", 0)
        assert "Bob it was" in page.text
        assert "ferry" not in page.text

    def test_a_draft_that_is_not_there_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nothing(*_: object, **__: object) -> ContextCompressor:
            msg = "no such draft"
            raise DraftModelNotFoundError(msg)

        monkeypatch.setattr(ContextCompressor, "from_draft_model", nothing)
        page, _ = report_on(self.records, self.CASES)
        assert "No heat maps: no such draft" in page.text
        assert "Bob it was" in page.text

    def test_the_draft_is_set_up_as_it_was_but_runs_where_this_machine_runs_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = []

        def a_draft(name: str, **options: Any) -> ContextCompressor:
            found.append((name, options))
            return ContextCompressor(KeywordScorer())

        monkeypatch.setattr(ContextCompressor, "from_draft_model", a_draft)
        draft = {"draft": "a", "device": "cuda", "dtype": "float16", "window_tokens": 9}
        report_on(self.records, self.CASES, draft=draft)
        [(name, options)] = found
        assert (name, options.pop("scorer"), options.pop("on_error")) == ("a", "readout", "raise")
        assert options == {"dtype": "float16", "window_tokens": 9}

    def test_scorers_without_a_draft_have_no_heat(self) -> None:
        records = [
            {**one, "variant": one["variant"].replace("readout", "x")} for one in self.records
        ]
        page, _ = report_on(records, self.CASES)
        assert "replies of 2 cases." in page.text


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_what_evaluate_ab_writes_is_understood() -> None:
    cases = cases_named("one", "two")
    data = write_data(Path("data.jsonl"), cases)
    with serve_chat(says_what_it_reads) as chat:
        asked = [data, "--model", "tiny", "--base-url", chat.url, "--resume", "ab.jsonl"]
        asked += ["--keep", ".3", "--scorer", "readout", "--scorer", "head+tail"]
        result = CliRunner().invoke(build_app(), ["evaluate", "ab", *map(str, asked)])
    assert result.exit_code == 0, result.output
    given = ["ab.jsonl", "--data", data, "--out", "out"]
    result = CliRunner().invoke(build_app(), ["evaluate", "report", *map(str, given)])
    assert result.exit_code == 0, result.output
    page = SeenPage(Path("out/report.html").read_text("utf-8"))
    assert [row[1] for row in page.tables[0][1:]] == ["full", "readout@0.3", "head+tail@0.3"]
    assert [row[4] for row in page.tables[0][1:]] == ["100.0 %", "100.0 %", "0.0 %"]
    facts = dict(row for row in page.tables[-1] if len(row) == 2)
    assert facts["draft"] == "KeywordScorer"
    assert facts["data of the measurement"] == facts["data of this report"]
    assert facts["data of the measurement"].startswith("data.jsonl, 2 cases, sha256 ")
    assert "cores: " in facts["machine"]
    assert "specprefill-integrations: " in facts["package versions"]


def test_how_it_was_made() -> None:
    cases = cases_named("one")
    page, markdown = report_on(some_records(cases), cases, sessions=[SESSION, SESSION])
    for text in (page.text, markdown):
        for words in (
            "processor: a fast one, cores: 4",
            "torch: 2.13.0",
            "data.jsonl, 3 cases, sha256 abab",
            "data.jsonl, 1 case, sha256",
            "a small draft",
            "provence: no weights",
            "specprefill evaluate ab 'my data.jsonl' --keep .3",
        ):
            assert text.count(words) == 1, words
        assert "Several commands wrote this log" in text
    page, markdown = report_on(some_records(cases), cases)
    assert "Several commands" not in page.text
    assert page.text.count("not recorded") == markdown.count("not recorded") == 8


def test_no_page_tells_keys_or_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path)
    words = ["specprefill", "--draft", f"{folder}/a", f"--data={folder}/b", f"provence={folder}/c"]
    monkeypatch.setattr("sys.argv", [*words, '--model-options={"api_key": "sk-1"}'])
    cases = cases_named("one")
    page, markdown = report_on(
        some_records(cases),
        cases,
        sessions=[{**SESSION, "command": [*words, "https://me:sk-2@host/v1"]}],
        base_url="https://me:sk-3@host/v1",
        model_options={"default_headers": {"X-Api-Key": "sk-4"}, "max_tokens": 9},
        draft={"draft": f"{folder}/a", "device": "cpu"},
    )
    for text in (page.source, markdown):
        assert "sk-" not in text
        assert folder not in text
        assert "--draft a --data=b provence=c 'https://***@host/v1'" in text.replace("&#39;", "'")
        assert "max_tokens: 9" in text.replace("\\_", "_")
        assert "draft: a, device: cpu" in text


def test_costs() -> None:
    cases = cases_named("one", "two")
    records = [a_record(case, variant) for case in cases for variant in ("full", "readout@0.3")]
    price = ["--input-price", 10, "--draft-price", 3600]
    page, _ = report_on(records, cases, *price)
    [table] = [table for table in page.tables if "reading" in table[0]]
    assert table[1:] == [
        ["full", "100.0 %", "1.200", "0.000", "1.200"],
        ["readout@0.3", "29.0 %", "0.500", "250.000", "250.500"],
    ]
    assert "the draft's tokenizer counted" not in page.text
    records = [{**record, "input_tokens": None, "failures": 1} for record in records]
    page, _ = report_on(records, cases, *price)
    assert "the draft's tokenizer counted" in page.text
    [table] = [table for table in page.tables if "reading" in table[0]]
    assert table[1][2] == "0.600"  # sent twice, which counts once


@pytest.mark.parametrize(
    ("given", "variants"),
    [
        (["--scorer", "bm25"], ["bm25@0.3"]),
        (["--keep", ".3"], ["readout@0.3", "bm25@0.3"]),
        (["--keep", ".1,.30"], ["readout@0.1", "readout@0.3", "bm25@0.3"]),
        (["--scorer", "readout", "--keep", ".1"], ["readout@0.1"]),
    ],
)
def test_only_some_variants(given: list[str], variants: list[str]) -> None:
    cases = cases_named("one", "two")
    records = some_records(cases)[: len(ARMS)]  # and of the second case, only what is asked for
    records += [a_record(cases[1], variant) for variant in ("full", *variants)]
    page, _ = report_on(records, cases, *given)
    assert [row[1] for row in page.tables[0][1:]] == ["full", *variants]
    assert {row[2] for row in page.tables[0][1:]} == {"2"}


class TestJudgedByAgreement:
    """Where nobody knows what is right, no word of a report says that anything is."""

    CASES = cases_named("one", "two", "three", answers=(), reply="Ada keeps it")

    def records(self) -> list[dict[str, Any]]:
        replies = {"full": "Ada keeps it", "readout@0.1": "Ada", "bm25@0.3": "Ada keeps it"}
        return [
            a_record(case, variant, reply=reply)
            for case in self.CASES
            for variant, reply in replies.items()
        ]

    def check_words(self, *texts: str) -> None:
        for text in texts:
            assert "not correctness" in text
            for word in ("score |", "right answer", "Right answer", "wrong", "got worse"):
                assert word not in text, word

    def test_with_the_reply_of_the_app_as_the_log_says(self) -> None:
        session = {**SESSION, "judge_by": "reply"}
        page, markdown = report_on(self.records(), self.CASES, sessions=[session])
        self.check_words(page.text, markdown)
        assert page.tables[0][0][4] == "agreement"
        assert [row[4] for row in page.tables[0][1:]] == ["100.0 %", "50.0 %", "100.0 %"]
        assert "Recorded reply of the app: Ada keeps it" in page.text
        assert "agrees less" in page.text

    def test_with_the_reply_to_the_full_prompt(self) -> None:
        page, markdown = report_on(self.records(), self.CASES, "--judge-by", "full")
        self.check_words(page.text, markdown)
        for text in (page.text, markdown):
            assert (
                "With 29.0 % of the text (bm25@0.3), tiny's answers have 100.0 % agreement with "
                "those from the full prompt, in 3 cases. Agreement is not correctness." in text
            )
            assert "speedup" in text
        assert [row[4:] for row in page.tables[0][1:]] == [
            ["100.0 %", "-", ""],
            ["50.0 %", "-", ""],
            ["100.0 %", "-", ""],
        ]
        assert "points lower" not in Path("out/quality.svg").read_text("utf-8")
        assert "Recorded reply" not in page.text

    def test_the_option_goes_before_the_log(self) -> None:
        session = {**SESSION, "judge_by": "full"}
        page, _ = report_on(self.records(), self.CASES, "--judge-by", "reply", sessions=[session])
        assert "Recorded reply" in page.text

    def test_without_replies_nothing_can_be_compared(self) -> None:
        cases = cases_named("one")
        log = write_log(Path("ab.jsonl"), some_records(cases))
        data = write_data(Path("data.jsonl"), cases)
        result = run(log, "--data", data, "--out", "out", "--judge-by", "reply")
        assert (result.exit_code, "the app's own reply" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "is not a log of"),
        ("{}\n", "is not a log of"),
        ('{"run": {}}\n[1]\n', "is not a log of"),
        ('{"run": {}}\n{"case": "a", "variant": "full", "reply": "b"}\n', "is not a log of"),
        ('{"run": {}}\n{"case": "a", "variant": "readout", "error": "b"}\n', "is not a log of"),
        ('{"run": {}}\n{"case": "a", "variant": "full", "error": "b"}\n', "no case of the log"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_such_log_is_refused(log: str | None, said: str) -> None:
    if log is not None:
        Path("ab.jsonl").write_text(log, "utf-8")
    data = write_data(Path("data.jsonl"), cases_named("one"))
    result = run("ab.jsonl", "--data", data, "--out", "out")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("out").exists()


def test_options_that_cannot_be_are_refused() -> None:
    cases = cases_named("one")
    log, data = write_log(Path("l.jsonl"), some_records(cases)), write_data(Path("d.jsonl"), cases)
    given = [log, "--data", data, "--out", "out"]
    twice = run(*given, "--input-price", 1, "--prices-of", "gpt-4o")
    assert (twice.exit_code, "not both" in twice.stderr) == (2, True)
    alone = run(*given, "--draft-price", 1)
    assert (alone.exit_code, "needs --prices-of" in alone.stderr) == (2, True)
    place = run(*given, "--field", "nothing=here")
    assert (place.exit_code, "--field takes query" in place.stderr) == (2, True)
    former = run(*given, "--scorer", "specprefill")
    assert former.stderr.startswith("warning: --scorer specprefill is now --scorer published\n")
    assert "(readout, bm25); got 'published'" in former.stderr
    scorer = run(*given, "--scorer", "redout")
    assert (scorer.exit_code, "(readout, bm25); got 'redout'" in scorer.stderr) == (2, True)
    keep = run(*given, "--keep", ".2")
    assert (keep.exit_code, "(0.1, 0.3); got 0.2" in keep.stderr) == (2, True)
    many = run(*given, "--keep", "two")
    expected = "--keep takes fractions in (0, 1], separated by commas; got 'two'"
    assert (many.exit_code, expected in many.stderr) == (2, True)
    missing = run(log, "--data", "nowhere.jsonl", "--out", "out")
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (2, True)


def test_a_log_that_is_being_written_is_left_as_it_is() -> None:
    cases = cases_named("one")
    log = write_log(Path("ab.jsonl"), some_records(cases))
    with log.open("a", encoding="utf-8") as file:
        file.write('{"case": "half')
    before = log.read_bytes()
    result = run(log, "--data", write_data(Path("d.jsonl"), cases), "--out", "out")
    assert result.exit_code == 0, result.output
    assert log.read_bytes() == before


def test_prices_of_a_model() -> None:
    pytest.importorskip("genai_prices")
    cases = cases_named("one")
    page, _ = report_on(some_records(cases), cases, "--prices-of", "gpt-4o")
    assert "in US dollars" in page.text


def test_without_matplotlib_the_error_holds_the_pip_line() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; "
        "import specprefill_integrations.evaluation._report._making"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert "pip install 'specprefill-integrations[report]'" in found.stderr


def test_help_loads_no_matplotlib() -> None:
    code = (
        "import sys; import specprefill_integrations.cli._evaluate_report; "
        "print({'matplotlib', 'jinja2'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.strip() == "set()"
