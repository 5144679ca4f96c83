"""What one invocation of `specprefill evaluate ab` says about itself in the log that it writes to.

Who reads the log later knows from it what the records were measured with. No record of a call.
"""

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
from specprefill_integrations.evaluation._masking import masked_command

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
    """The words of the command that runs, keys in them masked."""
    return masked_command(["specprefill", *sys.argv[1:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file that cases were read from."""

    name: str
    """Its name, without its folders."""

    sha256: str
    """Of its bytes."""

    cases: int
    """How many cases were read from it, those included that were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSession:
    """One invocation. Folders stand in it only where the user typed them: in the command."""

    machine: Mapping[str, object]
    """See `describe_machine`."""

    data: Sequence[DataFile]
    """What was read."""

    draft: str
    """The draft that read, or whose tokenizer counted."""

    scorers: Mapping[str, Mapping[str, object]]
    """What compressed, and what it was set to."""

    skipped: Mapping[str, str]
    """Why other scorers did not."""

    judge_by: JudgeBy
    """What it compared replies with."""

    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat())
    """When, in UTC."""

    command: Sequence[str] = field(default_factory=typed_command)
    """What was typed."""

    versions: Mapping[str, str] = field(default_factory=_installed_versions)
    """Of what was installed and may matter."""

    def as_record(self) -> dict[str, Any]:
        """As it stands in the log."""
        return {_SESSION: asdict(self)}


def describe_data(path: Path, cases: int) -> DataFile:
    """A file as it is now.

    Args:
        path: The file; it can be read.
        cases: How many cases were read from it.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return DataFile(name=path.name, sha256=digest, cases=cases)


def without_folders(name: str) -> str:
    """The last part of what is a path; anything else, such as a hub id, as it is."""
    path = PurePath(name)
    return path.name if path.is_absolute() else name


def told(parameters: Mapping[str, object]) -> dict[str, object]:
    """What a compressor is set to, without folders."""
    return {
        name: without_folders(value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def check_scorers(
    records: Iterable[Mapping[str, Any]], scorers: Mapping[str, Mapping[str, object]]
) -> None:
    """See that scorers are set to what they were in the log's earlier sessions.

    Args:
        records: What the log holds.
        scorers: What compresses now, and what it is set to.

    Raises:
        EvaluationDataError: One is set to something else: its arms would be of two kinds.
    """
    for record in records:
        then = record.get(_SESSION, {}).get("scorers", {})
        for name in then.keys() & scorers.keys():
            if then[name] != scorers[name]:
                msg = f"the log is of another {name}: {then[name]} then, {scorers[name]} now"
                raise EvaluationDataError(msg)
