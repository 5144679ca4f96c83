"""`specprefill evaluate limits`: which kinds of questions lose what they need.

Built-in cases, a real draft, no target model: what is measured is whether everything that an answer
rests on is still there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    progress_bar,
    quiet_libraries,
    stderr_console,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.evaluation._ab_variants import keep_fractions_of
from specprefill_integrations.evaluation._draft_choice import DraftChoice, draft_name, load_draft
from specprefill_integrations.evaluation._limit_cases import ASKS, LimitCase, limit_cases
from specprefill_integrations.types import Budget, Compression, Span, TextHint


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSummary:
    """What became of one kind of question at one budget."""

    ask: str
    """What kind of question it is."""

    keep_fraction: float
    """Kept tokens / original tokens, as asked for."""

    cases: int
    """How many there were."""

    kept_needed: float
    """Share of the needed parts that were kept, mean over cases."""

    complete: float
    """Share of cases in which all of them were."""

    kept_tokens_fraction: float
    """Kept tokens / original tokens of all cases together."""


def limits(  # noqa: PLR0913 - one parameter an option
    *,
    keep: Annotated[
        str, typer.Option(metavar="FRACTIONS", help="Kept tokens / original tokens, with commas.")
    ] = ".1,.2,.3,.5",
    cases: Annotated[int, typer.Option(min=1, help="Of each kind of question.")] = 10,
    always_cut: Annotated[
        bool, typer.Option("--always-cut", help="Cut also where a question needs every word.")
    ] = False,
    draft: Annotated[str | None, typer.Option(help="As in `compress`.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, cpu, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Where does compression hurt? Made-up texts; questions that need little or much of them."""
    try:
        fractions = keep_fractions_of(keep)
    except BudgetError as error:
        fail(str(error), USAGE_ERROR)
    choice = DraftChoice(draft=draft, device=device, dtype=dtype)
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        compressor = choice.compressor().replace(on_error="raise")
        if always_cut:
            compressor = compressor.replace(leave_whole=None)
        with stderr_console().status("loading the draft ..."):
            load_draft(compressor)
        found = measure_limits(compressor, limit_cases(cases), fractions)
    if as_json:
        name = draft_name(compressor)
        report = {"draft": name, "always_cut": always_cut, "limits": [asdict(one) for one in found]}
        typer.echo(json.dumps(report, indent=2))
    else:
        Console(highlight=False).print(_table(found, fractions))


def measure_limits(
    compressor: ContextCompressor, cases: Sequence[LimitCase], keep_fractions: Sequence[float]
) -> list[LimitSummary]:
    """Compress every case at every fraction; the compressor's engine reads each case once.

    Args:
        compressor: What is measured.
        cases: The cases; those of one `ask` are summed up together.
        keep_fractions: Kept tokens / original tokens.
    """
    found: dict[tuple[str, float], list[tuple[LimitCase, Compression]]] = {}
    with progress_bar() as progress:
        for case in progress.track(cases, description="reading"):
            for fraction in keep_fractions:
                budget, hint = Budget(keep_fraction=fraction), TextHint(kind=case.kind)
                result = compressor.compress(case.text, case.query, budget=budget, hint=hint)
                found.setdefault((case.ask, fraction), []).append((case, result))
    return [_summary(ask, fraction, results) for (ask, fraction), results in found.items()]


def _summary(
    ask: str, keep_fraction: float, results: Sequence[tuple[LimitCase, Compression]]
) -> LimitSummary:
    shares = [
        fmean(_is_within(span, result.kept) for span in case.needed) for case, result in results
    ]
    kept, original = (
        sum(getattr(result, name) for _, result in results)
        for name in ("kept_tokens", "original_tokens")
    )
    return LimitSummary(
        ask=ask,
        keep_fraction=keep_fraction,
        cases=len(results),
        kept_needed=fmean(shares),
        complete=fmean(share == 1 for share in shares),
        kept_tokens_fraction=kept / original,
    )


def _is_within(span: Span, kept: Sequence[Span]) -> bool:
    return any(one.start <= span.start and span.end <= one.end for one in kept)


def _table(found: Sequence[LimitSummary], keep_fractions: Sequence[float]) -> Table:
    table = Table(title="of what is needed is kept (in so many of the texts all of it)")
    table.add_column("the question asks for")
    for fraction in keep_fractions:
        table.add_column(f"keep {fraction:.0%}", justify="right")
    for ask in ASKS:
        cells = [f"{one.kept_needed:.0%} ({one.complete:.0%})" for one in found if one.ask == ask]
        table.add_row(ask, *cells)
    return table
