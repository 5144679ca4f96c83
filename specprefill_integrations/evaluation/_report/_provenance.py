"""Provenance of a measurement: models, machine, versions, data and commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._sections import count
from specprefill_integrations.evaluation._run_session import DataFile, told, without_folders
from specprefill_integrations.observability._masking import masked, masked_command

NOT_RECORDED = "not recorded"
"""Value of a fact that the log does not hold."""

_WORD = re.compile(r"((?:--)?[\w-]+=)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Name and value of a fact; several values if the log's commands differ."""

    name: str
    """The name."""

    values: Sequence[str]
    """The values; at least one."""

    is_code: bool = False
    """True if the values are commands."""


def facts(findings: Findings, data: Sequence[DataFile], command: Sequence[str]) -> list[Fact]:
    """Collect what is needed to repeat a measurement, without keys and folders.

    Args:
        findings: The measurement.
        data: Data files of the report.
        command: Words of the command that made the report.
    """
    run = findings.run
    sessions = [{**masked(one), "command": one.get("command")} for one in findings.run.sessions]
    setup = masked(run.setup)
    metrics = ", ".join(findings.summary.all.metrics) or NOT_RECORDED
    draft = setup.get("draft") or {}
    given = {name: value for name, value in draft.items() if value is not None}
    found = {
        "model": [without_folders(str(setup.get("model", NOT_RECORDED)))],
        "server": [str(setup.get("base_url") or "provider's default")],
        "model options": [_format(setup.get("model_options"))],
        "draft": _distinct(_of(sessions, "draft") or _of([draft], "draft")),
        "draft options": [_format(told(given))],
        "replies judged by": [f"{metrics}: {findings.judge.meaning}"],
        "version": [f"specprefill {setup.get('version', NOT_RECORDED)}"],
        "started": _distinct(one.get("started") for one in sessions),
        "machine": _distinct(map(_format, _of(sessions, "machine"))),
        "package versions": _distinct(map(_format, _of(sessions, "versions"))),
        "data of the measurement": _distinct(map(_format_data, _of(sessions, "data"))),
        "data of this report": [_format_file(file) for file in data],
        "scorer settings": _distinct(map(_format, _of(sessions, "scorers"))),
        "skipped scorers": _distinct(_format(one.get("skipped")) for one in sessions),
    }
    commands = {
        "measurement command": _distinct(map(_format_command, _of(sessions, "command"))),
        "report command": [_format_command(command)],
    }
    return [
        *(Fact(name=name, values=values) for name, values in found.items()),
        *(Fact(name=name, values=values, is_code=True) for name, values in commands.items()),
    ]


def _of(sessions: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    return [session[name] for session in sessions if session.get(name)]


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value)) or [NOT_RECORDED]


def _format(found: object) -> str:
    """Format a JSON value; an object as `name: value, ...`."""
    if not isinstance(found, Mapping):
        return NOT_RECORDED if found is None else _plain(found)
    return ", ".join(f"{name}: {_plain(value)}" for name, value in found.items()) or "none"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format_data(files: Sequence[Mapping[str, Any]]) -> str:
    found = []
    for file in files:
        name, sha256 = str(file.get("name")), str(file.get("sha256"))
        found.append(DataFile(name=name, sha256=sha256, cases=int(file.get("cases") or 0)))
    return "; ".join(map(_format_file, found))


def _format_file(file: DataFile) -> str:
    return f"{file.name}, {count(file.cases, 'case')}, sha256 {file.sha256}"


def _format_command(words: Sequence[str]) -> str:
    return shlex.join(_without_folders(word) for word in masked_command(list(map(str, words))))


def _without_folders(word: str) -> str:
    """Shorten a path, also behind `--option=` or `name=`, to its last part."""
    name, value = _WORD.fullmatch(word).groups("")  # type: ignore[union-attr] # it fits all
    return f"{name}{without_folders(value)}"
