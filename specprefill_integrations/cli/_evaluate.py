"""`specprefill evaluate`: what compression keeps of what matters.

Owns options, files and progress. Reaches `torch` only through the draft that it measures.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from specprefill_integrations.cli._evaluate_ab import ab
from specprefill_integrations.cli._evaluate_break_even import break_even
from specprefill_integrations.cli._evaluate_limits import limits
from specprefill_integrations.cli._evaluate_report import write_report
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    progress_bar,
    quiet_libraries,
    stderr_console,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import BudgetError, EvaluationDataError
from specprefill_integrations.evaluation._ab_variants import keep_fractions_of
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._compressors import (
    Lineup,
    ScorerName,
    build_lineup,
    is_peer,
    peer_models,
    reason_of,
    scorer_names,
)
from specprefill_integrations.evaluation._draft_choice import (
    DraftChoice,
    DraftScorerName,
    draft_name,
    load_draft,
)
from specprefill_integrations.evaluation._evidence import (
    CaseOutcome,
    LeftOutReason,
    measure_evidence,
    why_left_out,
)
from specprefill_integrations.evaluation._evidence_report import EvidenceReport, print_reports
from specprefill_integrations.evaluation._field_places import field_names
from specprefill_integrations.evaluation._peers._settings import PeerSettings
from specprefill_integrations.evaluation._traces import read_data
from specprefill_integrations.pipeline._token_counting import CountTokens
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._rendering import GapStyle

UnitsName = Literal["auto", "sentences", "lines", "published"]
"""Whose splitter, gap markers and budget are used."""

_PRESETS: dict[UnitsName, DraftScorerName] = {
    "auto": "readout",
    "sentences": "readout",
    "lines": "readout",
    "published": "specprefill",
}

_PLAIN_SPLITTERS: dict[UnitsName, Callable[[], Splitter[Any]]] = {
    "sentences": ProseSplitter,
    "lines": LineSplitter,
}

# Tables are as wide as what is in them; where nobody looks, there is room enough.
_PIPE_COLUMNS = 200


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


app.command()(ab)
app.command()(break_even)
app.command()(limits)
app.command("report")(write_report)


@app.callback()
def evaluate() -> None:
    """Measure what compression keeps, what answers become of it, and when it pays."""


@app.command()
def evidence(  # noqa: PLR0913 - one parameter an option
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA", help="Cases: JSON lines, CSV or a LangSmith export."),
    ],
    *,
    scorer: Annotated[
        list[ScorerName] | None,
        typer.Option(help="What to measure; may be given several times. Default: readout."),
    ] = None,
    keep: Annotated[
        str, typer.Option(metavar="FRACTIONS", help="Kept tokens / original tokens, with commas.")
    ] = ".05,.1,.2,.3",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only the first cases of each file.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PLACE", help="As in `evaluate ab`.")
    ] = None,
    units: Annotated[
        UnitsName, typer.Option(help="What is kept or dropped as a whole, for all scorers.")
    ] = "auto",
    draft: Annotated[str | None, typer.Option(help="As in `compress`.")] = None,
    kind: Annotated[
        Literal["prose", "code"], typer.Option(help="For --units published.")
    ] = "prose",
    peer_model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="A folder or hub id of a peer's weights."),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with such weights.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cuda, cpu, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 ...")] = None,
    window_tokens: Annotated[int | None, typer.Option(min=1, help="As in `compress`.")] = None,
    per_case: Annotated[
        bool, typer.Option("--per-case", help="With --json: the outcome of every case.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Measure evidence recall: in how many cases is a gold answer still in what is kept?"""
    if per_case and not as_json:
        fail("--per-case needs --json", USAGE_ERROR)
    keep_fractions = _keep_fractions(keep)
    names = scorer_names(scorer or [ScorerName.READOUT])
    models = _peer_models(peer_model or [])
    choice = DraftChoice(draft=draft, device=device, dtype=dtype, window_tokens=window_tokens)
    with clear_errors(debug=debug):
        cases, left_out = _judged(_read(data, limit, field or []))
        with quiet_libraries(debug=debug):
            like = _load(choice, units, kind)
            peers = PeerSettings(
                count_tokens=like.count_tokens,
                draft=choice,
                models=models,
                trust_remote_code=trust_remote_code,
            )
            lineup = build_lineup(names, like, peers, kind=kind)
            outcomes, skipped = _outcomes(lineup, cases, keep_fractions, like.count_tokens)
        reports = [
            EvidenceReport(
                scorer=name,
                draft=draft_name(like),
                units=units,
                outcomes=found,
                left_out=left_out,
            )
            for name, found in outcomes.items()
        ]
        _show(reports, skipped, as_json=as_json, per_case=per_case)


def _peer_models(given: Sequence[str]) -> dict[str, str]:
    try:
        return peer_models(given)
    except EvaluationDataError as error:
        fail(str(error), USAGE_ERROR)


def _keep_fractions(text: str) -> list[float]:
    """The fractions as their names in the results say them, each once."""
    try:
        return keep_fractions_of(text)
    except BudgetError:
        fail(f"--keep takes fractions in (0, 1], with commas between; got {text!r}", USAGE_ERROR)


def _read(paths: Sequence[Path], limit: int | None, fields: Sequence[str]) -> list[EvaluationCase]:
    try:
        names = field_names(fields)
        return [case for path in paths for case in read_data(path, limit, names)]
    except EvaluationDataError as error:
        fail(str(error), USAGE_ERROR)


def _judged(
    cases: Sequence[EvaluationCase],
) -> tuple[list[EvaluationCase], Counter[LeftOutReason]]:
    """The cases that can be judged, and how many cannot, by reason."""
    reasons = [why_left_out(case) for case in cases]
    judged = [case for case, reason in zip(cases, reasons, strict=True) if reason is None]
    left_out = Counter(reason for reason in reasons if reason is not None)
    if not judged:
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        fail(f"no case to judge: {why.replace('_', ' ') or 'nothing was read'}", USAGE_ERROR)
    return judged, left_out


def _load(
    choice: DraftChoice, units: UnitsName, kind: Literal["prose", "code"]
) -> ContextCompressor:
    """The compressor whose stages all scorers are measured in, its draft loaded."""
    with stderr_console().status(f"loading {printable(choice.draft or 'the draft')} ..."):
        compressor = choice.compressor(_PRESETS[units], kind)
        if units in _PLAIN_SPLITTERS:  # as a baseline: nothing but the units
            compressor = compressor.replace(
                splitter=_PLAIN_SPLITTERS[units](), gaps=GapStyle(), protect=()
            )
        load_draft(compressor)
        return compressor


def _outcomes(
    lineup: Lineup,
    cases: Sequence[EvaluationCase],
    keep_fractions: Sequence[float],
    count_tokens: CountTokens,
) -> tuple[dict[str, list[CaseOutcome]], dict[str, str]]:
    """What became of the cases by scorer, and why some scorers have nothing to show."""
    found: dict[str, list[CaseOutcome]] = {}
    skipped = dict(lineup.skipped)
    with progress_bar() as progress:
        for name, compressor in lineup.compressors.items():
            tracked = progress.track(cases, description=name)
            try:
                found[name] = measure_evidence(
                    tracked, compressor, keep_fractions, count_tokens=count_tokens
                )
            except Exception as error:
                if not is_peer(name):
                    raise
                skipped[name] = f"failed: {reason_of(error)}"  # its code is not ours to mend
    return found, skipped


def _show(
    reports: Sequence[EvidenceReport],
    skipped: Mapping[str, str],
    *,
    as_json: bool,
    per_case: bool,
) -> None:
    if as_json:
        found = [
            *(report.as_json_object(per_case=per_case) for report in reports),
            *({"scorer": name, "skipped": reason} for name, reason in skipped.items()),
        ]
        typer.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        width = None if sys.stdout.isatty() else _PIPE_COLUMNS
        print_reports(Console(highlight=False, width=width), reports, skipped)
