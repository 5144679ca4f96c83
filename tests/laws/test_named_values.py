"""Law of files: where a value is kept, what names it is kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.testing import KeywordScorer

COMPRESSOR = ContextCompressor(KeywordScorer(), on_error="raise", leave_whole=None)
RECORDS = 24
FILLER = ("the harbor is calm", "nobody came by noon", "all lights were out", "rope and tide")


class File(NamedTuple):
    """A file of records."""

    name: str | None
    kind: str
    text: str


def filler(rng: random.Random) -> str:
    return rng.choice(FILLER)


def records(make: Callable[[int, random.Random], str], between: str = "\n") -> str:
    rng = random.Random(7)  # noqa: S311
    return between.join(make(n, rng) for n in range(RECORDS))


def pom() -> File:
    deps = records(
        lambda n, _: (
            f"    <dependency>\n      <groupId>org.g</groupId>\n      <artifactId>name{n}x"
            f"</artifactId>\n      <version>value{n}x</version>\n      <scope>test</scope>\n"
            f"    </dependency>"
        )
    )
    head = '<?xml version="1.0"?>\n<project xmlns="http://m">\n  <dependencies>\n'
    return File("pom.xml", "xml", f"{head}{deps}\n  </dependencies>\n</project>\n")


def rss() -> File:
    items = records(
        lambda n, rng: (
            f"<item><title>name{n}x</title><link>http://a</link><description>"
            f"{filler(rng)}. {filler(rng)}. Here is value{n}x. {filler(rng)}."
            f"{' More of it.' * 30}</description></item>"
        )
    )
    return File(None, "xml", f"<rss><channel><title>News</title>\n{items}\n</channel></rss>")


def junit() -> File:
    cases = records(
        lambda n, rng: (
            f'  <testcase name="name{n}x" time="0.1">\n    <failure>{filler(rng)}\n'
            f"{'      at line' * 40}\n value{n}x</failure>\n  </testcase>"
        )
    )
    return File("report.xml", "xml", f"<testsuite>\n{cases}\n</testsuite>\n")


def ini() -> File:
    text = records(
        lambda n, rng: (
            f"[name{n}x]\n; {filler(rng)}\nhost = 10.0.0.{n}\nlevel = info\nskip-x\n"
            f"path = {'/very/long' * 30}\nport: value{n}x\n"
        )
    )
    return File(None, "ini", text)


def unit_files() -> File:
    text = records(
        lambda n, rng: (
            f"[Unit name{n}x]\nDescription={filler(rng)}\nExecStart=/bin/sh \\\n"
            f"  --with {filler(rng)} \\\n  --key value{n}x\n{'#' * 10}\n" + "Wants=a.service\n" * 20
        )
    )
    return File("a.service", "ini", text)


def mailbox() -> File:
    text = records(
        lambda n, rng: (
            f"From ann@example.org Fri May  4 14:{n + 10}:44 2001\nReceived: by b.example\n"
            f"From: Ann <name{n}x@example.org>\nTo: Bob <bob@example.org>\nSubject: about {n}\n"
            f"Date: Fri, 4 May 2001 14:{n + 10}:44 -0400\n\n{filler(rng)}. "
            f"Look: value{n}x. {filler(rng)}.\n\n"
            f"On Monday, Carl wrote:\n> {filler(rng)}\n> {filler(rng)}\n"
        )
    )
    return File(None, "mail", text)


def subtitles() -> File:
    text = records(
        lambda n, rng: (
            f"{n + 1}\n00:{n + 10}:00,000 --> 00:{n + 10}:03,000\n{filler(rng)}, value{n}x\n"
        )
    )
    return File(None, "subtitles", text)


def webvtt() -> File:
    text = records(
        lambda n, rng: (
            f"00:{n + 10}:00.000 --> 00:{n + 10}:03.000 align:start\n"
            f"<v Ann>{filler(rng)}\nvalue{n}x\n"
        )
    )
    return File("a.vtt", "subtitles", f"WEBVTT\n\n{text}")


def insert() -> File:
    rows = records(lambda n, rng: f"({n},'name{n}x','{filler(rng)}','value{n}x')", ",\n")
    head = "CREATE TABLE `ship` (id int);\n\nINSERT INTO `ship` (id, who, note, code) VALUES\n"
    return File(None, "code", f"{head}{rows};\n")


def copy_rows() -> File:
    rows = records(lambda n, rng: f"{n}\tname{n}x\t{filler(rng)}\tvalue{n}x")
    head = "CREATE TABLE ship (id int);\n\nCOPY ship (id, who, note, code) FROM stdin;\n"
    return File("dump.sql", "code", f"{head}{rows}\n\\.\n")


def rst() -> File:
    text = records(
        lambda n, rng: (
            f"About name{n}x\n--------------\n\n{filler(rng)}. {filler(rng)}.\n\n"
            f".. note:: {filler(rng)}\n\n- {filler(rng)}\n- it is\n  value{n}x\n\n``x``\n"
        )
    )
    return File("a.rst", "markup", text)


def latex() -> File:
    text = records(
        lambda n, rng: (
            f"\\section{{About name{n}x}}\n{filler(rng)}. {filler(rng)}.\n"
            f"\\begin{{itemize}}\n\\item {filler(rng)}\n\\item it is value{n}x\n\\end{{itemize}}\n"
        )
    )
    return File(None, "markup", f"\\documentclass{{article}}\n\\begin{{document}}\n{text}")


def manual() -> File:
    text = records(
        lambda n, rng: (
            f".TP\n.B \\-\\-name{n}x\n{filler(rng)}.\nIt sets value{n}x.\n{filler(rng)}."
        ),
    )
    return File(None, "markup", f".TH FERRY 1\n.SH OPTIONS\n{text}\n")


def asciidoc() -> File:
    text = records(
        lambda n, rng: (
            f"== About name{n}x\n\n{filler(rng)}.\n\n[source]\n----\nx\n\nvalue{n}x\n----\n"
        )
    )
    return File(None, "markup", f"= Guide\n:toc:\n\n{text}")


def bibliography() -> File:
    text = records(
        lambda n, rng: (
            f"@book{{name{n}x,\n  author = {{{filler(rng)}}},\n  note = {{value{n}x}},\n}}\n"
        )
    )
    return File(None, "markup", text)


def play() -> File:
    text = records(
        lambda n, rng: (
            f"SCENE {n + 1}. At name{n}x.\n\nHAMLET.\n{filler(rng)}\n\nHORATIO.\n"
            f"{filler(rng)}\nvalue{n}x\n"
        )
    )
    return File(None, "chat", text)


def pair(number: int, file: File) -> tuple[str, Iterable[str]]:
    """A value of a record, and the words that name it."""
    names = {
        "subtitles": [f"00:{number + 10}:00"],
        "code": ["(id, who, note, code)", f"name{number}x"],
        "mail": [f"name{number}x@example.org", f"Subject: about {number}\n"],
    }
    return f"value{number}x", names.get(file.kind, [f"name{number}x"])


FILES = [pom, rss, junit, ini, unit_files, mailbox, subtitles, webvtt]
FILES += [insert, copy_rows, rst, latex, manual, asciidoc, bibliography, play]


@pytest.mark.parametrize("make", FILES)
@pytest.mark.parametrize("fraction", [0.15, 0.25, 0.4])
def test_where_a_value_is_kept_its_name_is(make: Callable[[], File], fraction: float) -> None:
    file = make()
    seen = 0
    for wanted in range(0, RECORDS, 5):
        result = COMPRESSOR.compress(
            file.text,
            f"value{wanted}x",
            budget=Budget(keep_fraction=fraction),
            hint=TextHint(name=file.name),
        )
        assert f"value{wanted}x" in result.text
        for number in range(RECORDS):
            value, names = pair(number, file)
            if value in result.text:
                seen += 1
                assert all(name in result.text for name in names), result.text
    assert seen >= RECORDS // 5


@pytest.mark.parametrize("make", FILES)
def test_the_kind_is_found(make: Callable[[], File]) -> None:
    file = make()
    assert SplitByKind().kind(file.text, TextHint(name=file.name)) == file.kind
    assert SplitByKind().kind(file.text) == file.kind
