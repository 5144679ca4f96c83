"""Sample texts of every kind and any length, deterministic by seed.

Code is the standard library's; everything else is invented to look like the output of programs.
"""

from __future__ import annotations

import difflib
import json
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from random import Random

from specprefill_integrations.types import Kind

_VOCABULARY = """
account after backup before cache change check client close config count current default disk
error every expired failed file first from handler header index invalid item later limit list
loaded lock memory message missing module never node offset open order parse path peer pending
policy queue reader region remote request result retry route schema server service session shard
signal socket stale started status store stream table target thread timeout token topic update
user value version volume waiting window worker writer
"""
_WORDS = _VOCABULARY.split()


def sample_text(kind: Kind, chars: int, seed: int = 0) -> str:
    """Make a text of a kind.

    Args:
        kind: Kind of text.
        chars: Length limit in characters; the text stops before the part that would exceed it.
        seed: Random seed.
    """
    random = Random(seed)  # noqa: S311 - an example, no secret
    opening, separator, closing = _AROUND.get(kind, ("", "\n", ""))
    parts: list[str] = []
    left = chars - len(opening) - len(closing)
    for part in _PARTS[kind](random):
        left -= len(part) + len(separator)
        if left < 0 and parts:
            break
        parts.append(part)
    return opening + separator.join(parts) + closing


def documentation(characters: int) -> str:
    """Repeat Python's language reference, which comes with Python, up to a length."""
    from pydoc_data.topics import topics  # noqa: PLC0415 - 700 kB of text

    whole = "\n\n".join(topics[name] for name in sorted(topics))
    return (whole * (characters // len(whole) + 1))[:characters]


def _some_words(random: Random, least: int, most: int) -> str:
    return " ".join(random.choices(_WORDS, k=random.randint(least, most)))


def _sentence(random: Random) -> str:
    return f"{_some_words(random, 5, 20).capitalize()}."


def _paragraph(random: Random) -> str:
    return " ".join(_sentence(random) for _ in range(random.randint(2, 6)))


def _record(random: Random, number: int) -> dict[str, object]:
    """Make a record as databases and services return it."""
    return {
        "id": number,
        "name": _some_words(random, 1, 3),
        "active": random.random() < 0.5,  # noqa: PLR2004 - a coin
        "tags": random.sample(_WORDS, 3),
        "owner": {"name": random.choice(_WORDS), "quota": random.randint(0, 10**6)},
        "description": _sentence(random),
        "events": [
            {"at": random.randint(10**9, 2 * 10**9), "what": _some_words(random, 2, 6)}
            for _ in range(random.randint(0, 8))
        ],
    }


def _prose(random: Random) -> Iterator[str]:
    while True:
        yield _paragraph(random) + "\n"


def _markdown(random: Random) -> Iterator[str]:
    for number in count(1):
        items = "".join(f"- {_sentence(random)}\n" for _ in range(random.randint(2, 6)))
        rows = "".join(f"| {random.choice(_WORDS)} | {i} |\n" for i in range(3))
        yield (
            f"{'#' * random.randint(1, 4)} {_some_words(random, 1, 4)} {number}\n\n"
            f"{_paragraph(random)}\n\n{items}\n| name | value |\n|---|---|\n{rows}\n"
            f"```python\n{random.choice(_WORDS)} = load({number})\n```\n"
        )


def _code(random: Random) -> Iterator[str]:
    """Yield parts of standard library modules in random order, endlessly."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    while True:
        for file in random.sample(files, len(files)):
            yield from file.read_text("utf-8").split("\n\n\n")


def _json(random: Random) -> Iterator[str]:
    return (json.dumps(_record(random, number), indent=2) for number in count(1))


def _json_lines(random: Random) -> Iterator[str]:
    return (json.dumps(_record(random, number)) for number in count(1))


def _yaml(random: Random) -> Iterator[str]:
    for number in count(1):
        steps = "".join(
            f"      - run: {_some_words(random, 2, 8)}\n        timeout: {number}\n"
            for _ in range(random.randint(1, 6))
        )
        yield (
            f"  # {_sentence(random)}\n  job-{number}:\n    name: {_some_words(random, 1, 4)}\n"
            f"    needs: [{', '.join(random.sample(_WORDS, 3))}]\n"
            f"    steps:\n{steps}    script: |\n      {_some_words(random, 3, 9)}\n"
            f"      {_some_words(random, 3, 9)}\n"
        )


def _toml(random: Random) -> Iterator[str]:
    for number in count(1):
        files = "".join(
            f'    {{ file = "{word}-{number}.whl", hash = "{random.getrandbits(256):064x}" }},\n'
            for word in random.sample(_WORDS, random.randint(1, 6))
        )
        yield (
            f'[[package]]\nname = "{random.choice(_WORDS)}-{number}"\nversion = "1.{number}"\n'
            f'description = "{_sentence(random)}"\nfiles = [\n{files}]\n\n'
            f'[package.dependencies]\n{random.choice(_WORDS)} = ">=1.{number}"\n'
        )


def _csv(random: Random) -> Iterator[str]:
    yield "id,name,amount,note"
    for number in count(1):
        note = f'"{_sentence(random)[:-1]}, ""{random.choice(_WORDS)}"""'
        yield f"{number},{_some_words(random, 1, 3)},{random.random() * 100:.2f},{note}"


def _log(random: Random) -> Iterator[str]:
    for number in count(1):
        moment = f"2024-05-{number // 86_400 % 28 + 1:02} {number // 3_600 % 24:02}"
        moment += f":{number // 60 % 60:02}:{number % 60:02},{random.randint(0, 999):03}"
        level = random.choice(["DEBUG", "INFO", "INFO", "WARNING", "ERROR"])
        yield f"{moment} {level} {random.choice(_WORDS)}: {_some_words(random, 4, 15)}"
        if level == "ERROR":
            frames = random.sample(_WORDS, 5)
            yield "Traceback (most recent call last):"
            yield from (f'  File "/app/{name}.py", line {number}, in {name}' for name in frames)
            yield f"ValueError: {_some_words(random, 3, 8)}"


def _diff(random: Random) -> Iterator[str]:
    for number in count(1):
        old = [f"    {_some_words(random, 2, 8)}\n" for _ in range(random.randint(20, 80))]
        new = [f"{line[:-1]} new\n" if random.random() < 0.1 else line for line in old]  # noqa: PLR2004
        name = f"{random.choice(_WORDS)}_{number}.py"
        yield "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")).removesuffix("\n")


def _html(random: Random) -> Iterator[str]:
    for number in count(1):
        cells = (f"<tr><td>{random.choice(_WORDS)}</td><td>{i}</td></tr>" for i in range(4))
        yield (
            f'<div class="part"><h2 id="p{number}">{_some_words(random, 1, 4)}</h2>\n'
            f'<p>{_sentence(random)} <a href="/{number}">{random.choice(_WORDS)}</a></p>\n'
            f"<table><tr><th>name</th><th>value</th></tr>{''.join(cells)}</table></div>"
        )


def _chat(random: Random) -> Iterator[str]:
    while True:
        yield f"{random.choice(['Anna', 'Ben', 'Chloe'])}: {_paragraph(random)}"


def _lines(random: Random) -> Iterator[str]:
    while True:
        yield _some_words(random, 1, 6)


_PARTS: Mapping[Kind, Callable[[Random], Iterator[str]]] = {
    "prose": _prose,
    "markdown": _markdown,
    "code": _code,
    "json": _json,
    "jsonl": _json_lines,
    "yaml": _yaml,
    "toml": _toml,
    "csv": _csv,
    "log": _log,
    "diff": _diff,
    "html": _html,
    "chat": _chat,
    "lines": _lines,
}

# Text before, between and after the parts.
_AROUND: Mapping[Kind, tuple[str, str, str]] = {
    "code": ("", "\n\n\n", ""),
    "html": ("<!DOCTYPE html>\n<html><body>\n", "\n", "\n</body></html>\n"),
    "json": ("[\n", ",\n", "\n]\n"),
    "yaml": ("jobs:\n", "", ""),
}

SAMPLED_KINDS: tuple[Kind, ...] = tuple(_PARTS)
"""Kinds with samples: all of them."""
