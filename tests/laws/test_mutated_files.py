"""The promises of a compression over real files that were damaged, spliced and doubled.

`make nightly` runs it at length. Every failure prints the seed of its text.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, note
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.splitting._json._values import is_json
from specprefill_integrations.testing import KeywordScorer
from tests.laws.test_compressing_kinds import budgets, dropped_spans, hints
from tests.laws.test_real_files import SOURCES, real_json, real_texts
from tests.laws.texts import (
    SPACES,
    WORDS,
    count_quarters,
    count_with_overhead,
    count_words,
    torn_clusters,
)

MOST_CHARS = 3_000

INSERTED = (
    *SPACES,
    *WORDS,
    *("\x00", "\x1b[31m", "\x1b[0m", "\r", "\x08", "\ufeff", "\u202e", "\ufffe", "\U000e0001"),
    *("{", "}", "[", "]", '"', "\\", "\\u", "'''", '"""', "/*", "*/", "<!--", "-->", "```", "~~~"),
    *(
        "<script>",
        "</",
        "<![CDATA[",
        "&#x",
        "@@ -1 +1 @@",
        "---",
        "...",
        "|",
        "||",
        "\t",
        ": ",
        "- ",
    ),
    *("[... 3 lines omitted ...]", "[...]", '{"omitted": 3}', "1e999", "-", "NaN", "null", ","),
)


def joined(rng: random.Random, text: str, other: str) -> str:
    """The start of one text and the end of another."""
    return text[: rng.randrange(len(text) + 1)] + other[rng.randrange(len(other) + 1) :]


def inserted(rng: random.Random, text: str, _other: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(INSERTED) * rng.choice((1, 1, 1, 2, 40)) + text[at:]


def cut_out(rng: random.Random, text: str, _other: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.choice((1, 2, 10, 300)) :]


def doubled(rng: random.Random, text: str, _other: str) -> str:
    at = rng.randrange(len(text) + 1)
    end = at + rng.choice((1, 20, 200))
    return text[:end] + text[at:end] * rng.choice((1, 1, 5)) + text[end:]


def swapped(rng: random.Random, text: str, _other: str) -> str:
    lines = text.split("\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def other_line_ends(rng: random.Random, text: str, _other: str) -> str:
    return text.replace("\n", rng.choice(("\r\n", "\r", "\n\n", "\u2028", "\x85", "\f", " ")))


def nested(rng: random.Random, text: str, _other: str) -> str:
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ("<div>", "</div>"), ("> ", "")))
    depth = rng.choice((1, 3, 150))
    return opening * depth + text + closing * depth


MUTATIONS: tuple[Callable[[random.Random, str, str], str], ...] = (
    *(joined, inserted, inserted, inserted, cut_out, cut_out, doubled, swapped),
    *(other_line_ends, nested),
)


def a_file(rng: random.Random) -> str:
    """A stretch of a real file of any kind."""
    kind = rng.choice([*SOURCES, "json"])
    texts = real_json() if kind == "json" else real_texts(kind)
    text = texts[rng.choice(sorted(texts))]
    start = rng.choice((0, rng.randrange(len(text))))
    return text[start : start + rng.randrange(1, MOST_CHARS)]


def mutated(seed: int) -> str:
    """A damaged file; the same for the same seed, given the same files."""
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    text = a_file(rng)
    for _ in range(rng.choice((0, 1, 2, 4, 8))):
        text = rng.choice(MUTATIONS)(rng, text, a_file(rng))[: 2 * MOST_CHARS]
    return text


@given(
    seeds=st.lists(st.integers(0, 2**48), min_size=1, max_size=3),
    hint=hints,
    budget=budgets,
    query=st.sampled_from([None, "error in the last line?", "name version", "def return", "7"]),
    count=st.sampled_from([None, count_words, count_quarters, count_with_overhead]),
)
def test_promises(
    seeds: list[int],
    hint: TextHint | None,
    budget: Budget,
    query: str | None,
    count: Callable[[str], int] | None,
) -> None:
    texts = [mutated(seed) for seed in seeds]
    note(repr(texts))
    compressor = ContextCompressor(KeywordScorer(), count_tokens=count, on_error="raise")
    results = compressor.compress_documents(texts, query, budget=budget, hints=[hint] * len(texts))
    counted = [result for result in results if result.skipped_because != "kind_excluded"]
    limit = budget.widest_limit(sum(result.original_tokens for result in counted))
    assert sum(result.kept_tokens for result in counted) <= limit
    for text, result in zip(texts, results, strict=True):
        written = compressor.count_tokens([encodable(result.text)]) if result.text else [0]
        assert [result.kept_tokens] == written
        if result.skipped_because is not None:
            assert result.text == text
            continue
        assert all(0 <= start < end <= len(text) for start, end in result.kept)
        assert all(left.end <= right.start for left, right in pairwise(result.kept))
        both = sorted((*dropped_spans(text, result.kept), *result.kept))
        assert "".join(text[start:end] for start, end in both) == text
        at = 0
        for start, end in result.kept:
            at = result.text.index(text[start:end], at) + end - start
        assert torn_clusters(text, result.kept) == []
        if hint is None and is_json(text) and text.lstrip()[:1] in {"{", "["} and result.text:
            assert is_json(result.text)
