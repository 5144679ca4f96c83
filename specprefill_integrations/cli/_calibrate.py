"""`specprefill calibrate`: fit a readout to a draft and report its evidence recall."""

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

from specprefill_integrations.calibration import LabeledCase, probe_cases
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    Limit,
    Quiet,
)
from specprefill_integrations.cli._progress import progress_bar, working
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    as_options,
    clear_errors,
    fail,
    new_app,
    quiet_libraries,
)
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation import EvaluationCase, read_cases
from specprefill_integrations.types import Span

_FEWEST_CASES = 8

app = new_app()


@app.command()
def calibrate(  # noqa: PLR0913 - one parameter per option
    *,
    draft: Draft = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(help="File of your own cases, as in `evaluate evidence`; repeatable."),
    ] = None,
    limit: Limit = None,
    probe: Annotated[
        int, typer.Option(min=0, help="Number of cases of the built-in probe to fit to.")
    ] = 48,
    compare: Annotated[
        int, typer.Option(min=0, help="Number of cases to measure other scorers on.")
    ] = 24,
    lookahead: Annotated[
        bool,
        typer.Option("--lookahead", help="Also try generated tokens; needs the whole draft."),
    ] = False,
    last_depth: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Share of the draft's layers to read.")
    ] = 0.65,
    window_tokens: Annotated[
        int, typer.Option(min=64, help="Context tokens that the draft reads at a time.")
    ] = 1024,
    device: Device = None,
    dtype: Dtype = None,
    source: Annotated[
        str, typer.Option(help="Origin of your cases, to be noted in the profile.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Path of the profile. Default: in the user's cache folder.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fit a readout to a draft: find the heads that attend to what a question needs."""
    cases = _cases(pairs or [], limit, probe)
    if len(cases) < _FEWEST_CASES:
        fail(f"{len(cases)} cases are too few to fit to; give --probe or --pairs", USAGE_ERROR)
    with clear_errors(debug=debug), quiet_libraries(debug=debug):
        # Imported here, so that `--help` needs no torch.
        from specprefill_integrations.calibration import (  # noqa: PLC0415
            read_for_calibration,
            unfitted_scorers,
        )
        from specprefill_integrations.evaluation._baselines import Bm25Scorer  # noqa: PLC0415
        from specprefill_integrations.scoring._draft_model import DraftModel  # noqa: PLC0415
        from specprefill_integrations.scoring._profiles import fitted_folder  # noqa: PLC0415

        model = DraftModel.from_source(draft, device=device, dtype=dtype)
        with working("loading the draft", quiet=quiet):
            model.load()
        with progress_bar(quiet=quiet) as progress:
            found = read_for_calibration(
                model,
                cases,
                last_depth=last_depth,
                window_tokens=window_tokens,
                lookahead=lookahead,
                track=progress.track,
            )
            others = unfitted_scorers(model)
            others["bm25"] = Bm25Scorer(next(iter(others.values())).count_tokens)
            compared = found.compare(others, compare, progress.track)
            recall = {
                "readout, all cases": found.recall,
                **{name: dict(shares) for name, shares in compared},
            }
        fitted_on = {
            "cases": len(cases),
            "kinds": dict(sorted(Counter(case.kind for case in cases).items())),
            "sources": [*(["self-made probe"] if probe else []), *([source] if source else [])],
        }
        profile = found.fit(fitted_on, recall)
        path = output or fitted_folder() / f"{_file_name(profile.draft)}.json"
        profile.save(path)
    _show(profile.draft, path, recall, as_json=as_json)


def _cases(paths: Sequence[Path], limit: int | None, probe: int) -> list[LabeledCase]:
    """Read the user's cases, and add those of the probe."""
    try:
        read = [case for path in paths for case in read_cases(path, limit)]
    except EvaluationDataError as error:
        fail(as_options(str(error)), USAGE_ERROR)
    labeled = [found for case in read if (found := _labeled(case)) is not None]
    return [*labeled, *probe_cases(probe)]


def _labeled(case: EvaluationCase) -> LabeledCase | None:
    """Find the answers in the texts; None if there are none."""
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
    console.print(f"Profile: {path}", soft_wrap=True)
    rival = _unbeaten(recall)
    if rival:
        console.print(
            f"warning: the fitted readout finds no more evidence than {rival}: calibrate with more "
            "cases, or delete the profile.",
            soft_wrap=True,
        )


def _unbeaten(recall: Mapping[str, Mapping[str, float]]) -> str | None:
    """Name a scorer that finds as much as the readout on the same cases, if there is one."""
    means = {name: sum(found.values()) for name, found in recall.items()}
    _, *same_cases = means
    if not same_cases:
        return None
    ours, *others = same_cases
    best = max(others, key=lambda name: means[name])
    return best if means[best] >= means[ours] else None
