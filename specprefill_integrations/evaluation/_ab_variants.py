"""Variants of an A/B measurement: the full prompt, and each scorer at each fraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations._arguments import Share, Shares, checked
from specprefill_integrations.errors import BudgetError, EvaluationDataError
from specprefill_integrations.evaluation._evidence import keep_key
from specprefill_integrations.types import Budget

FULL_NAME = "full"
"""Name of the variant that all others are compared with by default."""


@checked
@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask: with the full texts, or with what a scorer keeps of them."""

    scorer: str | None = None
    """Name of the scorer; None for the full texts."""

    keep_fraction: Share = 1.0
    """Kept tokens / original tokens, in (0, 1]."""

    @property
    def name(self) -> str:
        """Name in results: `full`, `readout@0.2`."""
        return f"{self.scorer}@{keep_key(self.keep_fraction)}" if self.scorer else FULL_NAME

    @classmethod
    def of_name(cls, name: str) -> Variant:
        """The variant of a name in results.

        Raises:
            ValueError: It is no such name.
        """
        if name == FULL_NAME:
            return cls()
        scorer, _, keep_fraction = name.rpartition("@")
        return cls(scorer, float(keep_fraction))


@checked
def variants_of(scorers: Sequence[str], keep_fractions: Shares) -> list[Variant]:
    """The full prompt first, then every scorer at every fraction."""
    return [Variant(), *(Variant(scorer, keep) for scorer in scorers for keep in keep_fractions)]


def compared_variants(
    scorers: Sequence[str], keep_fractions: Shares, reference: str = FULL_NAME
) -> list[Variant]:
    """The variants of a measurement, the reference first.

    Args:
        scorers: Names of the scorers.
        keep_fractions: Fractions of each.
        reference: Name of the variant that all others are compared with. If it is not the full
            prompt, the full prompt is left out.

    Raises:
        EvaluationDataError: There is no such variant.
    """
    full, *compressed = variants_of(scorers, keep_fractions)
    if reference == FULL_NAME:
        return [full, *compressed]
    names = [variant.name for variant in compressed]
    if reference not in names:
        known = ", ".join([FULL_NAME, *names])
        msg = f"reference must be a variant of the measurement ({known}); got {reference!r}"
        raise EvaluationDataError(msg)
    first = compressed.pop(names.index(reference))
    return [first, *compressed]


def keep_fractions_of(text: str) -> list[float]:
    """Parse fractions separated by commas; each once.

    Raises:
        BudgetError: One is no number, or not in (0, 1].
    """
    try:
        found = [float(keep_key(float(part))) for part in text.split(",")]
    except ValueError as error:
        msg = f"fractions in (0, 1] are needed, separated by commas; got {text!r}"
        raise BudgetError(msg) from error
    for keep_fraction in found:
        Budget(keep_fraction=keep_fraction)
    return list(dict.fromkeys(found))


def in_turn(variants: Sequence[Variant], turn: int) -> list[Variant]:
    """The variants in the order of one case: each case starts with the next variant.

    So any drift during a measurement, such as the load of a server, affects all variants alike.

    Args:
        variants: At least one.
        turn: Number of the case, from 0.
    """
    start = turn % len(variants)
    return [*variants[start:], *variants[:start]]
