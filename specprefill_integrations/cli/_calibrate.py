"""`specprefill calibrate`: fit a readout to a draft and report its evidence recall."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from specprefill_integrations.calibration import LabeledCase, probe_cases
from specprefill_integrations.calibration._labeled_cases import find_evidence
from specprefill_integrations.cli._calibrate_report import CalibrationReport
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
    warn,
)
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation import EvaluationCase, read_cases

_FEWEST_CASES = 8
_PICTURES = (".png", ".svg")

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
    use_prior: Annotated[
        bool,
        typer.Option(
            "--prior/--no-prior",
            help="Start from the draft's present profile, if it has one, and stay close to it.",
        ),
    ] = True,
    source: Annotated[
        str, typer.Option(help="Origin of your cases, to be noted in the profile.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file, or a folder to share, with a model card. Default: a file in the "
            "user's cache folder, from which the profile is used."
        ),
    ] = None,
    license_name: Annotated[
        str | None,
        typer.Option("--license", help="License of the profile, for the model card of a folder."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="A file such as reliability.svg: how often units of your cases are needed, by "
            "their probability."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fit a readout to a draft: find the heads that attend to what a question needs."""
    is_file = output is None or output.suffix == ".json" or output.is_file()
    if license_name is not None and is_file:
        fail("--license is for the model card of a folder: give one with --output", USAGE_ERROR)
    if picture is not None:
        _check_picture(picture, pairs or [])
    cases, given = _cases(pairs or [], limit, probe)
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
        from specprefill_integrations.scoring._profile_search import (  # noqa: PLC0415
            fitted_folder,
        )

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
                prior=model.profile if use_prior else None,
                own_kinds={case.kind for case in cases[probe:]},
                track=progress.track,
            )
            others = unfitted_scorers(model)
            others["bm25"] = Bm25Scorer(next(iter(others.values())).count_tokens)
            compared = dict(found.compare(others, compare, progress.track))
        left_out = given - len(found.units)
        report = CalibrationReport(found=found, compared=compared, left_out=left_out)
        sources = [*(["self-made probe"] if probe else []), *([source] if source else [])]
        with working("fitting the profile", quiet=quiet):
            profile = found.fit(sources, report.measured)
        path = output or fitted_folder() / f"{_file_name(profile.draft)}.json"
        profile.save(path, license=license_name)
        if picture is not None and found.reliability:
            _drawing()(found.reliability, picture)
        elif picture is not None:
            warn("no picture: fewer than two of your own cases could be used")
    report.show(profile.draft, path, as_json=as_json)


def _cases(paths: Sequence[Path], limit: int | None, probe: int) -> tuple[list[LabeledCase], int]:
    """Read the user's cases after those of the probe.

    Returns:
        The cases with evidence, and the number of all.
    """
    labeled: list[LabeledCase] = list(probe_cases(probe))
    given = len(labeled)
    invented = {case.kind for case in labeled}
    try:
        for path in paths:
            read = read_cases(path, limit)
            given += len(read)
            read_as = (_labeled(_kind(path, invented), case) for case in read)
            labeled += [found for found in read_as if found is not None]
    except EvaluationDataError as error:
        fail(as_options(str(error)), USAGE_ERROR)
    return labeled, given


def _kind(path: Path, invented: Collection[str]) -> str:
    """Name a kind after a file, and unlike the kinds of the probe."""
    stem = Path(path.name.removesuffix(".gz")).stem
    return f"{stem} (own)" if stem in invented else stem


def _check_picture(path: Path, pairs: Sequence[Path]) -> None:
    """Fail before the draft has read everything."""
    if not pairs:
        fail("--picture shows your own cases: give --pairs", USAGE_ERROR)
    if not path.absolute().parent.is_dir():
        fail(f"no such folder for --picture: {str(path.parent)!r}", USAGE_ERROR)
    if path.suffix not in _PICTURES:
        fail(f"--picture takes a .png or .svg file; got {str(path)!r}", USAGE_ERROR)
    with clear_errors(debug=False):
        _drawing()


def _drawing() -> Callable[[Mapping[str, Sequence[tuple[float, int, int]]], Path], None]:
    from specprefill_integrations.evaluation._report._reliability import (  # noqa: PLC0415 - needs an extra
        draw_reliability,
    )

    return draw_reliability


def _labeled(kind: str, case: EvaluationCase) -> LabeledCase | None:
    """Find the evidence in the texts; None if a piece of it is nowhere."""
    if not case.query or case.metric:
        return None
    evidence = find_evidence(case.texts, case.answers, case.evidence, needs_all=case.needs_all)
    if not evidence:
        return None
    return LabeledCase(kind=kind, query=case.query, texts=case.texts, evidence=evidence)


def _file_name(draft: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", draft).strip("-") or "draft"
