"""Anything that can count tokens -> one function. Knows the counters' shapes, imports none."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, cast

from specprefill_integrations.errors import TokenCounterError

CountTokens = Callable[[Sequence[str]], list[int]]
"""Counts the tokens of each text."""


def as_token_counter(counter: Any) -> CountTokens:  # noqa: ANN401 - that is the point of it
    """Make a counter of whatever the caller has at hand.

    Args:
        counter: One of: a LangChain model (`get_num_tokens`), a tokenizer with `encode` (Hugging
            Face `transformers` or `tokenizers`, tiktoken, sentencepiece), a LlamaIndex or other
            object that carries such a tokenizer as `.tokenizer` or `._tokenizer`, a function
            from a text to its number of tokens or to its tokens, or what another compressor or
            scorer counts with (`compressor.count_tokens`).

    Returns:
        A function from texts to their numbers of tokens.

    Raises:
        TokenCounterError: `counter` is none of these.
    """
    if isinstance(counter, _Counter) or hasattr(getattr(counter, "__self__", None), "score_spans"):
        return cast("CountTokens", counter)  # a counter of several texts already
    return _Counter(_count_one(counter))


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts text by text."""

    count: Callable[[str], int]
    """Counts one."""

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Count each."""
        return [self.count(text) for text in texts]


def count_each(count_tokens: CountTokens, texts: Sequence[str]) -> list[int]:
    """The tokens of each text; an empty one costs nothing, whatever its counter adds to a text.

    Raises:
        TokenCounterError: The counter did not give one number for each text.
    """
    filled = [text for text in texts if text]
    counts = list(count_tokens(filled))
    if len(counts) != len(filled):
        msg = f"The counter gave {len(counts)} numbers for {len(filled)} texts."
        raise TokenCounterError(msg)
    counted = iter(counts)
    return [next(counted) if text else 0 for text in texts]


def _count_one(counter: Any) -> Callable[[str], int]:  # noqa: ANN401
    if isinstance(counter, (str, bytes)):  # their `encode` and length are about something else
        raise _not_a_counter(counter)
    if callable(getattr(counter, "get_num_tokens", None)):
        return lambda text: int(counter.get_num_tokens(text))
    if callable(getattr(counter, "encode", None)):
        return _encoding_length(counter)
    for name in ("tokenizer", "_tokenizer"):
        inner = getattr(counter, name, None)
        if inner is not None and inner is not counter:
            return _count_one(inner)
    if callable(counter) and not _takes_messages(counter):
        return lambda text: _as_number(counter(text))
    raise _not_a_counter(counter)


def _takes_messages(function: Callable[..., Any]) -> bool:
    """Whether a function counts messages, to which a text is one message a letter.

    LangChain's `count_tokens_approximately` and `get_num_tokens_from_messages` do.
    """
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of some built-in functions there is no signature
        return False
    return names[:1] == ["messages"]


def _not_a_counter(counter: object) -> TokenCounterError:
    return TokenCounterError(
        "count_tokens= takes a function from a text to its number of tokens, a LangChain or "
        f"LlamaIndex model or a tokenizer, but nothing that counts messages; got {counter!r}."
    )


def _encoding_length(tokenizer: Any) -> Callable[[str], int]:  # noqa: ANN401
    """Length of `encode`, without special tokens where the tokenizer would add any."""
    if callable(getattr(tokenizer, "encode_ordinary", None)):  # tiktoken refuses "<|endoftext|>"
        return lambda text: len(tokenizer.encode_ordinary(text))
    if callable(getattr(tokenizer, "no_truncation", None)):  # tokenizers.Tokenizer: may cut and pad
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
    try:
        tokenizer.encode("a", add_special_tokens=False)
    except TypeError:
        return lambda text: len(tokenizer.encode(text))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _as_number(counted: Any) -> int:  # noqa: ANN401
    """A count as it is, or the length of a list of tokens."""
    if isinstance(counted, Integral):
        return int(counted)
    try:
        return len(counted)
    except TypeError as error:
        msg = f"count_tokens= must return a whole number or a list of tokens; got {counted!r}."
        raise TokenCounterError(msg) from error
