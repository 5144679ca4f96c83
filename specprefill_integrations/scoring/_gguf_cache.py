"""A cache of converted GGUF files in the user's cache folder.

Reading GGUF takes about 20 s for a small model, reading the converted copy well under 1 s. A copy
appears by one rename of a complete folder: concurrent processes, a killed process or a full disk
leave a complete copy or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from specprefill_integrations._progress_line import shown_instead
from specprefill_integrations.scoring._draft_location import GgufModel

logger = logging.getLogger(__name__)

# Part of every copy's name: raise it when the written format changes.
_FORMAT = "2"

Loaded = tuple[Any, Any]
"""A model and its tokenizer."""


def cache_folder() -> Path:
    """Return the cache folder: `SPECPREFILL_CACHE`, else a folder in the user's cache."""
    chosen = os.environ.get("SPECPREFILL_CACHE")
    return Path(chosen) if chosen else user_cache_path("specprefill-integrations")


def copy_of(gguf: GgufModel) -> Path:
    """Return the path of the converted copy of a GGUF model, made or not."""
    digest = hashlib.sha256(f"{_FORMAT} {gguf.identity}".encode()).hexdigest()[:16]
    return cache_folder() / f"{gguf.name.removesuffix('.gguf')}-{digest}"


def converted_folder(gguf: GgufModel, load: Callable[[Path], Loaded]) -> Path | Loaded:
    """Return the converted copy of a GGUF model, made now if missing.

    Args:
        gguf: The model's location.
        load: Reads a GGUF file into a float32 model and its tokenizer.

    Returns:
        A folder in transformers' format; if the cache cannot be written, the model and the
        tokenizer.
    """
    final = copy_of(gguf)
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.with_suffix(".lock")):
            if final.is_dir():  # another process was faster
                return final
            return _convert(gguf, load, final)
    except OSError as error:
        msg = "Cannot cache the converted copy of %s in %s: %s"
        logger.warning(msg, gguf.name, final.parent, error)
        with tempfile.TemporaryDirectory() as scratch:
            return load(_ready_file(gguf, Path(scratch)))


def _convert(gguf: GgufModel, load: Callable[[Path], Loaded], final: Path) -> Path | Loaded:
    """Write the copy beside its final path, then rename it. The lock must be held."""
    for leftover in final.parent.glob(f"{final.name}.*.part"):  # left by killed processes
        shutil.rmtree(leftover, ignore_errors=True)
    with shown_instead(f"Converting the draft model {gguf.name}, once") as is_shown:
        # A warning, so that it shows where logging is not set up: the caller waits.
        if not is_shown:
            logger.warning(
                "Converting the draft model %s, once: this takes about half a minute. "
                "The copy is kept in %s",
                gguf.name,
                final,
            )
        return _write_copy(gguf, load, final)


def _write_copy(gguf: GgufModel, load: Callable[[Path], Loaded], final: Path) -> Path | Loaded:
    part = Path(tempfile.mkdtemp(dir=final.parent, prefix=f"{final.name}.", suffix=".part"))
    try:
        loaded = load(_ready_file(gguf, part))
        try:
            _save(loaded, part)
            part.rename(final)
        except (OSError, RuntimeError) as error:  # safetensors reports a full disk as its own error
            logger.warning("The converted copy of %s could not be kept: %s", gguf.name, error)
            return loaded
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def _ready_file(gguf: GgufModel, scratch: Path) -> Path:
    """Return the GGUF file, assembled in `scratch` if it comes in parts."""
    if gguf.path is not None:
        return gguf.path
    joined = scratch / "joined.gguf"
    assert gguf.assemble is not None, "a GGUF model has a path or a way to get one"
    gguf.assemble(joined)
    return joined


def _save(loaded: Loaded, folder: Path) -> None:
    """Write model and tokenizer and flush them to disk."""
    model, tokenizer = loaded
    with contextlib.suppress(FileNotFoundError):
        (folder / "joined.gguf").unlink()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _list_added_tokens(tokenizer, folder / "tokenizer_config.json")
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _list_added_tokens(tokenizer: Any, config_file: Path) -> None:  # noqa: ANN401
    """Write the added tokens where transformers looks for them first.

    Else it parses all of `tokenizer.json` for them, which takes longer than all the rest.
    """
    config = json.loads(config_file.read_text(encoding="utf-8"))
    added = tokenizer.added_tokens_decoder.items()
    config["added_tokens_decoder"] = {number: token.__getstate__() for number, token in added}
    config_file.write_text(json.dumps(config, indent=2), encoding="utf-8")
