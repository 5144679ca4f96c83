"""One call of the compressor as values: counted, split, scored, selected, rendered.

Each step is a function from the value of the step before to its own. Scoring stands apart, so that
it can be awaited. A step that fails raises `StepError`, which carries the last value reached.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from specprefill_integrations._deadline import check_deadline
from specprefill_integrations.pipeline._budget_fitting import BudgetFitter, Fitted
from specprefill_integrations.pipeline._confirmed_fitting import ConfirmedFitting
from specprefill_integrations.pipeline._query_intent import asks_about_whole_text
from specprefill_integrations.pipeline._repeats import find_repeats, share_scores
from specprefill_integrations.pipeline._score_budgets import (
    calibration_of,
    least_probability,
    select_by_scores,
    with_masses,
    with_probabilities,
)
from specprefill_integrations.pipeline._selection import (
    select_best,
    select_covering,
    select_fraction,
)
from specprefill_integrations.pipeline._split_document import SplitDocument, scored_units
from specprefill_integrations.pipeline._step_values import (
    Call,
    Counted,
    Scored,
    Selected,
    Split,
    Stages,
    failing_as,
)
from specprefill_integrations.pipeline._token_counting import counts_one_by_one
from specprefill_integrations.pipeline._unit_costs import (
    TokenEstimate,
    count_characters,
    unit_costs,
)
from specprefill_integrations.scoring._span_scorer import (
    SpanScorer,
    estimated_tokens,
    finite_score,
)
from specprefill_integrations.splitting._rendering import merge_adjacent
from specprefill_integrations.types import (
    Budget,
    Compression,
    SkipReason,
    Span,
    TextHint,
    Unit,
)


def count(call: Call, stages: Stages) -> Counted:
    """Count the tokens of the texts."""
    with failing_as("counter_failed", call):
        encoded = stages.encode(call.readable) if stages.counts_own_tokens else None
        if encoded is None:
            return Counted(call, stages.count(call.readable))
        return Counted(call, [text.tokens for text in encoded], encoded)


def split(counted: Counted, stages: Stages) -> Split:
    """Split the texts, and cut units that cost more than may be kept."""
    documents: dict[int, SplitDocument] = {}
    skipped: dict[int, SkipReason] = {}
    with failing_as("scorer_failed", counted):
        target = counted.call.budget.target_recall
        if target is not None:  # fails before the draft reads anything
            least_probability(target, calibration_of(stages.scorer, stages.splitter))
    for index, text in enumerate(counted.call.readable):
        with failing_as("splitter_failed", Split(counted, documents, skipped)):
            check_deadline()
            document = _split_text(text, counted.call, counted.call.hints[index], stages)
            if isinstance(document, SplitDocument):
                documents[index] = document
            else:
                skipped[index] = document
    found = Split(counted, documents, skipped)
    if found.needs_no_cut:
        return found
    with failing_as("scorer_failed", found):
        if counts_one_by_one(stages.count_tokens):
            found = _with_estimate(found, stages)
    with failing_as("counter_failed", found):
        priced = _priced(found, stages)
        if not stages.drop_repeats:
            return priced
        return replace(priced, documents=find_repeats(priced.documents))


def scored(found: Split, answers: Sequence[Sequence[float]], scorer: SpanScorer) -> Scored:
    """Take the scorer's answer to `Split.request`.

    Raises:
        StepError: A score is no finite number, or their number is wrong.
    """
    filled = [document for document in found.documents.values() if document.units]
    with failing_as("scorer_failed", found):
        check_deadline()
        return Scored(
            found,
            [
                finite_score(score, scorer)
                for document, scores in zip(filled, answers, strict=True)
                for _, score in zip(document.units, scores, strict=True)
            ],
        )


def select(found: Scored, stages: Stages) -> Selected:
    """Select units within the budget."""
    documents = found.split.documents
    with failing_as("counter_failed", found.split):
        fitted = _fit(found, list(documents.values()), stages)
        is_widened = sum(
            document.tokens for document in fitted
        ) > found.split.limit and not _counts_units(found.split.counted.call.budget, stages)
        return Selected(found, dict(zip(documents, fitted, strict=True)), is_widened)


def render(found: Selected, scorer: SpanScorer) -> list[Compression]:
    """Write the kept parts, one result per text of the call."""
    split_texts = found.scored.split
    call = split_texts.counted.call
    with failing_as("counter_failed", split_texts):
        read = [call.readable[index] for index in found.fitted]
        warnings = dict(zip(found.fitted, scorer.language_warnings(call.query, read), strict=True))
        elapsed = time.perf_counter() - call.started
        return [
            replace(_compression(found, index, elapsed), language_warnings=warnings[index])
            if text and index in found.fitted
            else _unchanged_result(split_texts, index, "empty_text", elapsed)
            for index, text in enumerate(call.texts)
        ]


def unchanged(reached: Call | Counted | Split, reason: SkipReason) -> list[Compression]:
    """Return all texts unchanged.

    Args:
        reached: The last value reached.
        reason: Why; texts that are not to be cut keep their own reason.
    """
    call = reached if isinstance(reached, Call) else _counted(reached).call
    elapsed = time.perf_counter() - call.started
    return [_unchanged_result(reached, index, reason, elapsed) for index in range(len(call.texts))]


def _split_text(
    text: str, call: Call, hint: TextHint | None, stages: Stages
) -> SplitDocument | SkipReason:
    """Split one text; or return why it is not to be cut."""
    choice = stages.splitter.for_text(text, hint)
    if choice.splitter is None:
        return "kind_excluded"
    # A number of tokens is a promise, so it overrides the rule.
    rule = stages.leave_whole if call.budget.max_tokens is None else None
    if rule is not None and rule(call.query, choice.kind):
        return "needs_every_word"
    gaps = stages.gaps or choice.gaps
    return SplitDocument.from_text(text, choice.splitter, gaps, kind=choice.kind, hint=hint)


def _priced(found: Split, stages: Stages) -> Split:
    """Count the units, after units that alone cost more than may be kept were cut."""
    documents: dict[int, SplitDocument] = {}
    costs: list[int] = []
    limit, count_tokens = found.widest_limit, found.estimate or stages.count
    for index, document in found.documents.items():
        check_deadline()
        encoded = None if found.counted.encoded is None else found.counted.encoded[index]
        costs_of = partial(
            unit_costs,
            encoded=encoded,
            limit=limit,
            count_tokens=count_tokens,
            scaled=found.estimate.scaled if found.estimate else int,
        )
        tokens = costs_of(document)
        finer = document
        if not _counts_units(found.counted.call.budget, stages):
            finer = document.refined(limit, tokens, count_tokens)
        if finer is not document:
            tokens = costs_of(finer)
        documents[index] = finer
        costs += tokens
    return replace(found, documents=documents, costs=costs)


def _with_estimate(found: Split, stages: Stages) -> Split:
    """Estimate by the scorer's own tokens if it encodes texts, else by characters."""
    texts = found.counted.call.readable
    encoded = stages.encode(texts)
    if encoded is None:
        sizes, count = [*map(len, texts)], count_characters
    else:
        sizes, count = [one.tokens for one in encoded], stages.scorer.count_tokens
    ratio = found.tokens / max(1, sum(sizes[place] for place in found.documents))
    estimate = TokenEstimate(count, ratio or 1.0)
    return replace(found, counted=replace(found.counted, encoded=encoded), estimate=estimate)


def _counts_units(budget: Budget, stages: Stages) -> bool:
    """Return True if a fraction of the units is kept, whatever they cost."""
    return stages.fraction_of == "units" and budget.max_tokens is None


def _fit(found: Scored, documents: Sequence[SplitDocument], stages: Stages) -> list[Fitted]:
    call = found.split.counted.call
    covers = asks_about_whole_text(call.query)
    is_own = stages.selector in {None, select_best, select_covering}
    fitter = BudgetFitter(
        documents=documents,
        selector=stages.selector or (select_covering if covers else select_best),
        count_tokens=found.split.estimate or stages.count,
        tops_up=is_own,
    )
    confirming = ConfirmedFitting(stages.count) if found.split.estimate else None
    counted = confirming.counted if confirming else list
    costs = found.split.costs
    units = scored_units(documents, found.scores, costs, stages.protect, call.query)
    units = share_scores(units, documents)
    calibration = None
    if call.budget.target_recall is not None or not is_own:
        calibration = calibration_of(stages.scorer, stages.splitter)
    if calibration is not None:
        units = with_probabilities(units, found.scores, calibration)
    if call.budget.attention_mass is not None:
        units = with_masses(units, are_logarithms=stages.scorer.scores_are_logarithms)
    most: frozenset[int] | None = None
    if _counts_units(call.budget, stages) and call.budget.keep_fraction is not None:
        most = select_fraction(units, call.budget.keep_fraction)
    if call.budget.depends_on_scores:
        wanted = select_by_scores(units, call.budget, calibration)
        if most is None:
            fitted = counted(fitter.keep(units, wanted))
            if sum(document.tokens for document in fitted) <= found.split.limit:
                return fitted
        elif len(wanted) <= len(most):
            most = wanted
    if most is not None:
        return counted(fitter.keep(units, most))
    return _fit_limit(found.split, fitter, units, confirming)


def _fit_limit(
    found: Split,
    fitter: BudgetFitter,
    units: Sequence[Unit],
    confirming: ConfirmedFitting | None,
) -> list[Fitted]:
    """Fit documents into the limit of tokens."""
    limits = found.limit, found.widest_limit
    if confirming is None or found.estimate is None:
        return fitter.fit(units, *limits)
    return confirming.fit(
        lambda estimate: replace(fitter, count_tokens=estimate).fit(units, *limits),
        found.estimate,
        *limits,
    )


def _compression(found: Selected, index: int, elapsed: float) -> Compression:
    split_texts, fitted = found.scored.split, found.fitted[index]
    counted = split_texts.counted
    own_text, text = counted.call.texts[index], fitted.text
    if own_text != counted.call.readable[index]:  # the draft saw one without lone surrogates
        text = split_texts.documents[index].rendered(fitted.kept, own_text)
    return Compression(
        text=text,
        kept=fitted.kept,
        original_tokens=counted.tokens[index],
        kept_tokens=fitted.tokens,
        elapsed_seconds=elapsed,
        is_widened=found.is_widened,
        repeated=_repeated(split_texts.documents[index], fitted.kept),
    )


def _repeated(document: SplitDocument, kept: Sequence[Span]) -> tuple[Span, ...]:
    """Return the repeated stretches of a text that are not kept."""
    starts = [span.start for span in kept]
    left_out = [
        unit
        for unit in (document.units[index] for index in document.repeats)
        if not (place := bisect_right(starts, unit.start)) or kept[place - 1].end <= unit.start
    ]
    return merge_adjacent(document.text, left_out)


def _counted(reached: Counted | Split) -> Counted:
    return reached.counted if isinstance(reached, Split) else reached


def _unchanged_result(
    reached: Call | Counted | Split, index: int, reason: SkipReason, elapsed: float
) -> Compression:
    call = reached if isinstance(reached, Call) else _counted(reached).call
    text = call.texts[index]
    if isinstance(reached, Call):
        tokens = estimated_tokens(text)
    else:
        tokens = _counted(reached).tokens[index]
    if isinstance(reached, Split):
        reason = reached.skipped.get(index, reason)
    return Compression(
        text=text,
        kept=(Span(0, len(text)),) if text else (),
        original_tokens=tokens,
        kept_tokens=tokens,
        elapsed_seconds=elapsed,
        skipped_because=reason if text else "empty_text",
    )
