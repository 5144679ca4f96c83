"""Cases from tables and from exports of LangSmith."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_files import FieldNames, read_cases
from specprefill_integrations.evaluation._cases import EvaluationCase


def csv_file(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "questions.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return path


def export(folder: Path, *records: Any, as_list: bool = False) -> Path:
    path = folder / ("traces.json" if as_list else "traces.jsonl")
    lines = "\n".join(json.dumps(record) for record in records)
    path.write_text(json.dumps(records) if as_list else lines, "utf-8")
    return path


class TestCsv:
    def test_a_row_is_a_case(self, tmp_path: Path) -> None:
        row = {"question": "Who?", "context": "Ada, they say.\nOr Eve.", "answer": "Ada"}
        assert read_cases(csv_file(tmp_path, [row])) == [
            EvaluationCase(
                id="line 3",
                task="questions",
                query="Who?",
                texts=("Ada, they say.\nOr Eve.",),
                answers=("Ada",),
            )
        ]

    def test_lists_are_json(self, tmp_path: Path) -> None:
        row = {
            "id": "7",
            "task": "ports",
            "query": "Who?",
            "documents": '["one", {"text": "two"}]',
            "answers": '["Ada", "Eve"]',
            "metric": "f1",
        }
        [case] = read_cases(csv_file(tmp_path, [row]))
        assert (case.id, case.task, case.metric) == ("7", "ports", "f1")
        assert (case.texts, case.answers) == (("one", "two"), ("Ada", "Eve"))

    def test_what_begins_like_a_list_is_a_text(self, tmp_path: Path) -> None:
        row = {"query": "Who?", "text": "[12:00] Ada came", "answer": "Ada"}
        [case] = read_cases(csv_file(tmp_path, [row]))
        assert case.texts == ("[12:00] Ada came",)

    def test_long_cells_and_limits(self, tmp_path: Path) -> None:
        rows = [{"query": "Who?", "text": "word " * 60_000, "answer": str(n)} for n in range(3)]
        cases = read_cases(csv_file(tmp_path, rows), 2)
        assert [len(case.texts[0]) for case in cases] == [300_000, 300_000]

    def test_a_row_that_is_too_short_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "short.csv"
        path.write_text("query,text,answer\nWho?,Ada\n", "utf-8")
        with pytest.raises(EvaluationDataError, match="line 2: not as many cells"):
            read_cases(path)

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            EvaluationDataError,
            match="line 2: no answers found; looked for the fields answers, ground",
        ):
            read_cases(csv_file(tmp_path, [{"query": "Who?", "text": "Ada"}]))


class TestLangSmith:
    @pytest.mark.parametrize("as_list", [False, True])
    def test_examples(self, tmp_path: Path, as_list: bool) -> None:  # noqa: FBT001 - a parameter
        record = {
            "id": "8e1c",
            "inputs": {"question": "Who?", "context": ["one", "two"]},
            "outputs": {"answer": "Ada"},
            "metadata": {"task": "ports"},
        }
        [case] = read_cases(export(tmp_path, record, as_list=as_list))
        assert case == EvaluationCase(
            id="8e1c", task="ports", query="Who?", texts=("one", "two"), answers=("Ada",)
        )

    def test_documents_of_langchain(self, tmp_path: Path) -> None:
        plain = {"page_content": "one", "metadata": {}, "type": "Document"}
        written = {"lc": 1, "type": "constructor", "id": ["x"], "kwargs": {"page_content": "two"}}
        record = {
            "inputs": {"input": "Who?", "documents": [plain, written]},
            "outputs": {"output": "Eve"},
            "reference_outputs": {"answer": "Ada"},
        }
        [case] = read_cases(export(tmp_path, record))
        assert (case.texts, case.answers) == (("one", "two"), ("Ada",))

    def test_places_of_ones_own(self, tmp_path: Path) -> None:
        record = {
            "inputs": {"messages": {"last": "Who?"}, "retrieved": {"docs": "Ada does."}},
            "outputs": {"gold": ["Ada"]},
        }
        path = export(tmp_path, record)
        with pytest.raises(EvaluationDataError, match="line 1: no question"):
            read_cases(path)
        names = FieldNames(
            query=("messages.last",), texts=("inputs.retrieved.docs",), answers=("gold",)
        )
        [case] = read_cases(path, fields=names)
        assert (case.query, case.texts, case.answers) == ("Who?", ("Ada does.",), ("Ada",))

    @pytest.mark.parametrize("answer", [True, [" "], {"answer": "Ada"}])
    def test_what_is_no_text_is_named(self, tmp_path: Path, answer: object) -> None:
        record = {"inputs": {"query": "Who?", "text": "Ada"}, "outputs": {"answer": answer}}
        with pytest.raises(EvaluationDataError, match="a text was expected"):
            read_cases(export(tmp_path, record))

    def test_later_lines_are_looked_at_too(self, tmp_path: Path) -> None:
        record = {"inputs": {"query": "Who?", "text": "Ada"}, "outputs": {"answer": "Ada"}}
        path = export(tmp_path, record, [1])
        with pytest.raises(EvaluationDataError, match="line 2: not a JSON object"):
            read_cases(path)
        path.write_text(f"{json.dumps(record)}\n{{", "utf-8")
        with pytest.raises(EvaluationDataError, match="cannot be read"):
            read_cases(path)


def test_a_reply_serves_in_the_place_of_answers(tmp_path: Path) -> None:
    record = {"inputs": {"query": "Who?", "text": "Ada"}, "outputs": {"said": "Ada, I think."}}
    names = FieldNames(reply=("outputs.said",))
    [case] = read_cases(export(tmp_path, record), fields=names)
    assert (case.answers, case.reply) == ((), "Ada, I think.")
    record["outputs"]["answer"] = "Ada"
    [case] = read_cases(export(tmp_path, record), fields=names)
    assert (case.answers, case.reply) == (("Ada",), "Ada, I think.")


def test_all_else_is_read_as_cases(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    case = {"id": "1", "task": "t", "query": "q", "documents": [{"text": "x"}], "answers": ["x"]}
    path.write_text(json.dumps(case), "utf-8")
    assert read_cases(path) == [
        EvaluationCase(id="1", task="t", query="q", texts=("x",), answers=("x",))
    ]
    path.write_text("no JSON", "utf-8")
    with pytest.raises(EvaluationDataError, match="line 1: not JSON"):
        read_cases(path)


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl", "none.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(EvaluationDataError, match=f"{name}' cannot be read: No such file"):
        read_cases(tmp_path / name)
