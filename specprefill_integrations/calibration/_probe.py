"""Built-in calibration probe: invented texts, and questions whose evidence is known.

Deterministic; needs no data, network or model.
"""

from __future__ import annotations

import random

from specprefill_integrations._arguments import NonNegativeInt, PositiveInt, checked
from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._probe_texts._chat import chat
from specprefill_integrations.calibration._probe_texts._documents import (
    code,
    contract,
    log,
    records,
)
from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._facts import facts
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase

_MAKERS = {
    "facts": facts,
    "chat": chat,
    "contract": contract,
    "log": log,
    "records": records,
    "code": code,
}
_OTHER_KINDS = [kind for kind in _MAKERS if kind != "facts"]


@checked
def probe_cases(
    count: NonNegativeInt, *, seed: int = 0, chars: PositiveInt = 5_000
) -> list[LabeledCase]:
    """Make questions with texts and evidence, to fit a readout to.

    Every other case is of the kind `facts`; the other kinds take turns. A larger `count` extends
    the same list.

    Args:
        count: Number of cases.
        seed: Random seed.
        chars: Approximate length of a case's texts, in characters.

    Returns:
        Cases with one piece of evidence each.
    """
    return [
        _sound_case(kind, seed, index, chars).labeled(kind)
        for index, kind in ((index, _kind(index)) for index in range(count))
    ]


def _kind(index: int) -> str:
    return _OTHER_KINDS[index // 2 % len(_OTHER_KINDS)] if index % 2 else "facts"


def _sound_case(kind: str, seed: int, index: int, chars: int) -> MarkedCase:
    """Draw until only the evidence holds the answer; values repeat by chance."""
    # A string seeds alike on every version of Python.
    rng = random.Random(f"{seed} {index} {chars}")  # noqa: S311 - texts, no secrets
    while True:
        case = _MAKERS[kind](Draw(rng), chars)
        if case.is_sound():
            return case
