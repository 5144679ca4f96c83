"""`specprefill calibrate`: fits a readout to a draft and says how good it is.

Owns options, files and progress; fitting itself is `scoring/calibration.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._probe import probe_cases
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    progress_bar,
    quiet_libraries,
)
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation import EvaluationCase, read_cases
from specprefill_integrations.types import Span

_FEWEST_CASES = 8

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def calibrate(  # noqa: PLR0913 - one parameter an option
    *,
    draft: Annotated[
        str | None, typer.Option(help="As in `compress`; the default draft where left out.")
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(help="Your own cases, as in `evaluate evidence`; may be given several times."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only the first cases of each file.")
    ] = None,
    probe: Annotated[
        int, typer.Option(min=0, help="How many cases of the built-in probe to fit on.")
    ] = 48,
    compare: Annotated[
        int, typer.Option(min=0, help="On how many cases to measure other scorers, too.")
    ] = 24,
    lookahead: Annotated[
        bool, typer.Option("--lookahead", help="Try generated tokens, too; takes the whole draft.")
    ] = False,
    last_depth: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Share of the draft's layers that are read.")
    ] = 0.65,
    window_tokens: Annotated[int, typer.Option(min=64, help="As in `compress`.")] = 1024,
    device: Annotated[str | None, typer.Option(help="cuda, cpu, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 ...")] = None,
    source: Annotated[
        str, typer.Option(help="What the profile says about where your questions come from.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Where to write the profile; the user's cache by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the recall figures as JSON.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Fit a readout to a draft: which of its heads find what a question needs."""
    cases = _cases(pairs or [], limit, probe)
    if len(cases) < _FEWEST_CASES:
        fail(f"{len(cases)} cases are too few to fit on; give --probe or --pairs", USAGE_ERROR)
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        # Here, so that `--help` needs no torch and is quick.
        from specprefill_integrations.calibration._run import (  # noqa: PLC0415
            CalibrationRun,
        )

        run = CalibrationRun(
            draft,
            device=device,
            dtype=dtype,
            last_depth=last_depth,
            window_tokens=window_tokens,
            lookahead=lookahead,
        )
        with progress_bar() as progress:
            run.read(cases, progress.track)
            recall = {name: dict(found) for name, found in run.compare(compare, progress.track)}
        fitted_on = {
            "cases": len(cases),
            "kinds": dict(sorted(Counter(case.kind for case in cases).items())),
            "sources": [*(["self-made probe"] if probe else []), *([source] if source else [])],
        }
        profile = run.fit(fitted_on, recall)
        path = output or run.profile_folder / f"{_file_name(profile.draft)}.json"
        profile.save(path)
    _show(profile.draft, path, recall, as_json=as_json)


def _cases(paths: Sequence[Path], limit: int | None, probe: int) -> list[LabeledCase]:
    """The user's cases, then those of the probe."""
    try:
        read = [case for path in paths for case in read_cases(path, limit)]
    except EvaluationDataError as error:
        fail(str(error), USAGE_ERROR)
    labeled = [found for case in read if (found := _labeled(case)) is not None]
    return [*labeled, *probe_cases(probe)]


def _labeled(case: EvaluationCase) -> LabeledCase | None:
    """The case with its answers found in its texts; None where there are none."""
    evidence = [
        (document, Span(*match.span()))
        for document, text in enumerate(case.texts)
        for answer in case.answers
        if answer.strip()
        for match in re.finditer(re.escape(answer.strip()), text, re.IGNORECASE)
    ]
    if not evidence or not case.query or case.metric:
        return None
    return LabeledCase(kind=case.task, query=case.query, texts=case.texts, evidence=tuple(evidence))


def _file_name(draft: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", Path(draft).name).strip("-") or "draft"


def _show(
    draft: str, path: Path, recall: Mapping[str, Mapping[str, float]], *, as_json: bool
) -> None:
    if as_json:
        typer.echo(json.dumps({"draft": draft, "profile": str(path), "recall": recall}, indent=2))
        return
    table = Table(title=f"Evidence recall of {draft}", title_justify="left")
    table.add_column("scorer")
    for keep in next(iter(recall.values())):
        table.add_column(f"keep {keep}", justify="right")
    for name, found in recall.items():
        table.add_row(name, *(f"{share:.2f}" for share in found.values()))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"The profile is in {path}", soft_wrap=True)
    rival = _unbeaten(recall)
    if rival:
        console.print(
            f"It finds no more than {rival}: give it more cases, or delete it.", soft_wrap=True
        )


def _unbeaten(recall: Mapping[str, Mapping[str, float]]) -> str | None:
    """What finds as much as the readout on the same cases; None where nothing does."""
    means = {name: sum(found.values()) for name, found in recall.items()}
    _, *same_cases = means
    if not same_cases:
        return None
    ours, *others = same_cases
    best = max(others, key=lambda name: means[name])
    return best if means[best] >= means[ours] else None
