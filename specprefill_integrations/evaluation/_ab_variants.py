"""The arms of an A/B measurement: the full prompt, and each scorer at each fraction. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specprefill_integrations.errors import BudgetError
from specprefill_integrations.evaluation._evidence import keep_key
from specprefill_integrations.types import Budget

FULL_NAME = "full"
"""The arm that all others are compared with."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to ask: with the texts whole, or with what a scorer keeps of them."""

    scorer: str | None = None
    """Says what is kept; None for the texts as they are."""

    keep_fraction: float = 1.0
    """Kept tokens / original tokens, in (0, 1]."""

    @property
    def name(self) -> str:
        """What the arm is called in results: `full`, `readout@0.2`."""
        return f"{self.scorer}@{keep_key(self.keep_fraction)}" if self.scorer else FULL_NAME


def arms_of(scorers: Sequence[str], keep_fractions: Sequence[float]) -> list[Arm]:
    """The full prompt first, then every scorer at every fraction."""
    return [Arm(), *(Arm(scorer, keep) for scorer in scorers for keep in keep_fractions)]


def keep_fractions_of(text: str) -> list[float]:
    """Fractions with commas between them, as their names in results say them, each once.

    Raises:
        BudgetError: One is no number, or not in (0, 1].
    """
    try:
        found = [float(keep_key(float(part))) for part in text.split(",")]
    except ValueError as error:
        msg = f"fractions in (0, 1] are needed, with commas between; got {text!r}"
        raise BudgetError(msg) from error
    for keep_fraction in found:
        Budget(keep_fraction=keep_fraction)
    return list(dict.fromkeys(found))


def in_turn(arms: Sequence[Arm], turn: int) -> list[Arm]:
    """The arms in the order of one case: each case begins with the next arm.

    So whatever drifts while a measurement lasts, such as the load of a server, meets all alike.

    Args:
        arms: At least one.
        turn: Which case it is, counted from 0.
    """
    start = turn % len(arms)
    return [*arms[start:], *arms[:start]]
