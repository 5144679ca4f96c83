"""The values that travel through the pipeline: frozen, standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, NamedTuple

from specprefill_integrations._arguments import checked
from specprefill_integrations._metadata import METADATA_KEY, metadata_of
from specprefill_integrations.errors import BudgetError

__all__ = [
    "METADATA_KEY",
    "Budget",
    "Compression",
    "Kind",
    "LanguageWarning",
    "SkipReason",
    "Span",
    "TextHint",
    "Unit",
]

SkipReason = Literal[
    "empty_text",
    "within_budget",
    "kind_excluded",
    "needs_every_word",
    "splitter_failed",
    "scorer_failed",
    "deadline_exceeded",
    "queue_full",
    "counter_failed",
    "draft_unavailable",
    "service_unavailable",
    "too_small",
    "not_calibrated",
    "no_text",
    "never_pays",
    "tool_error",
    "return_direct",
    "structured_output",
    "offloaded",
    "excluded_tool",
    "already_compressed",
    "recalled",
    "nothing_kept",
    "shadow",
    "below_trigger",
    "not_shorter",
    "no_room",
    "failed",
]
"""Why a text passed through unchanged. The compressor's reasons, up to `not_calibrated`, are
explained in docs/how-it-works.md; those of the integrations in docs/agents.md."""

FAILURES: frozenset[SkipReason] = frozenset(
    {
        "splitter_failed",
        "scorer_failed",
        "deadline_exceeded",
        "queue_full",
        "counter_failed",
        "draft_unavailable",
        "service_unavailable",
        "not_calibrated",
        "failed",
    }
)
"""The reasons that are failures. The others are decisions about the text."""

Kind = Literal[
    "prose",
    "markdown",
    "markup",
    "code",
    "json",
    "jsonl",
    "yaml",
    "toml",
    "ini",
    "xml",
    "csv",
    "log",
    "diff",
    "html",
    "chat",
    "mail",
    "subtitles",
    "lines",
]
"""Kinds of text; `lines` are texts of short lines that are of no other kind."""


LanguageWarning = Literal["text_unknown_to_draft", "question_in_another_language"]
"""Reason to trust a selection less, from the languages of question and text: docs/drafts.md."""

CountTokens = Callable[[Sequence[str]], list[int]]
"""A token counter: takes texts, returns the number of tokens of each."""


class Span(NamedTuple):
    """A stretch of a text: `text[start:end]`, in characters."""

    start: int
    """First character."""

    end: int
    """One past the last character."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class TextHint:
    """Facts about a text besides the text."""

    kind: Kind | None = None
    """Its kind; None detects it from its name, its MIME type and its content."""

    name: str | None = None
    """The name or path of its file."""

    mime_type: str | None = None
    """Its MIME type, as given by a server or a framework."""

    tool: str | None = None
    """The tool that returned it."""

    reference: str | None = None
    """The reference in its first gap marker, by which a tool can fetch the original."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of one of a call's documents that is kept or dropped as a whole."""

    document: int
    """Its document's place in the call, counted from 0."""

    span: Span
    """Its place in that document."""

    tokens: int
    """Its cost in the caller's tokens."""

    score: float
    """The question's need of it; higher means more."""

    mass: float = 0.0
    """Its share of the attention mass of all units of the call, in [0, 1]; 0 unless the budget has
    `attention_mass`."""

    probability: float | None = None
    """The calibrated probability that the question needs it, in [0, 1]; None if the scores are not
    calibrated, or nobody asks: the budget has no `target_recall`, and the selector is ours."""

    needs: tuple[int, ...] = ()
    """Units of the call without which it cannot be understood, such as its headings: they are kept
    and charged with it. What they need is listed too."""

    only_heads: bool = False
    """True for headings and the like, which are kept only with units that need them, and for
    repeated text."""

    is_protected: bool = False
    """True if a rule protects it, such as an error message of a tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits of what may be kept. Of several, the strictest holds.

    Raises:
        BudgetError: No limit was given, or one is out of its range.
    """

    keep_fraction: float | None = None
    """Kept tokens / original tokens, in (0, 1]."""

    max_tokens: int | None = None
    """Kept tokens, gap markers included; at least 1."""

    attention_mass: float | None = None
    """Share of the draft's attention that is to be kept, in (0, 1]: this keeps more of a text with
    much that the question needs. See `Unit.mass`."""

    target_recall: float | None = None
    """Probability that all that the question needs is kept, in (0, 1): as little is kept as this
    takes. Needs scores that are calibrated (`specprefill calibrate`). The other limits may keep
    less, and then the probability is lower."""

    min_tokens: int = 64
    """Tokens up to which `keep_fraction` gives way if the best part of the texts costs more, and
    no further than that part needs; 0: never. `max_tokens` never gives way."""

    def __post_init__(self) -> None:
        """Reject a budget that cannot be met or means nothing."""
        keep, most, mass = self.keep_fraction, self.max_tokens, self.attention_mass
        if keep is most is mass is self.target_recall is None:
            msg = (
                "A Budget needs at least one of keep_fraction=, max_tokens=, attention_mass= and "
                "target_recall=."
            )
            raise BudgetError(msg)
        if keep is not None and not (_is_a(Real, keep) and 0 < keep <= 1):
            msg = f"keep_fraction must be in (0, 1] (kept tokens / original tokens); got {keep!r}."
            raise BudgetError(msg)
        if most is not None and not (_is_a(Integral, most) and most >= 1):
            msg = f"max_tokens must be a whole number, at least 1; got {most!r}."
            raise BudgetError(msg)
        if mass is not None and not (_is_a(Real, mass) and 0 < mass <= 1):
            msg = f"attention_mass is a share, in (0, 1]; got {mass!r}."
            raise BudgetError(msg)
        self._check_target()
        if not (_is_a(Integral, self.min_tokens) and self.min_tokens >= 0):
            msg = f"min_tokens must be a whole number, at least 0; got {self.min_tokens!r}."
            raise BudgetError(msg)

    def _check_target(self) -> None:
        target = self.target_recall
        if target is not None and not (_is_a(Real, target) and 0 < target < 1):
            msg = f"target_recall is a probability, in (0, 1); got {target!r}."
            raise BudgetError(msg)

    @property
    def depends_on_scores(self) -> bool:
        """True if scores decide how much is kept: with `attention_mass` or `target_recall`."""
        return self.attention_mass is not None or self.target_recall is not None

    def token_limit(self, original_tokens: int) -> int:
        """Return the tokens that may be kept of `original_tokens`; at least 1 if there are any."""
        limits = [original_tokens]
        if self.max_tokens is not None:
            limits.append(int(self.max_tokens))
        if self.keep_fraction is not None:
            # The nudge keeps 0.07 * 100 at 7: binary fractions fall a hair short of the decimal.
            limits.append(max(1, math.floor(self.keep_fraction * original_tokens + 1e-9)))
        return min(limits)

    def widest_limit(self, original_tokens: int) -> int:
        """Return the tokens that may be kept if the best part of the texts needs them."""
        limit = self.token_limit(original_tokens)
        if self.keep_fraction is None:
            return limit
        widest = min(original_tokens, max(limit, int(self.min_tokens)))
        return widest if self.max_tokens is None else min(widest, int(self.max_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """The result for one text."""

    text: str
    """The kept parts in source order, with a visible marker at every gap."""

    kept: tuple[Span, ...]
    """Places of the kept parts: disjoint, ascending, each a slice of the original."""

    original_tokens: int
    """Tokens of the original text. If they could not be counted (`counter_failed`,
    `draft_unavailable`), an estimate: one token per four characters."""

    kept_tokens: int
    """Tokens of `text`, gap markers included."""

    elapsed_seconds: float
    """Wall-clock seconds of the whole call, the same for all texts of a call."""

    skipped_because: SkipReason | None = None
    """Why the text was passed through unchanged; None if it was compressed."""

    is_widened: bool = False
    """True if `Budget.keep_fraction` gave way, so that the best part of the call is kept."""

    repeated: tuple[Span, ...] = ()
    """Stretches that were left out because the call has the same text before; as in `kept`."""

    language_warnings: tuple[LanguageWarning, ...] = ()
    """Warnings about the languages of question and text; none for texts that were passed through
    unchanged, and for scorers without a draft."""

    @property
    def is_left_out(self) -> bool:
        """True if nothing of a text is kept, also where only its title would have been.

        The reason that events, metrics and metadata then give is `nothing_kept`.
        """
        return not self.kept and self.original_tokens > 0

    @property
    def keep_fraction(self) -> float:
        """Kept tokens / original tokens; 1.0 for an empty text."""
        return self.kept_tokens / self.original_tokens if self.original_tokens else 1.0

    def as_metadata(
        self, *, query_sources: Sequence[str] = (), start_char_idx: int | None = None
    ) -> dict[str, object]:
        """Return the counts and spans as plain values for JSON, without the text.

        Args:
            query_sources: Sources of the question.
            start_char_idx: The place of the text in its source.
        """
        return metadata_of(
            original_tokens=self.original_tokens,
            kept_tokens=self.kept_tokens,
            skipped_because=self.skipped_because,
            query_sources=query_sources,
            kept=self.kept,
            start_char_idx=start_char_idx,
        )


def _is_a(kind: type, value: object) -> bool:
    """Return True for numbers of a kind, including NumPy's; True and False are no amounts."""
    return isinstance(value, kind) and not isinstance(value, bool)
