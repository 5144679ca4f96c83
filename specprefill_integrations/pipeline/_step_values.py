"""The values between the steps of one call, and the error of a step that failed."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from specprefill_integrations._deadline import check_deadline
from specprefill_integrations.pipeline._budget_fitting import Fitted
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.pipeline._failures import reason_of
from specprefill_integrations.pipeline._pasted_text import without_pasted_text
from specprefill_integrations.pipeline._protection import ProtectionRule
from specprefill_integrations.pipeline._query_intent import LeaveWhole
from specprefill_integrations.pipeline._selection import Selector
from specprefill_integrations.pipeline._split_document import SplitDocument
from specprefill_integrations.pipeline._token_counting import count_each, in_parts
from specprefill_integrations.pipeline._unit_costs import TokenEstimate
from specprefill_integrations.scoring._span_scorer import (
    EncodedText,
    ScoreRequest,
    SpanScorer,
)
from specprefill_integrations.splitting import Splitter
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.types import (
    Budget,
    CountTokens,
    SkipReason,
    TextHint,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The parts of a compressor. See `ContextCompressor`."""

    scorer: SpanScorer
    """Scores how much a question needs a span."""

    splitter: Splitter[Any]
    """Splits a text into units."""

    selector: Selector | None
    """Selects units; None: by the intent of the query."""

    gaps: GapStyle | None
    """The gap style; None: that of each kind of text."""

    protect: tuple[ProtectionRule, ...]
    """Rules for units that are kept first."""

    leave_whole: LeaveWhole | None
    """Decides if a question needs every word of a text."""

    fraction_of: Literal["tokens", "units"]
    """The quantity that `Budget.keep_fraction` is a fraction of."""

    drop_repeats: bool
    """True to keep text that is repeated within a call once."""

    count_tokens: CountTokens
    """Counts the tokens that budgets are about."""

    deadline_seconds: float | None
    """Maximum duration of a call; None for no limit."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text; see `count_each`."""
        return count_each(self.count_tokens, texts)

    @property
    def counts_own_tokens(self) -> bool:
        """True if budgets are about the scorer's own tokens."""
        return self.count_tokens == self.scorer.count_tokens

    def encode(self, texts: Sequence[str]) -> list[EncodedText] | None:
        """Encode the texts; None if the scorer cannot do that. See `SpanScorer.encode`."""
        encoded: list[EncodedText] = []
        for part in in_parts(texts):
            check_deadline()
            found = self.scorer.encode(part)
            if found is None:
                return None
            encoded += found
        return encoded


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call."""

    texts: Sequence[str]
    """The caller's texts."""

    query: str | None
    """The question, without pasted texts and lone surrogates; None if there is none."""

    budget: Budget
    """The budget of all texts together."""

    hints: Sequence[TextHint | None]
    """Facts about each text."""

    readable: Sequence[str]
    """The texts without lone surrogates, which no tokenizer encodes."""

    started: float = field(default_factory=time.perf_counter)
    """When the call began, in seconds of `time.perf_counter`."""

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        query: str | None,
        budget: Budget,
        hints: Sequence[TextHint | None],
    ) -> Call:
        """Take the arguments of a call; a blank question is none."""
        asked = without_pasted_text(encodable(query)) if query and query.strip() else None
        return cls(texts, asked, budget, hints, [encodable(text) for text in texts])


@dataclass(frozen=True, slots=True)
class Counted:
    """A call whose texts are counted."""

    call: Call
    """The call."""

    tokens: Sequence[int]
    """Tokens of each text."""

    encoded: Sequence[EncodedText] | None = field(default=None, repr=False)
    """The texts with the scorer's own tokens, if it gives them."""

    @property
    def needs_no_cut(self) -> bool:
        """True if all texts fit into the budget."""
        return _fits(self.call.budget, sum(self.tokens))


@dataclass(frozen=True, slots=True)
class Split:
    """A call whose texts are split."""

    counted: Counted
    """The step before."""

    documents: Mapping[int, SplitDocument]
    """The split texts, by their place in the call."""

    skipped: Mapping[int, SkipReason]
    """Texts that are not to be cut, and why."""

    costs: Sequence[int] = ()
    """Tokens of all units, document after document."""

    estimate: TokenEstimate | None = None
    """Stands for a caller's counter, which may be slow, wherever tokens need not be exact."""

    @property
    def tokens(self) -> int:
        """Tokens of the split texts."""
        return sum(self.counted.tokens[index] for index in self.documents)

    @property
    def limit(self) -> int:
        """Tokens that may be kept of them."""
        return self.counted.call.budget.token_limit(self.tokens)

    @property
    def widest_limit(self) -> int:
        """Tokens that may be kept of them if the best unit needs them."""
        return self.counted.call.budget.widest_limit(self.tokens)

    @property
    def needs_no_cut(self) -> bool:
        """True if they fit into the budget."""
        return _fits(self.counted.call.budget, self.tokens)

    @property
    def request(self) -> ScoreRequest:
        """The question to the scorer; texts without units are left out."""
        filled = {place: one for place, one in self.documents.items() if one.units}
        encoded = self.counted.encoded
        return ScoreRequest(
            self.counted.call.query,
            [document.text for document in filled.values()],
            [document.units for document in filled.values()],
            None if encoded is None else [encoded[place] for place in filled],
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """A call whose units are scored."""

    split: Split
    """The step before."""

    scores: Sequence[float]
    """One score per unit, document after document."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A call whose units are selected within the budget."""

    scored: Scored
    """The step before."""

    fitted: Mapping[int, Fitted]
    """The kept part of each split text, by its place in the call."""

    is_widened: bool
    """True if a fraction gave way, so that the best unit is kept."""

    @property
    def saves_nothing(self) -> bool:
        """True if a fraction gave way so far that all could be kept."""
        kept = sum(document.tokens for document in self.fitted.values())
        return self.is_widened and kept >= self.scored.split.tokens


class StepError(Exception):
    """A step failed."""

    def __init__(
        self, reason: SkipReason, reached: Call | Counted | Split, error: Exception
    ) -> None:
        """Note the failure.

        Args:
            reason: The skip reason of the texts.
            reached: The last value reached.
            error: What was raised.
        """
        super().__init__(reason)
        self.reason = reason
        self.reached = reached
        self.error = error


@contextmanager
def failing_as(
    reason: SkipReason, reached: Call | Counted | Split, *, is_awaited: bool = False
) -> Iterator[None]:
    """Turn any exception of the block into a `StepError`, unless it is one.

    Args:
        reason: The skip reason of the texts, unless the error has its own.
        reached: The last value reached.
        is_awaited: True if the caller may be cancelled in the block.
    """
    try:
        yield
    except StepError:
        raise
    except CancelledError as error:
        if is_awaited:
            raise
        failure = RuntimeError("A scorer, splitter or counter raised CancelledError.")
        raise StepError(reason, reached, failure) from error
    except Exception as error:
        raise StepError(reason_of(error, reason), reached, error) from error


def _fits(budget: Budget, tokens: int) -> bool:
    return not budget.depends_on_scores and tokens <= budget.token_limit(tokens)
