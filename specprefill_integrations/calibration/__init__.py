"""Fit a readout to a draft model.

Importing this imports no `torch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names

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


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
