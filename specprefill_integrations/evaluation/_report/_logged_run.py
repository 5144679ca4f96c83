"""The log of an A/B measurement as a value. Only reads: a measurement may be writing it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant
from specprefill_integrations.evaluation._judging import MEANINGS, JudgeBy

_OF_A_REPLY = {
    "reply",
    "context_tokens",
    "kept_tokens",
    "draft_seconds",
    "first_token_seconds",
    "total_seconds",
    "input_tokens",
    "failures",
    "sent_tokens",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """What stands in one log."""

    name: str
    """The file's name without its ending."""

    setup: Mapping[str, Any]
    """What replies depend on; see `ab.AbSetup`."""

    sessions: Sequence[Mapping[str, Any]]
    """What each command that wrote to the log was; none in logs that do not tell."""

    records: Sequence[Mapping[str, Any]]
    """What `AbRun` wrote down, in its order."""

    @property
    def variants(self) -> list[Variant]:
        """The full prompt, then scorer by scorer as they came up, from little kept to much."""
        names = dict.fromkeys(record["variant"] for record in self.records)
        found = [Variant.of_name(name) for name in names if name != FULL_NAME]
        scorers = list(dict.fromkeys(arm.scorer for arm in found))
        found.sort(key=lambda arm: (scorers.index(arm.scorer), arm.keep_fraction))
        return [Variant(), *found]

    @property
    def judge_by(self) -> JudgeBy:
        """What the last command that wrote to it compared replies with."""
        told = next((one["judge_by"] for one in self.sessions[::-1] if "judge_by" in one), None)
        return next((by for by in MEANINGS if by == told), "answers")

    def only(self, scorers: Sequence[str], keep_fractions: Sequence[float]) -> LoggedRun:
        """The same without the records of other arms; the full prompt stays.

        Args:
            scorers: Of the arms to keep; none means all.
            keep_fractions: Likewise.
        """
        kept = {
            arm.name
            for arm in self.variants
            if arm.scorer is None
            or (
                (not scorers or arm.scorer in scorers)
                and (not keep_fractions or arm.keep_fraction in keep_fractions)
            )
        }
        return replace(self, records=[one for one in self.records if one["variant"] in kept])


def read_logged_run(path: Path) -> LoggedRun:
    """Read a log as far as it is written.

    Raises:
        EvaluationDataError: The file cannot be read, or is no log of an A/B measurement.
    """
    try:
        held = path.read_bytes()
    except OSError as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror or error}"
        raise EvaluationDataError(msg) from error
    try:
        # What has no end is being written, or was when a run was killed.
        first, *others = [json.loads(line) for line in held.split(b"\n")[:-1]]
        return LoggedRun(
            name=path.stem,
            setup=dict(first["run"]),
            sessions=[dict(line["session"]) for line in others if "session" in line],
            records=[_checked(line) for line in others if "session" not in line],
        )
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{str(path)!r} is no log of `specprefill evaluate ab`."
        raise EvaluationDataError(msg) from error


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """The record, where it is one."""
    Variant.of_name(record["variant"])
    if not isinstance(record["case"], str) or not record.keys() >= _fields_of(record):
        msg = "something is missing"
        raise ValueError(msg)
    return record


def _fields_of(record: Mapping[str, Any]) -> set[str]:
    return {"error"} if "error" in record else _OF_A_REPLY
