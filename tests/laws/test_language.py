"""Laws of language: retired words stay out of product text, docstrings name their subject."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import specprefill_integrations

PACKAGE = Path(specprefill_integrations.__file__).parent
ROOT = Path(__file__).parents[2]

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = [*sorted(PACKAGE.rglob("*.py")), *sorted((ROOT / "examples").glob("*.py"))]
TEMPLATES = [*sorted(PACKAGE.rglob("*.j2")), *sorted(PACKAGE.rglob("*.js"))]
OTHER = [*TEMPLATES, ROOT / "Makefile", ROOT / "pyproject.toml"]

# Words of private metaphors and phrases that no engineer would write.
RETIRED = (
    r"doors?",
    r"ledgers?",
    r"stamp(?:s|ed|ing)?",
    r"arms?",
    r"dear(?:er|est)?",
    r"heard",
    r"whoever",
    r"it is told",
    r"at sight",
    r"says how much",
    r"goes on its way",
    r"would be no shorter",
    r"is one who",
    r"none that is",
    r"the likes of",
    r"by how much worse",
    r"how much worse is not worse",
    r"whether they are right",
    r"is heard by itself",
    r"now much,? now nothing",
    r"would show it or its contrary",
    r"their tokens before",
)
RETIRED_PATTERN = re.compile(
    rf"(?<![a-z])(?:{'|'.join(RETIRED)})(?![a-z])".replace(" ", r"\s+"), re.IGNORECASE
)

QUESTION_WORDS = ("How ", "What ", "Whether ", "Says ", "Where ", "Who ")


def relative(file: Path) -> str:
    base = PACKAGE if file.is_relative_to(PACKAGE) else ROOT
    return file.relative_to(base).as_posix()


def spaced(text: str) -> str:
    """`FooBar` as `Foo Bar`, so that words in names are found."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)


def retired_in(text: str) -> Iterator[str]:
    return (found[0] for found in RETIRED_PATTERN.finditer(spaced(text)))


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    """The strings, comments and identifiers of a module, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in {tokenize.COMMENT, tokenize.NAME}:
            yield token.start[0], token.string


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Docstrings of modules, classes, functions and attributes, with their lines."""
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.lineno, value.value


@pytest.mark.parametrize("file", [*PAGES, *OTHER], ids=relative)
def test_a_page_uses_no_retired_word(file: Path) -> None:
    lines = enumerate(file.read_text("utf-8").splitlines(), start=1)
    found = [f"{number}: {word}" for number, line in lines for word in retired_in(line)]
    assert found == []


@pytest.mark.parametrize("file", CODE, ids=relative)
def test_a_module_uses_no_retired_word(file: Path) -> None:
    assert list(retired_in(file.stem)) == []
    texts = texts_of(file.read_text("utf-8"))
    found = {f"{line}: {word}" for line, text in texts for word in retired_in(text)}
    assert sorted(found) == []


@pytest.mark.parametrize("file", CODE, ids=relative)
def test_a_docstring_names_its_subject(file: Path) -> None:
    found = [
        f"{line}: {text.strip().splitlines()[0]}"
        for line, text in docstrings(ast.parse(file.read_text("utf-8")))
        if text.strip().startswith(QUESTION_WORDS)
    ]
    assert found == []


def test_the_test_sees_what_it_should() -> None:
    source = 'class DoorStyle:\n    """What opens."""\n    arms = f"{1} dear"  # a stamp\n'
    words = sorted(word for _, text in texts_of(source) for word in retired_in(text))
    assert words == ["Door", "arms", "dear", "stamp"]
    assert [line for line, _ in docstrings(ast.parse(source))] == [2]
    assert list(retired_in("timestamp, armed, endear, indoors")) == []
    assert list(retired_in("now much, now nothing")) == ["now much, now nothing"]
