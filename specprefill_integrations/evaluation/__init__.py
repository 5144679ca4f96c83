"""Measurements of compression: evidence recall, A/B comparisons, limits, costs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specprefill_integrations.evaluation._cost import total_cost
    from specprefill_integrations.evaluation._pictures import draw_break_even

_HOMES = {"draw_break_even": "_pictures", "total_cost": "_cost"}

__all__ = ["draw_break_even", "total_cost"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
