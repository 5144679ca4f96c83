"""`specprefill evaluate evidence`: valid JSON, clear errors, a table for people."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specprefill_integrations import ContextCompressor
from specprefill_integrations.cli import build_app
from specprefill_integrations.evaluation import KeptTexts, read_cases
from specprefill_integrations.evaluation import _lineup as lineup
from specprefill_integrations.evaluation._evidence import why_left_out
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import save_tiny_draft

NOISE = "Fish is sold on Mondays. The ferry leaves at noon. Rain is common in autumn. " * 3
SCORERS = ["readout", "published", "bm25", "words", "random", "head+tail", "truncation"]
NUMBERS = {
    "cases",
    "recall",
    "recall_interval",
    "kept_tokens_fraction",
    "context_tokens",
    "json_texts",
    "broken_json",
    "score_seconds",
    "tokens_per_second",
    "compress_seconds",
}


def a_record(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "task": "keepers",
        "kind": "prose",
        "query": "Who keeps the lighthouse?",
        "documents": [
            {"title": "Harbor", "text": f"{NOISE}Ada keeps the lighthouse. {NOISE}"},
            {"title": "", "text": NOISE},
        ],
        "answers": ["ada keeps"],
        **changes,
    }


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_draft(tmp_path_factory.mktemp("draft")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two cases that can be judged and three that cannot."""
    records = [
        a_record("one"),
        a_record("two", answers=["nowhere"]),
        a_record("three", answers=["B"]),
        a_record("four", answers=["autumn"], all=True),
        a_record("five", metric="rouge"),
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return path


NOTHING_MEASURED = "warning: no scorer could be measured, so the result is empty\n"


def run(*args: object) -> Result:
    return CliRunner().invoke(build_app(), ["evaluate", "evidence", *map(str, args)])


def run_json(*args: object) -> Any:
    result = run(*args, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stderr in {"", NOTHING_MEASURED}
    return json.loads(result.stdout)


class PeerThatCannotReadCases:
    """Works where it is tried out, and nowhere else."""

    parameters: Mapping[str, object] = {}

    def compress(self, texts: Sequence[str], query: str | None, keep_fraction: float) -> KeptTexts:
        if "Harbor" in texts[0]:
            msg = "no such token"
            raise IndexError(msg)
        return KeptTexts(texts=tuple(texts), seconds=1.0)


class TestJson:
    def test_shape(self, data: Path, draft: str) -> None:
        found = run_json(data, "--draft", draft, "--scorer", "bm25", "--keep", ".05,.5,1")
        assert set(found) == {"scorer", "draft", "units", "left_out", "tasks", *NUMBERS}
        assert (found["scorer"], found["draft"], found["units"]) == ("bm25", draft, "auto")
        assert found["cases"] == 2
        assert found["left_out"] == {
            "answer_not_in_full_text": 1,
            "answers_are_single_letters": 1,
            "judged_by_another_metric": 1,
        }
        for name in ("recall", "recall_interval", "kept_tokens_fraction"):
            assert list(found[name]) == ["0.05", "0.5", "1"]
        assert found["recall"]["1"] == 1
        low, high = found["recall_interval"]["1"]
        assert 0 < low < high == 1
        assert all(share <= float(keep) for keep, share in found["kept_tokens_fraction"].items())
        assert found["tokens_per_second"] == found["context_tokens"] / found["score_seconds"]
        assert set(found["tasks"]) == {"keepers"}
        assert found["tasks"]["keepers"] == {name: found[name] for name in NUMBERS}

    def test_default_is_the_readout_at_four_fractions(self, data: Path, draft: str) -> None:
        found = run_json(data, "--draft", draft)
        assert found["scorer"] == "readout"
        assert list(found["recall"]) == ["0.05", "0.1", "0.2", "0.3"]

    def test_all_scorers_on_the_same_tokens(self, data: Path, draft: str) -> None:
        found = run_json(data, "--draft", draft, "--scorer", "all", "--keep", ".5")
        assert [report["scorer"] for report in found] == SCORERS
        assert len({report["context_tokens"] for report in found}) == 1
        assert all(report["kept_tokens_fraction"]["0.5"] <= 0.5 for report in found)

    def test_several_scorers_each_once(self, data: Path, draft: str) -> None:
        asked = ["--scorer", "random", "--scorer", "bm25", "--scorer", "random"]
        found = run_json(data, "--draft", draft, *asked)
        assert [report["scorer"] for report in found] == ["random", "bm25"]

    def test_keyword_search_finds_what_shares_words(self, data: Path, draft: str) -> None:
        found = run_json(
            data, "--draft", draft, "--scorer", "bm25", "--keep", ".2,.2,0.20", "--per-case"
        )
        assert found["per_case"][0] == {"id": "one", "task": "keepers", "hits": {"0.2": True}}
        assert [case["id"] for case in found["per_case"]] == ["one", "four"]

    def test_several_files_and_tasks(self, data: Path, draft: str, tmp_path: Path) -> None:
        other = tmp_path / "other.jsonl.gz"
        records = [a_record(f"o{i}", task="harbors", answers=["harbor"]) for i in range(2)]
        other.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
        options = ["--draft", draft, "--scorer", "head+tail", "--keep", ".3"]
        found = run_json(data, other, *options)
        assert list(found["tasks"]) == ["keepers", "harbors"]
        assert found["tasks"]["harbors"]["recall"]["0.3"] == 1
        assert found["cases"] == sum(task["cases"] for task in found["tasks"].values()) == 4
        hits = sum(task["cases"] * task["recall"]["0.3"] for task in found["tasks"].values())
        assert found["recall"]["0.3"] == hits / 4
        limited = run_json(data, other, *options, "--limit", 1)
        assert {name: task["cases"] for name, task in limited["tasks"].items()} == {
            "keepers": 1,
            "harbors": 1,
        }

    def test_tables_and_exports_are_read_too(self, draft: str, tmp_path: Path) -> None:
        text = f"{NOISE}Ada keeps the lighthouse. {NOISE}"
        table = tmp_path / "table.csv"
        table.write_text(f"asked,context,answer\nWho keeps the lighthouse?,{text},Ada keeps\n")
        export = tmp_path / "export.jsonl"
        inputs = {"asked": "Who keeps the lighthouse?", "context": text}
        export.write_text(json.dumps({"inputs": inputs, "outputs": {"answer": "Ada keeps"}}))
        found = run_json(table, export, "--draft", draft, "--keep", "1", "--field", "query=asked")
        assert {task: one["cases"] for task, one in found["tasks"].items()} == {
            "table": 1,
            "export": 1,
        }
        assert found["tasks"]["table"]["recall"] == found["tasks"]["export"]["recall"] == {"1": 1}

    def test_peers_without_weights_say_why(self, data: Path, draft: str) -> None:
        asked = ["--scorer", "bm25", "--scorer", "llmlingua2", "--scorer", "provence"]
        measured, *skipped = run_json(data, "--draft", draft, *asked)
        assert measured["scorer"] == "bm25"
        reason = "its weights are missing; pass --peer-model {}=FOLDER_OR_HUB_ID"
        assert skipped == [
            {"scorer": name, "skipped": reason.format(name)} for name in ("llmlingua2", "provence")
        ]
        alone = run_json(data, "--draft", draft, "--scorer", "provence")
        assert alone == skipped[1]
        shown = run(data, "--draft", draft, "--scorer", "provence", "-q")
        assert (shown.exit_code, shown.stderr) == (0, NOTHING_MEASURED)
        assert f"skipped: provence: {skipped[1]['skipped']}" in shown.stdout

    def test_a_peer_that_fails_ends_nothing(
        self, data: Path, draft: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lineup, "build_peer", lambda *_: PeerThatCannotReadCases())
        asked = ["--scorer", "llmlingua", "--scorer", "bm25"]
        measured, skipped = run_json(data, "--draft", draft, *asked)
        assert measured["scorer"] == "bm25"
        assert skipped == {"scorer": "llmlingua", "skipped": "failed: IndexError: no such token"}

    def test_the_former_name_of_the_published_algorithm_warns(self, data: Path, draft: str) -> None:
        found = run(data, "--draft", draft, "--scorer", "specprefill", "--keep", ".5", "--json")
        assert json.loads(found.stdout)["scorer"] == "published"
        assert found.stderr == "warning: --scorer specprefill is now --scorer published\n"

    def test_published_units(self, data: Path, draft: str) -> None:
        options = ["--draft", draft, "--scorer", "head+tail", "--keep", ".5"]
        sentences, prose, code = (
            run_json(data, *options, *more)
            for more in ([], ["--units", "published"], ["--units", "published", "--kind", "code"])
        )
        assert prose["units"] == "published"
        assert (
            len({found["kept_tokens_fraction"]["0.5"] for found in (sentences, prose, code)}) == 3
        )


class TestOptions:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """Drafts are not loaded; here is what was asked for instead."""
        asked: list[dict[str, Any]] = []

        def compressor(draft: str | None, **options: Any) -> ContextCompressor:
            asked.append({"draft": draft, **options})
            return ContextCompressor(KeywordScorer())

        monkeypatch.setattr(ContextCompressor, "from_draft_model", compressor)
        return asked

    def test_all_reach_the_draft(self, asked: list[dict[str, Any]], data: Path) -> None:
        run_json(
            data, "--draft", "some/draft", "--device", "cpu", "--dtype", "float64",
            "--window-tokens", 99, "--prefilter", ".5", "--kind", "code", "--scorer", "published",
        )  # fmt: skip
        options = {
            "draft": "some/draft",
            "device": "cpu",
            "dtype": "float64",
            "window_tokens": 99,
            "kind": "code",
        }
        assert asked == [
            {**options, "scorer": "readout", "prefilter": 0.5},
            {**options, "scorer": "published", "prefilter": None},
        ]

    @pytest.mark.parametrize(
        ("options", "scorers"),
        [
            ([], ["readout", "readout"]),
            (["--scorer", "bm25"], ["readout"]),
            (["--units", "published", "--scorer", "random"], ["published"]),
            (["--units", "published", "--scorer", "readout"], ["published", "readout"]),
        ],
    )
    def test_units_are_those_of_a_preset(
        self, asked: list[dict[str, Any]], data: Path, options: list[str], scorers: list[str]
    ) -> None:
        run_json(data, *options)
        assert [found["scorer"] for found in asked] == scorers


class TestTable:
    def test_rows(self, data: Path, draft: str) -> None:
        result = run(data, "--draft", draft, "--scorer", "bm25", "--scorer", "random", "-q")
        assert result.exit_code == 0
        assert result.stderr == ""
        rows = [line for line in result.stdout.splitlines() if "keepers" in line]
        assert ["bm25" in row for row in rows] == [True, False]
        assert "all tasks" not in result.stdout
        assert "cases left out: 3 (1 answer not in full text, 1 answers are" in result.stdout

    def test_mean_over_tasks(self, data: Path, draft: str, tmp_path: Path) -> None:
        other = tmp_path / "other.jsonl"
        records = [a_record(f"o{i}", task="missed", answers=["rain is"]) for i in range(3)]
        other.write_text("\n".join(map(json.dumps, records)), "utf-8")
        result = run(
            data, other, "--limit", 3, "--draft", draft, "--scorer", "bm25", "--keep", ".1"
        )
        [row] = [line for line in result.stdout.splitlines() if "all tasks" in line]
        assert "50.0%" in row


class TestErrors:
    def check(self, result: Result, exit_code: int, message: str) -> None:
        assert result.exit_code == exit_code
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.stderr
        assert message in result.stderr

    def test_a_bad_line(self, data: Path) -> None:
        data.write_bytes(data.read_bytes() + b"{oops}\n")
        self.check(run(data), 2, f"{str(data)!r}, line 6: not JSON")

    def test_no_such_file(self, tmp_path: Path) -> None:
        self.check(run(tmp_path / "none.jsonl"), 2, "none.jsonl")

    def test_nothing_to_judge(self, data: Path, tmp_path: Path) -> None:
        data.write_text(json.dumps(a_record("one", metric="rouge")), "utf-8")
        self.check(run(data), 2, "no case can be judged: 1 judged by another metric")
        empty = tmp_path / "empty.jsonl"
        empty.touch()
        self.check(run(empty), 2, "the files hold no cases")

    @pytest.mark.parametrize("keep", ["", "0", "1.1", "nan", ".1,,.2", "some"])
    def test_fractions(self, data: Path, keep: str) -> None:
        self.check(run(data, "--keep", keep), 2, f"(0, 1], separated by commas; got {keep!r}")

    @pytest.mark.parametrize("given", ["nobody=folder", "provence", "provence="])
    def test_places_of_weights(self, data: Path, given: str) -> None:
        words = f"--peer-model takes embeddings, llmlingua2, provence as NAME=PLACE; got {given!r}"
        self.check(run(data, "--peer-model", given), 2, words)

    def test_outcomes_of_cases_go_into_json_alone(self, data: Path) -> None:
        self.check(run(data, "--per-case"), 2, "--per-case needs --json")

    def test_an_unknown_scorer(self, data: Path) -> None:
        result = run(data, "--scorer", "nobody")
        assert result.exit_code == 2
        assert all(name in result.stderr for name in ("nobody", *SCORERS, "all", "peers"))

    def test_a_missing_draft(self, data: Path, tmp_path: Path) -> None:
        result = run(data, "--draft", tmp_path / "none")
        self.check(result, 2, "no draft model at")
        self.check(run(data, "--draft", "nobody/nothing", "-q"), 1, "'nobody/nothing'")
        debug = run(data, "--draft", "nobody/nothing", "--debug")
        assert type(debug.exception).__name__ == "DraftModelNotFoundError"


class TestDocumentation:
    PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")

    def test_the_case_that_it_shows_is_one(self, tmp_path: Path) -> None:
        [block] = re.findall(r"^```json\n(.*?)^```$", self.PAGE, re.DOTALL | re.MULTILINE)
        path = tmp_path / "cases.jsonl"
        path.write_text(block, "utf-8")
        [case] = read_cases(path)
        assert why_left_out(case) is None

    def test_it_names_every_field_of_the_json(self, data: Path, draft: str) -> None:
        found = run_json(data, "--draft", draft, "--scorer", "random", "--per-case")
        table = self.PAGE.partition("| field | is |")[2].partition("\n\n")[0]
        named = re.findall(
            r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.split("\n")[2:])
        )
        assert set(named) == set(found)


def test_evidence_stays_a_command_of_its_own() -> None:
    result = CliRunner().invoke(build_app(), ["evaluate", "--help"])
    assert result.exit_code == 0
    assert "evidence" in result.stdout
    assert "--keep" in run("--help").stdout
    assert run().exit_code == 2
