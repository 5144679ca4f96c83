"""What a measurement found, in words: the headline, and numbers as people read them. Pure."""

from __future__ import annotations

from specprefill_integrations.evaluation._ab_summary import (
    TaskSummary,
    VariantSummary,
    format_verdict,
)
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant
from specprefill_integrations.evaluation._paired import PairedComparison
from specprefill_integrations.evaluation._report._findings import Findings

NOTHING = "-"
"""Stands where there is no number."""


def percent(share: float | None) -> str:
    """A share, as `19.9 %`."""
    return NOTHING if share is None else f"{share:.1%}".replace("%", " %")


def seconds(found: float | None) -> str:
    """Seconds, as `0.123`."""
    return NOTHING if found is None else f"{found:.3f}"


def points(difference: float) -> str:
    """A difference of scores in points of a hundred, as `-1.5`."""
    return f"{100 * difference:+.1f}"


def difference(versus: PairedComparison | None) -> str:
    """A difference with its interval, in points."""
    if versus is None:
        return NOTHING
    low, high = versus.interval
    return f"{points(versus.difference)} ({points(low)} to {points(high)})"


def times_as_fast(arm: VariantSummary, full: VariantSummary) -> str:
    """How much sooner the first token comes than with the full prompt, the draft included."""
    found, whole = arm.first_token_with_draft_seconds, full.first_token_with_draft_seconds
    return NOTHING if not found or whole is None else f"{whole / found:.1f}x"


def count(number: int, noun: str) -> str:
    """As `1 case`, `2 cases`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def model_name(findings: Findings) -> str:
    """The model that was asked, without who provides it."""
    return str(findings.run.setup.get("model", "the model")).rpartition(":")[2]


def headline(findings: Findings) -> str:
    """What was found, in a few words that make no more of it than was shown."""
    everything, model = findings.summary.all, model_name(findings)
    if not findings.judge.compares_with_full and findings.compressed_arms and everything.cases:
        return _agreement(findings)
    compared = [
        (arm, everything.variants[arm.name], versus)
        for arm in findings.compressed_arms
        if (versus := everything.variants[arm.name].versus_full) is not None
    ]
    if not compared:
        return f"Nothing to compare: {_why_nothing(findings)}."
    good = [one for one in compared if one[2].verdict == "not_worse"]
    if good:
        arm, found, versus = min(good, key=lambda one: one[1].kept_tokens_fraction or 0.0)
        verdict = format_verdict(versus, findings.margin)
        return (
            f"With {percent(found.kept_tokens_fraction)} of the text ({arm.name}), {model}'s "
            f"answers are {verdict}: {_difference_in_words(versus)}.{_sooner(everything, arm)}"
        )
    undecided = [one for one in compared if one[2].verdict == "not_shown"]
    if not undecided:
        return f"{model}'s answers get worse with every way to compress that was tried."
    arm, _, versus = max(undecided, key=lambda one: one[2].interval[0])
    needed = versus.cases_needed
    more = "" if needed is None else f"; about {needed:,} cases would show it or its contrary"
    return (
        f"It is not shown yet that {model}'s answers stay as good. Closest is {arm.name}, with "
        f"{_difference_in_words(versus)}{more}.{_sooner(everything, arm)}"
    )


def _agreement(findings: Findings) -> str:
    """How much answers agree with those to full prompts: nothing says which of them are right."""
    everything = findings.summary.all
    arm = max(findings.compressed_arms, key=lambda one: everything.variants[one.name].score or 0.0)
    found = everything.variants[arm.name]
    return (
        f"With {percent(found.kept_tokens_fraction)} of the text ({arm.name}), "
        f"{model_name(findings)}'s answers agree to {percent(found.score)} with those from the "
        f"full prompt, in {count(everything.cases, 'case')}. Whether they are right, nobody said."
        f"{_sooner(everything, arm)}"
    )


def _why_nothing(findings: Findings) -> str:
    if not findings.compressed_arms:
        return "only full prompts were asked"
    return "no case was answered by every arm"


def _sooner(everything: TaskSummary, arm: Variant) -> str:
    """What the arm does to the wait for the first token, as a further sentence."""
    full, found = everything.variants[FULL_NAME], everything.variants[arm.name]
    before, after = full.first_token_with_draft_seconds, found.first_token_with_draft_seconds
    if before is None or after is None:
        return ""
    return f" The first token comes after {after:.1f} s instead of {before:.1f} s."


def _difference_in_words(versus: PairedComparison) -> str:
    low, high = versus.interval
    return (
        f"{points(versus.difference)} points (95 % interval {points(low)} to {points(high)}) in "
        f"{count(versus.pairs, 'case')}"
    )
