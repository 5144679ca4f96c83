"""What a report is made of: the log as a value, changes, words, where words stand in a picture."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from specprefill_integrations.evaluation._logged_run import read_logged_run
from specprefill_integrations.evaluation._report._drawing import spread
from specprefill_integrations.evaluation._report._findings import (
    Findings,
    JudgedCase,
    JudgedReply,
    changed_cases,
    count_changes,
    judge,
)
from specprefill_integrations.evaluation._report._headline import headline
from specprefill_integrations.evaluation._report._pages import plain
from specprefill_integrations.evaluation._report._picture import dark_colors
from specprefill_integrations.evaluation._report._quality_picture import draw_quality
from specprefill_integrations.evaluation._report._sections import sections_of
from tests.unit_tests.evaluation.ab_doubles import a_case
from tests.unit_tests.evaluation.report_doubles import (
    RIGHT,
    SESSION,
    WRONG,
    a_record,
    cases_named,
    write_log,
)


def judged(name: str, full: float, **compressed: float) -> JudgedCase:
    def reply(score: float) -> JudgedReply:
        return JudgedReply(reply="", score=score, context_tokens=10, kept_tokens=1)

    replies = {variant: reply(score) for variant, score in compressed.items()}
    return JudgedCase(case=a_case(name), reference=reply(full), compressed=replies)


def findings_of(tmp_path: Path, scores: dict[str, tuple[int, int]]) -> Findings:
    """By variant: right answers among so many cases that both answered."""
    cases = cases_named(*map(str, range(max(all_ for _, all_ in scores.values()))))
    records = [
        a_record(case, variant, reply=RIGHT if number < right else WRONG)
        for variant, (right, all_) in scores.items()
        for number, case in enumerate(cases[:all_])
    ]
    log = write_log(tmp_path / "ab.jsonl", records)
    return judge(read_logged_run(log), cases, margin=0.05)


def test_variants_stand_scorer_by_scorer_from_little_to_much(tmp_path: Path) -> None:
    [case] = cases_named("one")
    names = ["b@0.3", "full", "a+c@0.2", "b@0.05", "a+c@0.1"]
    log = write_log(tmp_path / "x.y.jsonl", [a_record(case, n) for n in names], sessions=[SESSION])
    run = read_logged_run(log)
    assert [variant.name for variant in run.variants] == [
        "full",
        "b@0.05",
        "b@0.3",
        "a+c@0.1",
        "a+c@0.2",
    ]
    assert (run.name, run.sessions, len(run.records)) == ("x.y", [SESSION], 5)


def test_what_lost_most_comes_first_and_what_stayed_is_left_out() -> None:
    cases = [
        judged("same", 1, a=1, b=1),
        judged("better", 0, a=1, b=1),
        judged("half", 1, a=0.5, b=1),
        judged("mixed", 0.5, a=0, b=1),
        judged("lost", 1, a=0, b=0),
    ]
    assert [one.case.id for one in changed_cases(cases)] == ["lost", "half", "mixed", "better"]
    counts = count_changes(cases, "a")
    assert (counts.worse, counts.better, counts.alike) == (3, 1, 1)


@pytest.mark.parametrize(
    ("scores", "start", "within"),
    [
        ({"full": (90, 100), "a@0.2": (90, 100)}, "With 29.0 % of the text (a@0.2), tiny's", "100"),
        ({"full": (90, 100), "a@0.2": (10, 100)}, "tiny's answers get worse with", "every variant"),
        ({"full": (5, 10), "a@0.2": (5, 10)}, "There are too few cases to tell", "About 74 cases"),
        ({"full": (5, 10)}, "Nothing to compare", "only full prompts"),
        ({"a@0.2": (5, 10)}, "Nothing to compare", "no case was answered with every variant"),
    ],
)
def test_headline(scores: dict[str, Any], start: str, within: str, tmp_path: Path) -> None:
    said = headline(findings_of(tmp_path, scores))
    assert said.startswith(start)
    assert within in said
    assert ("4.0 s" in said) == (
        "full" in scores and "a@0.2" in scores and "worse with" not in said
    )


@pytest.mark.parametrize("right", [90, 5], ids=["good", "undecided"])
@pytest.mark.parametrize("by", ["answers", "full"])
def test_a_tie_names_the_cheaper_one(tmp_path: Path, right: int, by: str) -> None:
    cases = cases_named(*map(str, range(right + 10 if right > 9 else 10)))
    seconds = {"full": 0.0, "slow@0.2": 91.0, "quick@0.2": 0.5, "middle@0.2": 5.0}
    kept = {"full": 100, "slow@0.2": 28, "quick@0.2": 30, "middle@0.2": 29}
    records = [
        a_record(
            case,
            variant,
            reply=RIGHT if number < right else WRONG,
            draft_seconds=draft_seconds,
            kept_tokens=kept[variant],
            first_token_seconds=4.0 if variant == "full" else 1.0,
        )
        for variant, draft_seconds in seconds.items()
        for number, case in enumerate(cases)
    ]
    log = read_logged_run(write_log(tmp_path / "ab.jsonl", records))
    found = judge(log, cases, margin=0.05, judge_by=by)
    assert "quick@0.2" in headline(found)
    [waiting] = [one.table for one in sections_of(found) if one.name == "waiting"]
    speedups = {row[0]: row[4] for row in waiting.rows}
    assert speedups == {
        "full": "1.0x",
        "slow@0.2": "23x slower",
        "quick@0.2": "2.7x",
        "middle@0.2": "1.5x slower",
    }


def test_what_was_shown_to_be_worse_is_not_the_closest(tmp_path: Path) -> None:
    cases = cases_named(*map(str, range(60)))
    right = {"full": range(40), "worse@0.2": range(5, 40), "wide@0.2": range(18, 55)}
    records = [
        a_record(case, variant, reply=RIGHT if number in those else WRONG)
        for variant, those in right.items()
        for number, case in enumerate(cases)
    ]
    found = judge(read_logged_run(write_log(tmp_path / "ab.jsonl", records)), cases, margin=0.05)
    worse, wide = (
        found.summary.all.variants[variant.name].versus_reference
        for variant in found.compressed_variants
    )
    assert worse is not None is not wide
    assert (worse.verdict, wide.verdict) == ("worse", "not_shown")
    assert worse.interval[0] > wide.interval[0]
    assert "Closest: wide@0.2" in headline(found)


def test_the_picture_names_what_it_shows_and_follows_the_page(tmp_path: Path) -> None:
    found = findings_of(tmp_path, {"full": (9, 10), "a@0.2": (8, 10), "b@0.2": (1, 10)})
    picture = draw_quality(found, found.scorers, "quality")
    assert picture is not None
    svg = picture.svg.decode("utf-8")
    for words in (">a<", ">b<", "full prompt: 90.0 %", "keepers, 10 cases", "hollow: not shown"):
        assert words in svg
    assert "var(" not in svg
    page = picture.inline_svg
    assert "<metadata" not in page
    shown = set(re.findall(r"var\((--[a-z0-9-]+), #", page))
    assert {"--ink", "--soft", "--card", "--line"} < shown
    assert len(shown & set(dark_colors())) == 3  # two scorers and the margin
    assert "#" not in re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)|#[a-z]+[0-9a-f]{8,}", "", page)


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.01, 0.2))
def test_words_beside_a_picture_never_overlap_and_keep_their_order(
    heights: list[float], least: float
) -> None:
    places = spread(heights, least)
    ordered = sorted(places)
    assert all(above - below >= least * 0.999 for below, above in pairwise(ordered))
    by_height = sorted(zip(heights, places, strict=True))
    for (low, place), (high, next_place) in pairwise(by_height):
        assert low == high or place < next_place
    if all(above - below >= least for below, above in pairwise(sorted(heights))):
        assert places == pytest.approx(heights)


@given(st.text(max_size=40))
def test_markdown_means_nothing(text: str) -> None:
    found = plain(text)
    assert "\n" not in found
    assert found.replace("\\", "") == " ".join(text.split()).replace("\\", "")
    for sign in "`*<[|":
        assert found.count(sign) == found.count(f"\\{sign}")
