"""Laws of the public surface: modules are private by default, and the docs import public names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import specprefill_integrations

PACKAGE = "specprefill_integrations"
SOURCES = Path(specprefill_integrations.__file__).parent
ROOT = Path(__file__).parents[2]

# The modules that users may import by name; the rest of the public surface is packages.
PUBLIC_MODULES = {"compressor.py", "errors.py", "testing.py", "types.py"}
PUBLIC = [
    PACKAGE,
    *(f"{PACKAGE}.{name.removesuffix('.py')}" for name in sorted(PUBLIC_MODULES)),
    *sorted(f"{PACKAGE}.{file.parent.name}" for file in SOURCES.glob("*/__init__.py")),
]
# Folders of folders that are public all the same: the extension points that the docs describe.
PUBLIC_INNER_FOLDERS = {"scoring/readouts"}
MUST_HAVE_ALL = {PACKAGE, *(f"{PACKAGE}.{name.removesuffix('.py')}" for name in PUBLIC_MODULES)}

SHOWN = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def code_of(file: Path) -> str:
    """A module, or all Python blocks of a page."""
    text = file.read_text("utf-8")
    return text if file.suffix == ".py" else "\n".join(FENCE.findall(text))


def own_imports(source: str) -> Iterator[tuple[str, str]]:
    """Every module of ours that some code imports from, and each name that it takes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == PACKAGE:
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.name, ""


def test_a_module_is_private_by_default() -> None:
    public = [
        path.relative_to(SOURCES).as_posix()
        for path in sorted(SOURCES.rglob("*.py"))
        if not path.name.startswith("_")
    ]
    assert public == sorted(PUBLIC_MODULES)


def test_a_folder_of_a_folder_is_private_by_default() -> None:
    public = {
        file.parent.relative_to(SOURCES).as_posix()
        for file in SOURCES.glob("*/**/__init__.py")
        if file.parent.parent != SOURCES and not file.parent.name.startswith("_")
    }
    assert public == PUBLIC_INNER_FOLDERS


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist(name: str) -> None:
    module = import_module(name)
    names = getattr(module, "__all__", None)
    assert names is not None or name not in MUST_HAVE_ALL
    assert len(names or []) == len(set(names or []))
    assert [one for one in names or [] if one.startswith("_") and one != "__version__"] == []
    assert [one for one in names or [] if not hasattr(module, one)] == []


@pytest.mark.parametrize("file", [*SHOWN, *EXAMPLES], ids=name_of)
def test_shown_code_imports_public_names(file: Path) -> None:
    wrong = [
        f"{module}: {name}"
        for module, name in own_imports(code_of(file))
        if module not in PUBLIC
        or (name and name not in getattr(import_module(module), "__all__", ()))
    ]
    assert wrong == []


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_a_page_names_no_private_module(page: Path) -> None:
    named = re.findall(rf"{PACKAGE}(?:\.\w+)+", page.read_text("utf-8"))
    assert sorted({name for name in named if "._" in name}) == []


def test_the_test_sees_what_it_should() -> None:
    source = f"import {PACKAGE}.cli\nfrom {PACKAGE}.a._b import c, d\nfrom os import path\n"
    assert list(own_imports(source)) == [
        (f"{PACKAGE}.cli", ""),
        (f"{PACKAGE}.a._b", "c"),
        (f"{PACKAGE}.a._b", "d"),
    ]
