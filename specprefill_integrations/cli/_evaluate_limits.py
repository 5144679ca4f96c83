"""`specprefill evaluate limits`: which kinds of questions lose what they need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from specprefill_integrations.cli._evaluate_options import Keep
from specprefill_integrations.cli._options import AsJson, Debug, Device, Draft, Dtype, Quiet
from specprefill_integrations.cli._progress import progress_bar, working
from specprefill_integrations.cli._terminal import clear_errors, quiet_libraries
from specprefill_integrations.evaluation._ab_variants import keep_fractions_of
from specprefill_integrations.evaluation._limits import (
    ASKS,
    LimitSummary,
    limit_cases,
    measure_limits,
)
from specprefill_integrations.evaluation._settings import DraftChoice, draft_name, load_draft


def limits(  # noqa: PLR0913 - one parameter an option
    *,
    keep: Keep = ".1,.2,.3,.5",
    cases: Annotated[int, typer.Option(min=1, help="Cases of each kind of question.")] = 10,
    always_cut: Annotated[
        bool,
        typer.Option("--always-cut", help="Also compress for questions that need every word."),
    ] = False,
    draft: Draft = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure on generated texts which kinds of questions lose what they need."""
    fractions = keep_fractions_of(keep)
    choice = DraftChoice(draft=draft, device=device, dtype=dtype)
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        compressor = choice.compressor().replace(on_error="raise")
        if always_cut:
            compressor = compressor.replace(leave_whole=None)
        with working("loading the draft", quiet=quiet):
            load_draft(compressor)
        made = limit_cases(cases)
        with progress_bar(quiet=quiet) as progress:
            task = progress.add_task("reading", total=len(made))
            found = measure_limits(
                compressor, made, fractions, on_case=lambda: progress.advance(task)
            )
    if as_json:
        report = {
            "draft": draft_name(compressor),
            "always_cut": always_cut,
            "limits": found.records(),
        }
        typer.echo(json.dumps(report, indent=2))
    else:
        Console(highlight=False).print(_table(found.summaries, fractions))


def _table(found: Sequence[LimitSummary], keep_fractions: Sequence[float]) -> Table:
    table = Table(title="needed parts kept (in brackets: texts in which all of them were kept)")
    table.add_column("the question asks for")
    for fraction in keep_fractions:
        table.add_column(f"keep {fraction:.0%}", justify="right")
    for ask in ASKS:
        cells = [f"{one.kept_needed:.0%} ({one.complete:.0%})" for one in found if one.ask == ask]
        table.add_row(ask, *cells)
    return table
