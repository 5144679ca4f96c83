"""Texts of any length that are hard on patterns, parsers and splitters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

Shape = Callable[[int], str]
"""Writes a text of about that many characters."""


def _repeated(size: int, *, start: str, cell: str, end: str) -> str:
    return start + cell * max(1, (size - len(start) - len(end)) // len(cell)) + end


def _counted(size: int, *, start: str, cell: str, end: str) -> str:
    """Repeat a cell with the number of its place for `{i}`."""
    cells, chars = [], 0
    while chars < size:
        cells.append(cell.replace("{i}", str(len(cells))))
        chars += len(cells[-1])
    return start + "".join(cells) + end


def _nested(size: int, *, opens: str, closes: str) -> str:
    count = size // (len(opens) + len(closes))
    return opens * count + "1" + closes * count


def _stairs(size: int, *, cell: str, step: str) -> str:
    """Lines, each indented one step deeper than the one above."""
    lines, chars = [], 0
    while chars < size:
        lines.append(step * len(lines) + cell + "\n")
        chars += len(lines[-1])
    return "".join(lines)


RUNS = (
    *(
        "a",
        "A",
        "1",
        "é",
        "中",
        "。",
        "\u0301",
        "\u200d",
        "🇩",
        "\U0001f469\u200d",
        "\u0600",
        "\ud800",
    ),
    *(" ", "\t", "\n", "\r", "\r\n", "\f", "\x1c", "\x85", "\xa0", "\u2028", "\ufeff", "\x00"),
    *("|", "#", ">", "-", "*", "_", "`", "[", "(", "<", "{", "]", ")", "}", "'", '"', "\\", "="),
    *(".", ",", ":", ";", "!", "/", "@", "~", "\x1b["),
)
CELLS = (
    *(
        "a ",
        "a\n",
        "a, ",
        "a. ",
        "A. ",
        "a: ",
        ". ",
        "- ",
        "> ",
        "# ",
        "#\n",
        "# A\n\n",
        "1. ",
        "1. A\n",
    ),
    *("a  ", " \n", "\n\n", "\n#", "a\r", "a\u2028", "\x1b[1;31ma", "a\u0301", "1.", "12:00:00 "),
    *(
        '"a',
        '"a",',
        '"a ',
        "'a ",
        '\\"',
        '"key": ',
        "[{",
        "[a](",
        "[a]: b\n",
        "**a",
        "`a",
        "<a ",
        "<a b='",
    ),
    *(
        '<a b="',
        "<p>",
        "<!--",
        "<script>",
        "<table>",
        "a < b ",
        "/*",
        "//",
        "def f(",
        "a(",
        "a[",
        "a.b.",
    ),
    *(
        "if (a) {",
        "a = b; ",
        "x=>",
        "A B  ",
        "std::a ",
        "a->b(",
        "$a ",
        "a::a(a) ",
        "@@ -1 ",
        "+a\n",
    ),
    *(
        "A: a\n",
        "A #1 ",
        "[12:00 ",
        "AB    ",
        "ERROR ",
        "= passed =x ",
        "A.Error",
        "exit code ",
        "total ",
    ),
    *(
        "please add ",
        "and then\n",
        "how often ",
        "sum up the ",
        "count\n",
        "- [",
        "a: [\n",
        "a = {\n",
    ),
    *('a: "\n', "[a.", "```\n", "---\n", "...\n", "|-", "Dr. ", "HEADING ", "# Heading "),
)
PAIRS = (("[", "]"), ("{", "}"), ("(", ")"), ('{"a":', "}"), ("<div>", "</div>"), ("f(a, ", ")"))
STEPS = (
    ("a:", " "),
    ("- a", "  "),
    ("def f():", "    "),
    ("{", " "),
    ("a", ">"),
    ("<ul><li>", " "),
)
COUNTED = {
    "members": ('{"links": {', '"https://example.org/{i}": "Page {i}", ', '"z": 1}}'),
    "identified members": ("{", '"id{i}_id": {i}, ', '"z": 1}'),
    "elements": ("[", "{i}, ", "1]"),
    "records": ("[", '{"id": {i}, "text": "Words about {i}."},\n', "{}]"),
    "deep elements": ("[", "[" * 120 + "{i}" + "]" * 120 + ", ", "1]"),
    "json lines": ("", '{"id": {i}, "text": "Words about {i}."}\n', ""),
    "repr": ("Rows:\n[", "Row(id={i}, note='It''s {i}', at=<At.A: {'a': {i}}>), ", "]"),
    "json in strings": ('["', '{\\"id\\": {i}, \\"text\\": \\"Words about {i}.\\"}\\n', '"]'),
    "unclosed json": ("{", '"key{i}": {i}, ', ""),
    "rows": ("id,name\n", "{i},name {i}\n", ""),
    "one quote": ('id,name\n0,"a\n', "{i},name {i}\n", ""),
    "quotes": ("id,name\n", '{i},"name {i}\n', ""),
    "one row": ("", "{i},", ""),
    "cells": ("<table>", "<tr><td>{i}</td></tr>", "</table>"),
    "headers": ("<table>", "<tr><th>{i}</th></tr>", "</table>"),
    "tags": ("", '<div class="c{i}"><p>text {i}</p></div>', ""),
    "attributes": ("<p ", 'a{i}="b" ', ">x</p>"),
    "titles": ("", "<h1>Title {i}</h1>", ""),
    "table": ("| a | b |\n|---|---|\n", "| {i} | b |\n", ""),
    "items": ("", "- item {i} has words\n", ""),
    "definitions": ("", "[a{i}]: http://example.org/{i}\n", ""),
    "sections": ("", "## Part {i}\n\nA sentence. And more.\n\n", ""),
    "sentences": ("", "This is sentence {i}. It has words, too. ", ""),
    "elements of xml": ("<a>", "<b><id>{i}</id><c>text {i}</c></b>\n", "</a>"),
    "elements left open": ("", "<a{i}>text\n", ""),
    "long attribute": ('<a b="', "M {i} 0 ", '"/>'),
    "underlined": ("", "Title {i}\n=======\n\nSome words. And more.\n\n", ""),
    "directives": ("", ".. note:: {i}\n\n   words\n\n", ""),
    "latex": ("\\documentclass{a}\n", "\\section{S{i}}\n\\item words {i}\n", ""),
    "manual": (".TH A 1\n.SH B\n", ".TP\n.B -{i}\nSets {i}.\n", ""),
    "inserts": ("", "INSERT INTO t (a, b) VALUES ({i}, 'x{i}');\n", ""),
    "one insert": ("INSERT INTO t VALUES ", "({i},'x'),", "(0,'');"),
    "speeches": ("", "ANN.\nWords {i}.\n\n", ""),
    "messages": ("", "From: a{i}@x\nSubject: s{i}\n\nA sentence. And one.\n> quoted\n\n", ""),
    "fields": ("", "X-{i}: a\n", ""),
    "cues": ("", "{i}\n00:00:01,000 --> 00:00:02,000\nWords about {i}.\n\n", ""),
    "sections of ini": ("", "[s{i}]\nkey = value {i}\nflag\n", ""),
    "open values": ("", 'K{i}="a\n', ""),
    "log": ("", "2024-05-01 12:00:01,123 INFO app: line {i}\n", ""),
    "trace": ("2024-05-01 12:00:01 ERROR x\n" * 2, "\tat a.b(c:{i})\n", ""),
    "hunks": ("--- a\n+++ b\n", "@@ -{i} +{i} @@\n-a\n+b\n", ""),
    "file header": ("diff --git a b\n", "index {i}..{i}\n", ""),
    "chat": ("", "Anna: text {i}\nBen: more\n", ""),
    "keys": ("", "key{i}: value {i}\n", ""),
    "open lists": ("", "k{i}: [a, b\n", ""),
    "open strings": ("", 'k{i} = """a\n', ""),
    "tables": ("", "[a.b{i}]\nx = 1\n", ""),
    "functions": ("", "def f{i}(a):\n    return a + {i}\n\n\n", ""),
    "statements": ("", "a{i} = {i}\n", ""),
    "class": ("class A:\n", "    def f{i}(self):\n        return {i}\n\n", ""),
    "long list": ("x = [", "{i}, ", "]\n"),
    "minified functions": ("", "function f{i}(a,b){return a+b*{i}};", ""),
    "minified chain": ("p", ".then(a=>a+{i})", "\n.c()"),
    "chain": ("p", "\n  .then(a => a + {i})", ";"),
    "sum": ("x=", '"a{i}"+', "1;"),
    "sum of lines": ("x =", ' "a{i}" +\n', "1;"),
    "minified style": ("", ".c{i}{color:red;margin:{i}px}", ""),
    "macros": ("", "#ifdef A{i}\n", ""),
}

SHAPES: dict[str, Shape] = {
    **{f"run of {run!r}": partial(_repeated, start="", cell=run, end="") for run in RUNS},
    **{f"{cell!r} repeated": partial(_repeated, start="", cell=cell, end="") for cell in CELLS},
    **{
        f"{run!r} between letters": partial(_repeated, start="a\n", cell=run, end="a")
        for run in (" ", "\t", "\n", "\r", "\u2028")
    },
    **{f"nested {a!r}": partial(_nested, opens=a, closes=b) for a, b in PAIRS},
    **{f"stairs of {a!r}": partial(_stairs, cell=a, step=b) for a, b in STEPS},
    **{name: partial(_counted, start=a, cell=b, end=c) for name, (a, b, c) in COUNTED.items()},
}
"""All shapes by name."""
