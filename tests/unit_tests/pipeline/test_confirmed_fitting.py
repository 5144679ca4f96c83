"""A caller's counter is asked a few times for each text; the limit is kept whatever it says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.bench._sample_texts import sample_text
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind

QUESTION = "Which request failed because of an expired token, and when?"
KINDS: tuple[Kind, ...] = ("prose", "markdown", "json", "code", "log")
_PIECE = re.compile(r"\w{1,4}|[^\w\s]|\s{2,}")


def pieces(text: str) -> int:
    """Count much like a tokenizer of a model."""
    return len(_PIECE.findall(text))


def words(text: str) -> int:
    return len(text.split())


def with_overhead(text: str) -> int:
    return len(text) // 3 + 7


def dear_gaps(text: str) -> int:
    return pieces(text) + 30 * text.count("…")


def dear_digits(text: str) -> int:
    return words(text) + 5 * sum(character.isdigit() for character in text)


def dear_lines(text: str) -> int:
    return words(text) + 12 * text.count("\n")


def dear_brackets(text: str) -> int:
    return pieces(text) + 6 * sum(character in "[](){}…" for character in text)


def compressed(
    count: Callable[[str], int], kind: Kind, chars: int, budget: Budget, texts: int = 1
) -> tuple[list[str], int, int]:
    """Return the kept texts, their tokens as reported, and how often the counter was asked."""
    asked = []

    def noted(text: str) -> int:
        asked.append(text)
        return count(text)

    compressor = ContextCompressor(KeywordScorer(), count_tokens=noted, on_error="raise")
    found = compressor.compress_documents(
        [sample_text(kind, chars, seed) for seed in range(texts)],
        QUESTION,
        budget=budget,
        hints=[TextHint(kind=kind)] * texts,
    )
    return [one.text for one in found], sum(one.kept_tokens for one in found), len(asked)


@pytest.mark.parametrize("count", [pieces, words, len, with_overhead])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chars", [1_500, 40_000])
def test_a_counter_is_asked_four_times_and_the_limit_is_used(
    count: Callable[[str], int], kind: Kind, chars: int
) -> None:
    limit = count(sample_text(kind, chars)) // 4
    [text], tokens, calls = compressed(count, kind, chars, Budget(max_tokens=limit))
    assert calls <= 4
    assert count(text) == tokens
    assert 0.85 * limit < tokens <= limit


@pytest.mark.parametrize("count", [dear_gaps, dear_digits, dear_lines, dear_brackets])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [3, 5])
def test_a_counter_with_dear_characters_is_asked_as_often(
    count: Callable[[str], int], kind: Kind, part: int
) -> None:
    """What is kept has more of them than the text, or fewer."""
    limit = count(sample_text(kind, 8_000)) // part
    [text], tokens, calls = compressed(count, kind, 8_000, Budget(max_tokens=limit))
    assert calls <= 4
    assert count(text) == tokens
    assert 0.75 * limit < tokens <= limit


@pytest.mark.parametrize("dear", [1, 4])
@pytest.mark.parametrize("chars", [1_500, 9_000])
@pytest.mark.parametrize("others", [["prose"], ["prose", "log"]])
def test_texts_in_several_scripts_are_asked_about_as_often(
    dear: int, chars: int, others: list[Kind]
) -> None:
    def count(text: str) -> int:
        return pieces(text) + dear * sum(character >= "\u2e80" for character in text)

    asked = []
    sentence = (
        "数据库连接在三秒后超时，因此服务重新启动了进程。请求的令牌已经过期，用户必须再次登录。"
    )
    chinese = "".join(f"第{number}次：{sentence}" for number in range(chars // len(sentence)))
    texts = [chinese, *(sample_text(kind, chars) for kind in others)]
    limit = sum(map(count, texts)) // 4
    compressor = ContextCompressor(
        KeywordScorer(),
        count_tokens=lambda text: asked.append(text) or count(text),
        on_error="raise",
    )
    found = compressor.compress_documents(
        texts,
        QUESTION,
        budget=Budget(max_tokens=limit),
        hints=[TextHint(kind="prose")] * len(texts),
    )
    assert len(asked) <= 4 * len(texts)
    assert sum(count(one.text) for one in found) == sum(one.kept_tokens for one in found)
    assert 0.75 * limit < sum(one.kept_tokens for one in found) <= limit


@pytest.mark.parametrize("kind", KINDS)
def test_several_texts_are_asked_about_as_often(kind: Kind) -> None:
    texts, tokens, calls = compressed(pieces, kind, 3_000, Budget(max_tokens=800), texts=5)
    assert calls <= 4 * 5
    assert sum(map(pieces, texts)) == tokens <= 800


def test_a_text_that_fits_is_asked_about_once() -> None:
    assert compressed(words, "prose", 900, Budget(max_tokens=1_000))[2] == 1


@settings(max_examples=60)
@given(
    st.sampled_from(KINDS),
    st.integers(200, 6_000),
    st.integers(1, 400),
    st.tuples(st.floats(0.05, 3), st.floats(0, 2), st.integers(0, 60)),
)
def test_no_counter_brings_it_above_the_limit(
    kind: Kind, chars: int, limit: int, counter: tuple[float, float, int]
) -> None:
    rate, jumps, overhead = counter

    def count(text: str) -> int:
        jump = sum(text.encode()) % 97 / 97 * jumps
        return 1 + overhead + int(len(text) * rate * (1 + jump))

    [text], tokens, _ = compressed(count, kind, chars, Budget(max_tokens=limit))
    assert tokens == (count(text) if text else 0) <= limit


@pytest.mark.parametrize("budget", [Budget(keep_fraction=0.3), Budget(attention_mass=0.5)])
def test_other_budgets_are_asked_about_no_more_often(budget: Budget) -> None:
    [text], tokens, calls = compressed(pieces, "prose", 20_000, budget)
    assert calls <= 4
    assert pieces(text) == tokens
