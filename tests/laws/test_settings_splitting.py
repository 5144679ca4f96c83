"""Laws of cutting YAML and TOML: whole or damaged, and of what is kept of a file that is right."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.splitting._settings._files import settings_form
from specprefill_integrations.splitting._settings._splitting import SettingsSplitter
from specprefill_integrations.types import Span
from tests.laws.kinds import LINES, documents
from tests.laws.texts import assert_links, assert_units, clusters, spans_in, texts, torn_clusters

tomllib = pytest.importorskip("tomllib")

FORMS = ("yaml", "toml", "ini")
forms = pytest.mark.parametrize("form", FORMS)
limits = st.one_of(st.integers(1, 60), st.just(400))

NAMES = st.sampled_from(["name", "a", "b-c", "on", "übel", "x.y", "with space", "1", "#no", "q'"])
WORDS = st.sampled_from(
    [
        *("", "word", "a: b", "- c", "# d", "it's", 'say "hi"', "[x", "{y", "---", "two\nlines"),
        *(
            " led\n  and indented\n",
            "猫が 好き。",
            "x" * 90,
            "many words " * 9,
            "null",
            "'''",
            '"""',
        ),
    ]
)
SCALARS = st.one_of(st.booleans(), st.integers(-9, 10**6), WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
FILES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=5)


def kept_lines(text: str, units: Sequence[Span], kept: set[int]) -> str:
    """Whole units of whole lines, one after the other."""
    return "".join(text[units[i].start : units[i].end] + "\n" for i in sorted(kept))


def with_needs(links: Sequence[Sequence[int]], chosen: set[int]) -> set[int]:
    return chosen.union(*(links[i] for i in chosen))


def is_pruned(kept: Any, full: Any) -> bool:
    """Whether `kept` is `full` with things left out; what lost all that was in it may be null."""
    if isinstance(full, dict) and isinstance(kept, dict):
        return all(key in full and is_pruned(value, full[key]) for key, value in kept.items())
    if isinstance(full, list) and isinstance(kept, list):
        rest = iter(full)
        return all(any(is_pruned(value, other) for other in rest) for value in kept)
    return (kept is None and isinstance(full, dict | list)) or kept == full


def toml_value(value: Any) -> str:
    """A value in one line; JSON's strings, numbers and lists are TOML's too."""
    if isinstance(value, dict):
        members = (f"{json.dumps(key)} = {toml_value(inner)}" for key, inner in value.items())
        return "{ " + ", ".join(members) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {toml_value(inner)},\n" for inner in value) + "]"
    if isinstance(value, str) and "\n" in value and '"' not in value:
        return f'"""\n{value}"""'
    return json.dumps(value, ensure_ascii=False)


def toml_lines(table: dict[str, Any], name: tuple[str, ...] = ()) -> list[str]:
    """A table as TOML: values, tables below it, arrays of tables."""
    tables = {k: v for k, v in table.items() if isinstance(v, dict)}
    arrays = {
        k: v
        for k, v in table.items()
        if isinstance(v, list) and v and all(isinstance(inner, dict) for inner in v)
    }
    lines = [
        f"{json.dumps(key, ensure_ascii=False)} = {toml_value(value)}"
        for key, value in table.items()
        if key not in tables and key not in arrays
    ]
    for key, value in tables.items():
        lines += header("[{}]", (*name, key)) + toml_lines(value, (*name, key))
    for key, elements in arrays.items():
        for element in elements:
            lines += header("[[{}]]", (*name, key)) + toml_lines(element, (*name, key))
    return lines


def header(form: str, name: tuple[str, ...]) -> list[str]:
    return ["", form.format(".".join(json.dumps(part, ensure_ascii=False) for part in name))]


def written_yaml(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=10_000)


def written_block_yaml(value: Any) -> str:
    """The same with block scalars, as people write them."""
    return yaml.dump(value, Dumper=BlockDumper, allow_unicode=True, sort_keys=False, width=10_000)


class BlockDumper(yaml.SafeDumper):
    """Writes a string of several lines as a block."""


BlockDumper.add_representer(
    str,
    lambda dumper, value: dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
    ),
)

WRITTEN: dict[str, tuple[Callable[[Any], str], Callable[[str], Any], str]] = {
    "yaml": (written_yaml, yaml.safe_load, "yaml"),
    "yaml with blocks": (written_block_yaml, yaml.safe_load, "yaml"),
    "toml": (lambda value: "\n".join(toml_lines(value)) + "\n", tomllib.loads, "toml"),
}


class TestAnyText:
    @forms
    @given(data=st.data(), most=limits)
    def test_units_and_links(self, form: str, data: st.DataObject, most: int) -> None:
        text = data.draw(st.one_of(documents(form), documents(form), texts))
        splitter = SettingsSplitter(form=form, max_unit_chars=most)
        units = splitter(text)
        assert_units(text, units)
        assert torn_clusters(text, units) == []
        assert_links(splitter.links(text, units), len(units))
        assert all(b - a <= most or len(clusters(text[a:b])) == 1 for a, b in units)

    @given(st.sampled_from(sorted(LINES)).flatmap(documents))
    def test_units_and_links_of_other_kinds(self, text: str) -> None:
        splitter = SettingsSplitter()
        units = splitter(text)
        assert_units(text, units)
        assert torn_clusters(text, units) == []
        assert_links(splitter.links(text, units), len(units))

    @forms
    @given(data=st.data())
    def test_units_that_were_cut_otherwise_are_linked_too(
        self, form: str, data: st.DataObject
    ) -> None:
        text = data.draw(documents(form))
        units = data.draw(spans_in(text))
        assert_links(SettingsSplitter(form=form).links(text, units), len(units))

    @forms
    @pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n\t\u2028", "\ufeff", "x"])
    def test_next_to_nothing(self, form: str, text: str) -> None:
        splitter = SettingsSplitter(form=form)
        units = splitter(text)
        assert [text[a:b] for a, b in units] == [text.strip()] * bool(text.strip())
        assert splitter.links(text, units) == [()] * len(units)

    def test_a_unit_has_at_least_one_character(self) -> None:
        expected = "max_unit_chars must be a whole number of at least 1; got 0"
        with pytest.raises(ValueError, match=expected):
            SettingsSplitter(max_unit_chars=0)


@pytest.mark.parametrize("written", WRITTEN)
class TestFilesThatAreRight:
    @given(value=FILES, data=st.data())
    def test_kept_units_with_what_they_need_are_the_file_with_things_left_out(
        self, written: str, value: Any, data: st.DataObject
    ) -> None:
        """Where no value is so long that it is cut."""
        write, read, form = WRITTEN[written]
        text = write(value)
        longest = max(map(len, toml_lines(value))) if form == "toml" else 130
        splitter = SettingsSplitter(
            form=form, max_unit_chars=longest + data.draw(st.integers(50, 200))
        )
        units = splitter(text)
        chosen = data.draw(st.sets(st.sampled_from(range(len(units)))))
        kept = with_needs(splitter.links(text, units), chosen)
        assert is_pruned(read(kept_lines(text, units, kept)) or {}, read(text))

    @given(value=FILES)
    def test_all_units_are_the_file(self, written: str, value: Any) -> None:
        write, read, form = WRITTEN[written]
        text = write(value)
        units = SettingsSplitter(form=form)(text)
        assert read(kept_lines(text, units, set(range(len(units))))) == read(text) == value


class TestOneParse:
    """What was parsed while splitting serves the links too."""

    def test_links_after_splitting_need_no_second_parse(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parsed = []
        parse = SettingsSplitter.parse
        monkeypatch.setattr(
            SettingsSplitter, "parse", lambda s, text: parsed.append(text) or parse(s, text)
        )
        splitter = SettingsSplitter()
        found = [splitter.split(text) for text in ("a:\n  b: 1\n", "c: 2\n")]
        links = [splitter.links(one.text, one.units, one.parsed) for one in found]
        assert len(parsed) == 2
        assert links == [[()], [()]]
        assert splitter.links("c: 2\n", found[1].units) == [()]
        assert len(parsed) == 3

    def test_callers_may_do_with_units_as_they_please(self) -> None:
        splitter = SettingsSplitter()
        units = splitter("a: 1\nb: 2\n")
        first = units.pop(0)
        assert splitter.links("a: 1\nb: 2\n", [first, *units]) == [(), ()]

    def test_a_copy_is_equal(self) -> None:
        splitter = SettingsSplitter(max_unit_chars=5)
        for copied in (copy.deepcopy(splitter), pickle.loads(pickle.dumps(splitter))):  # noqa: S301
            assert copied == splitter
            assert hash(copied) == hash(splitter)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a: 1\nb:\n  c: d = e\n", "yaml"),
        ("- a = b\n- c: d\n", "yaml"),
        ("a = 'b: c'\n", "toml"),
        ("[a]\nb = [\n  'c: d',\n]\n", "toml"),
        ("", "yaml"),
    ],
)
def test_the_form_is_seen(text: str, form: str) -> None:
    assert settings_form(text.splitlines()) == form


# Each could make a search start again and again.
GIANTS = {
    "yaml": [
        "".join(f"{' ' * i}a: [\n" for i in range(600)),
        "".join(f"{' ' * i}- '\n" for i in range(600)),
        "a: [\n" * 10_000,
        'a: "\\"\n' * 10_000,
        "- " * 50_000,
        "a:" * 50_000,
        "x: |\n" + "  y\n" * 20_000,
        "# c\n" * 10_000 + "a:\n" + " b: 1\n" * 10_000,
        "a: " + "word " * 10_000 + "\n" + " b: 1\n" * 10_000,
        ("a" + " " * 199 + "b\n") * 1_000,
    ],
    "ini": ["[a]\n" * 30_000, 'a="\n' * 30_000, "a=\\\n" * 40_000, " a\n" * 40_000, ";\n" * 90_000],
    "toml": [
        "a = [\n" * 10_000,
        "a = [{\n" * 10_000,
        'a = """\\' * 30_000,
        "a = '''\n'" * 10_000,
        "a." * 100_000 + " = 1",
        "".join(f"[a{'.a' * i}]\n" for i in range(600)) + "b = 1\n" * 10_000,
        "[[a]]\nb = 1\n" * 8_000,
        '"' * 200_000,
        "\t" * 200_000 + "x",
    ],
}


@forms
def test_giant_texts_are_split_like_any_other(form: str) -> None:
    for text in GIANTS[form]:
        splitter = SettingsSplitter(form=form)
        units = splitter(text)
        links = splitter.links(text, units)
        assert_units(text, units)
        assert sum(map(len, links)) <= 50 * len(units) + len(text)
