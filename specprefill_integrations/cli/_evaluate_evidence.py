"""`specprefill evaluate evidence`: what compression keeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from specprefill_integrations._visible import visible
from specprefill_integrations.cli._evaluate_options import (
    Data,
    Fields,
    Keep,
    PeerModels,
    Scorers,
    TrustRemoteCode,
)
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    Limit,
    Prefilter,
    Quiet,
    WindowTokens,
)
from specprefill_integrations.cli._progress import progress_bar, working
from specprefill_integrations.cli._terminal import (
    PIPE_COLUMNS,
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    quiet_libraries,
    usage_errors,
    warn,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.evaluation import FieldNames, read_cases
from specprefill_integrations.evaluation._ab_variants import keep_fractions_of
from specprefill_integrations.evaluation._evidence import (
    EvidenceResult,
    EvidenceSummary,
    LeftOutReason,
    judgeable_cases,
    measure_evidence,
)
from specprefill_integrations.evaluation._lineup import build_lineup, peer_models, scorer_names
from specprefill_integrations.evaluation._settings import DraftChoice, DraftScorerName
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._rendering import GapStyle

UnitsName = Literal["auto", "sentences", "lines", "published"]
"""Splitter, gap markers and budget that all scorers share."""

_PRESETS: dict[UnitsName, DraftScorerName] = {
    "auto": "readout",
    "sentences": "readout",
    "lines": "readout",
    "published": "published",
}

_PLAIN_SPLITTERS: dict[UnitsName, Callable[[], Splitter[Any]]] = {
    "sentences": ProseSplitter,
    "lines": LineSplitter,
}


def evidence(  # noqa: PLR0913 - one parameter an option
    data: Data,
    *,
    scorer: Scorers = None,
    keep: Keep = ".05,.1,.2,.3",
    limit: Limit = None,
    field: Fields = None,
    units: Annotated[
        UnitsName, typer.Option(help="Units that are kept or dropped as a whole, for all scorers.")
    ] = "auto",
    draft: Draft = None,
    kind: Annotated[
        Literal["prose", "code"],
        typer.Option(help="Chunk length and gap marker of --units published."),
    ] = "prose",
    peer_model: PeerModels = None,
    trust_remote_code: TrustRemoteCode = False,
    device: Device = None,
    dtype: Dtype = None,
    window_tokens: WindowTokens = None,
    prefilter: Prefilter = None,
    per_case: Annotated[
        bool, typer.Option("--per-case", help="With --json: include the outcome of every case.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure evidence recall: the share of cases whose answer is still in the kept text."""
    if per_case and not as_json:
        fail("--per-case needs --json", USAGE_ERROR)
    keep_fractions = keep_fractions_of(keep)
    names = scorer_names(scorer or ["readout"])
    choice = DraftChoice(
        draft=draft, device=device, dtype=dtype, window_tokens=window_tokens, prefilter=prefilter
    )
    with clear_errors(debug=debug):
        with usage_errors():
            weights = peer_models(peer_model or [])
            fields = FieldNames.parse(field or [])
            cases = [case for path in data for case in read_cases(path, limit, fields)]
            judged, _ = judgeable_cases(cases)
        with quiet_libraries(debug=debug):
            with working(f"loading {draft or 'the draft'}", quiet=quiet):
                lineup = build_lineup(
                    names,
                    choice,
                    like=_like(choice, units, kind),
                    peer_weights=weights,
                    trust_remote_code=trust_remote_code,
                    kind=kind,
                )
            with _progress(len(judged), list(lineup.compressors), quiet=quiet) as advance:
                found = measure_evidence(cases, lineup, keep_fractions, on_case=advance)
        if as_json:
            objects = found.as_json_objects(units=units, per_case=per_case)
            typer.echo(json.dumps(objects[0] if len(objects) == 1 else objects, indent=2))
        else:
            _print(found, units)
        if not found.scorers:
            warn("no scorer could be measured, so the result is empty")


def _like(
    choice: DraftChoice, units: UnitsName, kind: Literal["prose", "code"]
) -> ContextCompressor:
    """The compressor whose stages all scorers share."""
    compressor = choice.compressor(_PRESETS[units], kind)
    if units not in _PLAIN_SPLITTERS:
        return compressor
    # As a baseline: nothing but the units.
    splitter = _PLAIN_SPLITTERS[units]()
    return compressor.replace(splitter=splitter, gaps=GapStyle(), protect=())


@contextmanager
def _progress(
    cases: int, scorers: Sequence[str], *, quiet: bool
) -> Iterator[Callable[[str], None]]:
    """A progress bar per scorer."""
    with progress_bar(quiet=quiet) as progress:
        tasks = {name: progress.add_task(name, total=cases, start=False) for name in scorers}

        def advance(name: str) -> None:
            progress.start_task(tasks[name])
            progress.advance(tasks[name])

        yield advance


def _print(found: EvidenceResult, units: UnitsName) -> None:
    """Print recall by task and scorer, costs, and whatever was left out or skipped."""
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    console = Console(highlight=False, width=width)
    if found.scorers:
        summaries = {one.scorer: one.summary() for one in found.scorers}
        first = next(iter(summaries.values()))
        console.print(_recall_table(found, list(first.recall)))
        console.print(_cost_table(summaries, list(first.recall)))
        console.print(Text(printable(f"draft: {found.draft}; units: {units}")))
        console.print(Text(f"context tokens: {first.context_tokens:,}"))
        if first.json_texts:
            broken = ", ".join(
                f"{sum(one.broken_json.values())} by {name}" for name, one in summaries.items()
            )
            console.print(Text(f"JSON texts: {first.json_texts:,}; broken: {broken}"))
        console.print(Text(f"cases left out: {_format_left_out(found.left_out)}"))
    for name, reason in found.skipped.items():
        console.print(Text(printable(f"skipped: {name}: {reason}")), soft_wrap=True)


def _recall_table(found: EvidenceResult, keys: Sequence[str]) -> Table:
    table = Table(title="evidence recall, with 95 % intervals", title_justify="left")
    for name in ("task", "scorer"):
        table.add_column(name, overflow="fold")
    for name in ("cases", *(f"keep {key}" for key in keys)):
        table.add_column(name, justify="right")
    by_scorer = {one.scorer: one.tasks() for one in found.scorers}
    tasks = list(next(iter(by_scorer.values())))
    for task in tasks:
        for scorer, summaries in by_scorer.items():
            summary = summaries[task]
            cells = [_format_recall(summary, key) for key in keys]
            table.add_row(Text(visible(task)), scorer, f"{summary.cases:,}", *cells)
        table.add_section()
    if len(tasks) > 1:
        for scorer, summaries in by_scorer.items():
            table.add_row("all tasks (mean)", scorer, *_means(list(summaries.values()), keys))
    return table


def _cost_table(summaries: Mapping[str, EvidenceSummary], keys: Sequence[str]) -> Table:
    table = Table(title="cost", title_justify="left")
    table.add_column("scorer")
    names = (f"{what} at {key}" for what in ("kept", "s a case") for key in keys)
    for name in ("tokens a second", *names):
        table.add_column(name, justify="right")
    for scorer, found in summaries.items():
        speed = "-" if found.tokens_per_second is None else f"{found.tokens_per_second:,.0f}"
        kept = (f"{found.kept_tokens_fraction[key]:.1%}" for key in keys)
        seconds = (f"{found.compress_seconds[key]:.2f}" for key in keys)
        table.add_row(scorer, speed, *kept, *seconds)
    return table


def _format_recall(summary: EvidenceSummary, key: str) -> str:
    low, high = summary.recall_interval[key]
    return f"{summary.recall[key]:.1%} ({100 * low:.0f}-{100 * high:.0f})"


def _means(summaries: Sequence[EvidenceSummary], keys: Sequence[str]) -> Iterator[str]:
    """The number of all cases, and the mean over tasks, each with the same weight."""
    yield f"{sum(summary.cases for summary in summaries):,}"
    for key in keys:
        yield f"{fmean(summary.recall[key] for summary in summaries):.1%}"


def _format_left_out(left_out: Mapping[LeftOutReason, int]) -> str:
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items())
    return f"{sum(left_out.values()):,}" + (f" ({reasons})" if reasons else "")
