"""The profile of a draft: by shape and name, else by shape alone; those of this machine first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from specprefill_integrations.errors import ReadoutProfileError
from specprefill_integrations.scoring._gguf_cache import cache_folder
from specprefill_integrations.scoring._profiles import PROFILE_FILE, ReadoutProfile

logger = logging.getLogger(__name__)

_SHIPPED = Path(__file__).parent / "readouts" / "profiles"


def find_profile(name: str, config: Any) -> ReadoutProfile | None:  # noqa: ANN401 - transformers' classes are not typed
    """Find the profile of a draft, or else one of another model of the same shape.

    Profiles fitted on this machine come before shipped ones. Of several, the first by file name is
    taken.

    Args:
        name: `DraftModel.name`.
        config: The draft's config.
    """
    for folder in (fitted_folder(), _SHIPPED):
        found = [profile for profile in _profiles(folder) if profile.has_shape_of(config)]
        named = [profile for profile in found if profile.is_fitted_to(name)]
        if found and not named:
            _tell_once(name, found[0].draft)
        if found:
            return (named or found)[0]
    return None


def fitted_folder() -> Path:
    """Return the folder in which `specprefill calibrate` saves profiles."""
    return cache_folder() / "profiles"


@cache
def _tell_once(name: str, fitted_to: str) -> None:
    line = "The draft %s is read with a profile fitted to %s, a model of the same shape"
    logger.info(line, name, fitted_to)


def _profiles(folder: Path) -> Iterator[ReadoutProfile]:
    """Yield the profiles of a folder and of its folders, sorted by name."""
    for path in sorted([*folder.glob("*.json"), *folder.glob(f"*/{PROFILE_FILE}")]):
        profile = _loaded(path, path.stat().st_mtime_ns)
        if profile:
            yield profile


@cache
def _loaded(path: Path, _modified: int) -> ReadoutProfile | None:
    """Load a profile once; a broken one is skipped with a warning."""
    try:
        return ReadoutProfile.load(path)
    except ReadoutProfileError as error:
        logger.warning("Skipped a readout profile: %s", error)
        return None
