"""From logs and data to the files of a report. Knows no command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from specprefill_integrations.errors import EvaluationDataError, SpecPrefillError
from specprefill_integrations.evaluation._case_files import FieldNames, read_cases
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import JudgeBy
from specprefill_integrations.evaluation._report._budget_picture import draw_budget
from specprefill_integrations.evaluation._report._case_heat import CaseHeat, CaseHeatMaker
from specprefill_integrations.evaluation._report._changed_cases import JudgedCase, changed_cases
from specprefill_integrations.evaluation._report._contents import RunContents, ShownCase
from specprefill_integrations.evaluation._report._cost_picture import draw_cost
from specprefill_integrations.evaluation._report._findings import Findings, judge
from specprefill_integrations.evaluation._report._html_page import render_html
from specprefill_integrations.evaluation._report._logged_run import LoggedRun, read_logged_run
from specprefill_integrations.evaluation._report._markdown_page import render_markdown
from specprefill_integrations.evaluation._report._picture import Picture
from specprefill_integrations.evaluation._report._prompt_cost import GivenPrices
from specprefill_integrations.evaluation._report._provenance import facts
from specprefill_integrations.evaluation._report._quality_picture import draw_quality
from specprefill_integrations.evaluation._report._waiting_picture import draw_waiting
from specprefill_integrations.evaluation._report._words import count
from specprefill_integrations.evaluation._run_session import DataFile, describe_data

HTML_NAME = "report.html"
"""The page to browse."""

MARKDOWN_NAME = "results.md"
"""The page for docs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What a report is asked to be."""

    logs: Sequence[Path]
    """Logs of `evaluate ab`; at least one."""

    data: Sequence[Path]
    """The cases that they are about; at least one."""

    fields: FieldNames
    """Where to look for parts of cases."""

    margin: float
    """By how much worse is not worse."""

    judge_by: JudgeBy | None
    """What replies are compared with; None is what each log was judged by."""

    scorers: Sequence[str]
    """Leave out all others; none means all."""

    keep_fractions: Sequence[float]
    """Leave out all others; none means all."""

    prices: GivenPrices | None
    """What tokens and the draft's machine cost; None leaves costs out."""

    cases: int
    """How many cases of each log are shown one by one."""

    heat: int
    """How many of those with a heat map of their texts."""

    command: Sequence[str]
    """The words of the command that asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report, not written yet."""

    runs: Sequence[RunContents]
    """What it says."""

    remarks: Sequence[str]
    """What there is to say of the whole."""

    def write(self, folder: Path) -> list[Path]:
        """Write its files, over those of an earlier one; tell which."""
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
    """Judge the logs and draw what was found.

    Args:
        request: What is asked for.
        on_heat: Called after each heat map.

    Raises:
        EvaluationDataError: A file cannot be read or is no such file, a log is about no case of
            the data, or a scorer or fraction is in no log.
    """
    data, files = _read(request)
    logged = [read_logged_run(log) for log in request.logs]
    _check_arms(logged, request)
    findings = [
        judge(
            run.only(request.scorers, request.keep_fractions),
            data,
            margin=request.margin,
            judge_by=request.judge_by,
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
                pictures=_pictures(found, scorers, prefix),
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


def _check_arms(logged: Sequence[LoggedRun], request: ReportRequest) -> None:
    arms = [arm for run in logged for arm in run.variants if arm.scorer]
    _check("--scorer", request.scorers, [str(arm.scorer) for arm in arms])
    _check("--keep", request.keep_fractions, [arm.keep_fraction for arm in arms])


def _check(option: str, asked: Sequence[object], known: Sequence[object]) -> None:
    for one in asked:
        if one not in known:
            there_are = ", ".join(map(str, dict.fromkeys(known)))
            msg = f"{option} takes what is in the logs ({there_are}); got {one!r}"
            raise EvaluationDataError(msg)


def _prefixes(findings: Sequence[Findings]) -> list[str]:
    """What the names of each log's pictures begin with: nothing where there is one log."""
    if len(findings) == 1:
        return [""]
    names = [found.run.name for found in findings]
    often = Counter(names)
    return [
        f"{name}-{number}-" if often[name] > 1 else f"{name}-"
        for number, name in enumerate(names, start=1)
    ]


def _pictures(found: Findings, scorers: Sequence[str], prefix: str) -> Mapping[str, Picture]:
    drawn = {
        "quality": draw_quality(found, scorers, f"{prefix}quality"),
        "waiting": draw_waiting(found, f"{prefix}waiting"),
        "budget": draw_budget(found, scorers, f"{prefix}budget"),
        "cost": draw_cost(found, scorers, f"{prefix}cost"),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _shown(
    found: Findings, cases: Sequence[JudgedCase], heat: int, on_heat: Callable[[], None]
) -> tuple[list[ShownCase], str | None]:
    """The cases, the first ones with heat maps; and why there are none, where the draft fails."""
    maker = CaseHeatMaker(found.run.setup.get("draft") or {})
    heats: list[CaseHeat | None] = []
    failure = None
    try:
        for case in cases[:heat]:
            heats.append(maker.heat(case, found.compressed_arms))
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
            "This page quotes your data: questions, answers and replies of "
            f"{count(len(shown), 'case')}{texts}."
        )
    found += [f"No heat maps: {failure}" for failure in dict.fromkeys(failures)]
    return found
