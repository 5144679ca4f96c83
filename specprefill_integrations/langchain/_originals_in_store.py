"""Originals in a LangGraph store."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from specprefill_integrations.originals._original_store import (
    check_limits,
    pack_text,
    reference_of,
    unpack_text,
)

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, Item

logger = logging.getLogger(__name__)

_NOT_KEPT = "No original could be kept in the store."
_NOT_READ = "The original %s could not be read from the store."


class StoreOriginals:
    """Keeps originals in any LangGraph `BaseStore`.

    They are written compressed and in plain ASCII: databases that keep JSON refuse NUL and lone
    surrogates. A text that is damaged in the store is treated as missing. Where the store fails,
    nothing is kept or found, and the log shows the error.

    A store's size is unknown, so only the size of a single text and its age are limited. Stores
    that delete entries by age (`supports_ttl`) do so.
    """

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
        check_limits(max_text_chars=max_text_chars, max_age_seconds=max_age_seconds)
        self.store = store
        self.namespace = namespace
        self.max_text_chars = max_text_chars
        self.max_age_seconds = max_age_seconds
        self._clock = clock

    def put(self, text: str) -> str | None:
        """Keep a text; see `OriginalStore.put`. Texts over `max_text_chars` are not kept."""
        if len(text) > self.max_text_chars:
            return None
        try:
            self.store.put(**self._entry(text))
        except Exception:
            logger.warning(_NOT_KEPT, exc_info=True)
            return None
        return reference_of(text)

    def get(self, reference: str) -> str | None:
        """Return the text, or None; see `OriginalStore.get`."""
        try:
            return self._text_of(self.store.get(**self._place(reference)), reference)
        except Exception:
            logger.warning(_NOT_READ, reference, exc_info=True)
            return None

    async def aput(self, text: str) -> str | None:
        """`put`, with the store's own `aput`; a thread compresses the text."""
        if len(text) > self.max_text_chars:
            return None
        try:
            await self.store.aput(**await asyncio.to_thread(self._entry, text))
        except Exception:
            logger.warning(_NOT_KEPT, exc_info=True)
            return None
        return await asyncio.to_thread(reference_of, text)

    async def aget(self, reference: str) -> str | None:
        """`get`, with the store's own `aget`."""
        try:
            item = await self.store.aget(**self._place(reference))
            return await asyncio.to_thread(self._text_of, item, reference)
        except Exception:
            logger.warning(_NOT_READ, reference, exc_info=True)
            return None

    def _entry(self, text: str) -> dict[str, Any]:
        """Return the arguments of the store's `put`."""
        packed = base64.b64encode(pack_text(text)).decode("ascii")
        entry = {
            "namespace": self.namespace,
            "key": reference_of(text),
            "value": {"packed": packed, "put_at": self._clock()},
            "index": False,  # originals are not searched
        }
        if self.max_age_seconds is not None and self.store.supports_ttl:
            entry["ttl"] = self.max_age_seconds / 60  # in minutes
        return entry

    def _place(self, reference: str) -> dict[str, Any]:
        """Return the arguments of the store's `get`: reading does not make an entry younger."""
        refresh = None if self.max_age_seconds is None else False
        return {"namespace": self.namespace, "key": reference, "refresh_ttl": refresh}

    def _text_of(self, item: Item | None, reference: str) -> str | None:
        """Return the text of an entry, unless it is too old or damaged."""
        if item is None or self._is_old(item):
            return None
        return unpack_text(base64.b64decode(item.value["packed"]), reference)

    def _is_old(self, item: Item) -> bool:
        age = self._clock() - item.value["put_at"]
        return self.max_age_seconds is not None and bool(age >= self.max_age_seconds)
