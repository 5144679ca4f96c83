"""Reader for logs of A/B measurements; a measurement may still be writing them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant
from specprefill_integrations.evaluation._judging import MEANINGS, JudgeBy
from specprefill_integrations.evaluation._likelihood import LIKELIHOODS

_CALL_KEYS = {
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
    """Contents of one log."""

    name: str
    """Name of the file, without suffix."""

    setup: Mapping[str, Any]
    """Settings that replies depend on; see `AbSetup`."""

    sessions: Sequence[Mapping[str, Any]]
    """Commands that wrote to the log; empty in old logs."""

    records: Sequence[Mapping[str, Any]]
    """Records of calls, in the order written."""

    @property
    def variants(self) -> list[Variant]:
        """Variants: the full prompt, then scorer by scorer with ascending keep fractions."""
        names = dict.fromkeys(record["variant"] for record in self.records)
        found = [Variant.of_name(name) for name in names if name != FULL_NAME]
        scorers = list(dict.fromkeys(variant.scorer for variant in found))
        found.sort(key=lambda variant: (scorers.index(variant.scorer), variant.keep_fraction))
        return [Variant(), *found]

    @property
    def judge_by(self) -> JudgeBy:
        """Reference that the last command compared replies with."""
        last = next((one["judge_by"] for one in self.sessions[::-1] if "judge_by" in one), None)
        return next((by for by in MEANINGS if by == last), "answers")

    def only(self, scorers: Sequence[str], keep_fractions: Sequence[float]) -> LoggedRun:
        """Drop the records of other variants; the full prompt stays.

        Args:
            scorers: Scorers to keep; empty for all.
            keep_fractions: Keep fractions to keep; empty for all.
        """
        kept = {
            variant.name
            for variant in self.variants
            if variant.scorer is None
            or (
                (not scorers or variant.scorer in scorers)
                and (not keep_fractions or variant.keep_fraction in keep_fractions)
            )
        }
        return replace(self, records=[one for one in self.records if one["variant"] in kept])


def read_logged_run(path: Path) -> LoggedRun:
    """Read all complete lines of a log.

    Raises:
        EvaluationDataError: The file cannot be read, or is not a log of `evaluate ab`.
    """
    try:
        held = path.read_bytes()
    except OSError as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror or error}"
        raise EvaluationDataError(msg) from error
    try:
        # A last line without its end is still being written, or was when the run was killed.
        first, *others = [json.loads(line) for line in held.split(b"\n")[:-1]]
        return LoggedRun(
            name=path.stem,
            setup=dict(first["run"]),
            sessions=[dict(line["session"]) for line in others if "session" in line],
            records=[_checked(line) for line in others if "session" not in line],
        )
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{str(path)!r} is not a log of `specprefill evaluate ab`."
        raise EvaluationDataError(msg) from error


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    Variant.of_name(record["variant"])
    needed = {"error"} if "error" in record else _CALL_KEYS
    has_result = not {"error", "reply", LIKELIHOODS}.isdisjoint(record)
    if not isinstance(record["case"], str) or not has_result or not record.keys() >= needed:
        msg = "a key is missing"
        raise ValueError(msg)
    return record
