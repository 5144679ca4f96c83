"""Every shape of counter that a caller may have at hand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages.utils import count_tokens_approximately
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from specprefill_integrations import ContextCompressor
from specprefill_integrations.errors import TokenCounterError
from specprefill_integrations.pipeline._token_counting import (
    LONG_CHARS,
    as_token_counter,
    count_changed,
    count_each,
)
from specprefill_integrations.testing import KeywordScorer

TEXTS = ["the cat sat", "cat", "the the cat dog"]
WORDS = [3, 1, 4]


def word_tokenizer() -> Tokenizer:
    """A Hugging Face tokenizer that puts special tokens around a text."""
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 3, "cat": 4, "sat": 5}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


class WordCountingModel(GenericFakeChatModel):
    """A LangChain model that counts words."""

    def get_num_tokens(self, text: str) -> int:
        """One token a word."""
        return len(text.split())


class TikToken:
    """As tiktoken: `encode` refuses what looks like a special token."""

    def encode(self, text: str) -> list[int]:
        """Refuse."""
        raise ValueError(text)

    def encode_ordinary(self, text: str) -> list[int]:
        """One token a word."""
        return [0] * len(text.split())


class SentencePiece:
    """As sentencepiece: no option for special tokens."""

    def encode(self, text: str) -> list[int]:
        """One token a word."""
        return [0] * len(text.split())


class Callback:
    """As a LlamaIndex token counter: carries a function under the name of a tokenizer."""

    def __init__(self, tokenizer: Callable[[str], list[str]]) -> None:
        self.tokenizer = tokenizer


def words(text: str) -> list[str]:
    return text.split()


COUNTERS: dict[str, Any] = {
    "LangChain model": WordCountingModel(messages=iter([])),
    "tokenizers": word_tokenizer(),
    "transformers": PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(), unk_token="[UNK]", cls_token="[CLS]"
    ),
    "tiktoken": TikToken(),
    "sentencepiece": SentencePiece(),
    "LlamaIndex, public": Callback(words),
    "LlamaIndex, private": SimpleNamespace(_tokenizer=words),
    "LlamaIndex with a tokenizer object": SimpleNamespace(tokenizer=None, _tokenizer=TikToken()),
    "function to a number": lambda text: len(words(text)),
    "function to tokens": words,
    "function to NumPy number": lambda text: np.int64(len(words(text))),
    "function to NumPy tokens": lambda text: np.zeros(len(words(text))),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_counts(name: str) -> None:
    counts = as_token_counter(COUNTERS[name])(TEXTS)
    assert counts == WORDS
    assert all(type(count) is int for count in counts)


def test_a_tokenizer_that_truncates_and_pads_counts_all_and_only_the_text() -> None:
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=30)
    assert as_token_counter(tokenizer)(TEXTS) == WORDS
    assert tokenizer.truncation["max_length"] == 2
    assert tokenizer.padding["length"] == 30


@pytest.mark.parametrize("wrong", [None, 3, 2.5, "gpt2", b"gpt2", [], object(), SimpleNamespace()])
def test_anything_else_is_refused_at_once(wrong: object) -> None:
    with pytest.raises(TokenCounterError, match="count_tokens="):
        as_token_counter(wrong)


@pytest.mark.parametrize(
    "wrong",
    [None, 2.5, math.nan, True, object(), "a b", b"a", {"input_ids": [1]}, np.zeros((1, 9))],
)
def test_a_function_to_something_else_is_refused_when_it_counts(wrong: object) -> None:
    with pytest.raises(TokenCounterError, match="whole number or a list"):
        as_token_counter(lambda _: wrong)(["a"])


@pytest.mark.parametrize(
    "counter",
    [
        count_tokens_approximately,
        WordCountingModel(messages=iter([])).get_num_tokens_from_messages,
        lambda messages: sum(len(message.content) for message in messages),
    ],
)
def test_a_counter_of_messages_is_refused_at_once(counter: Callable[..., int]) -> None:
    """A text would be one message a letter to it, each with the tokens that a message costs."""
    with pytest.raises(TokenCounterError, match="nothing that counts messages"):
        as_token_counter(counter)


@pytest.mark.parametrize("counts", [[], [1], [1, 2, 3]])
def test_a_counter_of_several_texts_must_count_each(counts: list[int]) -> None:
    with pytest.raises(TokenCounterError, match=f"{len(counts)} numbers for 2 texts"):
        count_each(lambda _: counts, ["a", "", "b"])


@pytest.mark.parametrize("wrong", [0, -1, None, math.nan, 2.0, True, "3"])
def test_a_number_that_cannot_be_right_is_refused(wrong: object) -> None:
    counts: Any = [4, wrong]
    with pytest.raises(TokenCounterError, match="for a text of 12 characters"):
        count_each(lambda _: counts, ["a cat", "a longer one"])
    with pytest.raises(TokenCounterError, match="no list of numbers: None"):
        count_each(lambda _: None, ["a cat"])  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "rough",
    [
        lambda text: len(text.split()),
        lambda text: len(text) // 4,
        lambda text: len(re.findall(r"\w+", text)),
    ],
)
def test_a_rough_counter_may_give_0_for_what_is_short_or_blank(rough: Callable[[str], int]) -> None:
    texts = [" \n\t  ", "no", "---", "a whole sentence, which no counter gives for nothing"]
    counts = count_each(as_token_counter(rough), texts)
    assert 0 in counts
    assert counts[-1] > 0


def test_numbers_of_numpy_count() -> None:
    counts = count_each(lambda _: np.array([3, 4]), ["a", "b"])  # type: ignore[arg-type, return-value]
    assert counts == [3, 4]
    assert all(type(count) is int for count in counts)


def test_an_empty_text_costs_nothing() -> None:
    count = as_token_counter(lambda text: 3 + len(text))
    assert count_each(count, ["", "ab", ""]) == [0, 5, 0]


def test_what_another_compressor_counts_with() -> None:
    """A counter of several texts, which would take a text for a list of letters."""
    first = ContextCompressor(KeywordScorer(), count_tokens=lambda text: len(text.split()))
    assert ContextCompressor(KeywordScorer(), count_tokens=first.count_tokens).count_tokens(
        ["a b c", "d"]
    ) == [3, 1]
    scorer = KeywordScorer()
    assert as_token_counter(scorer.count_tokens)(["a, b", "c"]) == [3, 1]


def word_ends(text: str) -> int:
    """Count the letters before what is no letter: to be exact, a part must end there."""
    return sum(a.isalpha() and not b.isalpha() for a, b in pairwise(f"{text} "))


@pytest.mark.parametrize("words", [5, 3_000])
@given(data=st.data())
def test_what_changed_is_counted_in_its_place(words: int, data: st.DataObject) -> None:
    text = " ".join(f"word {n % 7}" for n in range(words))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    new = data.draw(st.text("ab 1", max_size=30))
    changed = f"{text[:start]}{new}{text[end:]}"
    counted: list[int] = []

    def count(parts: Sequence[str]) -> list[int]:
        counted.extend(map(len, parts))
        return list(map(word_ends, parts))

    found = count_changed(count, text, word_ends(text), changed)
    assert found == word_ends(changed)
    most = 2 * 200 + len(new) + (end - start)
    assert all(chars <= max(most, LONG_CHARS) for chars in counted)
