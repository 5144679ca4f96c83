"""Owns the draft model: where it comes from, its weights, its tokenizer, its device and dtype.

Knows nothing about questions, windows or attention.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from specprefill_integrations.errors import DraftModelNotFoundError, DraftModelUnsupportedError
from specprefill_integrations.scoring.draft_location import (
    THREE_WAYS,
    DraftLocation,
    FolderModel,
    GgufModel,
    locate_draft,
)
from specprefill_integrations.scoring.gguf_cache import Loaded, converted_folder

logger = logging.getLogger(__name__)


class DraftModel:
    """A causal language model and its tokenizer, loaded at first use and shared.

    There is one copy of the weights per (draft, device, dtype) in a process, however many
    compressors use it. Deep copies are the same object; pickling takes the name along, not the
    weights.
    """

    def __init__(self, name: str, device: torch.device, dtype: torch.dtype) -> None:
        """Use `from_source` or `from_pair` instead."""
        self.name = name
        self.device = device
        self.dtype = dtype
        self.lock = threading.RLock()
        """Held while the model runs: one forward pass at a time."""
        self._location: DraftLocation | None = None
        self._source: str | Path | None = None
        self._loaded: Loaded | None = None

    @classmethod
    def from_source(
        cls,
        source: DraftSource = None,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> DraftModel:
        """Find a draft; nothing is loaded yet.

        Args:
            source: A hub id, a folder, a GGUF file, the name of an installed package that carries
                one, a `(model, tokenizer)` pair, or a `DraftModel`, which is handed back. None:
                the embedded draft where it is installed, else its hub id.
            device: Where it runs; CUDA where there is one, else the CPU.
            dtype: What it computes in; bfloat16 on CUDA, float32 elsewhere.

        Raises:
            DraftModelNotFoundError: `source` is a path, and there is no model.
            ValueError: No such device or dtype; or one was asked for of a model that is loaded
                already.
        """
        if isinstance(source, DraftModel | tuple):
            if device is not None or dtype is not None:
                msg = "device= and dtype= belong to a draft that is loaded here; move yours itself."
                raise ValueError(msg)
            return source if isinstance(source, DraftModel) else cls.from_pair(*source)
        location = locate_draft(source)
        where = _indexed(torch.device(device) if device is not None else _default_device())
        kind = _as_dtype(dtype) if dtype is not None else _default_dtype(where)
        key = (location.path if isinstance(location, FolderModel) else location.name, where, kind)
        with _shared_lock:
            shared = _shared.get(key)
            if shared is None or shared._location != location:  # noqa: SLF001 - changed on disk
                shared = _shared[key] = cls(_name_of(location), where, kind)
                shared._location = location
                shared._source = source
            return shared

    @classmethod
    def from_pair(cls, model: Any, tokenizer: Any) -> DraftModel:  # noqa: ANN401 - transformers' own
        """Use a model and a tokenizer that are loaded already; they stay where they are."""
        name = getattr(model.config, "_name_or_path", "") or type(model).__name__
        draft = cls(name, model.device, model.dtype)
        draft._loaded = (model.eval(), tokenizer)
        return draft

    @property
    def model(self) -> Any:  # noqa: ANN401 - transformers' classes are not typed
        """The model, loaded now if need be."""
        return self.load()[0]

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401
        """The tokenizer, loaded now if need be."""
        return self.load()[1]

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._loaded is not None

    def load(self) -> Loaded:
        """Load what is not loaded yet, once, whoever asks first.

        Raises:
            DraftModelNotFoundError: There is no such model, or it cannot be reached.
            DraftModelUnsupportedError: transformers cannot load it as a causal language model.
        """
        if self._loaded is None:
            with self.lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    @property
    def max_positions(self) -> int | None:
        """Tokens that the draft can read at a time; None where its config sets no limit."""
        config = self.model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None)

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """Tokens that end a generated text."""
        generation = getattr(self.model, "generation_config", None)
        found = getattr(generation, "eos_token_id", None)
        if found is None:
            found = getattr(self.model.config.get_text_config(), "eos_token_id", None)
        if found is None:
            return ()
        return tuple(found) if isinstance(found, Sequence) else (int(found),)

    def _load(self) -> Loaded:
        location = self._location
        assert location is not None, "a draft without a location is loaded from the start"
        logger.info("Loading draft %s on %s as %s", self.name, self.device, self.dtype)
        try:
            with _quiet_transformers():
                if isinstance(location, GgufModel):
                    found = converted_folder(location, _load_gguf)
                    model, tokenizer = (
                        found if isinstance(found, tuple) else _load_pretrained(found, self.dtype)
                    )
                else:
                    place = location.path if isinstance(location, FolderModel) else location.name
                    model, tokenizer = _load_pretrained(place, self.dtype)
        except OSError as error:
            msg = f"The draft model {self.name!r} could not be loaded: {error}\n{THREE_WAYS}"
            raise DraftModelNotFoundError(msg) from error
        except ValueError as error:
            msg = f"The draft model {self.name!r} cannot be used: {error}"
            raise DraftModelUnsupportedError(msg) from error
        return model.to(device=self.device, dtype=self.dtype).eval(), tokenizer

    def __repr__(self) -> str:
        """Name, device and dtype."""
        return f"DraftModel({self.name!r}, device={self.device}, dtype={self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> DraftModel:
        """The same object: weights have one owner."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Take the source along, not the weights."""
        if self._location is None:
            msg = "A draft made of a ready model and tokenizer cannot be pickled: name its source."
            raise TypeError(msg)
        return _from_source, (self._source, str(self.device), str(self.dtype))


DraftSource = str | Path | tuple[Any, Any] | DraftModel | None
"""Anything that `DraftModel.from_source` takes."""

_shared: WeakValueDictionary[tuple[Any, ...], DraftModel] = WeakValueDictionary()
_shared_lock = threading.Lock()


def _from_source(source: str | Path | None, device: str, dtype: str) -> DraftModel:
    return DraftModel.from_source(source, device=device, dtype=dtype)


def _name_of(location: DraftLocation) -> str:
    return str(location.path) if isinstance(location, FolderModel) else location.name


def _default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _indexed(device: torch.device) -> torch.device:
    """`cuda` -> `cuda:0`, or whichever is current, so that both name one copy of the weights."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _default_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """`"bfloat16"` or `"torch.bfloat16"` -> `torch.bfloat16`."""
    found = (
        dtype
        if isinstance(dtype, torch.dtype)
        else getattr(torch, str(dtype).removeprefix("torch."), None)
    )
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"dtype must be a floating-point type such as 'float32' or 'bfloat16'; got {dtype!r}."
        raise ValueError(msg)
    return found


def _load_pretrained(place: str | Path, dtype: torch.dtype) -> Loaded:
    """A model and its tokenizer in transformers' own format."""
    model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
    return model, AutoTokenizer.from_pretrained(place)


def _load_gguf(path: Path) -> Loaded:
    """A model, unpacked to float32, and its tokenizer from a GGUF file."""
    # Newer versions keep the weights packed unless told otherwise; older ones know no such class.
    config_class = getattr(transformers, "GgufConfig", None)
    options = {"quantization_config": config_class(dequantize=True)} if config_class else {}
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, **options
    )
    return model, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars of transformers' own while a draft loads."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
