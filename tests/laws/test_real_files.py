"""Laws over files that other people's tools wrote: whatever this machine has, nothing made up."""

from __future__ import annotations

import csv
import difflib
import functools
import importlib.metadata
import io
import json
import pydoc
import random
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._code._guess_language import guess_language
from specprefill_integrations.splitting._code._splitting import CodeSplitter
from specprefill_integrations.splitting._detection import guess_kind
from specprefill_integrations.splitting._diffs import DiffSplitter
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._markdown import MarkdownSplitter
from specprefill_integrations.splitting._output._logs import LogSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._settings._splitting import SettingsSplitter
from specprefill_integrations.splitting._tables import TableSplitter
from specprefill_integrations.types import Span
from tests.laws.texts import assert_units, torn_clusters

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
PACKAGES = Path(sysconfig.get_paths()["purelib"])
ROOT = Path(__file__).parents[2]


def seeded(name: str) -> random.Random:
    """The same choices every run."""
    return random.Random(f"7 {name}")  # noqa: S311 - a sample, no secret


SPLITTERS: dict[str, Splitter] = {
    "code": CodeSplitter(),
    "csv": TableSplitter(),
    "diff": DiffSplitter(),
    "html": HtmlSplitter(),
    "lines": LineSplitter(),
    "log": LogSplitter(),
    "markdown": MarkdownSplitter(),
    "prose": ProseSplitter(),
    "toml": SettingsSplitter(),
    "yaml": SettingsSplitter(),
}

LOGGING_PROGRAM = """
import json, logging, shutil
logging.basicConfig(level="DEBUG", format=FORMAT)
log = logging.getLogger("shop.orders")
for number in range(40):
    log.info("order %d: %s", number, {"total": number * 3})
    try:
        if number % 7 == 3:
            try:
                json.loads("[1,")
            except ValueError as error:
                raise RuntimeError("no order in line %d" % number) from error
        if number % 7 == 5:
            shutil.copy("/no/such/file", "/no/such/folder")
    except Exception:
        log.exception("order %d failed", number)
"""
LOG_FORMATS = (
    "%(asctime)s %(levelname)s %(name)s: %(message)s",
    "%(levelname)s:%(name)s:%(message)s",
    "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s",
)


def output_of(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What a tool writes; none of these asks the network."""
    return subprocess.run(  # noqa: S603 - our own lines
        arguments, capture_output=True, text=True, check=False
    )


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return output_of(sys.executable, *arguments)


def modules() -> dict[str, str]:
    files = sorted(LIBRARY.glob("*.py"))
    return {file.name: file.read_text("utf-8") for file in seeded("modules").sample(files, 15)}


def unified_diffs() -> dict[str, str]:
    pairs = [("heapq", "bisect"), ("shutil", "tempfile"), ("code", "codeop"), ("csv", "cmd")]
    lines = {n: (LIBRARY / f"{n}.py").read_text("utf-8").splitlines(True) for p in pairs for n in p}
    written = [
        "".join(difflib.unified_diff(lines[a], lines[b], f"a/{a}.py", f"b/{b}.py"))
        for a, b in pairs
    ]
    files = [str(LIBRARY / f"{name}.py") for name in ("stat", "keyword")]
    git = output_of("git", "diff", "--no-index", *files).stdout
    return {"difflib": "".join(written), "git": git or written[0]}


def logs() -> dict[str, str]:
    return {
        form: python("-c", LOGGING_PROGRAM.replace("FORMAT", repr(form))).stderr
        for form in LOG_FORMATS
    }


def outputs() -> dict[str, str]:
    """What programs say while they run, of no certain kind."""
    no_package = ("no-such-package-at-all", "--no-index", "--verbose", "--isolated")
    return {
        "pip --verbose": python("-m", "pip", "download", *no_package).stdout,
        "python -v": python("-v", "-c", "import csv").stderr,
        "unittest": python("-m", "unittest", "-v", "no_such_module").stderr,
    }


def tables() -> dict[str, str]:
    records = {
        name: text
        for name in ("pytest", "hypothesis", "regex", "pip")
        if (text := importlib.metadata.distribution(name).read_text("RECORD"))
    }
    times = python("-X", "importtime", "-c", "import asyncio, email.message").stderr
    return {**records, "written by csv": "".join(map(csv_line, documented())), "times": times}


def csv_line(row: Sequence[object]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(row)
    return out.getvalue()


def documented() -> list[list[str]]:
    """Rows with commas, quotes and line breaks in them: what things of the library are for."""
    rows = [["module", "name", "documentation"]]
    for module in (csv, difflib, functools, pydoc, random, subprocess):
        for name in dir(module):
            text = getattr(getattr(module, name), "__doc__", None)
            if isinstance(text, str) and 40 < len(text) < 1_000:
                rows.append([module.__name__, name, text])
    return rows


def pages() -> dict[str, str]:
    found = (csv, difflib, functools, random)
    html = pydoc.HTMLDoc()
    return {m.__name__: html.page(m.__name__, html.docmodule(m)) for m in found}


def readmes() -> dict[str, str]:
    """Descriptions of packages; those that open with tags look like HTML to anyone."""
    found: dict[str, str] = {}
    for package in importlib.metadata.distributions():
        metadata = package.metadata
        kind = metadata.get("Description-Content-Type") or ""
        body = str(metadata.get_payload())  # type: ignore[attr-defined]
        if kind.startswith("text/markdown") and len(body) > 1_000 and body[:1] not in {"<", "U"}:
            found[metadata["Name"]] = body
    names = sorted(found)
    chosen = seeded("readmes").sample(names, min(25, len(names)))
    return {name: found[name] for name in chosen}


def prose() -> dict[str, str]:
    """The license of this package, and what modules of the library say of themselves."""
    texts = {"license": (ROOT / "LICENSE").read_text("utf-8")}
    for name, text in modules().items():
        found = re.match(r'(?:#[^\n]*\n|\s)*[rR]?"""(.*?)"""', text, re.DOTALL)
        if found and len(found[1]) > 200:
            texts[name] = found[1]
    return texts


def settings(*extensions: str) -> dict[str, str]:
    files = (f for e in extensions for f in [*ROOT.glob(f"*{e}"), *PACKAGES.glob(f"*/**/*{e}")])
    small = (file for file in files if 500 < file.stat().st_size < 200_000)
    return {f"{f.parent.name}/{f.name}": f.read_text("utf-8") for f in islice(small, 6)}


SOURCES: dict[str, Callable[[], dict[str, str]]] = {
    "code": modules,
    "csv": tables,
    "diff": unified_diffs,
    "html": pages,
    "lines": outputs,
    "log": logs,
    "markdown": readmes,
    "prose": prose,
    "toml": functools.partial(settings, ".toml"),
    "yaml": functools.partial(settings, ".yaml", ".yml"),
}


@functools.cache
def real_texts(kind: str) -> dict[str, str]:
    """Texts of a kind by their names; written once."""
    return {name: text for name, text in SOURCES[kind]().items() if text.strip()}


@functools.cache
def real_json() -> dict[str, str]:
    """What pip says of what is installed: an array in one line, and objects with indentation."""
    report = json.loads(python("-m", "pip", "inspect", "--isolated").stdout)
    report["installed"] = seeded("pip").sample(report["installed"], 20)
    rows = [package["metadata"] for package in report["installed"]]
    return {
        "pip list": python("-m", "pip", "list", "--format", "json", "--isolated").stdout,
        "pip inspect": json.dumps(report, indent=2),
        "JSON lines": "\n".join(map(json.dumps, rows)),
    }


@functools.cache
def cut_texts(kind: str) -> dict[str, tuple[str, list[Span], list[tuple[int, ...]]]]:
    """The texts of a kind with their units and what each needs."""
    found = {}
    for name, text in real_texts(kind).items():
        splitter = SPLITTERS[kind]
        units = splitter(text)
        found[name] = text, units, splitter.links(text, units)
    return found


def subsets(links: Sequence[Sequence[int]], name: str) -> list[set[int]]:
    """Some of the units with what they need: one of them, some and most."""
    draw, every = seeded(name), range(len(links))
    chosen = [draw.sample(every, max(1, len(links) * percent // 100)) for percent in (0, 20, 80)]
    return [{i for unit in units for i in (unit, *links[unit])} for units in chosen]


@pytest.mark.parametrize("kind", SOURCES)
class TestTexts:
    def test_there_are_some(self, kind: str) -> None:
        assert sum(map(len, real_texts(kind).values())) > 2_000

    def test_units_links_and_letters(self, kind: str) -> None:
        for name, (text, units, links) in cut_texts(kind).items():
            assert_units(text, units)
            assert torn_clusters(text, units) == [], name
            assert len(links) == len(units)
            for unit, needs in enumerate(links):
                assert all(set(links[i]) <= {unit, *needs} for i in needs), name

    def test_what_is_kept_and_what_is_not_are_the_text(self, kind: str) -> None:
        for name, (text, units, links) in cut_texts(kind).items():
            for kept in subsets(links, name):
                dropped = [unit for i, unit in enumerate(units) if i not in kept]
                spans = sorted([*(units[i] for i in kept), *dropped])
                written = "".join("".join(text[a:b].split()) for a, b in spans)
                assert written == "".join(text.split()), name

    def test_the_kind_is_seen_in_nearly_all(self, kind: str) -> None:
        """Short modules, and YAML that holds more prose than keys, may be taken for another."""
        if kind in {"lines", "prose"}:
            pytest.skip("these may look like anything")
        texts = real_texts(kind)
        wrong = [n for n, text in texts.items() if guess_kind(text, is_code=guess_language) != kind]
        assert len(wrong) <= len(texts) // 4, wrong

    def test_the_kind_is_known_by_the_name(self, kind: str) -> None:
        if kind not in {"code", "toml", "yaml"}:
            pytest.skip("these have no file names")
        assert {guess_kind(text, name) for name, text in real_texts(kind).items()} == {kind}


class TestJson:
    @pytest.mark.parametrize("name", ["pip list", "pip inspect", "JSON lines"])
    def test_what_is_kept_parses_with_every_value_where_it_was(self, name: str) -> None:
        text = real_json()[name]
        splitter = JsonSplitter()
        units = splitter(text)
        lines = text.splitlines() if name == "JSON lines" else [text]
        full = values([json.loads(line) for line in lines], splitter.omitted_key)
        for kept in subsets(splitter.links(text, units), name):
            written = splitter.render(text, [units[i] for i in sorted(kept)])
            rows = written.splitlines() if name == "JSON lines" else [written]
            found = values([json.loads(row) for row in rows], splitter.omitted_key)
            assert found.items() <= full.items()
            assert len(found) >= len(kept)

    @pytest.mark.parametrize("name", ["pip list", "pip inspect", "JSON lines"])
    def test_the_kind_is_seen(self, name: str) -> None:
        assert guess_kind(real_json()[name]) == ("jsonl" if name == "JSON lines" else "json")


def values(value: Any, marker: str | None, path: tuple[Any, ...] = ()) -> dict[Any, Any]:
    """All scalars and empty collections by their paths; markers count for what they stand for."""
    if isinstance(value, dict) and value:
        pairs = [(k, v) for k, v in value.items() if k != marker]
    elif isinstance(value, list) and value:
        pairs, index = [], 0
        for element in value:
            missing = element.get(marker) if isinstance(element, dict) else None
            if missing and len(element) == 1:
                index += missing
            else:
                pairs.append((index, element))
                index += 1
    else:
        return {path: json.dumps(value)}
    return {p: v for key, inner in pairs for p, v in values(inner, marker, (*path, key)).items()}


class TestWhatAReaderExpects:
    def test_a_traceback_is_in_one_unit_with_the_line_that_led_to_it(self) -> None:
        for text in real_texts("log").values():
            units = [text[a:b] for a, b in LogSplitter()(text)]
            assert len(units) == 40 + 6 + 5
            failures = [unit for unit in units if "Traceback" in unit]
            assert [re.findall(r"order (\d+) failed", unit) for unit in failures] == [
                [str(number)] for number in range(40) if number % 7 in {3, 5}
            ]
            assert all(re.search(r"Error: .*\Z", unit) for unit in failures)

    def test_a_hunk_needs_the_names_of_its_files(self) -> None:
        for text in real_texts("diff").values():
            units = DiffSplitter()(text)
            links = DiffSplitter().links(text, units)
            hunks = [i for i, (a, _) in enumerate(units) if text.startswith("@@", a)]
            assert hunks
            for index in hunks:
                above = text[: units[index].start].rpartition("\n+++ ")[2].partition("\n")[0]
                needed = "".join(text[units[i].start : units[i].end] for i in links[index])
                assert f"+++ {above}".rstrip() in needed

    def test_rows_are_those_of_the_csv_module(self) -> None:
        text = real_texts("csv")["written by csv"]
        rows = [text[a:b] for a, b in TableSplitter()(text)]
        assert [next(csv.reader(io.StringIO(row, newline=""))) for row in rows] == documented()

    def test_what_is_kept_of_toml_with_its_tables_is_toml(self) -> None:
        tomllib = pytest.importorskip("tomllib")
        for name, text in real_texts("toml").items():
            splitter = SettingsSplitter(max_unit_chars=max(400, longest_paragraph(text)))
            units = splitter(text)
            full = values(tomllib.loads(text), None)
            for kept in subsets(splitter.links(text, units), name):
                written = "\n".join(text[units[i].start : units[i].end] for i in sorted(kept))
                assert values(tomllib.loads(written), None).items() <= full.items()


def longest_paragraph(text: str) -> int:
    """No value is longer, so that none is cut."""
    return max(map(len, re.split(r"\n\s*\n", text)))
