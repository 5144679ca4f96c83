"""`specprefill evaluate`: what compression keeps of what matters.

Owns options, files and progress. Reaches `torch` only through the draft that it measures.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import BudgetError, EvaluationDataError
from specprefill_integrations.evaluation.ab import ab
from specprefill_integrations.evaluation.ab_arms import keep_fractions_of
from specprefill_integrations.evaluation.break_even import break_even
from specprefill_integrations.evaluation.cases import EvaluationCase, read_cases
from specprefill_integrations.evaluation.evidence import (
    LeftOutReason,
    measure_evidence,
    why_left_out,
)
from specprefill_integrations.evaluation.evidence_report import EvidenceReport, print_reports
from specprefill_integrations.rendering import GapStyle
from specprefill_integrations.scoring.span_scorer import SpanScorer, wrapped_scorer
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting.lines import LineSplitter
from specprefill_integrations.splitting.prose import ProseSplitter
from specprefill_integrations.terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    progress_bar,
    quiet_libraries,
    stderr_console,
)
from specprefill_integrations.token_counting import CountTokens

DraftScorerName = Literal["readout", "specprefill"]
"""The scorers of `ContextCompressor.from_draft_model`."""

UnitsName = Literal["auto", "sentences", "lines", "published"]
"""Whose splitter, gap markers and budget are used."""

_PRESETS: dict[UnitsName, DraftScorerName] = {
    "auto": "readout",
    "sentences": "readout",
    "lines": "readout",
    "published": "specprefill",
}

_PLAIN_SPLITTERS: dict[UnitsName, Callable[[], Splitter]] = {
    "sentences": ProseSplitter,
    "lines": LineSplitter,
}

_DRAFT_SCORERS: dict[str, DraftScorerName] = {
    "readout": "readout",
    "specprefill": "specprefill",
}

# Tables are as wide as what is in them; where nobody looks, there is room enough.
_PIPE_COLUMNS = 200


class ScorerName(str, Enum):
    """What can be measured."""

    READOUT = "readout"
    SPECPREFILL = "specprefill"
    BM25 = "bm25"
    RANDOM = "random"
    HEAD_TAIL = "head+tail"
    ALL = "all"


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftChoice:
    """The draft that a measurement is about, and how it reads."""

    draft: str | None
    """As in `ContextCompressor.from_draft_model`, like all the others."""

    device: str | None
    """Where it runs."""

    dtype: str | None
    """What it computes in."""

    window_tokens: int | None
    """Tokens of context that it reads at a time."""

    kind: Literal["prose", "code"]
    """Which of the published chunks and gap markers are meant."""

    def compressor(self, scorer: DraftScorerName) -> ContextCompressor:
        """A compressor as it ships."""
        return ContextCompressor.from_draft_model(
            self.draft,
            device=self.device,
            dtype=self.dtype,
            scorer=scorer,
            kind=self.kind,
            window_tokens=self.window_tokens,
        )


app.command()(ab)
app.command()(break_even)


@app.callback()
def evaluate() -> None:
    """Measure what compression keeps."""


@app.command()
def evidence(  # noqa: PLR0913 - one parameter an option
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA", help="Cases: files of JSON lines, plain or .gz.")
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
    units: Annotated[
        UnitsName, typer.Option(help="What is kept or dropped as a whole, for all scorers.")
    ] = "auto",
    draft: Annotated[str | None, typer.Option(help="As in `compress`.")] = None,
    kind: Annotated[
        Literal["prose", "code"], typer.Option(help="For --units published.")
    ] = "prose",
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
    names = _scorer_names(scorer or [ScorerName.READOUT])
    choice = DraftChoice(
        draft=draft, device=device, dtype=dtype, window_tokens=window_tokens, kind=kind
    )
    with clear_errors(debug=debug):
        cases, left_out = _judged(_read(data, limit))
        with quiet_libraries(debug=debug):
            like, draft_name = _load(choice, units)
            with progress_bar() as progress:
                reports = [
                    EvidenceReport(
                        scorer=name,
                        draft=draft_name,
                        units=units,
                        outcomes=measure_evidence(
                            progress.track(cases, description=name),
                            _build_scorer(name, choice, like.scorer.count_tokens),
                            keep_fractions,
                            like=like,
                        ),
                        left_out=left_out,
                    )
                    for name in names
                ]
        _show(reports, as_json=as_json, per_case=per_case)


def _scorer_names(asked: Sequence[ScorerName]) -> list[str]:
    """What was asked for, each once."""
    if ScorerName.ALL in asked:
        return [name.value for name in ScorerName if name is not ScorerName.ALL]
    return list(dict.fromkeys(name.value for name in asked))


def _keep_fractions(text: str) -> list[float]:
    """The fractions as their names in the results say them, each once."""
    try:
        return keep_fractions_of(text)
    except BudgetError:
        fail(f"--keep takes fractions in (0, 1], with commas between; got {text!r}", USAGE_ERROR)


def _read(paths: Sequence[Path], limit: int | None) -> list[EvaluationCase]:
    try:
        return [case for path in paths for case in read_cases(path, limit)]
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


def _load(choice: DraftChoice, units: UnitsName) -> tuple[ContextCompressor, str]:
    """The compressor that all scorers are measured in, its draft loaded, and the draft's name."""
    with stderr_console().status(f"loading {printable(choice.draft or 'the draft')} ..."):
        compressor = choice.compressor(_PRESETS[units])
        if units in _PLAIN_SPLITTERS:  # as a baseline: nothing but the units
            compressor.splitter = _PLAIN_SPLITTERS[units]()
            compressor.gaps, compressor.protect = GapStyle(), ()
        # A scorer without a draft (KeywordScorer) has nothing to load and no name but its own.
        scorer = wrapped_scorer(compressor.scorer)
        draft = getattr(scorer, "reading_draft", None)
        if draft is None:
            return compressor, type(scorer).__name__
        draft.load()  # now, so that no clock sees it
        return compressor, draft.name


def _build_scorer(name: str, choice: DraftChoice, count_tokens: CountTokens) -> SpanScorer:
    # Here, so that `--help` is quick.
    from specprefill_integrations.evaluation.baselines import BASELINES  # noqa: PLC0415

    if name in _DRAFT_SCORERS:
        # Without its engine, whose cache would hide what scoring takes.
        return wrapped_scorer(choice.compressor(_DRAFT_SCORERS[name]).scorer)
    return BASELINES[name](count_tokens)


def _show(reports: Sequence[EvidenceReport], *, as_json: bool, per_case: bool) -> None:
    if as_json:
        found = [report.as_json_object(per_case=per_case) for report in reports]
        typer.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        width = None if sys.stdout.isatty() else _PIPE_COLUMNS
        print_reports(Console(highlight=False, width=width), reports)
