"""Originals in a LangGraph store."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from specprefill_integrations._arguments import check, checked
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.originals._original_store import (
    KEY_BYTES,
    check_limits,
    new_key,
    pack_text,
    reference_of,
    unpack_text,
)
from specprefill_integrations.pipeline._failures import FailureLog

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, Item

logger = logging.getLogger(__name__)

_STORE = "LangGraph's store"
_NOT_KEPT = "no original could be kept"
_NOT_READ = "no original could be read"

# Not a reference, so no text ever has this key.
_KEY_ENTRY = "specprefill_key"


class StoreOriginals:
    """Keeps originals in any LangGraph `BaseStore`.

    They are written compressed and in plain ASCII: databases that keep JSON refuse NUL and lone
    surrogates. A text that is damaged in the store is treated as missing. Where the store fails,
    nothing is kept or found, and the log says why.

    References are made with a random key, which the namespace holds under `specprefill_key`. Two
    processes that start in an empty namespace at the same moment may both write one: the later one
    counts from then on, and what was put with the other is still found.

    Two objects for the same namespace of the same store are equal.

    A store's size is unknown, so only the size of a single text and its age are limited. Stores
    that delete entries by age (`supports_ttl`) do so.
    """

    @checked
    def __init__(
        self,
        store: BaseStore,
        *,
        namespace: tuple[str, ...] = ("specprefill", "originals"),
        max_text_chars: int = 10_000_000,
        max_age_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use a store.

        Args:
            store: The store.
            namespace: The namespace; give each tenant its own.
            max_text_chars: Characters of a single text; a longer one is not kept.
            max_age_seconds: The time after its last `put` for which a text is returned; None
                leaves that to the store.
            clock: Returns the time in seconds, the same in all processes.

        Raises:
            OriginalStoreError: A limit is not above 0.
        """
        if not callable(getattr(store, "put", None)):
            msg = f"store must be a BaseStore of LangGraph; got {store!r:.99}."
            raise TypeError(msg)
        check_limits(max_text_chars=max_text_chars, max_age_seconds=max_age_seconds)
        self.store = store
        self.namespace = namespace
        self.max_text_chars = max_text_chars
        self.max_age_seconds = max_age_seconds
        self._clock = clock
        self._failures = FailureLog()
        self._key: bytes | None = None

    def __eq__(self, other: object) -> bool:
        """Return True for the same namespace of the same store."""
        if not isinstance(other, StoreOriginals):
            return NotImplemented
        return self.store is other.store and self.namespace == other.namespace

    def __hash__(self) -> int:
        """Hash the namespace."""
        return hash(self.namespace)

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. Texts over `max_text_chars` are not kept."""
        if len(check("text", text, str)) > self.max_text_chars:
            return None
        try:
            entry = self._entry(text, self._found_key())
            self.store.put(**entry)
        except Exception as error:  # noqa: BLE001 - whatever the store raises
            self._failures.add(logger, _STORE, _NOT_KEPT, error)
            return None
        return str(entry["key"])

    def get(self, reference: str) -> str | None:
        """Return the text, or None; see `OriginalStore.get`."""
        check("reference", reference, str)
        try:
            return self._text_of(self.store.get(**self._place(reference)), reference)
        except Exception as error:  # noqa: BLE001 - whatever the store raises
            self._failures.add(logger, _STORE, _NOT_READ, error)
            return None

    def reference_of(self, text: str) -> str | None:
        """Return the reference of a text; None if it is not kept."""
        if len(check("text", text, str)) > self.max_text_chars:
            return None
        try:
            return reference_of(text, self._key or self._found_key())
        except Exception as error:  # noqa: BLE001 - whatever the store raises
            self._failures.add(logger, _STORE, _NOT_KEPT, error)
            return None

    async def aput(self, text: str) -> str | None:
        """`put`, with the store's own `aput`; a thread compresses the text."""
        if len(check("text", text, str)) > self.max_text_chars:
            return None
        try:
            key = await self._afound_key()
            entry = await run_in_thread(lambda: self._entry(text, key))
            await self.store.aput(**entry)
        except Exception as error:  # noqa: BLE001 - whatever the store raises
            self._failures.add(logger, _STORE, _NOT_KEPT, error)
            return None
        return str(entry["key"])

    async def aget(self, reference: str) -> str | None:
        """`get`, with the store's own `aget`."""
        check("reference", reference, str)
        try:
            item = await self.store.aget(**self._place(reference))
            return await run_in_thread(lambda: self._text_of(item, reference))
        except Exception as error:  # noqa: BLE001 - whatever the store raises
            self._failures.add(logger, _STORE, _NOT_READ, error)
            return None

    async def areference_of(self, text: str) -> str | None:
        """`reference_of`, with the store's own methods; a thread hashes the text."""
        if len(check("text", text, str)) > self.max_text_chars:
            return None
        try:
            key = self._key or await self._afound_key()
            return await run_in_thread(lambda: reference_of(text, key))
        except Exception as error:  # noqa: BLE001 - whatever the store raises
            self._failures.add(logger, _STORE, _NOT_KEPT, error)
            return None

    def _found_key(self) -> bytes:
        """Return the key that the store holds now; write one if there is none."""
        key = _key_in(self.store.get(**self._place(_KEY_ENTRY)))
        if key is None:
            self.store.put(**self._key_entry())
            key = _key_in(self.store.get(**self._place(_KEY_ENTRY)))
        self._key = _needed(key)
        return self._key

    async def _afound_key(self) -> bytes:
        """`_found_key`, with the store's own methods."""
        key = _key_in(await self.store.aget(**self._place(_KEY_ENTRY)))
        if key is None:
            await self.store.aput(**self._key_entry())
            key = _key_in(await self.store.aget(**self._place(_KEY_ENTRY)))
        self._key = _needed(key)
        return self._key

    def _key_entry(self) -> dict[str, Any]:
        """Return the arguments of the store's `put` for a new key, which never expires."""
        return {
            "namespace": self.namespace,
            "key": _KEY_ENTRY,
            "value": {"key": new_key().hex()},
            "index": False,
            "ttl": None,
        }

    def _entry(self, text: str, key: bytes) -> dict[str, Any]:
        """Return the arguments of the store's `put`.

        An entry holds its own key: it can be checked even if another one counts by now.
        """
        packed = base64.b64encode(pack_text(text)).decode("ascii")
        entry = {
            "namespace": self.namespace,
            "key": reference_of(text, key),
            "value": {"packed": packed, "put_at": self._clock(), "key": key.hex()},
            "index": False,  # originals are not searched
        }
        if self.max_age_seconds is not None and self.store.supports_ttl:
            entry["ttl"] = self.max_age_seconds / 60  # in minutes
        return entry

    def _place(self, key: str) -> dict[str, Any]:
        """Return the arguments of the store's `get`: reading does not make an entry younger."""
        refresh = None if self.max_age_seconds is None else False
        return {"namespace": self.namespace, "key": key, "refresh_ttl": refresh}

    def _text_of(self, item: Item | None, reference: str) -> str | None:
        """Return the text of an entry, unless it is too old."""
        if item is None or self._is_old(item):
            return None
        packed = base64.b64decode(item.value["packed"])
        return unpack_text(packed, reference, bytes.fromhex(item.value.get("key", "")))

    def _is_old(self, item: Item) -> bool:
        age = self._clock() - item.value["put_at"]
        return self.max_age_seconds is not None and bool(age >= self.max_age_seconds)


def _key_in(item: Item | None) -> bytes | None:
    """Return the key of an entry; None for no entry, or a damaged one, which is replaced."""
    found = None if item is None else item.value.get("key")
    try:
        key = bytes.fromhex(found) if isinstance(found, str) else b""
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None


def _needed(key: bytes | None) -> bytes:
    """Return a key that was just written.

    Raises:
        ValueError: The store does not return it.
    """
    if key is None:
        msg = "it does not return the key that was put"
        raise ValueError(msg)
    return key
