"""What is a unit of code, and what it needs."""

from __future__ import annotations

import builtins
import logging

import pytest

from specprefill_integrations.splitting._code import _tree as code_tree
from specprefill_integrations.splitting._code._guess_language import guess_language
from specprefill_integrations.splitting._code._languages import EVIDENCE, EXTENSIONS, GRAMMARS
from specprefill_integrations.splitting._code._splitting import CodeSplitter
from tests.unit_tests.snippets import SNIPPETS


def cut(text: str, language: str | None = None, most: int = 1_200) -> list[tuple[str, list[str]]]:
    """Each unit, and the first lines of what it needs that begin with a word."""
    splitter = CodeSplitter(language=language, max_unit_chars=most)
    units = splitter(text)
    words = [text[a:b] for a, b in units]
    links = splitter.links(text, units)
    return [(word, [words[i] for i in needed]) for word, needed in zip(words, links, strict=True)]


def unit_with(part: str, found: list[tuple[str, list[str]]]) -> tuple[str, list[str]]:
    [unit] = [(word, needed) for word, needed in found if part in word]
    return unit


# A part of a member, its first and last line, and parts of the headers that it needs.
MEMBERS = {
    "bash": ("local name", "# Says hello.", "}", []),
    "c": ("int i = 0", "static int", "}", []),
    "c#": ("CountAsync", "    [Obsolete]", "}", ["public class Shop : Base\n{"]),
    "c++": ("int count()", "  // Counts.", "  }", ["namespace acme {", "class Shop"]),
    "go": ("s == nil", "// Left says how many are left.", "}", []),
    "java": ("void run()", "        void run() {", "}", ["class Shop", "static class Inner"]),
    "javascript": ("return a + b", "/** Adds. */", "}", []),
    "php": ("string $name", "    /** How many. */", "}", ["final class Shop"]),
    "python": ("def left", "    # How many are left.", ".values())", ["class Shop(Base):"]),
    "ruby": ("def left", "    # How many.", "    end", ["module Acme", "class Shop < Base"]),
    "rust": ("fn left", "    /// How many.", "    }", ["impl<T> Shop<T>"]),
    "tsx": ("render()", "  render() {", "}", ["class Page"]),
    "typescript": ("handle =", "  handle = async () => {", "  };", ["class App<T>"]),
}


@pytest.mark.parametrize("language", GRAMMARS)
def test_a_small_function_is_one_unit_and_needs_the_lines_it_stands_in(language):
    part, first, last, headers = MEMBERS[language]
    word, needed = unit_with(part, cut(SNIPPETS[language], language))
    assert word.startswith(first)
    assert word.endswith(last)
    assert len(needed) == len(headers)
    assert all(header in line for header, line in zip(headers, needed, strict=True))


IMPORTS = {
    "c": "#include <stdio.h>\n#include",
    "c#": "using System;\nusing System.Linq;",
    "go": 'import (\n\t"fmt"',
    "java": "import java.util.List;\nimport",
    "php": "use Acme\\Base;\nuse",
    "python": "from __future__ import annotations\n\nimport os\nimport sys",
    "rust": "use std::collections::HashMap;\nuse crate",
    "typescript": 'import { a } from "./a";\nimport type',
}


@pytest.mark.parametrize("language", IMPORTS)
def test_imports_are_one_unit_that_nothing_needs(language):
    found = cut(SNIPPETS[language], language)
    word, _ = unit_with(IMPORTS[language], found)
    assert all(word not in needed for _, needed in found)


def test_decorators_and_comments_belong_to_the_class_line():
    found = cut(SNIPPETS["python"], "python")
    _, [header] = unit_with("name: str", found)
    assert header == '@dataclass(frozen=True)\nclass Shop(Base):\n    """A shop."""'
    assert unit_with("It is closed", found)[0].startswith("# How a shop fails.\nclass ShopError")


def test_what_closes_a_class_is_no_unit_of_its_own():
    for language in ("c++", "java", "php", "rust", "typescript", "ruby"):
        for word, _ in cut(SNIPPETS[language], language):
            assert any(character.isalnum() for character in word.removesuffix("end"))


def test_a_guard_against_including_twice_is_needed_by_nothing():
    assert not any(needed for _, needed in cut(SNIPPETS["c"], "c"))


LARGE = '''\
class Shop:
    @traced
    def restock(
        self,
        orders,
    ):
        """Fill the shelves.

        Long words follow. They go on and on, and say what nobody reads; they would cost much in
        every answer that quotes a single line of the function, and so they stand alone. To be long
        enough, they need to be repeated. They go on and on, and say what nobody reads here.
        """
        for order in orders:
            if order.late:
                self.complain(order)
                self.wait(order)
            self.accept(order)

        text = """
        never
        cut
        """
        self.close(text)
'''


def test_a_large_function_is_its_signature_and_pieces_that_need_it():
    found = cut(LARGE, "python", most=360)
    signature, needed = unit_with("def restock", found)
    assert signature.startswith("    @traced\n    def restock(\n")
    assert signature.endswith('    ):\n        """Fill the shelves.')
    assert needed == ["class Shop:"]
    for part in ("for order in", "self.close(text)", "Long words follow"):
        assert unit_with(part, found)[1] == ["class Shop:", signature]
    assert "never\n        cut\n" in unit_with("never", found)[0]


def test_a_large_statement_in_a_function_is_opened_too():
    found = cut(LARGE, "python", most=150)
    assert unit_with("self.complain", found)[1][2] == "        for order in orders:"


def test_members_of_a_large_object_need_its_first_line():
    text = "const routes = {\n" + "".join(f"  page{i}: '/a/{i}',\n" for i in range(90)) + "};\n"
    found = cut(text, "javascript")
    assert unit_with("page77:", found)[1] == ["const routes = {"]
    assert found[-1][0].endswith("\n};")


def test_callbacks_of_a_test_file_are_units():
    cases = "".join(f"  it('does {i}', () => {{\n    run({i});\n  }});\n\n" for i in range(60))
    found = cut(f"describe('all', () => {{\n{cases}}});\n", "javascript")
    word, needed = unit_with("run(7);", found)
    assert word.startswith("  it(")
    assert needed == ["describe('all', () => {"]


def test_one_long_line_is_cut_at_its_statements():
    text = "".join(f"function f{i}(a,b){{return a*{i}+b}}" for i in range(100))
    words = [word for word, _ in cut(text, "javascript")]
    assert len(words) > 5
    assert all(word.startswith("function f") and word.endswith("}") for word in words)


@pytest.mark.parametrize("prefix", ["", "\ufeff", "# 变量 🦊\n", "\f", "\r\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_other_encodings_of_the_same_code_are_cut_alike(prefix, line_end):
    text = (prefix + SNIPPETS["python"].replace("counts", "🦊é变")).replace("\n", line_end)
    plain = [(w.split(), len(n)) for w, n in cut(SNIPPETS["python"], "python")]
    found = [(w.split(), len(n)) for w, n in cut(text, "python")]
    assert found[-6:] == plain[-6:]


def test_broken_code_keeps_what_is_whole():
    text = SNIPPETS["java"].replace("return stock.getOrDefault(name, 0);", "return stock.(((;")
    assert unit_with("void run()", cut(text, "java"))[0].count("void") == 1
    text = SNIPPETS["python"] + "\n\ndef broken(:\n    x = (\n"
    assert unit_with("async def open", cut(text, "python"))[0].endswith("open(at)")


def test_nothing_is_nothing():
    assert cut("") == cut(" \n\t\r\n", "python") == []


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1; got 0"):
        CodeSplitter(max_unit_chars=0)


class TestWithoutTheExtra:
    @pytest.fixture(autouse=True)
    def no_tree_sitter(self, monkeypatch):
        code_tree._grammar.cache_clear()
        real = builtins.__import__

        def refuse(name, *args, **kwargs):
            if name.startswith("tree_sitter"):
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", refuse)
        yield
        code_tree._grammar.cache_clear()

    @pytest.mark.parametrize("language", ["c#", "java", "php", "python", "ruby", "rust"])
    def test_indentation_tells_most_of_it(self, language):
        part, first, last, headers = MEMBERS[language]
        word, needed = unit_with(part, cut(SNIPPETS[language], language))
        assert word.startswith(first)
        assert word.endswith(last)
        assert headers[-1].split("\n")[0] in needed[-1]

    def test_it_is_said_once(self, caplog):
        with caplog.at_level(logging.WARNING):
            cut(SNIPPETS["go"], "go")
            cut(SNIPPETS["go"], "go")
        [record] = caplog.records
        assert 'pip install "specprefill-integrations[code]"' in record.getMessage()


def test_what_is_mostly_errors_is_read_by_its_indentation():
    text = "+++ ???\n  a ))) (((\n  ]] b\n\n" * 20
    assert code_tree.parse(text, "java").type == "file"


def test_every_grammar_is_there():
    for language in GRAMMARS:
        assert code_tree.parse(SNIPPETS[language], language).type != "file"
    assert set(EXTENSIONS) == set(GRAMMARS)
    assert set(EVIDENCE) == set(GRAMMARS) - {"tsx"}


class TestGuess:
    @pytest.mark.parametrize("language", sorted(set(GRAMMARS) - {"tsx"}))
    def test_by_what_is_in_it(self, language):
        assert guess_language(SNIPPETS[language]) == language

    @pytest.mark.parametrize(
        ("name", "language"),
        [
            *(("a.py", "python"), ("src/A.TSX", "tsx"), ("C:\\x\\y.h", "c"), ("lib.rs", "rust")),
            *(("Rakefile", "ruby"), ("https://a.b/c.go?raw=1#L3", "go"), (".bashrc", "bash")),
            *(("README.md", None), ("py", None), ("", None), ("data.json", None)),
        ],
    )
    def test_by_name(self, name, language):
        assert guess_language("", name) == language

    @pytest.mark.parametrize(
        ("line", "language"),
        [
            *(("#!/usr/bin/env python3", "python"), ("#!/bin/sh", "bash")),
            *(("#!/usr/bin/env -S node --x", "javascript"), ("#!/usr/bin/python2.7 -u", "python")),
            ("#!/usr/bin/env nothing-known", None),
        ],
    )
    def test_by_first_line(self, line, language):
        assert guess_language(f"{line}\nx\n") == language

    @pytest.mark.parametrize(
        "name",
        [
            "prose",
            "markdown",
            "log",
            "traceback",
            "csv",
            "json",
            "diff",
            "yaml",
            "ini",
            "html",
            "sql",
            "makefile",
            "list",
            "mail",
        ],
    )
    def test_what_is_no_code(self, name):
        assert guess_language(NO_CODE[name]) is None
        assert guess_language(NO_CODE[name] * 40) is None


NO_CODE = {
    "prose": "The class was over, and for a while nobody said anything;\nthen they went to import "
    "cheese from France.\nIf they had a choice, while it lasted:\n  let us say that it did.\n",
    "markdown": "# Title\n\nSome text.\n\n```python\nimport os\n\ndef f(x):\n    return x\n```\n",
    "log": "2026-01-02 03:04:05,678 INFO [main] com.acme.Shop: opened (3 items);\n"
    "2026-01-02 03:04:06,001 ERROR [main] com.acme.Shop: class Door not found {id=3}\n",
    "traceback": 'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n'
    '    main()\n  File "b.py", line 9, in main\n    raise ValueError(x)\nValueError: 3\n',
    "csv": "name,class,import\nShop,3,yes\nDoor,4,no\n",
    "json": '{\n  "class": "public",\n  "import": ["a", "b"],\n  "function": {"if": true}\n}\n',
    "diff": "diff --git a/a.py b/a.py\n@@ -1,3 +1,3 @@\n import os\n def f(x):\n-    a\n+    b\n",
    "yaml": "on: push\njobs:\n  test:\n    steps:\n      - run: make\n        if: always()\n"
    "    types:\n      name: string\n      else:\n",
    "ini": "[Unit]\nDescription=Shop\n\n[Service]\nExecStart=/bin/shop\nRestart=always\n",
    "html": "<!DOCTYPE html>\n<html><script>\nconst a = 1;\nfunction f() {\n}\n</script></html>\n",
    "sql": "CREATE TABLE shop (\n  id INT PRIMARY KEY,\n  name TEXT\n);\nSELECT * FROM shop;\n",
    "makefile": "CC := gcc\nOBJ := a.o b.o\n\nall: $(OBJ)\n\t$(CC) -o a $^\n\nclean:\n\trm -f a\n",
    "list": "- if it rains: stay\n- for a day, go\n  - import duties;\n  - class of 1998:\n",
    "mail": "From: a@b.c\nTo: d@e.f\nSubject: class\n\nDear all,\n\nfrom now on, raise hands:\n"
    "  with kind regards as ever,\n",
}
