"""Names of drafts: which of them are those of one model, wherever it lies.

A model goes by its hub id, by the name of a folder or GGUF file, or by that of a package. The name
in a config, `_name_or_path`, is not used: a fine-tuned model often has that of its base model.
"""

from __future__ import annotations

import re
from pathlib import Path

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_CACHED = "models--"
# `-Q4_K_M`, `.IQ3_XXS`, `-UD-Q4_K_XL`, `-bf16`, `-MXFP4` at the end of a GGUF file's name, and what
# may follow it: `-imat`, `-00001-of-00002`.
_QUANTIZATION = re.compile(
    r"[-._](?:(?:ud|i1)[-._])?(?:[it]?q\d\w*|(?:mx|nv)fp4|(?:f|fp|bf)(?:16|32))"
    r"(?:[-._]imat(?:rix)?)?(?:-\d{5}-of-\d{5})?$"
)
_SEPARATORS = re.compile(r"[-_.\s]+")


def short_name(name: str) -> str:
    """Return the name of a draft without the path to it.

    Args:
        name: `DraftModel.name`.

    Returns:
        A hub id, also for a folder in the hub's cache; else the name of the folder, file or
        package.
    """
    path = Path(name)
    for part in path.parts:
        if part.startswith(_CACHED):
            return part.removeprefix(_CACHED).replace("--", "/", 1)
    return name if is_hub_id(name) and not path.exists() else path.name or name


def is_hub_id(name: str) -> bool:
    """Return True if a name has the form `owner/name`."""
    return _HUB_ID.fullmatch(name) is not None and not name.startswith(".")


def is_same_draft(name: str, other: str) -> bool:
    """Return True if two names are those of one model.

    Case and separators do not count, nor does the quantization in the name of a GGUF file. Owners
    do if both names have one: a folder `Qwen3-0.6B` has none.
    """
    (owner, own), (other_owner, others) = _parts(name), _parts(other)
    return own == others and (not owner or not other_owner or owner == other_owner)


def _parts(name: str) -> tuple[str, str]:
    """Return owner, if there is one, and name in a form that can be compared."""
    owner, _, own = short_name(name).casefold().rpartition("/")
    if own.endswith(".gguf"):
        own = _QUANTIZATION.sub("", own.removesuffix(".gguf"))
    return owner, _SEPARATORS.sub("-", own)
