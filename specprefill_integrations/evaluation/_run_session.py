"""The record of one invocation in the log of an A/B measurement: what it measured with."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._judging import JudgeBy
from specprefill_integrations.evaluation._lineup import Lineup
from specprefill_integrations.evaluation._machine import describe_machine
from specprefill_integrations.observability._masking import masked, masked_command

_SESSION = "session"

_PACKAGES = (
    "specprefill-integrations",
    "torch",
    "transformers",
    "langchain",
    "langchain-classic",
    "langchain-community",
    "langchain-core",
    "llama-index-core",
    "llmlingua",
    "sentence-transformers",
    "wordllama",
)


def _installed_versions() -> dict[str, str]:
    installed = {package: _version(package) for package in _PACKAGES}
    return {package: found for package, found in installed.items() if found is not None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def typed_command() -> list[str]:
    """The words of the running command, secrets masked."""
    return masked_command(["specprefill", *sys.argv[1:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file of cases."""

    name: str
    """Name without folders."""

    sha256: str
    """Hash of its bytes."""

    cases: int
    """Cases read from it, those left out included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSession:
    """One invocation. It contains no folders except those in the command."""

    machine: Mapping[str, object]
    """See `describe_machine`."""

    data: Sequence[DataFile]
    """The files of cases."""

    draft: str
    """Name of the draft that reads, or whose tokenizer counts."""

    scorers: Mapping[str, Mapping[str, object]]
    """Settings of each scorer."""

    skipped: Mapping[str, str]
    """Scorers that were not measured, and why."""

    judge_by: JudgeBy
    """Reference of the replies."""

    command: Sequence[str] = ()
    """The command."""

    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat())
    """Start time in UTC."""

    versions: Mapping[str, str] = field(default_factory=_installed_versions)
    """Versions of relevant packages."""

    @classmethod
    def of(
        cls, lineup: Lineup, judge_by: JudgeBy, data: Sequence[DataFile], command: Sequence[str]
    ) -> RunSession:
        """Describe an invocation that measures this line-up."""
        return cls(
            machine=describe_machine(lineup.draft_model),
            data=data,
            draft=without_folders(lineup.draft),
            scorers={name: told(one.parameters) for name, one in lineup.compressors.items()},
            skipped=lineup.skipped,
            judge_by=judge_by,
            command=command,
        )

    def as_record(self) -> dict[str, Any]:
        """The log's record, secrets masked."""
        record = masked(asdict(self))
        return {_SESSION: {**record, "command": masked_command(self.command)}}


def describe_data(path: Path, cases: int) -> DataFile:
    """Describe a readable file.

    Args:
        path: The file.
        cases: Number of cases read from it.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return DataFile(name=path.name, sha256=digest, cases=cases)


def without_folders(name: str) -> str:
    """The last part of an absolute path; anything else, such as a hub id, unchanged."""
    path = PurePath(name)
    return path.name if path.is_absolute() else name


def told(parameters: Mapping[str, object]) -> dict[str, object]:
    """Settings of a compressor, without folders."""
    return {
        name: without_folders(value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def check_scorers(
    records: Iterable[Mapping[str, Any]], scorers: Mapping[str, Mapping[str, object]]
) -> None:
    """Check that scorers have the settings that they had in earlier sessions of the log.

    Args:
        records: The log's records.
        scorers: Settings of each scorer.

    Raises:
        EvaluationDataError: One has other settings, which would mix results under one name.
    """
    now = masked(scorers)
    for record in records:
        then = record.get(_SESSION, {}).get("scorers", {})
        for name in then.keys() & now.keys():
            if then[name] != now[name]:
                msg = (
                    f"the scorer {name} has other settings in the log: "
                    f"{then[name]} there, {now[name]} now"
                )
                raise EvaluationDataError(msg)
