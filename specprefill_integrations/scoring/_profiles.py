"""Readout profiles: JSON files with a readout fitted to one draft, alone or in a shared folder."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import ReadoutProfileError
from specprefill_integrations.scoring._draft_location import HubModel
from specprefill_integrations.scoring._draft_names import is_same_draft
from specprefill_integrations.scoring._hub_download import hub_file
from specprefill_integrations.scoring._model_card import is_model_card, model_card
from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.scoring.readouts._calibrated_difference import (
    CalibratedDifferenceReadout,
)
from specprefill_integrations.scoring.readouts._linear import LinearReadout
from specprefill_integrations.scoring.readouts._value_match import ValueMatch

logger = logging.getLogger(__name__)

PROFILE_FILE = "readout_profile.json"
"""Name of a profile's file in a folder or a repository."""

_FORMAT = 1
_CARD_FILE = "README.md"
# A list of numbers as `json` writes it with indentation.
_LIST = re.compile(r"\[[\d\s,.e-]*\]")
_MATRICES = ("token_weights", "question_weights")
_WEIGHTS = {"own_weights", "around_weights", "lexical_weights"}
_KINDS: dict[str, type[LinearReadout | CalibratedDifferenceReadout]] = {
    "linear": LinearReadout,
    "calibrated_difference": CalibratedDifferenceReadout,
}
_NOT_A_PROFILE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
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
    """The draft that it was fitted to: a hub id, or the name of a folder, GGUF file or package."""

    names: tuple[str, ...] = ()
    """Other names of the same draft, of these kinds."""

    shape: Mapping[str, Any] = field(hash=False)
    """Values of the config that the draft must have; missing ones match any value."""

    readout: LinearReadout | CalibratedDifferenceReadout
    """The fitted readout; or the calibrated difference of published retrieval heads."""

    fitted_on: Mapping[str, Any] = field(hash=False)
    """Sources of the training texts, numbers of questions, licenses."""

    measured: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Evidence recall in cross-validation, beside that of other scorers."""

    score_calibration: ScoreCalibration | None = None
    """The meaning of the readout's scores, for `Budget(target_recall=...)`."""

    note: str = ""
    """Remarks for the reader."""

    def has_shape_of(self, config: Any) -> bool:  # noqa: ANN401 - transformers' classes are not typed
        """Return True if a model with this config has the shape of the draft."""
        return self.shape.items() <= shape_of(config).items()

    def is_fitted_to(self, name: str) -> bool:
        """Return True if a name is that of the draft, and not of another model of its shape.

        Args:
            name: `DraftModel.name`.
        """
        return any(is_same_draft(name, own) for own in (self.draft, *self.names))

    def readout_for(self, config: Any) -> LinearReadout | CalibratedDifferenceReadout:  # noqa: ANN401
        """Return the readout for a model with this config.

        Raises:
            ReadoutProfileError: The model has another shape.
        """
        if self.has_shape_of(config):
            return self.readout
        found = shape_of(config)
        name = next(name for name, value in self.shape.items() if found.get(name) != value)
        msg = (
            f"The profile is fitted to {self.draft!r}, and this draft has another shape: "
            f"{name} is {found.get(name)} instead of {self.shape[name]}."
        )
        raise ReadoutProfileError(msg)

    @checked
    def save(self, path: str | Path, *, license: str | None = None) -> None:  # noqa: A002 - the hub's word
        """Write the profile, with weights rounded to five digits, or half precision in a match.

        Args:
            path: A file, `*.json`; any other path is a folder. It gets `readout_profile.json` and,
                in `README.md`, a model card, so that it can be uploaded to the hub as it is. A
                README of another kind stays.
            license: License of the profile for the model card, such as `apache-2.0`.

        Raises:
            ValueError: `license` was given for a file; or a weight of a match is above 65,504.
        """
        path = Path(path).expanduser()
        content = {"format": _FORMAT, **asdict(self)}
        if path.is_file() or (path.suffix == ".json" and not path.is_dir()):
            if license is not None:
                msg = "license= is for the model card of a folder; without one, leave it out."
                raise ValueError(msg)
        else:
            _write_card(path / _CARD_FILE, model_card(content, license))
            path /= PROFILE_FILE
        readout = content["readout"]
        readout["heads"] = " ".join(f"{layer}-{head}" for layer, head in self.readout.heads)
        for name in _WEIGHTS & readout.keys():
            readout[name] = [round(weight, 5) for weight in readout[name]]
        if readout.get("match") is not None:
            readout["match"] = _packed(readout["match"])
        content["readout"] = {"kind": _KIND_OF[type(self.readout)], **readout}
        path.parent.mkdir(parents=True, exist_ok=True)
        written = json.dumps(content, indent=1)
        path.write_text(_LIST.sub(_on_one_line, written) + "\n", encoding="utf-8")

    @classmethod
    @checked
    def load(cls, source: str | Path, *, revision: str | None = None) -> ReadoutProfile:
        """Read a profile.

        Args:
            source: A file, a folder with `readout_profile.json`, or the id of a repository on the
                hub with that file.
            revision: The branch, tag or commit of a repository; by default its main branch.

        Raises:
            ReadoutProfileError: There is no profile, or one of another format version; or the hub
                does not give it. `may_pass` is True if it cannot be reached.
            ValueError: `revision` was given for a source that is not on the hub.
        """
        path = _located(source, revision)
        try:
            content = _of_this_format(json.loads(path.read_text(encoding="utf-8")))
            readout = content.pop("readout")
            readout["heads"] = tuple(map(_as_head, readout["heads"].split()))
            kind = _KINDS[readout.pop("kind")]
            if (match := readout.pop("match", None)) is not None:
                readout["match"] = _unpacked(match)
            if (calibration := content.pop("score_calibration", None)) is not None:
                content["score_calibration"] = ScoreCalibration(**_with_tuples(calibration))
            names = tuple(content.pop("names", ()))
            return cls(readout=kind(**_with_tuples(readout)), names=names, **content)
        except _NOT_A_PROFILE as error:
            msg = f"{str(path)!r} is not a readout profile: {error}"
            raise ReadoutProfileError(msg) from error


def shape_of(config: Any) -> dict[str, Any]:  # noqa: ANN401 - transformers' classes are not typed
    """Return the values of a config by which a model is recognized."""
    return {name: getattr(config, name, None) for name in _SHAPE}


def _located(source: str | Path, revision: str | None) -> Path:
    path = Path(source).expanduser()
    is_path = isinstance(source, Path) or source.startswith((".", "~")) or path.suffix == ".json"
    if is_path or path.is_absolute() or path.exists():
        if revision is not None:
            msg = f"revision= applies to profiles on the hub, and {str(source)!r} is not on it."
            raise ValueError(msg)
        return path / PROFILE_FILE if path.is_dir() else path
    return hub_file(HubModel(str(source), revision), PROFILE_FILE)


def _write_card(path: Path, card: str) -> None:
    """Write a model card, unless something else has its place."""
    if path.exists() and not is_model_card(path.read_text(encoding="utf-8", errors="replace")):
        logger.warning("%s is no model card of a profile, and stays as it is", path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card, encoding="utf-8")


def _of_this_format(content: Any) -> dict[str, Any]:  # noqa: ANN401
    found = dict(content)
    if found.pop("format") != _FORMAT:
        msg = f"its format is not {_FORMAT}"
        raise ValueError(msg)
    return found


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(own) if isinstance(own, list) else own for name, own in values.items()}


def _packed(match: Mapping[str, Any]) -> dict[str, Any]:
    """Write matrices in half precision, in Base64: a fifth of the space of decimal digits.

    Raises:
        ValueError: A weight is too large for that.
    """
    found: dict[str, Any] = {"layer": match["layer"]}
    for name in _MATRICES:
        if np.abs(match[name]).max() > np.finfo(np.float16).max:
            msg = f"{name} of the match are too large for half precision"
            raise ValueError(msg)
        content = base64.b64encode(match[name].astype("<f2").tobytes()).decode()
        found[name] = {"shape": list(match[name].shape), "float16": content}
    return found


def _unpacked(match: Mapping[str, Any]) -> ValueMatch:
    """Read what `_packed` wrote."""
    matrices = {
        name: np.frombuffer(
            base64.b64decode(match[name]["float16"], validate=True), dtype="<f2"
        ).reshape(tuple(match[name]["shape"]))
        for name in _MATRICES
    }
    return ValueMatch(layer=match["layer"], **matrices)


def _as_head(name: str) -> tuple[int, int]:
    """Parse "15-6", the notation of published lists, as layer 15, head 6."""
    layer, head = map(int, name.split("-"))
    return layer, head


def _on_one_line(match: re.Match[str]) -> str:
    return " ".join(match.group().split())
