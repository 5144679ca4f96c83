"""Laws of gap markers that are comments: what is kept of code and settings can still be parsed.

Run with `-s` to see the share of the standard library's modules for which that is so.
"""

from __future__ import annotations

import ast
import random
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._code._splitting import CodeSplitter
from specprefill_integrations.splitting._rendering import LINE_GAPS, GapStyle, render_kept
from specprefill_integrations.splitting._settings._splitting import SettingsSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Span
from tests.laws.test_settings_splitting import FILES, WRITTEN, is_pruned, toml_lines, with_needs

MODULES = 100
COMPRESSOR = ContextCompressor(KeywordScorer(), on_error="raise", leave_whole=None)
HASH = GapStyle(marker=LINE_GAPS.marker, comment="# {marker}")


def some_modules() -> list[Path]:
    """Modules of the standard library, the same ones in every run."""
    folder = Path(sysconfig.get_path("stdlib"))
    found = sorted(p for p in folder.glob("*.py") if 4_000 < p.stat().st_size < 60_000)
    return random.Random(0).sample(found, min(MODULES, len(found)))  # noqa: S311


def parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except SyntaxError:
            return False
    return True


def test_modules_of_which_a_part_is_kept_parse() -> None:
    modules = some_modules()
    wrong = []
    for path in modules:
        text = path.read_text("utf-8")
        query = (ast.get_docstring(ast.parse(text)) or path.stem)[:200]
        hint = TextHint(name=path.name)
        kept = COMPRESSOR.compress(text, query, budget=Budget(keep_fraction=0.3), hint=hint)
        assert " omitted ...]" in kept.text
        wrong += [] if parses(kept.text) else [path.name]
    print(f"{len(modules) - len(wrong)} of {len(modules)} modules parse when 30 % is kept")  # noqa: T201
    assert len(wrong) <= len(modules) // 20, wrong


@pytest.mark.parametrize("written", WRITTEN)
@given(value=FILES, data=st.data())
def test_settings_with_markers_are_the_file_with_things_left_out(
    written: str, value: Any, data: st.DataObject
) -> None:
    write, read, form = WRITTEN[written]
    text = write(value)
    longest = max(map(len, toml_lines(value))) if form == "toml" else 130
    splitter = SettingsSplitter(form=form, max_unit_chars=longest + data.draw(st.integers(50, 200)))
    units = splitter(text)
    chosen = data.draw(st.sets(st.sampled_from(range(len(units)))))
    kept = sorted(with_needs(splitter.links(text, units), chosen))
    shown = splitter.render(text, splitter.joined(text, [units[i] for i in kept]), gaps=HASH)
    assert is_pruned(read(shown) or {}, read(text))


@pytest.mark.parametrize(
    ("name", "comment"),
    [
        *(("a.py", "# [... 3 lines omitted ...]"), ("a.sh", "# [... 3 lines omitted ...]")),
        *(("a.ts", "// [... 3 lines omitted ...]"), ("a.kt", "// [... 3 lines omitted ...]")),
        *(("a.sql", "-- [... 3 lines omitted ...]"), ("a.lua", "-- [... 3 lines omitted ...]")),
        *(("a.css", "/* [... 3 lines omitted ...] */"), ("a.vue", "[... 3 lines omitted ...]")),
        *(("a.yml", "# [... 3 lines omitted ...]"), ("a.toml", "# [... 3 lines omitted ...]")),
        *(("a.log", "[... 3 lines omitted ...]"), ("a.csv", "[... 3 lines omitted ...]")),
    ],
)
def test_a_marker_is_a_comment_of_the_language(name: str, comment: str) -> None:
    text = "a, b\n1, 2\n3, 4\n"
    gaps = SplitByKind().for_text(text, TextHint(name=name)).gaps
    assert gaps.marked("x\ny\nz") == comment


def test_a_reference_is_part_of_the_comment() -> None:
    css = GapStyle(marker="[...]", comment="/* {marker} */")
    assert css.marked("x", "3f9a0c1b2d4e") == "/* [...] [reference 3f9a0c1b2d4e] */"


def shown(text: str, *words: str, body: str = "") -> str:
    """What is kept of some code with the units that hold some words, and what these need."""
    splitter = CodeSplitter(language="python", max_unit_chars=120)
    found = splitter.split(text)
    chosen = {i for i, unit in enumerate(found.parts) if any(word in unit for word in words)}
    kept = sorted(with_needs(splitter.links(text, found.units, found.parsed), chosen))
    spans = splitter.joined(text, [found.units[i] for i in kept], found.parsed)
    gaps = GapStyle(marker=LINE_GAPS.marker, comment="# {marker}", body=body)
    return splitter.render(text, spans, gaps=gaps)


STRING = 'X = """\n' + "".join(f"line {n} of the text\n" for n in range(12)) + '"""\ny = 1\n'


def test_a_part_of_a_string_has_both_quotes() -> None:
    kept = shown(STRING, "line 7")
    assert kept.startswith('X = """\n')
    assert kept.rstrip().splitlines()[-2] == '"""'
    [assignment, *_] = ast.parse(kept).body
    assert "line 7 of the text" in ast.literal_eval(assignment.value)  # type: ignore[attr-defined]


def test_a_part_of_a_docstring_has_both_quotes() -> None:
    words = "".join(f"    Line {n} says more about it.\n" for n in range(20))
    text = f'def f():\n    """Do it.\n\n{words}    """\n    return 1\n'
    kept = shown(text, "Line 9")
    assert "Line 9 says more" in (ast.get_docstring(ast.parse(kept).body[0]) or "")  # type: ignore[arg-type]


def test_a_part_of_a_list_has_both_brackets() -> None:
    text = "X = [\n" + "".join(f"    'word {n} of the list',\n" for n in range(30)) + "]\ny = 1\n"
    assert ast.literal_eval(ast.parse(shown(text, "word 9")).body[0].value)  # type: ignore[attr-defined]


def test_try_has_a_clause() -> None:
    body = "".join(f"    call_{n}(with_some, arguments)\n" for n in range(9))
    text = f"try:\n{body}except ValueError:\n    {'x' * 50}()\n    {'y' * 50}()\n"
    kept = shown(text, "call_3", body="...")
    assert "except ValueError:\n    ...  # [... 2 lines omitted ...]" in kept
    assert parses(kept)


def test_a_missing_body_is_an_ellipsis() -> None:
    members = "".join(f"    def f{n}(self):\n        return {'x' * 50}\n\n" for n in range(4))
    text = f"class A:\n{members}\n\nclass B:\n    pass\n"
    kept = shown(text, "class A", "class B", body="...")
    assert kept.startswith("class A:\n    ...  # [... 8 lines omitted ...]\n")
    assert parses(kept)


def test_what_follows_a_comment_is_on_a_line_of_its_own() -> None:
    kept = render_kept("x = [1, 2, 3, 4]", [Span(0, 7), Span(11, 16)], HASH)
    assert kept == "x = [1, # [... 1 line omitted ...]\n3, 4]"
