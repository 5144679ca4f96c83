"""Fit a readout to a draft model.

Importing this imports no `torch`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specprefill_integrations.calibration._labeled_cases import LabeledCase
    from specprefill_integrations.calibration._probe import probe_cases
    from specprefill_integrations.calibration._run import (
        Calibration,
        read_for_calibration,
        unfitted_scorers,
    )

_HOMES = {
    "Calibration": "_run",
    "LabeledCase": "_labeled_cases",
    "probe_cases": "_probe",
    "read_for_calibration": "_run",
    "unfitted_scorers": "_run",
}

__all__ = [
    "Calibration",
    "LabeledCase",
    "probe_cases",
    "read_for_calibration",
    "unfitted_scorers",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
