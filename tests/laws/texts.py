"""Texts to be unkind with, counters to be wrong with, and what several laws compare."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import regex
from hypothesis import strategies as st

from specprefill_integrations.types import Span

SPACES = (
    *(" ", " ", " ", "  ", "\n", "\n", "\n\n", "\r\n", "\r", "\t", "\v", "\f"),
    *("\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u2028", "\u2029", "\u202f", "\u3000"),
)

WORDS = (
    *("The cat sat on the mat.", "Dr. Smith", "U.S. troops", "e.g. this", "No. 7", "3.14", "v2.0"),
    *(
        "What?",
        "Hello!",
        '"Yes," he said.',
        "(No.)",
        "Wait...",
        "so…",
        "a: b; c, d",
        "x",
        ".",
        "?!",
    ),
    *(
        "# Heading",
        "- item",
        "* item",
        "1. first",
        "a) second",
        "> quote",
        "| a | b |",
        "```py",
        "===",
    ),
    *("我们今天讨论。", "「是的。」他说!", "ですか?", "한국어 문장입니다.", "สวัสดีครับ", "ภาษาไทย"),
    *("مرحبا بالعالم؟", "שלום.", "यह एक वाक्य है।", "क्षि", "Բարեւ։", "ሰላም።", "བོད་།"),
    *(
        "👩‍👩‍👧‍👦",
        "🇩🇪🇫🇷",
        "🇩🇪🇫",
        "👍🏽",
        "❤️",
        "e\u0301",
        "\u0301",
        "\u0903",
        "\u200d",
        "\ufe0f",
        "\u200b",
    ),
    *(
        "\u0600",
        "\ufeff",
        "\x00",
        "\ud800",
        "\udfff",
        "[...]",
        "\u1100\u1161",
        "0" * 70,
        "ab." * 25,
    ),
    "A wrapped line of a paragraph, ended by the width of the page and\nnot by its author.",
)

texts = st.lists(
    st.one_of(st.sampled_from(SPACES), st.sampled_from(WORDS), st.text(max_size=3)), max_size=30
).map("".join)
"""Anything, and nothing."""

single_spaced = st.lists(
    st.one_of(
        st.sampled_from([w for word in WORDS for w in word.split()]),
        st.text("aBé1.?!'\"()[]»«-%", min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=40,
).map(" ".join)
"""Words of all kinds with one space between them."""


@st.composite
def spans_in(draw: st.DrawFn, text: str) -> list[Span]:
    """Some disjoint spans of a text, ascending, none empty."""
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)))
    return [Span(a, b) for a, b in pairwise(cuts) if draw(st.booleans())]


@st.composite
def words_in(draw: st.DrawFn, text: str) -> list[Span]:
    """Some of the words of a text."""
    words = [Span(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    return [word for word in words if draw(st.booleans())]


def clusters(text: str) -> list[Span]:
    """The grapheme clusters of a text, by the Unicode rules themselves."""
    return [Span(m.start(), m.end()) for m in regex.finditer(r"\X", text)]


def torn_clusters(text: str, spans: Sequence[Span]) -> list[str]:
    """Clusters of which a border of a span cuts off more than white space."""
    borders = {border for span in spans for border in span}
    return [
        text[cluster.start : cluster.end]
        for cluster in clusters(text)
        for border in range(cluster.start + 1, cluster.end)
        if border in borders
        and text[cluster.start : border].strip()
        and text[border : cluster.end].strip()
    ]


def assert_units(text: str, units: Sequence[Span]) -> None:
    """What every splitter promises."""
    assert all(span.start < span.end for span in units)
    assert all(a.end <= b.start for a, b in pairwise(units))
    position = 0
    for start, end in [*units, Span(len(text), len(text))]:
        assert not text[position:start].strip()
        position = end
    assert position == len(text)


def assert_links(links: Sequence[tuple[int, ...]], count: int) -> None:
    """What outlines promise: links lead upwards, ascend, and hold all that those above need."""
    assert len(links) == count
    for index, above in enumerate(links):
        assert list(above) == sorted(set(above))
        assert all(0 <= i < index for i in above)
        assert all(set(links[i]) <= set(above) for i in above)


def count_words(text: str) -> int:
    """Exactly additive over words with white space between them."""
    return len(text.split())


def count_quarters(text: str) -> int:
    """The rule of thumb: four characters a token."""
    return math.ceil(len(text) / 4)


def count_byte_thirds(text: str) -> int:
    """Rounds over the whole text, and refuses what cannot be encoded."""
    return math.ceil(len(text.encode()) / 3)


def count_with_overhead(text: str) -> int:
    """Charges for every text it is shown, the empty one too."""
    return 3 + len(text.split())


def count_compressed(text: str) -> int:
    """Not even monotone: more text may cost less."""
    return len(zlib.compress(text.encode(), 1))


COUNTERS: tuple[Callable[[str], int], ...] = (
    count_words,
    count_quarters,
    count_byte_thirds,
    count_with_overhead,
    count_compressed,
)
