"""Options that the commands of `evaluate` share.

Apart from the other options, because the names of scorers come from the evaluation library, which
no other command needs at its start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specprefill_integrations.cli._options import known_name
from specprefill_integrations.cli._terminal import USAGE_ERROR, fail
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.evaluation._ab_variants import keep_fractions_of
from specprefill_integrations.evaluation._lineup import ScorerName

_MEASURED = tuple(name.value for name in ScorerName)


def parse_measured(name: str) -> str:
    """Parse `--scorer` of commands that also measure baselines and peers."""
    return known_name(name, _MEASURED)


def check_keep(fractions: str | None) -> str | None:
    """Refuse anything but fractions, separated by commas."""
    if fractions is not None:
        try:
            keep_fractions_of(fractions)
        except BudgetError:
            fail(
                f"--keep takes fractions in (0, 1], separated by commas; got {fractions!r}",
                USAGE_ERROR,
            )
    return fractions


Data = Annotated[
    list[Path],
    typer.Argument(metavar="DATA", help="Cases: JSON lines, CSV or a LangSmith export."),
]
Scorers = Annotated[
    list[str] | None,
    typer.Option(
        parser=parse_measured,
        metavar=f"[{'|'.join(_MEASURED)}]",
        help="Scorer to measure; repeatable. Default: readout.",
    ),
]
Keep = Annotated[
    str,
    typer.Option(
        metavar="FRACTIONS",
        callback=check_keep,
        help="Kept tokens / original tokens, in (0, 1], comma-separated.",
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PLACE",
        help="Field that holds a part of a case, such as query=inputs.question; repeatable.",
    ),
]
Reference = Annotated[
    str,
    typer.Option(
        metavar="VARIANT",
        help="Variant to compare the others with, such as bm25@0.2; full prompts are left out "
        "then.",
    ),
]
PeerModels = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PLACE", help="Folder or hub id of a peer's weights; repeatable."),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Allow code that comes with a peer's weights to run."),
]
Provider = Annotated[str | None, typer.Option(help="Provider for --prices-of, such as openai.")]
DraftPrice = Annotated[float, typer.Option(min=0, help="Price of an hour of the draft's machine.")]
