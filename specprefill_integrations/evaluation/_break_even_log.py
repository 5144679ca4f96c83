"""What logs of A/B measurements tell of speeds: times by length. Estimates nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._report._logged_run import LoggedRun, read_logged_run

_Times = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTimes:
    """Tokens that were read, and the seconds that it took: all in the tokens of the log."""

    draft: _Times
    """Compressing the texts of a case; one a case, the mean over how much was kept. Texts that were
    left whole were not read."""

    target: _Times
    """Until the first token of the model's answer, by the texts in its prompt; one a call. What
    else stands in prompts is about as long in all of them."""


def read_log_times(paths: Sequence[Path], scorer: str) -> LogTimes:
    """Read logs that `specprefill evaluate ab` wrote, or is writing, of one model and one draft.

    Args:
        paths: The files; at least one.
        scorer: What compresses, as the logs call it.

    Raises:
        EvaluationDataError: A file cannot be read, or is no such log, or knows no such scorer; or
            the logs are of different models or drafts.
    """
    runs = [read_logged_run(path) for path in paths]
    for path, run in zip(paths, runs, strict=True):
        for part in ("model", "draft"):
            if run.setup.get(part) != runs[0].setup.get(part):
                msg = f"{str(path)!r} is of another {part} than {str(paths[0])!r}"
                raise EvaluationDataError(msg)
    times = [_times_of(run, path, scorer) for path, run in zip(paths, runs, strict=True)]
    return LogTimes(
        draft=[reading for found in times for reading in found.draft],
        target=[reading for found in times for reading in found.target],
    )


def _times_of(run: LoggedRun, path: Path, scorer: str) -> LogTimes:
    scorers = {arm.scorer for arm in run.arms if arm.scorer is not None}
    if scorers and scorer not in scorers:
        msg = f"{str(path)!r} knows no scorer {scorer!r}, only {', '.join(sorted(scorers))}"
        raise EvaluationDataError(msg)
    answered = [record for record in run.records if "error" not in record]
    return LogTimes(draft=_draft_times(answered, scorer), target=_target_times(answered))


def _draft_times(records: Iterable[Mapping[str, Any]], scorer: str) -> _Times:
    found: dict[tuple[str, int], list[float]] = {}
    for record in records:
        was_cut = record["kept_tokens"] < record["context_tokens"]
        if was_cut and record["arm"].startswith(f"{scorer}@"):
            key = (record["case"], int(record["context_tokens"]))
            found.setdefault(key, []).append(float(record["draft_seconds"]))
    return [(tokens, fmean(seconds)) for (_, tokens), seconds in found.items()]


def _target_times(records: Iterable[Mapping[str, Any]]) -> _Times:
    return [
        (int(record["kept_tokens"]), float(record["first_token_seconds"]))
        for record in records
        if record["first_token_seconds"] is not None
    ]
