"""Readout profiles: JSON files with a readout fitted to one draft.

A profile is found by the model's shape, so that a GGUF file, a folder and a hub id of the same
model use the same profile.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import ReadoutProfileError
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._gguf_cache import cache_folder
from specprefill_integrations.scoring.readouts import Readout
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LinearReadout

logger = logging.getLogger(__name__)

_FORMAT = 1
_SHIPPED = Path(__file__).parent / "readouts" / "profiles"
# A list of numbers as `json` writes it with indentation.
_LIST = re.compile(r"\[[\d\s,.e-]*\]")
_WEIGHTS = {"own_weights", "around_weights", "lexical_weights"}
_KINDS: dict[str, type[LinearReadout | CalibratedDifferenceReadout]] = {
    "linear": LinearReadout,
    "calibrated_difference": CalibratedDifferenceReadout,
}
_KIND_OF = {kind: name for name, kind in _KINDS.items()}
_SHAPE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutProfile:
    """A fitted readout and its origin."""

    draft: str
    """Name of the draft for people."""

    shape: Mapping[str, Any]
    """Values of the draft's config by which it is recognized; missing ones match any value."""

    readout: LinearReadout | CalibratedDifferenceReadout
    """The fitted readout; or the calibrated difference of published retrieval heads."""

    fitted_on: Mapping[str, Any]
    """Sources of the training texts, numbers of questions, licenses."""

    measured: Mapping[str, Any] = field(default_factory=dict)
    """Evidence recall in cross-validation, beside that of other scorers."""

    note: str = ""
    """Remarks for the reader."""

    @checked
    def save(self, path: Path) -> None:
        """Write the profile as JSON, with weights rounded to five digits."""
        content = {"format": _FORMAT, **asdict(self)}
        readout = content["readout"]
        readout["heads"] = " ".join(f"{layer}-{head}" for layer, head in self.readout.heads)
        for name in _WEIGHTS & readout.keys():
            readout[name] = [round(weight, 5) for weight in readout[name]]
        content["readout"] = {"kind": _KIND_OF[type(self.readout)], **readout}
        path.parent.mkdir(parents=True, exist_ok=True)
        written = json.dumps(content, indent=1)
        path.write_text(_LIST.sub(_on_one_line, written) + "\n", encoding="utf-8")

    @classmethod
    @checked
    def load(cls, path: Path) -> ReadoutProfile:
        """Read a profile.

        Raises:
            ReadoutProfileError: The file is not a profile, or of another format version.
        """
        try:
            content = _of_this_format(json.loads(path.read_text(encoding="utf-8")))
            readout = content.pop("readout")
            readout["heads"] = tuple(map(_as_head, readout["heads"].split()))
            for name, value in readout.items():
                if isinstance(value, list):
                    readout[name] = tuple(value)
            kind = _KINDS[readout.pop("kind")]
            return cls(readout=kind(**readout), **content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{str(path)!r} is not a readout profile: {error}"
            raise ReadoutProfileError(msg) from error


def shape_of(config: Any) -> dict[str, Any]:  # noqa: ANN401 - transformers' classes are not typed
    """Return the values of a config by which a model is recognized."""
    return {name: getattr(config, name, None) for name in _SHAPE}


def find_profile(draft: DraftModel) -> ReadoutProfile | None:
    """Find a draft's profile: one fitted on this machine, else a shipped one."""
    shape = shape_of(draft.config)
    for folder in (fitted_folder(), _SHIPPED):
        for profile in _profiles(folder):
            if profile.shape.items() <= shape.items():
                return profile
    return None


def readout_for(draft: DraftModel) -> Readout:
    """Return the readout fitted to a draft, else the calibrated difference."""
    profile = find_profile(draft)
    return profile.readout if profile else CalibratedDifferenceReadout()


def fitted_folder() -> Path:
    """Return the folder in which `specprefill calibrate` saves profiles."""
    return cache_folder() / "profiles"


def _of_this_format(content: Any) -> dict[str, Any]:  # noqa: ANN401
    found = dict(content)
    if found.pop("format") != _FORMAT:
        msg = f"its format is not {_FORMAT}"
        raise ValueError(msg)
    return found


def _as_head(name: str) -> tuple[int, int]:
    """Parse "15-6", the notation of published lists, as layer 15, head 6."""
    layer, head = map(int, name.split("-"))
    return layer, head


def _on_one_line(match: re.Match[str]) -> str:
    return " ".join(match.group().split())


def _profiles(folder: Path) -> Iterator[ReadoutProfile]:
    """Yield the profiles of a folder, sorted by file name."""
    for path in sorted(folder.glob("*.json")):
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
