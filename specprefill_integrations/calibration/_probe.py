"""A probe that any draft can be fitted to: invented texts, and questions whose evidence is known.

The same arguments give the same cases everywhere. Needs no data, no network and no model.
"""

from __future__ import annotations

import random

from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.calibration._probe_texts._chat import chat
from specprefill_integrations.calibration._probe_texts._code_module import code
from specprefill_integrations.calibration._probe_texts._contract import contract
from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._facts import facts
from specprefill_integrations.calibration._probe_texts._log import log
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase
from specprefill_integrations.calibration._probe_texts._records import records

_MAKERS = {
    "facts": facts,
    "chat": chat,
    "contract": contract,
    "log": log,
    "records": records,
    "code": code,
}
_OTHER_KINDS = [kind for kind in _MAKERS if kind != "facts"]


def probe_cases(count: int, *, seed: int = 0, chars: int = 5_000) -> list[LabeledCase]:
    """Make questions, texts and evidence for the calibration of a draft.

    Every other case is of the kind `facts`; the other kinds take turns. More cases of the same
    seed begin with the same cases.

    Args:
        count: How many cases.
        seed: Another seed gives other cases.
        chars: About how many characters the texts of a case have together.

    Returns:
        The cases, each with one piece of evidence.
    """
    return [
        _sound_case(kind, seed, index, chars).labeled(kind)
        for index, kind in ((index, _kind(index)) for index in range(count))
    ]


def _kind(index: int) -> str:
    return _OTHER_KINDS[index // 2 % len(_OTHER_KINDS)] if index % 2 else "facts"


def _sound_case(kind: str, seed: int, index: int, chars: int) -> MarkedCase:
    """Draw until nothing but the evidence gives the answer; chance may repeat a value."""
    # A string seeds alike on every version of Python.
    rng = random.Random(f"{seed} {index} {chars}")  # noqa: S311 - texts, no secrets
    while True:
        case = _MAKERS[kind](Draw(rng), chars)
        if case.is_sound():
            return case
