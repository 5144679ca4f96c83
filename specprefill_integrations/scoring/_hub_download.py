"""Drafts on the Hugging Face hub: their folder in the hub's cache, filled if necessary.

A complete copy in the cache is used without a request. Otherwise one short request shows if the
hub can be reached, since a download tries again for up to a minute.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from specprefill_integrations.errors import DraftModelNotFoundError
from specprefill_integrations.scoring._draft_files import missing_file
from specprefill_integrations.scoring._draft_location import THREE_WAYS, HubModel

HUB_TIMEOUT_SECONDS = 4
"""Time that the hub has for its first answer."""

_SMALL_FILES = {".jinja", ".json", ".model", ".tiktoken", ".txt"}


def cached_folder(model: HubModel) -> Path | None:
    """Return the folder of a model in the hub's cache, complete or not; None if there is none."""
    try:
        found = try_to_load_from_cache(model.name, "config.json", revision=model.revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def hub_folder(model: HubModel, *, with_code: bool) -> Path:
    """Return the folder of a model, downloaded now if it is not in the hub's cache.

    Args:
        model: The model.
        with_code: True to download its Python files as well.

    Raises:
        DraftModelNotFoundError: There is no such model; or the hub cannot be reached.
    """
    cached = cached_folder(model)
    if cached is not None and missing_file(cached) is None:
        return cached
    try:
        info = HfApi().model_info(model.name, revision=model.revision, timeout=HUB_TIMEOUT_SECONDS)
        names = _needed([file.rfilename for file in info.siblings or ()], with_code=with_code)
        return Path(snapshot_download(model.name, revision=model.revision, allow_patterns=names))
    except GatedRepoError:
        why, may_pass = "it is gated: accept its terms on the hub and log in", False
    except (HFValidationError, RepositoryNotFoundError):
        why, may_pass = "there is no such model, or it is private", False
    except RevisionNotFoundError:
        why, may_pass = f"there is no revision {model.revision!r}", False
    except Exception as error:  # noqa: BLE001 - whatever the network raises
        why, may_pass = f"the hub could not be reached ({type(error).__name__})", True
    msg = f"The draft model {model.name!r} cannot be had from the hub: {why}. {THREE_WAYS}"
    failure = DraftModelNotFoundError(msg)
    failure.may_pass = may_pass
    raise failure


def _needed(names: list[str], *, with_code: bool) -> list[str]:
    """Return the files that transformers may read, without weights in other formats."""
    own = [Path(name) for name in names if "/" not in name]
    weights = [path for path in own if path.match("model*.safetensors")]
    weights = weights or [path for path in own if path.match("pytorch_model*.bin")]
    suffixes = _SMALL_FILES | ({".py"} if with_code else set())
    return [str(path) for path in own if path in weights or path.suffix in suffixes]
