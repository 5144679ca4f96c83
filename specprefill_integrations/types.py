"""The values that travel through the pipeline: frozen, standard library only.

Knows nothing about models, tokenizers or frameworks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, NamedTuple

from specprefill_integrations.errors import BudgetError

SkipReason = Literal[
    "empty_text",
    "within_budget",
    "kind_excluded",
    "needs_every_word",
    "splitter_failed",
    "scorer_failed",
    "deadline_exceeded",
    "counter_failed",
    "no_text",
    "too_small",
    "never_pays",
    "tool_error",
    "return_direct",
    "structured_output",
    "excluded_tool",
    "already_compressed",
    "recalled",
    "nothing_kept",
    "not_shorter",
    "no_room",
    "failed",
]
"""Why a text passed through unchanged. The compressor's reasons, up to `counter_failed`, are
explained in docs/how-it-works.md; those of the integrations in docs/agents.md."""

Kind = Literal[
    "prose",
    "markdown",
    "code",
    "json",
    "jsonl",
    "yaml",
    "toml",
    "csv",
    "log",
    "diff",
    "html",
    "chat",
    "lines",
]
"""What a text is cut as; `lines` is what is of no other kind and consists of short lines."""


class Span(NamedTuple):
    """A stretch of a text: `text[start:end]`, in characters."""

    start: int
    """First character."""

    end: int
    """One past the last character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextHint:
    """What is known of a text besides the text."""

    kind: Kind | None = None
    """What it is cut as; by its name, its MIME type and its looks where this is not given."""

    name: str | None = None
    """The name or path of the file that it comes from."""

    mime_type: str | None = None
    """What a server or a framework called it."""

    tool: str | None = None
    """The tool whose result it is."""

    reference: str | None = None
    """What its first gap marker names, so that a tool can fetch the original back."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of one of a call's documents that is kept or dropped as a whole."""

    document: int
    """Which document of the call, counted from 0."""

    span: Span
    """Where it stands in that document."""

    tokens: int
    """What it costs, in the caller's tokens."""

    score: float
    """How much the question needs it; higher is more."""

    mass: float = 0.0
    """Its share of what all units of the call are needed for, in [0, 1]."""

    needs: tuple[int, ...] = ()
    """Which units of the call it cannot be understood without, such as its heading: they are kept
    with it and paid for. They need nothing that is not listed here."""

    only_heads: bool = False
    """Whether it says nothing by itself, such as a heading: it is kept with what needs it alone."""

    is_protected: bool = False
    """Whether a rule says that it is to be kept, such as an error of a tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be kept. Where several limits are given, the strictest one holds.

    Raises:
        BudgetError: No limit was given, or one is out of its range.
    """

    keep_fraction: float | None = None
    """Kept tokens / original tokens, in (0, 1]."""

    max_tokens: int | None = None
    """Kept tokens, gap markers included; at least 1."""

    attention_mass: float | None = None
    """Share of what the draft attends to that is to be kept, in (0, 1]: much of a text in which the
    question finds much, little of one in which it finds little. See `Unit.mass`."""

    def __post_init__(self) -> None:
        """Reject a budget that could not be met or means nothing."""
        keep, most, mass = self.keep_fraction, self.max_tokens, self.attention_mass
        if keep is most is mass is None:
            msg = "A Budget needs keep_fraction=, max_tokens=, attention_mass= or several of them."
            raise BudgetError(msg)
        if keep is not None and not (_is_a(Real, keep) and 0 < keep <= 1):
            msg = f"keep_fraction is kept / original tokens, in (0, 1]; got {keep!r}."
            raise BudgetError(msg)
        if most is not None and not (_is_a(Integral, most) and most >= 1):
            msg = f"max_tokens must be a whole number, at least 1; got {most!r}."
            raise BudgetError(msg)
        if mass is not None and not (_is_a(Real, mass) and 0 < mass <= 1):
            msg = f"attention_mass is a share, in (0, 1]; got {mass!r}."
            raise BudgetError(msg)

    def token_limit(self, original_tokens: int) -> int:
        """How many tokens may be kept of `original_tokens`: never 0 of a text that has any."""
        limits = [original_tokens]
        if self.max_tokens is not None:
            limits.append(int(self.max_tokens))
        if self.keep_fraction is not None:
            # The nudge keeps 0.07 * 100 at 7: binary fractions fall a hair short of the decimal.
            limits.append(max(1, math.floor(self.keep_fraction * original_tokens + 1e-9)))
        return min(limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What became of one text."""

    text: str
    """What is kept, in source order, with a visible marker at every gap."""

    kept: tuple[Span, ...]
    """Where it stood: disjoint, ascending, and each slices the original exactly."""

    original_tokens: int
    """Tokens of the original text."""

    kept_tokens: int
    """Tokens of `text`, gap markers included."""

    elapsed_seconds: float
    """Wall-clock time of the whole call; shared by all texts of one call."""

    skipped_because: SkipReason | None = None
    """Why the text was passed through whole; None where it was compressed."""

    @property
    def keep_fraction(self) -> float:
        """Kept tokens / original tokens; 1.0 for an empty text."""
        return self.kept_tokens / self.original_tokens if self.original_tokens else 1.0

    def as_metadata(self) -> dict[str, object]:
        """What was done, without the text, as plain values for JSON."""
        return {
            "kept": [list(span) for span in self.kept],
            "original_tokens": self.original_tokens,
            "kept_tokens": self.kept_tokens,
            "skipped_because": self.skipped_because,
        }


METADATA_KEY = "specprefill"
"""Where a compressed document or node says what was done to it; such a one is left alone."""


def _is_a(kind: type, value: object) -> bool:
    """Whether `value` is such a number, NumPy's included; True and False are no amounts."""
    return isinstance(value, kind) and not isinstance(value, bool)
