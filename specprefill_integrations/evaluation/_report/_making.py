"""Building of a report from logs and data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from specprefill_integrations.errors import EvaluationDataError, SpecPrefillError
from specprefill_integrations.evaluation._case_files import FieldNames, read_cases
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import JudgeBy
from specprefill_integrations.evaluation._logged_run import LoggedRun, read_logged_run
from specprefill_integrations.evaluation._report._case_heat import CaseHeat, CaseHeatMaker
from specprefill_integrations.evaluation._report._findings import (
    Findings,
    GivenPrices,
    JudgedCase,
    changed_cases,
    judge,
)
from specprefill_integrations.evaluation._report._pages import (
    RunContents,
    ShownCase,
    render_html,
    render_markdown,
)
from specprefill_integrations.evaluation._report._pictures import draw_pictures
from specprefill_integrations.evaluation._report._provenance import facts
from specprefill_integrations.evaluation._report._sections import count
from specprefill_integrations.evaluation._run_session import DataFile, describe_data

HTML_NAME = "report.html"
"""File name of the HTML page."""

MARKDOWN_NAME = "results.md"
"""File name of the Markdown page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Options of a report."""

    logs: Sequence[Path]
    """Logs of `evaluate ab`; at least one."""

    data: Sequence[Path]
    """Data files that the logs are about; at least one."""

    fields: FieldNames
    """Fields of the data files."""

    margin: float
    """Largest loss of score that still counts as not worse."""

    judge_by: JudgeBy | None
    """Reference to compare replies with; None takes that of each log."""

    reference: str
    """Name of the variant that all others are compared with."""

    scorers: Sequence[str]
    """Scorers to include; empty for all."""

    keep_fractions: Sequence[float]
    """Keep fractions to include; empty for all."""

    prices: GivenPrices | None
    """Prices; None leaves costs out."""

    cases: int
    """Number of changed cases to show for each log."""

    heat: int
    """Number of those to show with a heat map."""

    command: Sequence[str]
    """Words of the command that asks for the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report, before it is written to files."""

    runs: Sequence[RunContents]
    """Contents by measurement."""

    remarks: Sequence[str]
    """Remarks on the whole report."""

    def write(self, folder: Path) -> list[Path]:
        """Write or overwrite the files of the report, and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        pages = {
            HTML_NAME: render_html(self.runs, self.remarks).encode(),
            MARKDOWN_NAME: render_markdown(self.runs).encode(),
        }
        for picture in (picture for run in self.runs for picture in run.pictures.values()):
            pages[f"{picture.name}.svg"] = picture.svg
            pages[f"{picture.name}.png"] = picture.png
        for name, held in pages.items():
            (folder / name).write_bytes(held)
        return [folder / name for name in pages]


def make_report(request: ReportRequest, on_heat: Callable[[], None] = lambda: None) -> Report:
    """Judge the logs and build a report.

    Args:
        request: Options of the report.
        on_heat: Called after each heat map.

    Raises:
        EvaluationDataError: A file cannot be read or has the wrong format, the data has no case of
            a log, or no log has a requested scorer or fraction.
    """
    data, files = _read(request)
    logged = [read_logged_run(log) for log in request.logs]
    _check_variants(logged, request)
    findings = [
        judge(
            run.only(request.scorers, request.keep_fractions),
            data,
            margin=request.margin,
            judge_by=request.judge_by,
            reference=request.reference,
            prices=request.prices,
        )
        for run in logged
    ]
    scorers = list(dict.fromkeys(scorer for one in findings for scorer in one.scorers))
    runs, failures = [], []
    for found, prefix in zip(findings, _prefixes(findings), strict=True):
        changed = changed_cases(found.cases)
        shown, failure = _shown(found, changed[: request.cases], request.heat, on_heat)
        failures += [failure] if failure else []
        runs.append(
            RunContents(
                findings=found,
                pictures=draw_pictures(found, scorers, prefix),
                facts=facts(found, files, request.command),
                shown=shown,
                changed=len(changed),
            )
        )
    return Report(runs=runs, remarks=_remarks(runs, failures))


def _read(request: ReportRequest) -> tuple[list[EvaluationCase], list[DataFile]]:
    cases, files = [], []
    for path in request.data:
        found = read_cases(path, None, request.fields)
        files.append(describe_data(path, len(found)))
        cases += found
    return cases, files


def _check_variants(logged: Sequence[LoggedRun], request: ReportRequest) -> None:
    variants = [one for run in logged for one in run.variants if one.scorer]
    _check("--scorer", request.scorers, [str(one.scorer) for one in variants])
    _check("--keep", request.keep_fractions, [one.keep_fraction for one in variants])


def _check(option: str, asked: Sequence[object], known: Sequence[object]) -> None:
    for one in asked:
        if one not in known:
            logged = ", ".join(map(str, dict.fromkeys(known)))
            msg = f"{option} must be in the logs ({logged}); got {one!r}"
            raise EvaluationDataError(msg)


def _prefixes(findings: Sequence[Findings]) -> list[str]:
    """Choose a prefix for the pictures of each log; empty if there is only one log."""
    if len(findings) == 1:
        return [""]
    names = [found.run.name for found in findings]
    often = Counter(names)
    return [
        f"{name}-{number}-" if often[name] > 1 else f"{name}-"
        for number, name in enumerate(names, start=1)
    ]


def _shown(
    found: Findings, cases: Sequence[JudgedCase], heat: int, on_heat: Callable[[], None]
) -> tuple[list[ShownCase], str | None]:
    """Show cases, the first ones with heat maps; also return an error of the draft."""
    maker = CaseHeatMaker(found.run.setup.get("draft") or {})
    heats: list[CaseHeat | None] = []
    failure = None
    try:
        for case in cases[:heat]:
            heats.append(maker.heat(case, found.compressed_variants))
            on_heat()
    except SpecPrefillError as error:
        failure = str(error)
    heats += [None] * (len(cases) - len(heats))
    pairs = zip(cases, heats, strict=True)
    return [ShownCase(judged=case, heat=heat_map) for case, heat_map in pairs], failure


def _remarks(runs: Sequence[RunContents], failures: Sequence[str]) -> list[str]:
    shown = [case for run in runs for case in run.shown]
    with_texts = sum(case.heat is not None for case in shown)
    texts = f", and the texts of {with_texts:,} of them" if with_texts else ""
    found = []
    if shown:
        found.append(
            "This page contains your data: questions, answers and replies of "
            f"{count(len(shown), 'case')}{texts}."
        )
    found += [f"No heat maps: {failure}" for failure in dict.fromkeys(failures)]
    return found
