"""Token counters made of tokenizers, chat models and functions.

Imports none of them: they are known by their methods.
"""

from __future__ import annotations

import copy
import inspect
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from numbers import Integral
from typing import Any, TypeGuard, cast

from specprefill_integrations._arguments import is_asynchronous
from specprefill_integrations._deadline import check_deadline, seconds_left
from specprefill_integrations.errors import TokenCounterError
from specprefill_integrations.types import CountTokens

__all__ = [
    "as_token_counter",
    "count_changed",
    "count_each",
    "counts_one_by_one",
    "in_parts",
]

# A tokenizer is faster for many texts at once; between such parts a deadline is checked.
_COUNTED_AT_ONCE = 200_000

# A text that was changed in one place is counted whole up to this length. Of a longer one what
# changed is counted, with so many characters around it.
LONG_CHARS = 4_000
_AROUND_CHARS = 200

# Rough counters, such as words or characters / 4, rightly give 0 for shorter texts.
_NEVER_FREE = 8


def as_token_counter(counter: Any) -> CountTokens:  # noqa: ANN401 - that is the point of it
    """Make a token counter of a tokenizer, a model or a function.

    The counter pickles if `counter` does.

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
    """Counts one text after another."""

    count: Callable[[str], int]
    """Counts one text."""

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Count each text."""
        counts = []
        for text in texts:
            check_deadline()
            counts.append(self.count(text))
        return counts


def counts_one_by_one(counter: CountTokens) -> bool:
    """Return True for a counter made of a caller's function, model or tokenizer: it may be slow."""
    return isinstance(counter, _Counter)


def count_each(count_tokens: CountTokens, texts: Sequence[str]) -> list[int]:
    """Count the tokens of each text; an empty text has none, whatever its counter adds.

    Raises:
        TokenCounterError: The counter did not give one number for each text, or a number that
            cannot be right: below 0, or 0 for a text with eight or more letters and digits.
        DeadlineExceededError: The call took too long; looked at before every 200,000 characters.
    """
    counts = []
    for part in in_parts(texts):
        check_deadline()
        counts += _count_together(count_tokens, part)
    return counts


def count_changed(count_tokens: CountTokens, text: str, tokens: int, changed: str) -> int:
    """Count a text that differs in one place from one that was counted.

    Up to `LONG_CHARS` the count is exact. The tokens of a longer text may be off by a few, because
    only what changed is counted, before and after.

    Args:
        count_tokens: Counts the tokens of texts.
        text: The text that was counted.
        tokens: Its tokens.
        changed: The text to count.
    """
    if min(len(text), len(changed)) <= LONG_CHARS:
        return count_each(count_tokens, [changed])[0]
    start = _shared_start(text, changed)
    shared_end = _shared_start(text[start:][::-1], changed[start:][::-1])
    start = max(0, start - _AROUND_CHARS)
    after = max(0, shared_end - _AROUND_CHARS)
    ends = len(text) - after, len(changed) - after
    before, now = count_each(count_tokens, [text[start : ends[0]], changed[start : ends[1]]])
    return max(0, tokens + now - before)


def _shared_start(one: str, other: str) -> int:
    """Return the number of characters with which two texts begin alike."""
    lengths = range(1, min(len(one), len(other)) + 1)
    return bisect_left(lengths, x=True, key=lambda length: one[:length] != other[:length])


def in_parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield texts in parts that are counted at once if a deadline is to be kept, else all.

    A long text is a part of its own.
    """
    if seconds_left() is None:
        yield texts
        return
    start = chars = 0
    for index, text in enumerate(texts):
        if chars and chars + len(text) > _COUNTED_AT_ONCE:
            yield texts[start:index]
            start, chars = index, 0
        chars += len(text)
    yield texts[start:]


def _count_together(count_tokens: CountTokens, texts: Sequence[str]) -> list[int]:
    filled = [text for text in texts if text]
    if not filled:
        return [0] * len(texts)
    found: object = count_tokens(filled)
    if not isinstance(found, Iterable):
        msg = f"The counter gave no list of numbers: {found!r:.99}."
        raise TokenCounterError(msg)
    counts = list(found)
    if len(counts) != len(filled):
        msg = f"The counter gave {len(counts)} numbers for {len(filled)} texts."
        raise TokenCounterError(msg)
    counted = map(_plausible, counts, filled)
    return [next(counted) if text else 0 for text in texts]


def _plausible(count: object, text: str) -> int:
    """Return a count as an `int`.

    Raises:
        TokenCounterError: It cannot be right.
    """
    if not _is_whole(count) or int(count) < 0 or (int(count) == 0 and _is_never_free(text)):
        msg = f"The counter gave {count!r:.99} for a text of {len(text)} characters."
        raise TokenCounterError(msg)
    return int(count)


def _is_never_free(text: str) -> bool:
    return len(list(islice(filter(str.isalnum, text), _NEVER_FREE))) == _NEVER_FREE


def _is_whole(count: object) -> TypeGuard[Integral]:
    return isinstance(count, Integral) and not isinstance(count, bool)


def _count_one(counter: Any) -> Callable[[str], int]:  # noqa: ANN401
    if isinstance(counter, (str, bytes)):  # their `encode` and length are about something else
        raise _not_a_counter(counter)
    if callable(getattr(counter, "get_num_tokens", None)):
        return partial(_as_number, counter.get_num_tokens)
    if callable(getattr(counter, "encode", None)):
        return _encoding_length(counter)
    for name in ("tokenizer", "_tokenizer"):
        inner = getattr(counter, name, None)
        if inner is not None and inner is not counter:
            return _count_one(inner)
    if callable(counter) and _takes_a_text(counter):
        return partial(_as_number, counter)
    raise _not_a_counter(counter)


def _takes_a_text(function: Callable[..., Any]) -> bool:
    """Return False if a function needs more than a text, must be awaited, or counts messages.

    LangChain's `count_tokens_approximately` and `get_num_tokens_from_messages` count messages: to
    them, each letter of a text is one.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some built-in functions there is no signature
        return True
    try:
        signature.bind("")
    except TypeError:
        return False
    return list(signature.parameters)[:1] != ["messages"] and not is_asynchronous(function)


def _not_a_counter(counter: object) -> TokenCounterError:
    return TokenCounterError(
        "count_tokens= takes a function from one text to its number of tokens, a LangChain or "
        f"LlamaIndex model or a tokenizer, but nothing that counts messages; got {counter!r}."
    )


def _encoding_length(tokenizer: Any) -> Callable[[str], int]:  # noqa: ANN401
    """Count by `encode`, without special tokens if the tokenizer can leave them out."""
    if callable(getattr(tokenizer, "encode_ordinary", None)):  # tiktoken refuses "<|endoftext|>"
        return partial(_as_number, tokenizer.encode_ordinary)
    if callable(getattr(tokenizer, "no_truncation", None)):  # tokenizers.Tokenizer: may cut and pad
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
    try:
        tokenizer.encode("a", add_special_tokens=False)
    except TypeError:
        return partial(_as_number, tokenizer.encode)
    return partial(_as_number, partial(tokenizer.encode, add_special_tokens=False))


def _as_number(count: Callable[[str], Any], text: str) -> int:
    """Count one text; a list of tokens counts by its length."""
    counted = count(text)
    if _is_whole(counted):
        return int(counted)
    # The length of a tokenizer's dictionary, or of a batch of one row, is no number of tokens.
    is_list = hasattr(counted, "__len__") and getattr(counted, "ndim", 1) == 1
    if is_list and not isinstance(counted, (str, bytes, Mapping)):
        return len(counted)
    msg = f"count_tokens= must return a whole number or a list of tokens; got {counted!r:.99}."
    raise TokenCounterError(msg)
