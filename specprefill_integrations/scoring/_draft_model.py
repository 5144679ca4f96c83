"""The draft model: its source, weights, tokenizer, device and dtype.

Knows nothing about questions, windows or attention.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch

from specprefill_integrations._arguments import checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.scoring import _draft_loading as loading
from specprefill_integrations.scoring._draft_device import resolved_device, resolved_dtype
from specprefill_integrations.scoring._draft_files import state_of
from specprefill_integrations.scoring._draft_location import (
    DraftLocation,
    FolderModel,
    GgufModel,
    HubModel,
    locate_draft,
)
from specprefill_integrations.scoring._draft_state import DraftParts, DraftState
from specprefill_integrations.scoring._gguf_cache import Loaded, converted_folder, copy_of
from specprefill_integrations.scoring._hub_download import cached_folder, hub_folder
from specprefill_integrations.scoring._profile_search import find_profile
from specprefill_integrations.scoring._profiles import ReadoutProfile

logger = logging.getLogger(__name__)


class DraftModel:
    """A causal language model and its tokenizer, loaded at first use and shared.

    A process has one copy of the weights per (draft, revision, device, dtype, layers). Copies are
    the same object; a pickle holds the source, not the weights. Config, tokenizer and weights are
    loaded apart, so that tokens can be counted with a draft whose weights are damaged.

    A failure to load is remembered: the next use raises it again at once, until the files change.
    If it may pass (`DraftModelError.may_pass`), it is tried again after five minutes.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        layers: int | None = None,
        *,
        trust_remote_code: bool = False,
    ) -> None:
        """Use `from_source` or `from_pair` instead."""
        self.name = name
        self.device = device
        self.dtype = dtype
        self.layers = layers
        """Number of layers loaded, without an output head; None for the whole model."""
        self.trust_remote_code = trust_remote_code
        """True if Python code that comes with the draft may run."""
        self.lock = ForkSafeLock()
        """Held while the model runs: one forward pass at a time."""
        self._location: DraftLocation | None = None
        self._source: str | Path | None = None
        self._parts = DraftParts()
        self._whole: DraftModel | None = None  # of a cut one; it has config and tokenizer

    @classmethod
    @checked
    def from_source(
        cls,
        source: DraftSource = None,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> DraftModel:
        """Find a draft without loading it.

        Args:
            source: A hub id, a folder, a GGUF file, the name of an installed package with a GGUF
                file, a `(model, tokenizer)` pair, or a `DraftModel`, which is returned. None: the
                embedded draft if it is installed, else its hub id.
            device: The device; by default CUDA if available, else the CPU.
            dtype: The floating-point type; by default bfloat16 on CUDA and on CPUs that are faster
                with it, else float32.
            revision: The branch, tag or commit of a draft on the hub; by default its main branch.
            trust_remote_code: Run Python code that comes with the draft. Only for drafts whose
                code you have read: it can do whatever your process can.

        Raises:
            DraftModelNotFoundError: `source` is empty, or a path without a model.
            TypeError: A pair is no model and tokenizer.
            ValueError: Unknown dtype; a device that is unknown or cannot be used here; an option
                was given for a loaded model; or a revision for a draft that is not on the hub.
        """
        if isinstance(source, DraftModel | tuple):
            if device is not None or dtype is not None or revision is not None or trust_remote_code:
                msg = (
                    "device=, dtype=, revision= and trust_remote_code= do not apply to a loaded "
                    "model; move it yourself."
                )
                raise ValueError(msg)
            return source if isinstance(source, DraftModel) else cls.from_pair(*_checked(source))
        location = locate_draft(source, revision)
        if source is not None and Path(source).expanduser().exists():
            source = Path(source).expanduser().resolve()  # a pickle may be loaded in another folder
        where = resolved_device(device)
        kind = resolved_dtype(dtype, where)
        return cls._shared(location, source, where, kind, trust_remote_code=trust_remote_code)

    @classmethod
    def _shared(  # noqa: PLR0913 - what makes a draft another one
        cls,
        location: DraftLocation,
        source: str | Path | None,
        device: torch.device,
        dtype: torch.dtype,
        layers: int | None = None,
        *,
        trust_remote_code: bool,
    ) -> DraftModel:
        """Return the process's draft of this kind."""
        place = location.name if isinstance(location, GgufModel) else location
        key = (cls, place, device, dtype, layers, trust_remote_code)
        with _shared_lock:
            shared = _shared.get(key)
            if shared is None or shared._location != location:  # noqa: SLF001 - changed on disk
                name = _name_of(location)
                shared = cls(name, device, dtype, layers, trust_remote_code=trust_remote_code)
                shared._location = location
                shared._source = source
                _shared[key] = shared
            return shared

    @classmethod
    def from_pair(cls, model: Any, tokenizer: Any) -> DraftModel:  # noqa: ANN401 - transformers' own
        """Wrap a loaded model and its tokenizer; they stay on their device.

        Raises:
            DraftModelDamagedError: The tokenizer has more tokens than the model has embeddings.
        """
        name = getattr(model.config, "_name_or_path", "") or type(model).__name__
        loading.check_vocabulary(model, tokenizer, name)
        draft = cls(name, model.device, model.dtype)
        draft._parts = DraftParts(model=model.eval(), tokenizer=tokenizer, config=model.config)
        return draft

    def first_layers(self, layers: int) -> DraftModel:
        """Return the same draft with only its first layers and no output head.

        A draft made from a loaded pair returns itself, as does one whose converted copy could not
        be kept.

        Raises:
            DraftModelError: The draft cannot be found.
        """
        if self._location is None or isinstance(self._place(), tuple):
            return self
        return self._cut(layers)

    def _cut(self, layers: int) -> DraftModel:
        assert self._location is not None
        cut = self._shared(
            self._location,
            self._source,
            self.device,
            self.dtype,
            layers,
            trust_remote_code=self.trust_remote_code,
        )
        cut._whole = self._whole or self  # noqa: SLF001 - of the same class
        return cut

    @property
    def model(self) -> Any:  # noqa: ANN401 - transformers' classes are not typed
        """The model, loaded if necessary."""
        return self._part("model", self._load_model)

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401
        """The tokenizer, loaded if necessary; the weights are not."""
        return self._part("tokenizer", self._load_tokenizer)

    def load(self) -> Loaded:
        """Load model and tokenizer, once for all threads.

        Raises:
            DraftModelNotFoundError: There is no such model, or the hub cannot be reached.
            DraftModelDamagedError: A file is missing or damaged.
            DraftModelUnsupportedError: transformers cannot load it as a causal language model.
        """
        return self.model, self.tokenizer

    @property
    def config(self) -> Any:  # noqa: ANN401 - transformers' classes are not typed
        """Config of the whole model's text part, read without the weights where possible."""
        return self._part("config", self._load_config).get_text_config()

    @property
    def profile(self) -> ReadoutProfile | None:
        """The profile fitted to this draft, else to a model of the same shape, else None.

        `profile.is_fitted_to(draft.name)` tells the first two apart. The draft's config is read.
        """
        return find_profile(self.name, self.config)

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

    @property
    def state(self) -> DraftState:
        """The state of the draft; asking for it loads nothing."""
        model = self._parts.loaded("model")
        return DraftState(
            location="a loaded pair" if self._location is None else str(self._location),
            device=str(self.device),
            dtype=str(self.dtype).removeprefix("torch."),
            layers=self.layers,
            weight_bytes=None if model is None else _bytes_of(model),
            failure=self._parts.failure,
        )

    def _part(self, name: str, load: Callable[[], Any]) -> Any:  # noqa: ANN401
        parts = self._parts
        if self._whole is not None and name != "model":
            parts = self._whole._parts  # noqa: SLF001 - of the same class
        return parts.get(name, load, self._files)

    def _files(self) -> str:
        """Return the state of the draft's files: a failure is forgotten when they change."""
        location = self._location
        if isinstance(location, FolderModel):
            return state_of(location.path)
        if isinstance(location, GgufModel):
            own = state_of(location.path) if location.path else ""
            return f"{own} {state_of(copy_of(location))}"
        cached = cached_folder(location) if location else None
        return state_of(cached) if cached else ""

    def _load_model(self) -> Any:  # noqa: ANN401
        place = self._place()
        if isinstance(place, tuple):
            return place[0].to(device=self.device, dtype=self.dtype).eval()
        logger.info("Loading draft %s on %s as %s", self.name, self.device, self.dtype)
        tokenizer = self.tokenizer  # first, and the config before it: they fail at once
        with (
            loading.visible_if_long(self.name),
            loading.explained_errors(self.name, place),
            loading.quiet_transformers(),
        ):
            model = self._load_weights(place)
            loading.check_vocabulary(model, tokenizer, str(place))
            return model.to(device=self.device, dtype=self.dtype).eval()

    def _load_weights(self, folder: Path) -> Any:  # noqa: ANN401
        return loading.load_weights(
            folder, self.dtype, self.layers, trust_remote_code=self.trust_remote_code
        )

    def _load_tokenizer(self) -> Any:  # noqa: ANN401
        place = self._place()
        if isinstance(place, tuple):
            return place[1]
        self._part("config", self._load_config)
        with loading.explained_errors(self.name, place, "tokenizer"), loading.quiet_transformers():
            return loading.load_tokenizer(place, trust_remote_code=self.trust_remote_code)

    def _load_config(self) -> Any:  # noqa: ANN401
        place = self._place()
        if isinstance(place, tuple):
            return place[0].config
        with loading.explained_errors(self.name, place, "config"), loading.quiet_transformers():
            return loading.load_config(place, trust_remote_code=self.trust_remote_code)

    def _place(self) -> Path | Loaded:
        """Return the folder that transformers loads from, or the loaded pair itself."""
        found: Path | Loaded = self._part("place", self._find_place)
        return found

    def _find_place(self) -> Path | Loaded:
        location = self._location
        assert location is not None, "a draft without a location is loaded"
        if isinstance(location, FolderModel):
            return location.path
        if isinstance(location, HubModel):
            return hub_folder(location, with_code=self.trust_remote_code)
        with loading.explained_errors(self.name, location.path), loading.quiet_transformers():
            if location.path is not None:
                loading.check_gguf_header(location.path)
            return converted_folder(location, loading.load_gguf)

    def __repr__(self) -> str:
        """Name, device, dtype, and further options where they are set."""
        options = "".join(f", {name}={value!r}" for name, value in self._options().items())
        return f"DraftModel({self.name!r}, device={self.device}, dtype={self.dtype}{options})"

    def _options(self) -> dict[str, Any]:
        """Return the options of `from_source` that are rarely used, where they are."""
        options: dict[str, Any] = {}
        if isinstance(self._location, HubModel) and self._location.revision is not None:
            options["revision"] = self._location.revision
        if self.trust_remote_code:
            options["trust_remote_code"] = True
        return options

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
        kind = str(self.device), str(self.dtype), self.layers, self._options()
        return _from_source, (type(self), self._source, *kind)


DraftSource = str | Path | tuple[Any, Any] | DraftModel | None
"""Anything that `DraftModel.from_source` takes."""

Device = str | torch.device
"""A device, or its name."""

Devices = Device | tuple[Device, ...]
"""One device, or several that share the work."""

Dtype = str | torch.dtype
"""A floating-point type, or its name."""

_shared: WeakValueDictionary[tuple[Any, ...], DraftModel] = WeakValueDictionary()
_shared_lock = ForkSafeLock()


def _from_source(  # noqa: PLR0913, PLR0917 - what makes a draft another one
    kind: type[DraftModel],
    source: str | Path | None,
    device: str,
    dtype: str,
    layers: int | None,
    options: dict[str, Any],
) -> DraftModel:
    draft = kind.from_source(source, device=device, dtype=dtype, **options)
    return draft if layers is None else draft._cut(layers)  # noqa: SLF001 - loads nothing


def _checked(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return a pair of a loaded model and its tokenizer.

    Raises:
        TypeError: It is something else.
    """
    model, tokenizer = pair
    is_model = isinstance(model, torch.nn.Module) and hasattr(model, "config")
    if not is_model or isinstance(tokenizer, torch.nn.Module) or not callable(tokenizer):
        kinds = f"{type(model).__name__}, {type(tokenizer).__name__}"
        msg = f"A draft pair must be a loaded model and its tokenizer; got ({kinds})."
        raise TypeError(msg)
    return pair


def _name_of(location: DraftLocation) -> str:
    return str(location.path) if isinstance(location, FolderModel) else location.name


def _bytes_of(model: Any) -> int:  # noqa: ANN401
    """Return the memory of a model's weights; tied ones count once."""
    return sum(weights.numel() * weights.element_size() for weights in model.parameters())
