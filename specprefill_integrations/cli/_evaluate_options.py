"""Options that the commands of `evaluate` share.

Apart from the other options, because the names of scorers come from the evaluation library, which
no other command needs at its start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specprefill_integrations.cli._options import known_name
from specprefill_integrations.evaluation._lineup import ScorerName

_MEASURED = tuple(name.value for name in ScorerName)


def parse_measured(name: str) -> str:
    """Parse `--scorer` of commands that also measure baselines and peers."""
    return known_name(name, _MEASURED)


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
    str, typer.Option(metavar="FRACTIONS", help="Kept tokens / original tokens, comma-separated.")
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PLACE",
        help="Field that holds a part of a case, such as query=inputs.question; repeatable.",
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
