"""Drafts and profiles on the Hugging Face hub: their place in its cache, filled if necessary.

A complete copy in the cache is used without a request. Otherwise one short request shows if the
hub can be reached, since a download tries again for up to a minute.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from http import HTTPStatus
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils.tqdm import are_progress_bars_disabled

from specprefill_integrations._progress_line import shown_instead
from specprefill_integrations.errors import DraftModelNotFoundError, ReadoutProfileError
from specprefill_integrations.scoring._draft_files import missing_file
from specprefill_integrations.scoring._draft_location import THREE_WAYS, HubModel

HUB_TIMEOUT_SECONDS = 4
"""Time that the hub has for its first answer, name look-up and other requests included."""

_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_SMALL_FILES = {".jinja", ".json", ".model", ".tiktoken", ".txt"}


def cached_folder(model: HubModel) -> Path | None:
    """Return the folder of a model in the hub's cache, complete or not; None if there is none."""
    found = _cached_file(model, "config.json")
    return found.parent if found else None


def complete_folder(model: HubModel, *, with_code: bool) -> Path | None:
    """Return that folder if it needs no download; else None.

    Args:
        model: The model.
        with_code: True if its Python files are needed as well.
    """
    cached = cached_folder(model)
    is_complete = cached is not None and missing_file(cached, with_code=with_code) is None
    return cached if is_complete else None


def hub_folder(model: HubModel, *, with_code: bool) -> Path:
    """Return the folder of a model, downloaded now if it is not in the hub's cache.

    Args:
        model: The model.
        with_code: True to download its Python files as well.

    Raises:
        DraftModelNotFoundError: There is no such model, the hub does not give it, or the hub cannot
            be reached.
    """
    cached = complete_folder(model, with_code=with_code)
    if cached is not None:
        return cached
    try:
        info = _first_answer(model)
        names = _needed([file.rfilename for file in info.siblings or ()], with_code=with_code)
        with shown_instead(_downloading(model)):
            folder = snapshot_download(model.name, revision=model.revision, allow_patterns=names)
        return Path(folder)
    except Exception as error:  # noqa: BLE001 - whatever the network raises
        why, may_pass = _explained(error, model)
    msg = f"The draft model {model.name!r} cannot be had from the hub: {why}. {THREE_WAYS}"
    failure = DraftModelNotFoundError(msg)
    failure.may_pass = may_pass
    raise failure


def hub_file(model: HubModel, name: str) -> Path:
    """Return a readout profile of a repository, downloaded now if it is not in the hub's cache.

    Args:
        model: The repository.
        name: The profile's file.

    Raises:
        ReadoutProfileError: There is no such file, the hub does not give it, or the hub cannot be
            reached.
    """
    cached = _cached_file(model, name)
    if cached is not None:
        return cached
    try:
        _first_answer(model)
        return Path(hf_hub_download(model.name, name, revision=model.revision))
    except RemoteEntryNotFoundError:
        why, may_pass = f"it holds no {name}", False
    except Exception as error:  # noqa: BLE001 - whatever the network raises
        why, may_pass = _explained(error, model)
    msg = f"The readout profile {model.name!r} cannot be had from the hub: {why}."
    failure = ReadoutProfileError(msg)
    failure.may_pass = may_pass
    raise failure


def _downloading(model: HubModel) -> str | None:
    """Return what is being done; None if the hub's library shows its own progress."""
    return f"Downloading {model.name}" if are_progress_bars_disabled() else None


def _cached_file(model: HubModel, name: str) -> Path | None:
    try:
        found = try_to_load_from_cache(model.name, name, revision=model.revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _explained(error: Exception, model: HubModel) -> tuple[str, bool]:
    """Return why a model cannot be had, and True if that may pass."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    may_pass = False
    if isinstance(error, RevisionNotFoundError):
        why = f"there is no revision {model.revision!r}"
    elif isinstance(error, GatedRepoError):
        why = "it is gated: accept its terms on the hub and log in"
    elif isinstance(error, HFValidationError) or status == HTTPStatus.NOT_FOUND:
        why = "there is no such model"
    elif isinstance(error, RepositoryNotFoundError) or status == HTTPStatus.UNAUTHORIZED:
        # The hub does not tell these apart for those who may not know.
        why = "there is no such model, or it is private or gated: log in to use it"
    elif status == HTTPStatus.FORBIDDEN:
        why = "it is private or gated, and your login gives no access"
    elif status is not None:
        why = f"the hub answers with {status}"
        may_pass = status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    elif isinstance(error, FutureTimeoutError):
        why, may_pass = f"the hub gave no answer within {HUB_TIMEOUT_SECONDS:g} seconds", True
    else:
        why, may_pass = f"the hub could not be reached ({type(error).__name__})", True
    return why, may_pass


def _first_answer(model: HubModel) -> ModelInfo:
    """Ask for a model's files.

    The request runs in a thread that is left behind after some time: the time limit of the request
    itself holds for each of its steps, and not for the requests that huggingface_hub makes before.

    Raises:
        TimeoutError: The hub did not answer in time.
        Exception: The error of the request.
    """
    answer: Future[ModelInfo] = Future()

    def ask() -> None:
        try:
            api, limit = HfApi(), HUB_TIMEOUT_SECONDS
            answer.set_result(api.model_info(model.name, revision=model.revision, timeout=limit))
        except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=ask, name="specprefill-hub", daemon=True).start()
    return answer.result(HUB_TIMEOUT_SECONDS)


def _needed(names: list[str], *, with_code: bool) -> list[str]:
    """Return the files that transformers may read, without weights in other formats."""
    own = [Path(name) for name in names if "/" not in name]
    weights = [path for path in own if path.match("model*.safetensors")]
    weights = weights or [path for path in own if path.match("pytorch_model*.bin")]
    suffixes = _SMALL_FILES | ({".py"} if with_code else set())
    return [str(path) for path in own if path in weights or path.suffix in suffixes]
