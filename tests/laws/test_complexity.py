"""Time grows with the length of a text, not with its square: splitters, patterns and compressions.

CPU time is measured. A verdict needs a bad ratio again and again, and then also for a text so much
longer that no noise of the machine explains it. `make nightly` measures longer texts.
"""

from __future__ import annotations

import gc
import importlib
import math
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import regex
from hypothesis import settings

import specprefill_integrations
from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.pipeline import ProtectionRule
from specprefill_integrations.splitting import CodeSplitter, SplitByKind
from specprefill_integrations.splitting._code._languages import GRAMMARS
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind, TextHint
from tests.laws.shapes import SHAPES

IS_NIGHTLY = settings.default is not None and settings.default.max_examples > 100

SIZE = 256_000 if IS_NIGHTLY else 20_000
FACTOR = 4 if IS_NIGHTLY else 2
MOST_EXPONENT = 1.3

# For patterns, which have less to do for a character.
PATTERN_SIZE = SIZE // 10

# A linear function is faster; a quadratic one that is faster takes seconds for a megabyte.
FLOOR_SECONDS_A_CHARACTER = 2e-6

# For a megabyte.
MOST_SECONDS = 5

# Further measurements before a suspicion, the fastest of which count.
ROUNDS = 4

# A suspicion is confirmed with a text so many times as long: noise would have to be twofold.
CONFIRMING_FACTOR = 8

KINDS: tuple[Kind, ...] = get_args(Kind)
LANGUAGES = (*GRAMMARS, "unknown")

MOST_COMPLAINTS = 3

# Each of so many tests takes some of the shapes.
SHARES = 1 if IS_NIGHTLY else 10


def seconds(function: Callable[[str], object], text: str) -> float:
    """CPU seconds of a call, without garbage collection."""
    gc.collect(0)
    gc.disable()
    try:
        start = time.process_time()
        function(text)
        return time.process_time() - start
    finally:
        gc.enable()


@cache
def shaped(name: str, size: int) -> str:
    return SHAPES[name](size)


def bad_exponent(
    function: Callable[[str], object], name: str, size: int, factor: int
) -> float | None:
    """The power of its length with which the time for a shape grows, if it is too high."""
    text, floor = shaped(name, size), FLOOR_SECONDS_A_CHARACTER * size
    large = seconds(function, text)
    if large < floor:
        return None
    short = shaped(name, size // factor)
    small = seconds(function, short)
    for again in range(ROUNDS + 1):
        if again:
            large, small = min(large, seconds(function, text)), min(small, seconds(function, short))
        exponent = math.log(large / max(small, 1e-6), len(text) / len(short))
        if large < floor or exponent < MOST_EXPONENT:
            return None
    return exponent


def complaint(function: Callable[[str], object], name: str, size: int, factor: int) -> str | None:
    """What is wrong with the time that a function takes for a shape, if anything."""
    exponent = bad_exponent(function, name, size, factor)
    # A function that takes seconds already is not asked for more.
    if exponent and seconds(function, shaped(name, size)) < 1:
        size *= CONFIRMING_FACTOR
        exponent = bad_exponent(function, name, size, CONFIRMING_FACTOR)
    return f"{name}: exponent {exponent:.2f} up to {size} characters" if exponent else None


def complaints(
    function: Callable[[str], object],
    first: int = 0,
    step: int = 1,
    *,
    size: int = SIZE,
    factor: int = FACTOR,
) -> list[str]:
    """The first complaints about the shapes, or about every so many shapes.

    Whoever is slow with one shape is slow with many, and each verdict takes seconds.
    """
    names = list(SHAPES)[first % step :: step]
    found = (complaint(function, name, size, factor) for name in names)
    return list(islice((one for one in found if one), MOST_COMPLAINTS))


def split_as(kind: Kind, text: str) -> None:
    choice = SplitByKind().for_text(text, TextHint(kind=kind))
    assert choice.splitter
    found = choice.splitter.split(text)
    choice.splitter.links(text, found.units, found.parsed)


def split_as_code(language: str, text: str) -> None:
    splitter = CodeSplitter(language=language)
    found = splitter.split(text)
    splitter.links(text, found.units, found.parsed)


@pytest.mark.parametrize("kind", KINDS)
def test_splitting_takes_linear_time(kind: Kind) -> None:
    assert complaints(partial(split_as, kind), KINDS.index(kind), SHARES) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_splitting_code_takes_linear_time(language: str) -> None:
    first, step = LANGUAGES.index(language), 1 if IS_NIGHTLY else 2 * SHARES
    assert complaints(partial(split_as_code, language), first, step) == []


def test_finding_the_kind_takes_linear_time() -> None:
    assert complaints(SplitByKind().kind, step=SHARES) == []


@pytest.mark.parametrize("chars", [2_400, 5_000, 1_000_000])
@pytest.mark.parametrize(
    ("language", "cell"), [("python", "a: |\n"), ("bash", "|"), ("c#", "<a "), ("java", "x=>")]
)
def test_a_parser_that_takes_superlinear_time_is_stopped(
    language: str, cell: str, chars: int
) -> None:
    text = cell * (chars // len(cell))
    assert any(seconds(partial(split_as_code, language), text) < MOST_SECONDS for _ in range(2))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("json", "members"),
        ("prose", "'# Heading ' repeated"),
        ("code", "run of ' '"),
        ("code", "minified functions"),
        ("html", "headers"),
    ],
)
def test_a_megabyte_is_split_within_seconds(kind: Kind, name: str) -> None:
    text = SHAPES[name](1_000_000)
    assert any(seconds(partial(split_as, kind), text) < MOST_SECONDS for _ in range(2))


def patterns_in(value: object) -> Iterator[re.Pattern[str]]:
    """The compiled patterns in a value of a module."""
    if isinstance(value, (re.Pattern, regex.Pattern)):
        yield cast("re.Pattern[str]", value)
    elif isinstance(value, ProtectionRule):
        yield value.expression
    elif isinstance(value, dict):
        yield from (found for one in value.values() for found in patterns_in(one))
    elif isinstance(value, (list, tuple)):
        yield from (found for one in value for found in patterns_in(one))


def patterns() -> dict[str, tuple[re.Pattern[str], bool]]:
    """All patterns of the package by name, and whether each is only matched at a given place."""
    found: dict[re.Pattern[str], tuple[str, bool]] = {}
    for module in pkgutil.walk_packages(
        specprefill_integrations.__path__, f"{specprefill_integrations.__name__}."
    ):
        spec = module.module_finder.find_spec(module.name, None)
        source = Path(spec.origin).read_text("utf-8") if spec and spec.origin else ""
        if "compile(" not in source:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            methods = set(re.findall(rf"\b{name}\.([a-z]+)\(", source))
            is_placed = bool(methods) and methods <= {"match", "fullmatch"}
            for pattern in patterns_in(value):
                found.setdefault(pattern, (f"{module.name}.{name}", is_placed))
    return {f"{name} {n}": (p, placed) for n, (p, (name, placed)) in enumerate(found.items())}


def count_matches(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(subject(pattern, text)))


def subject(pattern: re.Pattern[Any], text: str) -> Any:
    """A text as a pattern takes it: some are about bytes."""
    return text.encode("utf-8", "surrogatepass") if isinstance(pattern.pattern, bytes) else text


def match_at_start(pattern: re.Pattern[str], text: str) -> object:
    return pattern.match(subject(pattern, text))


def match_whole(pattern: re.Pattern[str], text: str) -> object:
    return pattern.fullmatch(subject(pattern, text))


# These see lines of at most 400 characters. Their time is measured with `kind`.
OF_SHORT_LINES = "_guess_language."


def test_all_patterns_take_linear_time() -> None:
    found = {name: one for name, one in patterns().items() if OF_SHORT_LINES not in name}
    assert len(found) > 100
    wrong = {}
    for name, (pattern, is_placed) in found.items():
        uses = [partial(use, pattern) for use in (match_at_start, match_whole)]
        if not is_placed:
            uses[0] = partial(count_matches, pattern)
        complained = [one for use in uses for one in complaints(use, size=PATTERN_SIZE)]
        wrong |= {name: complained} if complained else {}
    assert wrong == {}


@pytest.mark.parametrize("query", ["Which words about 12 are there?", None])
@pytest.mark.parametrize("budget", [Budget(keep_fraction=0.3), Budget(max_tokens=200)])
def test_compressing_takes_linear_time(query: str | None, budget: Budget) -> None:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    compress = partial(compressor.compress, query=query, budget=budget)
    # The number of attempts to fill the budget differs, so the sizes have to differ more.
    first, step = int(budget.max_tokens is None) + 2 * int(query is None), 1 if IS_NIGHTLY else 20
    assert complaints(compress, first, step, size=4 * SIZE, factor=8) == []


DEEP = {
    "json": '{"a": [' * 50_000 + "]}" * 50_000,
    "yaml": "\n".join(" " * depth + f"k{depth}:" for depth in range(1_200)),
    "toml": "a = " + "[" * 100_000,
    "markdown": "> " * 50_000 + "a\n" + "- " * 50_000 + "b",
    "ini": "[a]\n" + "".join(" " * depth + f"k{depth} = 1\n" for depth in range(1_200)),
    "xml": "<a><b>" * 30_000 + "x" + "</b></a>" * 30_000,
    "mail": "From: a\nTo: b\n\n" + "> " * 50_000 + "a",
    "html": "<div><table><tr><td>" * 10_000 + "a",
    "code": "f(" * 50_000 + ")" * 50_000,
    "lines": "[(" * 50_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_nesting_has_no_limit(kind: Kind) -> None:
    split_as(kind, DEEP[kind])


@pytest.mark.parametrize("language", GRAMMARS)
def test_nesting_of_code_has_no_limit(language: str) -> None:
    split_as_code(language, DEEP["code"])
    split_as_code(language, "if (a) {\n" * 10_000)
