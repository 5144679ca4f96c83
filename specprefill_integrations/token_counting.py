"""Anything that can count tokens -> one function. Knows the counters' shapes, imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from specprefill_integrations.errors import TokenCounterError

CountTokens = Callable[[Sequence[str]], list[int]]
"""Counts the tokens of each text."""


def as_token_counter(counter: Any) -> CountTokens:  # noqa: ANN401 - that is the point of it
    """Make a counter of whatever the caller has at hand.

    Args:
        counter: One of: a LangChain model (`get_num_tokens`), a tokenizer with `encode` (Hugging
            Face `transformers` or `tokenizers`, tiktoken, sentencepiece), a LlamaIndex or other
            object that carries such a tokenizer as `.tokenizer` or `._tokenizer`, or a function
            from a text to its number of tokens or to its tokens.

    Returns:
        A function from texts to their numbers of tokens.

    Raises:
        TokenCounterError: `counter` is none of these.
    """
    count = _count_one(counter)
    return lambda texts: [count(text) for text in texts]


def _count_one(counter: Any) -> Callable[[str], int]:  # noqa: ANN401
    if callable(getattr(counter, "get_num_tokens", None)):
        return lambda text: int(counter.get_num_tokens(text))
    if callable(getattr(counter, "encode", None)):
        return _encoding_length(counter)
    for name in ("tokenizer", "_tokenizer"):
        inner = getattr(counter, name, None)
        if inner is not None and inner is not counter:
            return _count_one(inner)
    if callable(counter):
        return lambda text: _as_number(counter(text))
    msg = (
        f"count_tokens= takes a function from text to a number, a LangChain or LlamaIndex model or "
        f"a tokenizer; got {type(counter).__name__!r}."
    )
    raise TokenCounterError(msg)


def _encoding_length(tokenizer: Any) -> Callable[[str], int]:  # noqa: ANN401
    """Length of `encode`, without special tokens where the tokenizer would add any."""
    if callable(getattr(tokenizer, "encode_ordinary", None)):  # tiktoken refuses "<|endoftext|>"
        return lambda text: len(tokenizer.encode_ordinary(text))
    try:
        tokenizer.encode("a", add_special_tokens=False)
    except TypeError:
        return lambda text: len(tokenizer.encode(text))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _as_number(counted: Any) -> int:  # noqa: ANN401
    """A count as it is, or the length of a list of tokens."""
    return counted if isinstance(counted, int) else len(counted)
