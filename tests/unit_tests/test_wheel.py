"""The wheel as a user gets it: what is in it, and that each extra's part works alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "specprefill_integrations"

# Top-level packages that an extra brings, and the core does without.
BROUGHT_BY = {
    "draft": ["accelerate", "filelock", "gguf", "platformdirs", "torch", "transformers"],
    "langchain": ["langchain", "langchain_classic", "langchain_community", "langchain_core"],
    "llama-index": ["llama_index"],
    "cli": ["bm25s", "jinja2", "rich", "typer"],
    "code": ["tree_sitter", "tree_sitter_python"],
}

# What others bring too, without which an extra's own packages do not run.
SHARED = {
    "draft": {"rich", "typer", "jinja2"},
    "langchain": set[str](),
    "llama-index": {"filelock", "jinja2", "platformdirs", "rich"},
    "cli": set[str](),
    "code": set[str](),
}

WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else PathFinder.find_spec(name, path)

missing = set({missing!r})
sys.meta_path = [finder for finder in sys.meta_path if finder is not PathFinder] + [Without]

import specprefill_integrations
assert specprefill_integrations.__file__.startswith({folder!r}), specprefill_integrations.__file__
from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.testing import KeywordScorer

compressor = ContextCompressor(KeywordScorer())
budget = Budget(max_tokens=10)
text = "The dog barked. Rain fell on the hills. Nobody was there at all."
"""

USES = {
    "core": "assert 'dog' in compressor.compress(text, 'dog', budget=budget).text",
    "draft": """
from specprefill_integrations.scoring._draft_model import DraftModel
scorer = ContextCompressor.from_draft_model("nobody/nothing").scorer.scorer
assert scorer.draft.name == "nobody/nothing"
from specprefill_integrations.scoring import _profile_search as profiles
shipped = {path.stem for path in profiles._SHIPPED.glob("*.json")}
assert {"smollm2-135m", "gemma-3-270m"} < shipped, shipped
""",
    "langchain": """
from langchain_core.documents import Document
from specprefill_integrations.langchain import SpecPrefillDocumentCompressor
door = SpecPrefillDocumentCompressor(compressor=compressor, budget=budget)
[document] = door.compress_documents([Document(text)], "dog")
assert "dog" in document.page_content and "hills" not in document.page_content
""",
    "llama-index": """
from llama_index.core.schema import NodeWithScore, TextNode
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor
door = SpecPrefillNodePostprocessor(compressor=compressor, budget=budget)
[found] = door.postprocess_nodes([NodeWithScore(node=TextNode(text=text))], query_str="dog")
assert "dog" in found.text and "hills" not in found.text
""",
    "cli": """
from typer.testing import CliRunner
from specprefill_integrations import cli
from specprefill_integrations.heat_map._page import render_heat_map
from specprefill_integrations.cli import _compress

_compress.build_compressor = lambda options: compressor
command = ["compress", "-", "--query", "dog", "--max-tokens", "10", "--html", "page.html"]
done = CliRunner().invoke(cli.build_app(), command, input=text)
assert done.exit_code == 0 and "dog" in done.stdout, done
""",
    "code": """
from specprefill_integrations.splitting._code._splitting import CodeSplitter
source = "class A:\\n    def f(self):\\n        return 1\\n\\n    def g(self):\\n        pass\\n"
units = [source[a:b] for a, b in CodeSplitter(language="python")(source)]
assert any("def f" in unit and "return 1" in unit and "def g" not in unit for unit in units), units
""",
}

# What a user sees who uses a part whose extra is not there.
REFUSALS = {
    "langchain": "import specprefill_integrations.langchain",
    "llama-index": "import specprefill_integrations.llama_index",
    "cli": "from specprefill_integrations.cli import main; main()",
    "draft": "from specprefill_integrations import ContextCompressor as C; C.from_draft_model()",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), "."]
    done = subprocess.run(  # noqa: S603 - pip itself
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(installed: Path) -> Message:
    [found] = installed.glob("*.dist-info/METADATA")
    return Parser().parsestr(found.read_text("utf-8"))


class TestContents:
    def test_all_of_the_package_and_nothing_else(self, installed: Path) -> None:
        files = {
            path.relative_to(ROOT)
            for path in PACKAGE.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        found = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
        assert {path for path in found if not path.parts[0].endswith(".dist-info")} == files
        names = {path.name for path in files}
        assert {"py.typed", "heat_map.html.j2", "playground.js", "__init__.py"} <= names

    def test_metadata(self, metadata: Message, installed: Path) -> None:
        assert metadata["Name"] == "specprefill-integrations"
        assert metadata["License-Expression"] == "Apache-2.0"
        assert {
            *BROUGHT_BY,
            *(
                "agents",
                "all",
                "demo",
                "evaluate",
                "mcp",
                "otel",
                "peers",
                "ray",
                "report",
                "serve",
            ),
            "statistics",
        } == set(metadata.get_all("Provides-Extra", []))
        [entry_points] = installed.glob("*.dist-info/entry_points.txt")
        assert "specprefill = specprefill_integrations.cli:main" in entry_points.read_text("utf-8")
        assert list(installed.glob("*.dist-info/licenses/LICENSE"))

    def test_the_core_requires_little(self, metadata: Message) -> None:
        required = [
            line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line
        ]
        assert sorted(re.split("[<>=]", line)[0] for line in required) == [
            "cachetools",
            "markdown-it-py",
            "regex",
            "sentence-splitter",
        ]


def run_without(missing: list[str], use: str, installed: Path, folder: Path) -> str:
    """Run a few lines on the wheel's own files where some packages are not installed."""
    code = WITHOUT.format(missing=missing, folder=str(installed)) + use
    done = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr


def brought_by_others(extra: str) -> Iterator[str]:
    own = {*BROUGHT_BY.get(extra, []), *SHARED.get(extra, ())}
    for other, packages in BROUGHT_BY.items():
        if other != extra:
            yield from (package for package in packages if package not in own)


@pytest.mark.parametrize("extra", USES)
def test_each_extra_works_alone(extra: str, installed: Path, tmp_path: Path) -> None:
    assert run_without(list(brought_by_others(extra)), USES[extra], installed, tmp_path) == ""


@pytest.mark.parametrize("extra", REFUSALS)
def test_a_missing_extra_is_named(extra: str, installed: Path, tmp_path: Path) -> None:
    said = run_without(BROUGHT_BY[extra], REFUSALS[extra], installed, tmp_path)
    assert f"pip install 'specprefill-integrations[{extra}]'" in said
