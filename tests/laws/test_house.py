"""Laws of the code base: who may import whom, what an import costs, what is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import specprefill_integrations

PACKAGE = "specprefill_integrations"
ROOT = Path(specprefill_integrations.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

VALUES = {"types", "errors", "_arguments", "_metadata"}
LAZY = "_lazy_names"

# What the pipeline may know of scoring.
SEAM = {"scoring._span_scorer", "scoring._score_calibration"}

# What the pipeline is made of; all pure.
STEPS = {
    *VALUES,
    LAZY,
    "_concurrency",
    "_deadline",
    "_progress_line",
    "_telemetry",
    "_visible",
    *SEAM,
    "splitting",
    "pipeline",
}

# What integrations are made of.
BELOW_INTEGRATIONS = {*STEPS, "compressor", "observability", "originals", "tool_results"}

# A file or folder -> what else of ours it may import, anywhere in it.
MAY_IMPORT = {
    "__init__": {*VALUES, LAZY, "splitting", "compressor"},
    "errors": set[str](),
    "_arguments": set[str](),
    "_metadata": set[str](),
    "_concurrency": set[str](),
    "_deadline": {"errors"},
    "_progress_line": {"_concurrency"},
    "_telemetry": set[str](),
    "_visible": set[str](),
    LAZY: set[str](),
    "types": {"errors", "_arguments", "_metadata"},
    "splitting": {*VALUES, LAZY, "_concurrency", "_visible"},
    "scoring._score_calibration": VALUES,
    "scoring._span_scorer": {*VALUES, "_concurrency", "scoring._score_calibration"},
    "pipeline": STEPS - {"pipeline"},
    "compressor": {*STEPS, "observability"},
    "scoring": STEPS - {"pipeline"},
    "testing": {*VALUES, *SEAM},
    "observability": {*VALUES, "_concurrency", "_telemetry", "_visible"},
    "originals": STEPS,
    "tool_results": BELOW_INTEGRATIONS - {"tool_results"},
    "langchain": BELOW_INTEGRATIONS,
    "llama_index": BELOW_INTEGRATIONS,
    "serving": {*BELOW_INTEGRATIONS, "__init__", "heat_map", "scoring"},
    "heat_map": STEPS,
    "calibration": {*STEPS, "compressor", "scoring"},
    "bench": {*STEPS, "compressor", "observability", "scoring"},
    "evaluation": {
        *STEPS,
        "__init__",
        "compressor",
        "heat_map",
        "observability",
        "scoring",
        "testing",
    },
    "cli": {
        *BELOW_INTEGRATIONS,
        "__init__",
        "bench",
        "calibration",
        "evaluation",
        "heat_map",
        "scoring",
        "serving",
    },
}

# What the compressor's lazy factories may reach, inside a function or for a type checker.
LAZY_FACTORY = {"compressor": {"scoring", "serving"}}

# A foreign package -> the folders that may import it.
HOMES = {
    "accelerate": {"scoring"},
    "bm25s": {"evaluation"},
    "deepagents": {"langchain"},
    "fastapi": {"serving"},
    "genai_prices": {"observability"},
    "gguf": {"scoring"},
    "h11": {"serving"},
    "huggingface_hub": {"scoring"},
    "langchain": {"langchain"},
    "langgraph": {"langchain"},
    "litellm": {"serving"},
    "llama_index": {"llama_index"},
    "matplotlib": {"evaluation"},
    "mcp": {"cli", "serving"},
    "opentelemetry": {"_telemetry"},
    "prometheus_client": {"serving"},
    "ray": {"serving"},
    "safetensors": {"scoring"},
    "starlette": {"serving"},
    "tokenizers": {"scoring"},
    "torch": {"scoring", "calibration", "bench", "evaluation"},
    "transformers": {"scoring", "calibration", "bench", "evaluation"},
    "tree_sitter": {"splitting"},
    "typer": {"cli"},
    "uvicorn": {"cli", "serving"},
}

# Who else may ask for a home's packages, inside a function or for a type checker.
LAZY_GUESTS = {"langchain": {"evaluation"}, "llama_index": {"evaluation"}}

# The pure core needs these and nothing else but the standard library.
CORE = {
    *STEPS,
    "__init__",
    "compressor",
    "originals",
    "observability",
    "testing",
    "tool_results",
}
CORE_NEEDS = {
    "_telemetry": {"opentelemetry"},
    "compressor": {"typing_extensions"},  # for type checkers
    "pipeline": {"regex"},
    "splitting": {"cachetools", "markdown_it", "regex", "sentence_splitter", "tree_sitter"},
    "observability": {"cachetools", "genai_prices", "numpy", "scipy"},
    "originals": {"cachetools"},
}


def part_of(module: str) -> str:
    """The key of `MAY_IMPORT` for one of our modules."""
    inner = module.removeprefix(PACKAGE).removeprefix(".")
    return inner if inner in SEAM else inner.split(".")[0] or "__init__"


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(node: ast.AST, *, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Every module imported under `node`, and whether not at the import of the file."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            names = [f"{child.module}.{alias.name}" for alias in child.names]
            own_submodule = child.module in {PACKAGE, f"{PACKAGE}.scoring"}
            yield from ((name if own_submodule else str(child.module), lazy) for name in names)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module"):
            yield from ((a.value, True) for a in child.args if isinstance(a, ast.Constant))
        inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        )
        yield from imports(child, lazy=lazy or inner)


FILE_OF = {module_of(file): file for file in FILES}


def imports_of(file: Path) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(file.read_text("utf-8"))))


def imports_at_run_time(node: ast.AST, *, package: bool) -> Iterator[str]:
    """Every module of ours imported under `node`, lazily or not.

    The imports for type checkers count, except those by which a package names its lazy exports.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            if package:
                continue
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            names = (f"{child.module}.{alias.name}" for alias in child.names)
            yield from (name if name in FILE_OF else str(child.module) for name in names)
        yield from imports_at_run_time(child, package=package)


def file_graph() -> dict[str, set[str]]:
    """Each module of ours, and those of ours that it imports."""
    graph = {}
    for module, file in FILE_OF.items():
        source = ast.parse(file.read_text("utf-8"))
        names = imports_at_run_time(source, package=file.name == "__init__.py")
        graph[module] = {name for name in names if name in FILE_OF} - {module}
    return graph


def folded(module: str) -> str:
    """The folder of a module that lies in a folder of a folder; else the module itself."""
    folder = FILE_OF[module].parent.relative_to(ROOT).parts
    return ".".join((PACKAGE, *folder[:2])) if len(folder) > 1 else module


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def is_submodule(name: str) -> bool:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").exists()


class TestArrows:
    @pytest.mark.parametrize("file", FILES, ids=module_of)
    def test_a_file_imports_only_what_lies_below_it(self, file: Path) -> None:
        part = part_of(module_of(file))
        assert part in MAY_IMPORT, f"say in MAY_IMPORT where {part!r} belongs"
        for name, lazy in imports_of(file):
            if name.split(".")[0] == PACKAGE:
                target = part_of(name if is_submodule(name) else name.rpartition(".")[0])
                allowed = MAY_IMPORT[part] | (LAZY_FACTORY.get(part, set()) if lazy else set())
                assert target in {part, *allowed}, f"{part} may not import {name}"

    @pytest.mark.parametrize("file", FILES, ids=module_of)
    def test_a_foreign_package_has_its_home(self, file: Path) -> None:
        part = part_of(module_of(file))
        for name, lazy in imports_of(file):
            top = name.split(".")[0]
            prefix = top.split("_")[0]
            homes = HOMES.get(top) or HOMES.get(prefix)
            guests = LAZY_GUESTS.get(top, LAZY_GUESTS.get(prefix, set())) if lazy else set()
            assert homes is None or part in homes | guests, f"{name} belongs under {homes}"

    @pytest.mark.parametrize("file", FILES, ids=module_of)
    def test_the_core_needs_the_standard_library(self, file: Path) -> None:
        part = part_of(module_of(file))
        if part in CORE:
            tops = {name.split(".")[0] for name, _ in imports_of(file)}
            own = {PACKAGE, *CORE_NEEDS.get(part, set())}
            assert tops - own <= sys.stdlib_module_names

    def test_the_test_sees_what_it_should(self) -> None:
        source = (
            "import torch.nn\nfrom specprefill_integrations import errors\n"
            "def f():\n    from a.b import c\n    import_module('d')\n"
        )
        found = list(imports(ast.parse(source)))
        assert found == [
            ("torch.nn", False),
            ("specprefill_integrations.errors", False),
            ("a.b", True),
            ("d", True),
        ]


class TestCircles:
    def test_no_file_imports_itself_through_others(self) -> None:
        assert circle_in(file_graph()) == []

    def test_no_inner_folder_does(self) -> None:
        graph: dict[str, set[str]] = {}
        for module, targets in file_graph().items():
            one = folded(module)
            graph.setdefault(one, set()).update({folded(name) for name in targets} - {one})
        assert circle_in(graph) == []

    def test_the_test_sees_what_it_should(self) -> None:
        source = (
            f"import {PACKAGE}.types\nif TYPE_CHECKING:\n    from {PACKAGE} import errors\n"
            f"def f():\n    from {PACKAGE} import Budget\n"
        )
        lazy_exports = list(imports_at_run_time(ast.parse(source), package=True))
        assert lazy_exports == [f"{PACKAGE}.types", PACKAGE]
        found = list(imports_at_run_time(ast.parse(source), package=False))
        assert found == [f"{PACKAGE}.types", f"{PACKAGE}.errors", PACKAGE]
        assert len(circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()})) == 4
        assert folded(f"{PACKAGE}.scoring.readouts._linear") == f"{PACKAGE}.scoring.readouts"
        assert folded(f"{PACKAGE}.scoring._engine") == f"{PACKAGE}.scoring._engine"


MODULES = list(FILE_OF)
TORCH = ("torch", "transformers", "tokenizers")
LANGCHAIN = ("langchain", "langchain_core", "langgraph")
LLAMA_INDEX = ("llama_index",)
TREE_SITTER = ("tree_sitter", "tree_sitter_python")


@pytest.mark.parametrize(
    ("parts", "forbidden"),
    [
        ({*CORE, "heat_map", "cli"}, (*TORCH, *LANGCHAIN, *LLAMA_INDEX, *TREE_SITTER)),
        ({"langchain"}, (*TORCH, *LLAMA_INDEX)),
        ({"llama_index"}, (*TORCH, *LANGCHAIN)),
    ],
    ids=["core", "langchain", "llama_index"],
)
def test_an_import_leaves_out_what_it_does_not_need(
    parts: set[str], forbidden: tuple[str, ...]
) -> None:
    modules = [module for module in MODULES if part_of(module) in parts]
    script = f"import sys, {', '.join(modules)}; print(*(set({forbidden}) & set(sys.modules)))"
    found = subprocess.run(  # noqa: S603 - Python itself
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ""


class TestPublicNames:
    def test_they_are_these(self) -> None:
        names = [
            "Budget",
            "Compression",
            "ContextCompressor",
            "GapStyle",
            "Span",
            "SpecPrefillError",
            "TextHint",
            "__version__",
        ]
        assert specprefill_integrations.__all__ == names == sorted(names)
        assert dir(specprefill_integrations) == names

    @pytest.mark.parametrize("name", specprefill_integrations.__all__)
    def test_each_resolves_to_itself(self, name: str) -> None:
        found = getattr(specprefill_integrations, name)
        assert getattr(found, "__name__", "__version__") == name

    def test_no_other_name_does(self) -> None:
        with pytest.raises(AttributeError, match="'Compressor'"):
            _ = specprefill_integrations.Compressor


FOREIGN_TO_A_PACKAGE = re.compile(
    r"/home/|/root/|/Users/|/work/|[A-Z]:\\+Users|trust_remote_code\s*[=:]\s*True"
)


@pytest.mark.parametrize("file", [f for f in sorted(ROOT.rglob("*")) if f.is_file()], ids=str)
def test_no_file_knows_a_machine_or_trusts_remote_code(file: Path) -> None:
    if file.suffix in {".py", ".js", ".json", ".j2", ".md", ".txt", ".toml"}:
        assert not FOREIGN_TO_A_PACKAGE.search(file.read_text("utf-8"))


def test_no_test_hides_in_a_function() -> None:
    tests = Path(__file__).parents[1]
    hidden = [
        f"{file.relative_to(tests)}:{inner.lineno}"
        for file in sorted(tests.rglob("test_*.py"))
        for outer in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
        if inner is not outer
        and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
        and inner.name.startswith("test_")
    ]
    assert hidden == []
