"""What all commands have in common; a new command is checked without being named here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from specprefill_integrations import cli

ROOT = Path(cli.__file__).parents[2]


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of every command and group, and their parser."""
    yield (), typer.main.get_command(cli.build_app())
    for name, (module, _) in cli.COMMANDS.items():
        command = typer.main.get_command(import_module(f"{cli.__name__}.{module}").app)
        yield (name,), command
        for inner, its_command in getattr(command, "commands", {}).items():
            yield (name, inner), its_command


COMMANDS = [pytest.param(*found, id=" ".join(found[0]) or "specprefill") for found in commands()]
SINGLE = [param for param in COMMANDS if not hasattr(param.values[1], "commands")]


def options_of(command: Any) -> dict[str, Any]:
    return {name: one for one in command.params for name in one.opts if name.startswith("-")}


def needed_words(command: Any, folder: Path) -> list[str]:
    """Arguments and options that the command cannot do without."""
    file = folder / "cases.jsonl"
    file.write_text("{}")
    return [
        word
        for one in command.params
        if one.required
        for word in ([one.opts[0]] if one.opts[0].startswith("-") else [])
        + [str(file if one.name != "model" else "openai:tiny")]
    ]


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.build_app(), words)


def check_usage_error(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_there_are_these() -> None:
    names = {" ".join(param.values[0]) for param in COMMANDS}
    assert {"compress", "bench", "calibrate", "evaluate", "evaluate ab", "evaluate report"} <= names


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_help(words: tuple[str, ...], command: Any) -> None:
    long, short = run(*words, "--help"), run(*words, "-h")
    assert long.exit_code == short.exit_code == 0
    assert long.stdout == short.stdout
    assert "-h" in short.stdout
    assert command.help.split(".")[0].split(",")[0].split(":")[0] in " ".join(
        long.stdout.split()
    ).replace(" │ │ ", " ")


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_an_unknown_option_is_a_usage_error(words: tuple[str, ...], command: Any) -> None:
    check_usage_error(run(*words, "--no-such-option"), "--no-such-option")


@pytest.mark.parametrize(("words", "command"), SINGLE)
def test_common_options(words: tuple[str, ...], command: Any) -> None:
    options = options_of(command)
    assert {"--quiet", "-q", "--debug"} <= options.keys()
    assert all(one.help for one in command.params)
    draft = {"--draft", "--device", "--dtype"}
    assert draft <= options.keys() or not draft & options.keys()


WRONG = {
    "--device": ["nope", "cuda:99", "meta", "cpu:x"],
    "--dtype": ["int8", "nope", "zeros"],
    "--draft": ["./nowhere", "/no/such/model.gguf", "."],
    "--keep": ["0", "7", "-1", "nan"],
    "--max-tokens": ["0", "-1"],
}


@pytest.mark.parametrize(
    ("words", "command", "wrong"),
    [
        pytest.param(*param.values, (option, value), id=f"{param.id} {option} {value}")
        for param in SINGLE
        for option, values in WRONG.items()
        if option in options_of(param.values[1])
        for value in values
    ],
)
def test_a_wrong_value_is_a_usage_error_in_one_line(
    words: tuple[str, ...],
    command: Any,
    wrong: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = needed_words(command, tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = run(*words, *needed, *wrong)
    check_usage_error(result, f"error: {wrong[0]}")
    assert result.stderr.count("\n") == 1
    assert "draft=" not in result.stderr  # the name of the parameter in Python


def test_no_command_is_a_usage_error() -> None:
    assert run().exit_code == run("evaluate").exit_code == 2
    assert run("nothing-such").exit_code == 2


def start(*words: str, code: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code, *words],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


COMPRESSING = """
import signal
import sys
from specprefill_integrations import ContextCompressor
from specprefill_integrations.cli import _compress, main
from specprefill_integrations.testing import KeywordScorer

class Slow(KeywordScorer):
    def score_spans(self, *args, **options):
        print("scoring", flush=True, file=sys.stderr)
        import time
        time.sleep({seconds})
        return super().score_spans(*args, **options)

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs of the background
_compress.build_compressor = lambda _: ContextCompressor(Slow(), on_error="raise")
main()
"""


BREAK_EVEN = "evaluate break-even --keep .2 --draft-speed 9 --target-speed 1"
COMPRESS = "compress page.txt --query Who? --keep .9 --quiet"


@pytest.mark.parametrize(
    "words",
    ["-h", "compress -h", BREAK_EVEN, f"{BREAK_EVEN} --json", COMPRESS, f"{COMPRESS} --json"],
)
def test_a_closed_pipe_is_quiet(words: str, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("Ada keeps the lighthouse. Nobody else does. " * 5000)
    reader, writer = os.pipe()
    os.close(reader)
    code = COMPRESSING.format(seconds=0)
    with start(*words.split(), code=code, stdout=writer, cwd=tmp_path) as process:
        os.close(writer)
        _, errors = process.communicate()
    assert errors.replace(b"scoring\n", b"") == b""
    assert process.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("sentences", "exit_code"), [(50, 0), (5000, 1)])
def test_a_pipe_that_closes_early_fails_unless_it_took_the_whole_result(
    unbuffered: str,
    sentences: int,
    exit_code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    (tmp_path / "page.txt").write_text("Ada keeps the lighthouse. Nobody else does. " * sentences)
    code = COMPRESSING.format(seconds=0)
    with start(*COMPRESS.split(), code=code, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert os.read(process.stdout.fileno(), 1)
        process.stdout.close()
        assert process.stderr.read() == b"scoring\n"
    assert process.returncode == exit_code


def test_an_interrupt_ends_at_once_without_a_traceback(tmp_path: Path) -> None:
    text = tmp_path / "page.txt"
    text.write_text("Ada keeps the lighthouse. Nobody else does. " * 50)
    words = ["compress", str(text), "--query", "Who?", "--keep", ".5", "--quiet"]
    with start(*words, code=COMPRESSING.format(seconds=600), stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"scoring\n"
        process.send_signal(signal.SIGINT)
        try:
            written, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, written, errors) == (130, b"", b"")
