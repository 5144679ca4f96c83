"""Headline of a report: the result of one measurement in one or two sentences."""

from __future__ import annotations

import math

from specprefill_integrations.evaluation._ab_summary import TaskSummary, format_verdict
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._sections import (
    count,
    format_share,
    model_name,
    points,
)
from specprefill_integrations.evaluation._statistics import PairedComparison


def headline(findings: Findings) -> str:
    """Summarize the result in one or two sentences."""
    everything, model = findings.summary.all, model_name(findings)
    variants = findings.compressed_variants
    if not variants:
        return f"Nothing to compare: only {_only_asked(findings)} asked."
    if not everything.cases:
        return "Nothing to compare: no case was answered with every variant."
    if not findings.judge.compares_with_full:
        variant = max(
            variants,
            key=lambda one: (
                everything.variants[one.name].score or 0.0,
                -_seconds_to_first_token(everything, one),
            ),
        )
        share = format_share(everything.variants[variant.name].score)
        return (
            f"{_kept(everything, variant)}, {model}'s answers have {share} agreement with those "
            f"from the full prompt, in {count(everything.cases, 'case')}. Agreement is not "
            f"correctness.{_first_token(everything, variant)}"
        )
    compared = [
        (variant, versus)
        for variant in variants
        if (versus := everything.variants[variant.name].versus_reference) is not None
    ]
    scored, worse, as_before = _about_scores(findings)
    good = [one for one in compared if one[1].verdict == "not_worse"]
    if good:
        variant, versus = min(
            good,
            key=lambda one: (one[0].keep_fraction, _seconds_to_first_token(everything, one[0])),
        )
        verdict = format_verdict(versus, findings.margin)
        return (
            f"{_kept(everything, variant)}, {scored} {verdict}: "
            f"{_interval(findings, versus)}.{_first_token(everything, variant)}"
        )
    undecided = [one for one in compared if one[1].verdict == "not_shown"]
    if not undecided:
        return f"{worse} with every variant that was measured{_compared(findings)}."
    variant, versus = max(
        undecided,
        key=lambda one: (one[1].interval[0], -_seconds_to_first_token(everything, one[0])),
    )
    needed = versus.cases_needed
    more = "" if needed is None else f". About {needed:,} cases are needed for a verdict"
    return (
        f"There are too few cases to tell whether {as_before}. Closest: "
        f"{variant.name}, {_interval(findings, versus)}{more}.{_first_token(everything, variant)}"
    )


def _about_scores(findings: Findings) -> tuple[str, str, str]:
    """Parts of sentences: what the verdict is about, what got worse, and what may have stayed."""
    model = model_name(findings)
    if findings.judge.is_of_likelihood:
        return (
            f"the likelihood of right answers from {model} is",
            f"Right answers from {model} get less likely",
            f"right answers from {model} stay as likely",
        )
    return (
        f"{model}'s answers are",
        f"{model}'s answers get worse",
        f"{model}'s answers stay as good",
    )


def _kept(everything: TaskSummary, variant: Variant) -> str:
    kept = everything.variants[variant.name].kept_tokens_fraction
    return f"With {format_share(kept)} of the text ({variant.name})"


def _seconds_to_first_token(everything: TaskSummary, variant: Variant) -> float:
    """The time by which variants that are equally good are ranked."""
    return everything.variants[variant.name].first_token_with_draft_seconds or math.inf


def _first_token(everything: TaskSummary, variant: Variant) -> str:
    full, found = everything.variants.get(FULL_NAME), everything.variants[variant.name]
    if full is None:
        return ""
    before, after = full.first_token_with_draft_seconds, found.first_token_with_draft_seconds
    if before is None or after is None:
        return ""
    return f" The first token comes after {after:.1f} s instead of {before:.1f} s."


def _only_asked(findings: Findings) -> str:
    reference = findings.summary.reference
    return "full prompts were" if reference == FULL_NAME else f"{reference} was"


def _compared(findings: Findings) -> str:
    """End of a sentence that tells the reference, unless it is the full prompt."""
    reference = findings.summary.reference
    return "" if reference == FULL_NAME else f", compared with {reference}"


def _interval(findings: Findings, versus: PairedComparison) -> str:
    low, high = versus.interval
    unit = " %" if versus.is_relative else " points"
    return (
        f"{points(versus.difference)}{unit} (95 % interval {points(low)} to {points(high)}) "
        f"in {count(versus.pairs, 'case')}{_compared(findings)}"
    )
