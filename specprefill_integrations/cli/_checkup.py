"""Checks of `specprefill doctor`: what is installed, the draft, its cache, and a compression."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import psutil
from packaging.requirements import Requirement

from specprefill_integrations.cli._terminal import as_options
from specprefill_integrations.errors import MissingDependencyError, SpecPrefillError
from specprefill_integrations.scoring._draft_location import FolderModel, HubModel, locate_draft
from specprefill_integrations.types import Budget, Compression

if TYPE_CHECKING:
    from specprefill_integrations.compressor import ContextCompressor
    from specprefill_integrations.scoring._draft_model import DraftModel

Result = Literal["ok", "warning", "failed"]

_OURS = "specprefill-integrations"
_SHOWN = ("torch", "transformers", "langchain-core", "llama-index-core")
_FOR_DEVELOPERS = {"all", "demo"}
_LITTLE_MEMORY = 500_000_000

_QUERY = "Where is the spare key of the boathouse?"
_ANSWER = "hangs behind the blue shutter"
_TEXT = f"""\
The harbor office opens at eight on weekdays and at ten on Sundays. Ferries to the island leave
from the northern pier every two hours. In winter the last ferry leaves before dark, and the
timetable is posted on the wall of the waiting room. The spare key of the boathouse {_ANSWER}.
Nets are mended in the long shed beside the slipway. The crane may only be used by two people
together. Fish is sold on Mondays and Thursdays, if the weather allowed a catch. The lighthouse
was painted last spring, and the scaffolding was taken down in June. Visitors leave their bicycles
at the gate. Rain is common in autumn, and nobody minds. A brass bell calls the crew to supper.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Result of one check."""

    name: str
    """Name of the check."""

    result: Result
    """`warning`: compression works, but could be better."""

    told: str
    """Description of the state that was found."""

    cure: str = ""
    """Remedy; empty if none is needed."""

    details: Mapping[str, object] = field(default_factory=dict)
    """The same as values for JSON."""


def check_up(
    draft: str | None, *, device: str | None, dtype: str | None, revision: str | None
) -> Iterator[Finding]:
    """Check everything that a compression needs, and compress a text.

    A failure ends the checks that build on it.
    """
    yield _check_versions()
    yield from _check_extras()
    try:
        from specprefill_integrations.compressor import ContextCompressor  # noqa: PLC0415

        yield _check_cache()
        compressor = ContextCompressor.from_draft_model(
            draft, device=device, dtype=dtype, revision=revision, on_error="raise"
        )
        model = _reading_draft(compressor)
        yield _check_draft(draft, model)
        yield _check_profile(model)
        yield _check_memory(model)
    except Exception as error:  # noqa: BLE001 - reported, whatever it is
        yield _failure("draft", error)
        return
    try:
        yield _check_compression(compressor)
    except Exception as error:  # noqa: BLE001
        yield _failure("compression", error)


def _failure(name: str, error: Exception) -> Finding:
    if isinstance(error, ModuleNotFoundError) and not isinstance(error, MissingDependencyError):
        error = MissingDependencyError(str(error.name), "draft")
    known = isinstance(error, SpecPrefillError)
    message = as_options(str(error)).strip() or type(error).__name__
    told, _, cure = message.partition("\n") if "\n" in message else _split_cure(message)
    return Finding(
        name=name,
        result="failed",
        told=told if known else f"{type(error).__name__}: {told}",
        cure=" ".join(cure.split()),
        details={"error": type(error).__name__},
    )


def _split_cure(message: str) -> tuple[str, str, str]:
    """Part a message from the ways out that it names."""
    for start in ("Three ways to get a draft", "pip install"):
        before, found, after = message.partition(start)
        if found:
            return before.strip().rstrip(":"), "", found + after
    return message, "", ""


def _check_versions() -> Finding:
    versions = {"python": platform.python_version()}
    versions |= {name: _version(name) or "not installed" for name in (_OURS, *_SHOWN)}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Finding(name="installed", result="ok", told=told, details=versions)


def _check_extras() -> Iterator[Finding]:
    """Name the extras that are not installed, and packages of a version that is not supported."""
    requirements = [Requirement(line) for line in _requires()]
    extras = sorted(_extras() - _FOR_DEVELOPERS)
    lacking = {extra: list(_lacking(requirements, extra)) for extra in extras}
    missing = {extra: names for extra, names in lacking.items() if names}
    if missing:
        lists = (f"{extra} ({', '.join(names)})" for extra, names in missing.items())
        yield Finding(
            name="extras",
            result="ok",
            told=f"not installed: {'; '.join(lists)}",
            cure=f"if you need them: pip install '{_OURS}[{','.join(missing)}]'",
            details=missing,
        )
    wrong = {
        one.name: f"{version}, needed: {one.specifier}"
        for one in requirements
        if (version := _version(one.name)) and not one.specifier.contains(version, prereleases=True)
    }
    if wrong:
        told = "; ".join(f"{name} {why}" for name, why in wrong.items())
        cure = f"pip install --upgrade '{_OURS}[draft]'"
        yield Finding(name="versions", result="warning", told=told, cure=cure, details=wrong)


def _lacking(requirements: Sequence[Requirement], extra: str) -> Iterator[str]:
    for one in requirements:
        if one.marker is None or not one.marker.evaluate({"extra": extra}):
            continue
        if one.name == _OURS:
            for inner in one.extras:
                yield from _lacking(requirements, inner)
        elif _version(one.name) is None:
            yield one.name


def _requires() -> list[str]:
    try:
        return metadata.requires(_OURS) or []
    except metadata.PackageNotFoundError:  # run from its source
        return []


def _extras() -> set[str]:
    try:
        return set(metadata.metadata(_OURS).get_all("Provides-Extra") or [])
    except metadata.PackageNotFoundError:
        return set()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _reading_draft(compressor: ContextCompressor) -> DraftModel | None:
    """The loaded draft; None for a scorer without one."""
    draft: DraftModel | None = getattr(compressor.scorer.unwrapped, "reading_draft", None)
    if draft is not None:
        draft.load()
    return draft


def _check_draft(source: str | None, model: DraftModel | None) -> Finding:
    if model is None:
        return Finding(name="draft", result="ok", told="the scorer needs none")
    where = describe_source(source)
    dtype = model.state.dtype
    return Finding(
        name="draft",
        result="ok",
        told=f"{model.name}, {where}, on {model.device} as {dtype}",
        details={"name": model.name, "from": where, "device": str(model.device), "dtype": dtype},
    )


def describe_source(source: str | None) -> str:
    """Tell where a draft comes from: `an installed package`."""
    location = locate_draft(source)
    if isinstance(location, HubModel):
        return "from the Hugging Face hub"
    if isinstance(location, FolderModel):
        return f"in the folder {location.path}"
    if source is not None and Path(source).expanduser().exists():
        return f"the file {location.path}"
    return "an installed package"


def is_prepared(source: str | None, revision: str | None) -> bool:
    """True if a draft needs no download and no conversion."""
    from specprefill_integrations.scoring._gguf_cache import copy_of  # noqa: PLC0415
    from specprefill_integrations.scoring._hub_download import complete_folder  # noqa: PLC0415

    location = locate_draft(source, revision)
    if isinstance(location, HubModel):
        return complete_folder(location, with_code=False) is not None
    return isinstance(location, FolderModel) or copy_of(location).is_dir()


def _check_profile(model: DraftModel | None) -> Finding:
    if model is None:
        return Finding(name="profile", result="ok", told="none is needed")
    profile, cure = model.profile, "fit one: specprefill calibrate --draft ..."
    if profile is None:
        return Finding(
            name="profile",
            result="warning",
            told="no readout is fitted to this draft; the calibrated difference finds less",
            cure=cure,
        )
    by_name = profile.is_fitted_to(model.name)
    return Finding(
        name="profile",
        result="ok",
        told=f"fitted to {profile.draft}{'' if by_name else ', a model of the same shape'}",
        cure="" if by_name else cure,
        details={"fitted_to": profile.draft, "by_name": by_name},
    )


def _check_cache() -> Finding:
    from specprefill_integrations.scoring._gguf_cache import cache_folder  # noqa: PLC0415

    folder = cache_folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    problem = _why_not_writable(folder)
    details = {"folder": str(folder), "bytes": size, "writable": problem is None}
    told = f"{folder}, {_format_bytes(size)}"
    if problem is None:
        return Finding(name="cache", result="ok", told=f"{told}, writable", details=details)
    return Finding(
        name="cache",
        result="warning",
        told=f"{told}, cannot be written ({problem}): each process converts the draft anew",
        cure="set SPECPREFILL_CACHE to a folder that can be written",
        details=details,
    )


def _why_not_writable(folder: Path) -> str | None:
    """Try to write to a folder, or to the one that it would be created in."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def _check_memory(model: DraftModel | None) -> Finding:
    free = psutil.virtual_memory().available
    used = psutil.Process().memory_info().rss
    weights, on_device = 0, None
    if model is not None:
        from specprefill_integrations.scoring._draft_device import free_bytes  # noqa: PLC0415

        weights = model.state.weight_bytes or 0
        on_device = free_bytes(model.device)
    enough = min(free, free if on_device is None else on_device) > _LITTLE_MEMORY
    also = "" if on_device is None else f" ({_format_bytes(on_device)} on the device)"
    return Finding(
        name="memory",
        result="ok" if enough else "warning",
        told=f"{_format_bytes(free)} free{also}; this process holds {_format_bytes(used)}, "
        f"of which the draft's weights are {_format_bytes(weights)}",
        cure="" if enough else "free some, or use a smaller --draft or --dtype bfloat16",
        details={
            "free_bytes": free,
            "device_free_bytes": on_device,
            "process_bytes": used,
            "weight_bytes": weights,
        },
    )


def _check_compression(compressor: ContextCompressor) -> Finding:
    started = perf_counter()
    found = compressor.compress(_TEXT, _QUERY, budget=Budget(keep_fraction=0.3))
    seconds = perf_counter() - started
    kept = _ANSWER in " ".join(found.text.split())
    details = {
        "original_tokens": found.original_tokens,
        "kept_tokens": found.kept_tokens,
        "seconds": seconds,
        "answer_kept": kept,
        "skipped_because": found.skipped_because,
    }
    result, told, cure = _judge(found, kept=kept)
    counts = f"{found.kept_tokens} of {found.original_tokens} tokens kept in {seconds:.2f} s"
    return Finding(
        name="compression", result=result, told=f"{counts}; {told}", cure=cure, details=details
    )


def _judge(found: Compression, *, kept: bool) -> tuple[Result, str, str]:
    if found.skipped_because is not None:
        return "failed", f"passed through unchanged: {found.skipped_because}", ""
    if not kept:
        return "warning", "the answer was dropped", "use another --draft, or fit a readout to it"
    return "ok", "the answer is among them", ""


def _format_bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"  # noqa: PLR2004
