"""Reading times by text length, from logs of A/B measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._logged_run import LoggedRun, read_logged_run

_Times = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTimes:
    """Pairs of tokens that were read (as the log counts them) and seconds."""

    draft: _Times
    """Time to compress the texts of a case; one per case, the mean over its fractions. Texts that
    passed through unchanged were not read."""

    target: _Times
    """Time to first token by the tokens of the texts in the prompt; one per call. The rest of the
    prompt is about as long in all calls."""


@checked
def read_log_times(paths: Sequence[Path], scorer: str) -> LogTimes:
    """Read logs of `specprefill evaluate ab` with one model and one draft, finished or not.

    Args:
        paths: The files; at least one.
        scorer: Name of the scorer in the logs.

    Raises:
        EvaluationDataError: A file cannot be read, is no such log, or has no such scorer; or the
            logs are of different models or drafts.
    """
    runs = [read_logged_run(path) for path in paths]
    for path, run in zip(paths, runs, strict=True):
        for part in ("model", "draft"):
            if run.setup.get(part) != runs[0].setup.get(part):
                msg = f"{str(path)!r} was measured with another {part} than {str(paths[0])!r}"
                raise EvaluationDataError(msg)
    times = [_times_of(run, path, scorer) for path, run in zip(paths, runs, strict=True)]
    return LogTimes(
        draft=[reading for found in times for reading in found.draft],
        target=[reading for found in times for reading in found.target],
    )


def _times_of(run: LoggedRun, path: Path, scorer: str) -> LogTimes:
    scorers = {one.scorer for one in run.variants if one.scorer is not None}
    if scorers and scorer not in scorers:
        msg = f"{str(path)!r} has no scorer {scorer!r}, only {', '.join(sorted(scorers))}"
        raise EvaluationDataError(msg)
    answered = [record for record in run.records if "error" not in record]
    return LogTimes(draft=_draft_times(answered, scorer), target=_target_times(answered))


def _draft_times(records: Iterable[Mapping[str, Any]], scorer: str) -> _Times:
    found: dict[tuple[str, int], list[float]] = {}
    for record in records:
        was_cut = record["kept_tokens"] < record["context_tokens"]
        if was_cut and record["variant"].startswith(f"{scorer}@"):
            key = (record["case"], int(record["context_tokens"]))
            found.setdefault(key, []).append(float(record["draft_seconds"]))
    return [(tokens, fmean(seconds)) for (_, tokens), seconds in found.items()]


def _target_times(records: Iterable[Mapping[str, Any]]) -> _Times:
    return [
        (int(record["kept_tokens"]), float(record["first_token_seconds"]))
        for record in records
        if record["first_token_seconds"] is not None
    ]
