"""Laws of cutting code into units, whatever was done to the code."""

from __future__ import annotations

import ast
import io
import sysconfig
import tokenize
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.splitting._code._guess_language import guess_language
from specprefill_integrations.splitting._code._languages import GRAMMARS
from specprefill_integrations.splitting._code._splitting import CodeSplitter
from specprefill_integrations.splitting._code._tree import as_ascii
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.types import Span
from tests.laws.texts import assert_units, clusters, texts
from tests.unit_tests.snippets import SNIPPETS

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
MODULES = [
    *("abc", "argparse", "bdb", "calendar", "cmd", "configparser", "dataclasses", "difflib"),
    *("enum", "fractions", "heapq", "inspect", "mailbox", "pdb", "pickle", "platform", "queue"),
    *("shutil", "statistics", "textwrap", "turtle", "typing", "zipfile"),
]
ODD_PARTS = st.sampled_from(
    [
        *("\n", "\r", "\r\n", "\t", "\f", "\x00", "\x1c", "\ufeff", "\u2028", "\xa0", "🦊", "变量"),
        *(
            "é",
            "e\u0301",
            '"',
            "'",
            "`",
            '"""',
            "/*",
            "*/",
            "//",
            "#",
            "{",
            "}",
            "(",
            ")",
            "<<EOF\n",
        ),
        *("\\", ";", ":", "${", "<?php", "end\n", "x" * 80, " " * 40, "\ud800"),
    ]
)
languages = st.sampled_from([*GRAMMARS, None, "no such language"])
max_chars = st.one_of(st.integers(1, 60), st.just(300), st.just(1_200))


@st.composite
def sources(draw: st.DrawFn) -> str:
    """Code of some languages, with slices taken out, doubled, moved and put in."""
    text = "".join(draw(st.lists(st.sampled_from([*SNIPPETS.values()]), min_size=1, max_size=2)))
    for _ in range(draw(st.integers(0, 5))):
        a, b = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        part = draw(st.one_of(st.just(""), st.just(text[a:b] * 2), ODD_PARTS, texts))
        text = text[:a] + part + text[b:]
    line_end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", " "]))
    return text.replace("\n", line_end)


def assert_links(units: Sequence[Span], links: Sequence[tuple[int, ...]]) -> None:
    assert len(links) == len(units)
    for index, needed in enumerate(links):
        assert list(needed) == sorted(set(needed) - {index})
        assert all(0 <= i < len(units) for i in needed)
        assert all(set(links[i]) <= {index, *needed} for i in needed)


class TestCodeSplitter:
    @given(sources(), languages, max_chars)
    def test_units_are_disjoint_and_cover_all_but_white_space(
        self, text: str, language: str | None, most: int
    ) -> None:
        splitter = CodeSplitter(language=language, max_unit_chars=most)
        units = splitter(text)
        assert_units(text, units)
        assert_links(units, splitter.links(text, units))

    @given(texts, languages, max_chars)
    def test_so_are_those_of_what_is_no_code(
        self, text: str, language: str | None, most: int
    ) -> None:
        splitter = CodeSplitter(language=language, max_unit_chars=most)
        units = splitter(text)
        assert_units(text, units)
        assert_links(units, splitter.links(text, units))

    @given(sources(), languages, max_chars)
    def test_a_long_unit_is_one_cluster(self, text: str, language: str | None, most: int) -> None:
        units = CodeSplitter(language=language, max_unit_chars=most)(text)
        long = [text[a:b] for a, b in units if b - a > most]
        assert all(len(clusters(unit)) == 1 for unit in long)

    @given(sources(), languages)
    def test_units_are_whole_lines_where_no_line_is_long(
        self, text: str, language: str | None
    ) -> None:
        lines = as_ascii(text).split("\n")
        if max(map(len, lines)) > 100:
            return
        source = as_ascii(text)
        for start, end in CodeSplitter(language=language)(text):
            assert start == 0 or source[start - 1] == "\n"
            assert not text[end:].partition("\n")[0].partition("\r")[0].strip()

    @given(sources(), languages)
    def test_links_hold_for_units_of_others(self, text: str, language: str | None) -> None:
        splitter = CodeSplitter(language=language)
        units = LineSplitter(max_unit_chars=50)(text)
        assert_links(units, splitter.links(text, units))

    @given(sources(), languages)
    def test_same_text_same_units(self, text: str, language: str | None) -> None:
        splitter = CodeSplitter(language=language)
        units = splitter(text)
        assert units == splitter("".join(list(text)))
        assert splitter.links(text, units) == splitter.links(text, units)

    @given(st.one_of(sources(), texts))
    def test_a_copy_for_parsers_has_the_same_length(self, text: str) -> None:
        source = as_ascii(text)
        assert len(source) == len(text)
        assert source.isascii()
        assert [a == "\n" for a in source] == [
            a == "\n" or (a == "\r" and b != "\n") for a, b in pairwise(f"{text} ")
        ]


@pytest.mark.parametrize("name", MODULES)
class TestStandardLibrary:
    def test_laws_hold(self, name: str) -> None:
        text = (LIBRARY / f"{name}.py").read_text("utf-8")
        splitter = CodeSplitter(language="python")
        units = splitter(text)
        assert_units(text, units)
        assert_links(units, splitter.links(text, units))
        assert max(end - start for start, end in units) <= 1_200

    def test_a_small_function_is_in_one_unit_with_all_that_it_stands_in_needed(
        self, name: str
    ) -> None:
        text = (LIBRARY / f"{name}.py").read_text("utf-8")
        splitter = CodeSplitter(language="python")
        units = splitter(text)
        links = splitter.links(text, units)
        offsets = [0]
        for line in text.splitlines(keepends=True):
            offsets.append(offsets[-1] + len(line))

        def unit_of(position: int) -> int:
            return max(i for i, unit in enumerate(units) if unit.start <= position)

        for node, classes in definitions(ast.parse(text)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            start = offsets[first - 1]
            end = offsets[node.end_lineno - 1] + len(
                text.splitlines()[node.end_lineno - 1].rstrip()
            )
            if end - start <= 800:
                assert unit_of(start) == unit_of(end - 1), node.name
            above = {unit_of(offsets[c.lineno - 1]) for c in classes} - {unit_of(start)}
            assert above <= set(links[unit_of(start)]), node.name

    def test_a_string_that_fits_is_not_cut_but_a_docstring(self, name: str) -> None:
        text = (LIBRARY / f"{name}.py").read_text("utf-8")
        lines = [0]
        for line in text.splitlines(keepends=True):
            lines.append(lines[-1] + len(line))
        starts = [unit.start for unit in CodeSplitter(language="python")(text)]
        before = tokenize.NEWLINE
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            is_value = before not in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
            if token.type == tokenize.STRING and is_value and len(token.string) <= 400:
                start = lines[token.start[0] - 1] + token.start[1]
                assert not any(start < cut < start + len(token.string) for cut in starts)
            if token.type not in {tokenize.NL, tokenize.COMMENT}:
                before = token.type

    def test_it_is_known_for_what_it_is(self, name: str) -> None:
        assert guess_language((LIBRARY / f"{name}.py").read_text("utf-8")) == "python"


def definitions(tree: ast.AST, classes=()):
    """All functions but those in functions, with the classes that they stand in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, classes
        elif isinstance(node, ast.ClassDef):
            yield from definitions(node, (*classes, node))
        else:
            yield from definitions(node, classes)


# Each was quadratic once, or looks as if it could be: at forty times this size that is minutes.
GIANTS = {
    "one line": "var a=function(b,c){return b+c};" * 2_000,
    "one token": "x" * 100_000,
    "one string": 's = """' + "word \n" * 10_000 + '"""',
    "brackets": "(" * 20_000,
    "brackets on lines": "{\n" * 3_000 + "}\n" * 3_000,
    "staircase": "".join(f"{' ' * i}if a:\n" for i in range(250)),
    "a chain": "a\n" + "  .b(1)\n" * 4_000,
    "a sum": "x = 0 \\\n" + " + 1 \\\n" * 2_000,
    "a list": "x = [\n" + "  12345,\n" * 5_000 + "]\n",
    "blank lines": "\n \n" * 30_000 + "x",
    "comments": "# a\n" * 4_000,
    "quotes": "'\"`" * 7_000,
    "CJK": "变量 = 函数(参数)  # 注释\n" * 3_000,
}


@pytest.mark.parametrize("language", ["python", None])
@pytest.mark.parametrize("name", GIANTS)
def test_giant_texts_are_split_like_any_other(name: str, language: str | None) -> None:
    text = GIANTS[name]
    splitter = CodeSplitter(language=language)
    units = splitter(text)
    links = splitter.links(text, units)
    assert_units(text, units)
    assert len(links) == len(units)
