"""The files of a draft in transformers' format: what is missing or damaged, and what changed."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZERS = ("tokenizer.json", "*vocab*", "*.model", "*.tiktoken")

# Magic, version, and the numbers of tensors and of metadata.
_GGUF_HEADER_BYTES = 24

Part = Literal["config", "tokenizer", "weights"]
"""A part of a draft that is loaded by itself."""


def missing_file(folder: Path, *, with_code: bool) -> str | None:
    """Return the name of a file without which a draft cannot be loaded; None if all are there.

    Args:
        folder: The draft's folder.
        with_code: True if its own Python files are needed as well.
    """
    missing = _missing_config(folder) or _missing_weights(folder) or _missing_tokenizer(folder)
    return missing or (_missing_code(folder) if with_code else None)


def find_damage(folder: Path, part: Part) -> str | None:
    """Say which file of a part of a draft is damaged or missing; None if none can be found."""
    texts = ["config.json"]
    missing = _missing_config(folder)
    code = _missing_code(folder)
    weights: list[Path] = []
    if part == "tokenizer":
        texts = ["*token*.json", "vocab.json"]
        missing = _missing_tokenizer(folder)
    elif part == "weights":
        texts = ["*.index.json"]
        missing = _missing_weights(folder)
        weights = sorted(folder.glob("*.safetensors"))
    problems = chain(
        (_json_problem(path) for pattern in texts for path in sorted(folder.glob(pattern))),
        [f"{str(folder / missing)!r} is missing"] if missing else [],
        map(_weights_problem, weights),
        [f"{str(folder / code)!r} is missing"] if code else [],
    )
    return next(filter(None, problems), None)


def is_gguf(path: Path) -> bool:
    """Return True if a file starts as a GGUF file does; a cheap check, which reads the header."""
    with path.open("rb") as file:
        header = file.read(_GGUF_HEADER_BYTES)
    return header.startswith(b"GGUF") and len(header) == _GGUF_HEADER_BYTES


def weights_file(folder: Path) -> Path:
    """Return the file with the weights of a draft, or the list of such files."""
    names = [name for name in (*_INDEXES, *_WEIGHTS) if (folder / name).is_file()]
    return folder / (names or _WEIGHTS)[0]


def state_of(path: Path) -> str:
    """Return sizes and times of a file or of a folder's files; they change with their content."""
    if not path.is_dir():
        return _state(path)
    return " ".join(f"{found.name} {_state(found)}" for found in sorted(path.iterdir()))


def _missing_config(folder: Path) -> str | None:
    return None if (folder / "config.json").is_file() else "config.json"


def _missing_tokenizer(folder: Path) -> str | None:
    found = any(any(folder.glob(pattern)) for pattern in _TOKENIZERS)
    return None if found else _TOKENIZERS[0]


def _missing_code(folder: Path) -> str | None:
    """Return a missing Python file that a config names; code of other models does not count."""
    references: list[object] = []
    for name in ("config.json", "tokenizer_config.json"):
        named = _json_object(folder / name).get("auto_map")
        for one in named.values() if isinstance(named, dict) else ():
            references += one if isinstance(one, list) else [one]
    own = [str(one) for one in references if isinstance(one, str) and "--" not in one]
    names = [f"{one.partition('.')[0]}.py" for one in own]
    return next((name for name in names if not (folder / name).is_file()), None)


def _missing_weights(folder: Path) -> str | None:
    indexes = [folder / name for name in _INDEXES if (folder / name).is_file()]
    if any((folder / name).is_file() for name in _WEIGHTS):
        return None
    names = sorted(set(_shards(indexes[0]))) if indexes else [_WEIGHTS[0]]
    return next((name for name in names if not (folder / name).is_file()), None)


def _shards(index: Path) -> list[str]:
    """Return the files that a list of weights names; the list itself if it cannot be read."""
    try:
        return [str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [index.name]


def _json_object(path: Path) -> dict[str, object]:
    """Return a JSON object; an empty one if the file holds none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _json_problem(path: Path) -> str | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        return f"{str(path)!r} is not valid JSON ({error})"
    return None if isinstance(found, dict) else f"{str(path)!r} is not a JSON object"


def _weights_problem(path: Path) -> str | None:
    try:
        with safe_open(path, framework="numpy"):
            return None
    except SafetensorError as error:
        return f"{str(path)!r} is cut off or damaged ({error})"


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:  # a missing file, or a link to one
        return "-"
    return f"{found.st_size} {found.st_mtime_ns}"
