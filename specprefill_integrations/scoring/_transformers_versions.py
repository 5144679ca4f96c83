"""The differences between the versions of transformers that the package works with.

Features are looked for, not version numbers. `make compat` runs the oldest and the newest version.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transformers
import transformers.utils.logging


def cache_name(model: Any) -> str:  # noqa: ANN401 - transformers' classes are not typed
    """Return the name of a model's argument for cached keys, which its output uses as well.

    It is `cache` in newer versions (since 5.24), `past_key_values` in older ones and in models that
    were not renamed.
    """
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def unpacked_gguf() -> dict[str, Any]:
    """Return the options of `from_pretrained` that unpack the weights of a GGUF file.

    Newer versions keep them packed by default; older ones lack the class.
    """
    config_class = getattr(transformers, "GgufConfig", None)
    return {"quantization_config": config_class(dequantize=True)} if config_class else {}


@contextmanager
def gguf_bar_as_others() -> Iterator[None]:
    """Make the progress bar of GGUF files obey transformers' switch, as all others do.

    It is a plain bar of `tqdm`, which has no switch that works after its import.
    """
    try:
        module: Any = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    except ModuleNotFoundError:  # in versions to come
        yield
        return
    plain = module.tqdm
    module.tqdm = transformers.utils.logging.tqdm
    try:
        yield
    finally:
        module.tqdm = plain


def attention_for(config: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the options of `from_pretrained` for the attention of a model.

    Older versions read models with soft-capped scores (Gemma 2) by PyTorch's own attention, which
    has no cap.
    """
    has_cap = getattr(config.get_text_config(), "attn_logit_softcapping", None) is not None
    return {"attn_implementation": "eager"} if has_cap else {}
