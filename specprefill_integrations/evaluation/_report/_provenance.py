"""What a measurement was made with and about: models, machine, versions, data, commands. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specprefill_integrations.evaluation._masking import masked, masked_command
from specprefill_integrations.evaluation._report._findings import Findings
from specprefill_integrations.evaluation._report._words import count
from specprefill_integrations.evaluation._run_session import DataFile, told, without_folders

NOT_RECORDED = "not recorded"
"""Stands where the log does not tell."""

_WORD = re.compile(r"((?:--)?[\w-]+=)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something to know, and what it is; several where commands differ."""

    name: str
    """What is said."""

    values: Sequence[str]
    """What it is; at least one."""

    is_code: bool = False
    """Whether it is to be read letter by letter."""


def facts(findings: Findings, data: Sequence[DataFile], command: Sequence[str]) -> list[Fact]:
    """What somebody needs to measure the same again, but for keys and folders.

    Args:
        findings: The measurement.
        data: What it was judged by.
        command: The words of the command that made the report.
    """
    run, sessions = findings.run, findings.run.sessions
    setup = masked(run.setup)
    metrics = ", ".join(findings.summary.all.metrics) or NOT_RECORDED
    judged_by = f"{metrics}: {findings.judge.meaning}"
    return [
        Fact(name="model", values=[str(setup.get("model", NOT_RECORDED))]),
        Fact(name="server", values=[str(setup.get("base_url") or "the provider's own")]),
        Fact(name="model's settings", values=[_in_words(setup.get("model_options"))]),
        Fact(name="draft", values=_said(_draft_names(findings))),
        Fact(name="draft's settings", values=[_in_words(told(_given(setup.get("draft"))))]),
        Fact(name="replies are judged by", values=[judged_by]),
        Fact(name="version", values=[f"specprefill {setup.get('version', NOT_RECORDED)}"]),
        Fact(name="started", values=_said(one.get("started") for one in sessions)),
        Fact(name="machine", values=_said(map(_in_words, _of(sessions, "machine")))),
        Fact(name="versions", values=_said(map(_in_words, _of(sessions, "versions")))),
        Fact(name="data when asked", values=_said(map(_data_in_words, _of(sessions, "data")))),
        Fact(name="data of this report", values=[_file_in_words(file) for file in data]),
        Fact(name="scorers' settings", values=_said(map(_in_words, _of(sessions, "scorers")))),
        Fact(name="left out", values=_said(_in_words(one.get("skipped")) for one in sessions)),
        Fact(
            name="asked by",
            values=_said(_command_in_words(one) for one in _of(sessions, "command")),
            is_code=True,
        ),
        Fact(name="report by", values=[_command_in_words(command)], is_code=True),
    ]


def _of(sessions: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    """What sessions say of something, where they do."""
    return [session[name] for session in sessions if session.get(name)]


def _said(values: Iterable[object]) -> list[str]:
    """What was said, each once."""
    return list(dict.fromkeys(str(value) for value in values if value)) or [NOT_RECORDED]


def _draft_names(findings: Findings) -> list[Any]:
    in_setup = [findings.run.setup.get("draft") or {}]
    return _of(findings.run.sessions, "draft") or _of(in_setup, "draft")


def _given(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings that are not the default."""
    return {name: value for name, value in (settings or {}).items() if value is not None}


def _in_words(found: object) -> str:
    """Plain values of JSON, outermost names without brackets."""
    if not isinstance(found, Mapping):
        return NOT_RECORDED if found is None else _plain(found)
    return ", ".join(f"{name}: {_plain(value)}" for name, value in found.items()) or "none"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _data_in_words(files: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        _file_in_words(
            DataFile(
                name=str(file.get("name")),
                sha256=str(file.get("sha256")),
                cases=int(file.get("cases") or 0),
            )
        )
        for file in files
    )


def _file_in_words(file: DataFile) -> str:
    return f"{file.name}, {count(file.cases, 'case')}, sha256 {file.sha256}"


def _command_in_words(words: Sequence[str]) -> str:
    return shlex.join(_without_folders(word) for word in masked_command(list(map(str, words))))


def _without_folders(word: str) -> str:
    """A word of a command; of a path, also behind `--option=` or `name=`, its last part."""
    name, value = _WORD.fullmatch(word).groups("")  # type: ignore[union-attr] # it fits all
    return f"{name}{without_folders(value)}"
