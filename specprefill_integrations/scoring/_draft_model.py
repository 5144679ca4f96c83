"""The draft model: its source, weights, tokenizer, device and dtype.

Knows nothing about questions, windows or attention.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.errors import DraftModelNotFoundError, DraftModelUnsupportedError
from specprefill_integrations.scoring._draft_location import (
    THREE_WAYS,
    DraftLocation,
    FolderModel,
    GgufModel,
    locate_draft,
)
from specprefill_integrations.scoring._gguf_cache import Loaded, converted_folder

logger = logging.getLogger(__name__)


class DraftModel:
    """A causal language model and its tokenizer, loaded at first use and shared.

    A process has one copy of the weights per (draft, device, dtype, layers). Copies are the same
    object; a pickle holds the source, not the weights.
    """

    def __init__(
        self, name: str, device: torch.device, dtype: torch.dtype, layers: int | None = None
    ) -> None:
        """Use `from_source` or `from_pair` instead."""
        self.name = name
        self.device = device
        self.dtype = dtype
        self.layers = layers
        """Number of layers loaded, without an output head; None for the whole model."""
        self.lock = ForkSafeLock()
        """Held while the model runs: one forward pass at a time."""
        self._location: DraftLocation | None = None
        self._source: str | Path | None = None
        self._loaded: Loaded | None = None
        self._config: Any = None  # of the whole model

    @classmethod
    def from_source(
        cls,
        source: DraftSource = None,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> DraftModel:
        """Find a draft without loading it.

        Args:
            source: A hub id, a folder, a GGUF file, the name of an installed package with a GGUF
                file, a `(model, tokenizer)` pair, or a `DraftModel`, which is returned. None: the
                embedded draft if it is installed, else its hub id.
            device: The device; by default CUDA if available, else the CPU.
            dtype: The floating-point type; by default bfloat16 on CUDA, float32 elsewhere.

        Raises:
            DraftModelNotFoundError: `source` is a path without a model.
            ValueError: Unknown dtype; or a device or dtype was given for a loaded model.
            RuntimeError: PyTorch does not know the device.
        """
        if isinstance(source, DraftModel | tuple):
            if device is not None or dtype is not None:
                msg = "device= and dtype= do not apply to a loaded model; move it yourself."
                raise ValueError(msg)
            return source if isinstance(source, DraftModel) else cls.from_pair(*source)
        location = locate_draft(source)
        if source is not None and Path(source).expanduser().exists():
            source = Path(source).expanduser().resolve()  # a pickle may be loaded in another folder
        where = _indexed(torch.device(device) if device is not None else _default_device())
        kind = _as_dtype(dtype) if dtype is not None else _default_dtype(where)
        return cls._shared(location, source, where, kind)

    @classmethod
    def _shared(
        cls,
        location: DraftLocation,
        source: str | Path | None,
        device: torch.device,
        dtype: torch.dtype,
        layers: int | None = None,
    ) -> DraftModel:
        """Return the process's draft of this kind."""
        place = location.path if isinstance(location, FolderModel) else location.name
        key = (place, device, dtype, layers)
        with _shared_lock:
            shared = _shared.get(key)
            if shared is None or shared._location != location:  # noqa: SLF001 - changed on disk
                shared = _shared[key] = cls(_name_of(location), device, dtype, layers)
                shared._location = location
                shared._source = source
            return shared

    @classmethod
    def from_pair(cls, model: Any, tokenizer: Any) -> DraftModel:  # noqa: ANN401 - transformers' own
        """Wrap a loaded model and its tokenizer; they stay on their device."""
        name = getattr(model.config, "_name_or_path", "") or type(model).__name__
        draft = cls(name, model.device, model.dtype)
        draft._loaded = (model.eval(), tokenizer)
        return draft

    def first_layers(self, layers: int) -> DraftModel:
        """Return the same draft with only its first layers and no output head.

        A draft made from a loaded pair returns itself.
        """
        if self._location is None:
            return self
        return DraftModel._shared(self._location, self._source, self.device, self.dtype, layers)

    @property
    def model(self) -> Any:  # noqa: ANN401 - transformers' classes are not typed
        """The model, loaded if necessary."""
        return self.load()[0]

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401
        """The tokenizer, loaded if necessary."""
        return self.load()[1]

    def load(self) -> Loaded:
        """Load model and tokenizer, once for all threads.

        Raises:
            DraftModelNotFoundError: There is no such model, or the hub cannot be reached.
            DraftModelUnsupportedError: transformers cannot load it as a causal language model.
        """
        if self._loaded is None:
            with self.lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    @property
    def config(self) -> Any:  # noqa: ANN401 - transformers' classes are not typed
        """Config of the whole model's text part, read without the weights where possible."""
        if self._config is None:
            self._config = self._loaded[0].config if self._loaded else self._read_config()
        return self._config.get_text_config()

    @property
    def max_positions(self) -> int | None:
        """Maximum tokens of a prompt; None if the config sets no limit."""
        return getattr(self.config, "max_position_embeddings", None)

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """End-of-sequence token ids."""
        generation = getattr(self.model, "generation_config", None)
        found = getattr(generation, "eos_token_id", None)
        if found is None:
            found = getattr(self.model.config.get_text_config(), "eos_token_id", None)
        if found is None:
            return ()
        return tuple(found) if isinstance(found, Sequence) else (int(found),)

    def _load(self) -> Loaded:
        logger.info("Loading draft %s on %s as %s", self.name, self.device, self.dtype)
        place = self._place()
        if isinstance(place, tuple):
            model, tokenizer = place
        else:
            with self._explained_errors(), _quiet_transformers():
                model, tokenizer = _load_pretrained(place, self.dtype, self.layers)
        return model.to(device=self.device, dtype=self.dtype).eval(), tokenizer

    def _read_config(self) -> Any:  # noqa: ANN401
        place = self._place()
        if isinstance(place, tuple):  # the config came with the weights
            self._loaded = place[0].to(device=self.device, dtype=self.dtype).eval(), place[1]
            return place[0].config
        with self._explained_errors():
            return AutoConfig.from_pretrained(place)

    def _place(self) -> str | Path | Loaded:
        """Return what transformers loads from: a hub id or folder, or the loaded pair itself."""
        location = self._location
        assert location is not None, "a draft without a location is loaded"
        if isinstance(location, GgufModel):
            with self._explained_errors(), _quiet_transformers():
                return converted_folder(location, _load_gguf)
        return location.path if isinstance(location, FolderModel) else location.name

    @contextmanager
    def _explained_errors(self) -> Iterator[None]:
        """Turn errors of transformers into ours, with the ways to get a draft."""
        try:
            yield
        except OSError as error:
            msg = f"The draft model {self.name!r} could not be loaded: {error}\n{THREE_WAYS}"
            raise DraftModelNotFoundError(msg) from error
        except ValueError as error:
            msg = f"The draft model {self.name!r} cannot be used: {error}"
            raise DraftModelUnsupportedError(msg) from error

    def __repr__(self) -> str:
        """Name, device and dtype."""
        return f"DraftModel({self.name!r}, device={self.device}, dtype={self.dtype})"

    def __copy__(self) -> DraftModel:
        """Return the same object: weights have one owner."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> DraftModel:
        """Return the same object: weights have one owner."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Take the source along, not the weights.

        Raises:
            TypeError: The draft was made from a loaded pair.
        """
        if self._location is None:
            msg = "A draft made from a loaded model cannot be pickled: name its source instead."
            raise TypeError(msg)
        return _from_source, (self._source, str(self.device), str(self.dtype), self.layers)


DraftSource = str | Path | tuple[Any, Any] | DraftModel | None
"""Anything that `DraftModel.from_source` takes."""

Device = str | torch.device
"""A device, or its name."""

Dtype = str | torch.dtype
"""A floating-point type, or its name."""

_shared: WeakValueDictionary[tuple[Any, ...], DraftModel] = WeakValueDictionary()
_shared_lock = ForkSafeLock()


def _from_source(
    source: str | Path | None, device: str, dtype: str, layers: int | None
) -> DraftModel:
    draft = DraftModel.from_source(source, device=device, dtype=dtype)
    return draft if layers is None else draft.first_layers(layers)


def _name_of(location: DraftLocation) -> str:
    return str(location.path) if isinstance(location, FolderModel) else location.name


def _default_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _indexed(device: torch.device) -> torch.device:
    """Resolve `cuda` to the current device, so that both names share one copy of the weights."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _default_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Resolve names such as "bfloat16" or "torch.bfloat16"."""
    found = (
        dtype
        if isinstance(dtype, torch.dtype)
        else getattr(torch, str(dtype).removeprefix("torch."), None)
    )
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"dtype must be a floating-point type such as 'float32' or 'bfloat16'; got {dtype!r}."
        raise ValueError(msg)
    return found


def _load_pretrained(place: str | Path, dtype: torch.dtype, layers: int | None) -> Loaded:
    """Load a model, whole or cut, and its tokenizer in transformers' format."""
    model = _first_layers(place, dtype, layers) if layers else None
    if model is None:
        model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
    return model, AutoTokenizer.from_pretrained(place)


def _first_layers(place: str | Path, dtype: torch.dtype, layers: int) -> Any:  # noqa: ANN401
    """Load a model's first layers without its head; None if it is not a text-only model."""
    config = AutoConfig.from_pretrained(place)
    if config.get_text_config() is not config:
        return None
    _cut_config(config, layers)
    return AutoModel.from_pretrained(place, config=config, dtype=dtype)


def _cut_config(config: Any, layers: int) -> None:  # noqa: ANN401
    """Cut a config to its first layers, per-layer lists included."""
    depth = config.num_hidden_layers
    for name, value in vars(config).items():
        if isinstance(value, list) and len(value) == depth:
            setattr(config, name, value[:layers])
    config.num_hidden_layers = min(layers, depth)


def _load_gguf(path: Path) -> Loaded:
    """Load a model, unpacked to float32, and its tokenizer from a GGUF file."""
    # Newer versions of transformers keep the weights packed by default; older ones lack the class.
    config_class = getattr(transformers, "GgufConfig", None)
    options = {"quantization_config": config_class(dequantize=True)} if config_class else {}
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, **options
    )
    return model, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and its list of unused weights."""
    shown = transformers_logging.is_progress_bar_enabled()
    level = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
