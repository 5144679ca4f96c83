"""Loading the config, tokenizer and weights of a draft with transformers; its errors in our words.

Knows nothing about sharing, failures that are remembered, or devices.
"""

from __future__ import annotations

import logging
import struct
import textwrap
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from specprefill_integrations._progress_line import shown_instead
from specprefill_integrations.errors import (
    DraftModelDamagedError,
    DraftModelError,
    DraftModelNotFoundError,
    DraftModelUnsupportedError,
)
from specprefill_integrations.scoring._draft_files import Part, find_damage, is_gguf, weights_file
from specprefill_integrations.scoring._draft_location import THREE_WAYS
from specprefill_integrations.scoring._gguf_cache import Loaded
from specprefill_integrations.scoring._transformers_versions import (
    attention_for,
    gguf_bar_as_others,
    unpacked_gguf,
)

logger = logging.getLogger(__name__)

# Errors of transformers' own code when a value of a config means nothing to it.
_OF_VALUES = (ArithmeticError, AttributeError, LookupError, TypeError)

_VISIBLE_AFTER_SECONDS = 1.0


def load_config(folder: Path, *, trust_remote_code: bool) -> Any:  # noqa: ANN401 - transformers' classes are not typed
    """Load the config of a model in transformers' format."""
    return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)


def load_tokenizer(folder: Path, *, trust_remote_code: bool) -> Any:  # noqa: ANN401
    """Load the tokenizer of a model in transformers' format."""
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)


def load_weights(
    folder: Path, dtype: torch.dtype, layers: int | None, *, trust_remote_code: bool
) -> Any:  # noqa: ANN401
    """Load a model in transformers' format.

    Args:
        folder: The model's folder.
        dtype: The type of its weights.
        layers: Load the first layers only, without output head, if it is a text-only model
            without Python code of its own.
        trust_remote_code: Let Python code of the model run.

    Raises:
        DraftModelDamagedError: Some weights are missing or have another shape.
    """
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    model_class: Any = AutoModelForCausalLM
    config = load_config(folder, **options)
    options.update(attention_for(config))
    if layers and config.get_text_config() is config and not getattr(config, "auto_map", None):
        _cut_config(config, layers)
        model_class = AutoModel
        options["config"] = config
    # Otherwise transformers fills what does not fit with random numbers, or reports it as a table.
    options.update(output_loading_info=True, ignore_mismatched_sizes=True)
    model, found = model_class.from_pretrained(folder, dtype=dtype, **options)
    _check_weights(found, weights_file(folder))
    return model


def load_token_classifier(folder: Path, dtype: torch.dtype, *, trust_remote_code: bool) -> Any:  # noqa: ANN401
    """Load a model that classifies tokens, in transformers' format.

    Raises:
        DraftModelDamagedError: Some weights are missing, as in a model without a trained head.
    """
    model_class: Any = AutoModelForTokenClassification
    model, found = model_class.from_pretrained(
        folder,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    _check_weights(found, weights_file(folder))
    return model


def load_gguf(path: Path) -> Loaded:
    """Load a model, unpacked to float32, and its tokenizer from a GGUF file.

    Raises:
        DraftModelDamagedError: Some weights are missing.
    """
    options: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **options)
    options.update(unpacked_gguf())
    model_class: Any = AutoModelForCausalLM
    model, found = model_class.from_pretrained(
        path.parent, dtype=torch.float32, output_loading_info=True, **options
    )
    _check_weights(found, path)
    return model, tokenizer


def check_gguf_header(path: Path) -> None:
    """Check the header of a GGUF file, before the long work of converting it.

    Raises:
        DraftModelDamagedError: It has none.
    """
    if not is_gguf(path):
        msg = f"The draft model is damaged: {str(path)!r} is cut off or no GGUF file."
        raise DraftModelDamagedError(msg)


def check_vocabulary(model: Any, tokenizer: Any, where: str) -> None:  # noqa: ANN401
    """Check that a model has a vector for every token that a text may contain.

    Args:
        model: The model.
        tokenizer: Its tokenizer. Special tokens do not count: texts are encoded without them, and
            some models have no vectors for those of images.
        where: The tokenizer's place, for people.

    Raises:
        DraftModelDamagedError: The tokenizer is that of another model.
    """
    if not hasattr(tokenizer, "get_vocab"):  # not of transformers
        return
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    largest = max(set(tokenizer.get_vocab().values()) - special, default=0)
    rows = model.get_input_embeddings().weight.shape[0]
    if largest >= rows:
        msg = (
            f"The tokenizer in {where!r} does not belong to the draft model: it has "
            f"{largest + 1} tokens, and the model has embeddings of {rows}."
        )
        raise DraftModelDamagedError(msg)


@contextmanager
def explained_errors(name: str, place: Path | None, part: Part = "weights") -> Iterator[None]:
    """Turn the errors of loading into ours, in one line; the traceback is logged as DEBUG.

    Args:
        name: The draft's name.
        place: Its folder or file.
        part: The part that is loaded from a folder.
    """
    try:
        yield
    except DraftModelError:
        raise
    except Exception as error:
        logger.debug("The draft %s could not be loaded", name, exc_info=error)
        raise _explained(error, name, place, part) from None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and its list of unused weights."""
    shown = transformers_logging.is_progress_bar_enabled()
    level = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with gguf_bar_as_others():
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def visible_if_long(name: str) -> Iterator[None]:
    """Log a line that shows without any settings if the block takes more than a second."""
    line = f"Loading the draft model {name}, once per process"
    with shown_instead(line) as is_shown:
        if is_shown:
            yield
            return
        timer = threading.Timer(_VISIBLE_AFTER_SECONDS, logger.warning, ("%s ...", line))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _explained(error: Exception, name: str, place: Path | None, part: Part) -> DraftModelError:
    told = _told(error)
    if "trust_remote_code" in str(error):
        return DraftModelUnsupportedError(
            f"The draft model {name!r} comes with Python code of its own, which is not run. "
            "If you trust its author, allow it with trust_remote_code=."
        )
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        failure = DraftModelUnsupportedError(
            f"The draft model {name!r} does not fit into memory: {told}."
        )
        failure.may_pass = True
        return failure
    damage = _damage(error, place, part)
    if damage is not None:
        return DraftModelDamagedError(f"The draft model {name!r} is damaged: {damage}.")
    if isinstance(error, OSError):
        return DraftModelNotFoundError(
            f"The draft model {name!r} could not be loaded: {told}. {THREE_WAYS}"
        )
    about = ""
    of_config = part == "config" or (part == "weights" and isinstance(error, _OF_VALUES))
    if of_config and place is not None and place.is_dir():
        about = f" with {str(place / 'config.json')!r}"
    return DraftModelUnsupportedError(f"The draft model {name!r} cannot be used{about}: {told}.")


def _told(error: Exception) -> str:
    """Return what an error says first, in one line; the type where the message is no sentence."""
    first, _, _ = str(error).strip().partition("\n")
    found = str(error) if first.endswith(":") else first
    if not found or isinstance(error, _OF_VALUES):
        found = f"{type(error).__name__}: {found}".removesuffix(": ")
    return textwrap.shorten(found, 300, placeholder=" ...").rstrip(".")


def _damage(error: Exception, place: Path | None, part: Part) -> str | None:
    if place is not None and place.is_dir():
        return find_damage(place, part)
    if isinstance(error, struct.error | EOFError) or _comes_from(error, "gguf"):
        return f"{str(place)!r} is cut off or no GGUF file ({error})"
    return None


def _comes_from(error: Exception, package: str) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").startswith(f"{package}.") for frame, _ in frames)


def _check_weights(found: dict[str, Any], file: Path) -> None:
    """Check what transformers says about the weights that it loaded.

    Raises:
        DraftModelDamagedError: Weights are missing, or do not fit the config.
    """
    lacking = sorted(map(str, found.get("missing_keys") or ()))
    other = [
        f"{name} in the shape {list(shape)} instead of {list(expected)}"
        for name, shape, expected in sorted(found.get("mismatched_keys") or (), key=str)
    ]
    for verb, problems in (("lacks", lacking), ("has", other)):
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            msg = f"The draft model is damaged: {str(file)!r} {verb} {problems[0]}{more}."
            raise DraftModelDamagedError(msg)


def _cut_config(config: Any, layers: int) -> None:  # noqa: ANN401
    """Cut a config to its first layers, per-layer lists included."""
    depth = config.num_hidden_layers
    for name, value in vars(config).items():
        if isinstance(value, list) and len(value) == depth:
            setattr(config, name, value[:layers])
    config.num_hidden_layers = min(layers, depth)
