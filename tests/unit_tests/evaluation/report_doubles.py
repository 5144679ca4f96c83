"""What reports are tested with: logs as `evaluate ab` writes them, and what a browser sees."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from specprefill_integrations.evaluation._ab_run import case_key
from specprefill_integrations.evaluation._cases import EvaluationCase
from tests.unit_tests.evaluation.ab_doubles import a_case

RIGHT, WRONG = "Ada", "I do not know."

SETUP = {
    "version": "0.1.0",
    "model": "openai:tiny",
    "base_url": None,
    "model_options": {"temperature": 0},
    "template": "{passages} {question}",
    "metric": None,
    "draft": {"draft": None, "device": None, "dtype": "bfloat16", "window_tokens": None},
}
SESSION = {
    "started": "2026-11-22T12:00:00+00:00",
    "command": ["specprefill", "evaluate", "ab", "my data.jsonl", "--keep", ".3"],
    "machine": {"processor": "a fast one", "cores": 4},
    "versions": {"torch": "2.13.0"},
    "data": [{"name": "data.jsonl", "sha256": "ab" * 32, "cases": 3}],
    "draft": "a small draft",
    "scorers": {"readout": {"profile": "fitted"}},
    "skipped": {"provence": "no weights"},
}


def a_record(
    case: EvaluationCase, variant: str, *, reply: str = RIGHT, **changes: Any
) -> dict[str, Any]:
    is_full = variant == "full"
    return {
        "case": case_key(case),
        "id": case.id,
        "variant": variant,
        "reply": reply,
        "context_tokens": 100,
        "kept_tokens": 100 if is_full else 29,
        "draft_seconds": 0.0 if is_full else 0.25,
        "first_token_seconds": 4.0 if is_full else 1.5,
        "total_seconds": 5.0,
        "input_tokens": 120 if is_full else 50,
        "output_tokens": 3,
        "failures": 0,
        "sent_tokens": 120 if is_full else 50,
        **changes,
    }


def a_failure(case: EvaluationCase, variant: str, error: str = "APIError: no") -> dict[str, Any]:
    record = {"case": case_key(case), "id": case.id, "variant": variant}
    return {**record, "error": error, "sent_tokens": 120}


def cases_named(*names: str, **changes: object) -> list[EvaluationCase]:
    return [a_case(name, **changes) for name in names]


def write_log(
    path: Path, records: Iterable[dict[str, Any]], *, sessions: Sequence[Any] = (), **setup: Any
) -> Path:
    lines = [{"run": {**SETUP, **setup}}, *({"session": one} for one in sessions), *records]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return path


def write_data(path: Path, cases: Iterable[EvaluationCase]) -> Path:
    lines = [
        {
            "id": case.id,
            "task": case.task,
            "query": case.query,
            "documents": [{"text": text} for text in case.texts],
            "answers": list(case.answers),
            **({} if case.reply is None else {"reply": case.reply}),
        }
        for case in cases
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return path


@dataclass
class SeenPage(HTMLParser):
    """What a browser makes of a page."""

    source: str
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    text: str = ""
    _cell: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.tables[-1][-1][-1] += data
