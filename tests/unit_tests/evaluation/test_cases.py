"""Cases are read as they stand in the file, and a bad line is named."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation import _case_files
from specprefill_integrations.evaluation._case_files import FieldNames, read_cases
from specprefill_integrations.evaluation._cases import EvaluationCase

RECORD: dict[str, Any] = {
    "id": "one",
    "task": "keepers",
    "kind": "prose",
    "query": "Who keeps the lighthouse?",
    "documents": [
        {"title": "Harbor", "text": "Ada keeps the lighthouse."},
        {"title": "", "text": "Fish is sold."},
        {"title": None, "text": "It rained."},
        {"text": "Nobody came."},
    ],
    "answers": ["Ada", "Mrs. Lovelace"],
}


def a_file(folder: Path, *records: Any, name: str = "cases.jsonl") -> Path:
    path = folder / name
    data = "".join(f"{json.dumps(record)}\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


class TestLimits:
    def test_a_compressed_file_that_expands_to_one_endless_line(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.jsonl.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(130):
                file.write(b" " * 2**20)
        assert path.stat().st_size < 2**20
        with pytest.raises(EvaluationDataError, match=r"bomb.*a line of more than 128 MiB"):
            read_cases(path)

    @pytest.mark.parametrize("filling", [b"\n", b"          \n"])
    def test_a_compressed_file_that_expands_to_too_much(
        self, tmp_path: Path, filling: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_case_files, "MAX_EXPANDED_BYTES", 2**20)
        line = f"{json.dumps(RECORD)}\n".encode()
        data = line + filling * (2**20 // len(filling))
        path = tmp_path / "bomb.jsonl.gz"
        path.write_bytes(gzip.compress(data))
        with pytest.raises(EvaluationDataError, match=r"bomb.*expands to more than 1 MiB"):
            read_cases(path)
        assert len(read_cases(path, limit=1)) == 1
        plain = tmp_path / "large.jsonl"
        plain.write_bytes(data)
        assert len(read_cases(plain)) == 1


class TestReading:
    @pytest.mark.parametrize("name", ["cases.jsonl", "cases.jsonl.gz"])
    def test_a_whole_case(self, tmp_path: Path, name: str) -> None:
        assert read_cases(a_file(tmp_path, RECORD, name=name)) == [
            EvaluationCase(
                id="one",
                task="keepers",
                query="Who keeps the lighthouse?",
                texts=(
                    "Harbor\n\nAda keeps the lighthouse.",
                    "Fish is sold.",
                    "It rained.",
                    "Nobody came.",
                ),
                answers=("Ada", "Mrs. Lovelace"),
                needs_all=False,
                metric=None,
            )
        ]

    def test_options_of_a_case(self, tmp_path: Path) -> None:
        more = {"id": 7, "query": None, "all": True, "metric": "rouge", "reply": "Eve does."}
        [case] = read_cases(a_file(tmp_path, {**RECORD, **more}))
        assert (case.id, case.query, case.needs_all, case.metric) == ("7", None, True, "rouge")
        assert case.reply == "Eve does."

    def test_marked_evidence(self, tmp_path: Path) -> None:
        marked = ["Ada keeps the lighthouse.", "It rained."]
        plain, case = read_cases(a_file(tmp_path, RECORD, {**RECORD, "evidence": marked}))
        assert case.evidence == tuple(marked)
        assert plain.evidence == ()
        assert case.is_answered_by(["ada"])
        assert not case.is_answered_by(["It rained."])

    def test_order_limit_and_blank_lines(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, *({**RECORD, "id": i} for i in range(4)))
        path.write_bytes(b"\n  \r\n" + path.read_bytes().replace(b"\n", b"\r\n\n"))
        assert [case.id for case in read_cases(path)] == ["0", "1", "2", "3"]
        assert [case.id for case in read_cases(path, limit=2)] == ["0", "1"]

    def test_what_lies_behind_the_limit_is_not_looked_at(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, RECORD, "no case")
        assert len(read_cases(path, limit=1)) == 1

    def test_separators_of_lines_may_stand_in_a_text(self, tmp_path: Path) -> None:
        path = tmp_path / "cases.jsonl"
        record = {**RECORD, "documents": [{"text": "Ada\u2028keeps\x85it."}]}
        path.write_text(json.dumps(record, ensure_ascii=False), "utf-8")
        assert read_cases(path)[0].texts == ("Ada\u2028keeps\x85it.",)

    def test_a_case_without_id_or_task_is_known_by_its_line_and_file(self, tmp_path: Path) -> None:
        record = {name: RECORD[name] for name in ("query", "documents", "answers")}
        path = a_file(tmp_path, RECORD, record, {**record, "id": "three"})
        found = [(case.id, case.task) for case in read_cases(path)]
        assert found == [("one", "keepers"), ("line 2", "cases"), ("three", "cases")]
        assert read_cases(path)[1].texts == read_cases(path)[0].texts


RAGAS: dict[str, Any] = {
    "user_input": "Who keeps the lighthouse?",
    "retrieved_contexts": ["Ada keeps the lighthouse.", "It rained."],
    "response": "Eve does.",
    "reference": "Ada",
}
FORMER_RAGAS: dict[str, Any] = {
    "question": "Who keeps the lighthouse?",
    "contexts": ["Ada keeps the lighthouse.", "It rained."],
    "answer": "Eve does.",
    "ground_truth": "Ada",
}


class TestRagas:
    def write(self, folder: Path, record: dict[str, Any], name: str) -> Path:
        if name.endswith("list.json"):
            return a_file(folder, [record, record], name=name)
        if not name.endswith(".csv"):
            return a_file(folder, record, record, name=name)
        path = folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(record))  # writes lists as Python does
            table.writeheader()
            table.writerows([record, record])
        return path

    @pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.json", "list.json", "r.csv"])
    @pytest.mark.parametrize("record", [RAGAS, FORMER_RAGAS], ids=["now", "before"])
    def test_its_names_are_read(self, tmp_path: Path, name: str, record: dict[str, Any]) -> None:
        first, second = read_cases(self.write(tmp_path, record, name))
        assert (first.query, first.answers) == ("Who keeps the lighthouse?", ("Ada",))
        assert first.texts == ("Ada keeps the lighthouse.", "It rained.")
        assert first.reply == ("Eve does." if record is RAGAS else None)
        assert first.id != second.id

    def test_a_test_set_has_the_contexts_of_the_reference(self, tmp_path: Path) -> None:
        names = {"retrieved_contexts": "reference_contexts"}
        record = {names.get(name, name): value for name, value in RAGAS.items()}
        [case] = read_cases(a_file(tmp_path, record))
        assert case.texts == ("Ada keeps the lighthouse.", "It rained.")

    def test_fields_can_be_named(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, {**RAGAS, "gold": "Mrs. Lovelace"})
        [case] = read_cases(path, fields=FieldNames.parse(["answers=gold"]))
        assert case.answers == ("Mrs. Lovelace",)

    @pytest.mark.parametrize("cell", ["[draft] It rained.", "['a', open('b')]", "[1, 2"])
    def test_a_text_may_only_start_like_a_list(self, tmp_path: Path, cell: str) -> None:
        record = {**RAGAS, "retrieved_contexts": cell}
        assert read_cases(self.write(tmp_path, record, "r.csv"))[0].texts == (cell,)


class TestErrors:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"{", "not JSON"),
            (b"\xff\xfe", "not UTF-8"),
            (b"[" * 100_000, "nested too deeply"),
            (b"[1]", "not a JSON object"),
            (b"{}", "no question found; looked for the fields query, question, input, user_input"),
            ({"id": True}, "'id' must be a text or a whole number"),
            ({"task": 3}, "'task' must be a text"),
            ({"query": 3}, "'query' must be a text or null"),
            ({"documents": "text"}, "'documents' must be a list"),
            ({"documents": []}, "'documents' is empty"),
            ({"documents": ["text"]}, "'documents' must hold objects"),
            ({"documents": [{"title": "a"}]}, "'text' is missing"),
            ({"documents": [{"title": 3, "text": "a"}]}, "'title' must be a text"),
            ({"answers": "Ada"}, "'answers' must be a list"),
            ({"answers": ["Ada", " "]}, "' '"),
            ({"answers": [3]}, "'answers' must hold texts"),
            ({"evidence": "Ada keeps it."}, "'evidence' must be a list"),
            ({"evidence": [""]}, "'evidence' must hold texts that are not blank"),
            ({"all": 1}, "'all' must be true or false"),
            ({"metric": 1}, "'metric' must be a text"),
        ],
    )
    def test_a_bad_line_is_named(
        self, tmp_path: Path, line: bytes | dict[str, Any], message: str
    ) -> None:
        bad = line if isinstance(line, bytes) else json.dumps({**RECORD, **line}).encode()
        path = a_file(tmp_path, RECORD)
        path.write_bytes(path.read_bytes() + b"\n" + bad)
        with pytest.raises(EvaluationDataError) as caught:
            read_cases(path)
        assert str(caught.value).startswith(f"{str(path)!r}, line 3: ")
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("query", "no question found; looked for the fields query, question"),
            ("documents", "no texts found; looked for the fields documents, contexts"),
            ("answers", "'answers' is missing"),
        ],
    )
    def test_a_case_needs_these_fields(self, tmp_path: Path, name: str, message: str) -> None:
        record = {key: value for key, value in RECORD.items() if key != name}
        with pytest.raises(EvaluationDataError, match=f"line 1: {message}"):
            read_cases(a_file(tmp_path, record))

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        not_packed = tmp_path / "plain.gz"
        not_packed.write_bytes(b"{}")
        cut = a_file(tmp_path, RECORD, name="cut.gz")
        cut.write_bytes(cut.read_bytes()[:-20])
        for path in (tmp_path / "none.jsonl", tmp_path, not_packed, cut):
            with pytest.raises(EvaluationDataError, match=f"{path.name}' cannot be read: "):
                read_cases(path)


class TestAnswers:
    def case(self, *answers: str, needs_all: bool = False) -> EvaluationCase:
        return EvaluationCase(
            id="1", task="t", query="?", texts=("",), answers=answers, needs_all=needs_all
        )

    def test_one_answer_is_enough(self) -> None:
        case = self.case("Ada", "Grace")
        assert case.is_answered_by(["It was", "grace."])
        assert not case.is_answered_by(["It was", "Alan."])

    def test_all_answers_may_be_needed_and_stand_apart(self) -> None:
        case = self.case("Ada", "Grace", needs_all=True)
        assert case.is_answered_by(["ADA", "and GRACE"])
        assert not case.is_answered_by(["ADA", "and Alan"])

    def test_never_across_two_texts(self) -> None:
        assert not self.case("Ada Lovelace").is_answered_by(["Ada ", "Lovelace"])

    def test_upper_and_lower_case_of_any_script(self) -> None:
        assert self.case("STRASSE").is_answered_by(["die Straße"])
        assert self.case("Straße").is_answered_by(["DIE STRASSE"])

    @pytest.mark.parametrize("needs_all", [True, False])
    def test_no_answer_is_never_found(self, needs_all: bool) -> None:  # noqa: FBT001
        assert not self.case(needs_all=needs_all).is_answered_by(["anything"])
