"""Originals in a store of LangGraph, such as the one that an agent keeps its memories in."""

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
    """Keeps originals in any `BaseStore`, next to what else is in there.

    They are written compressed and in plain ASCII: databases that keep JSON refuse NUL and lone
    surrogates. A text that is damaged in the store is treated as missing. Where the store fails,
    nothing is kept or found, and the log says why.

    How much it holds is the store's own affair: there is no way to ask for its size. So there is a
    limit to a single text, and a time after which one is no longer given back; stores that can
    forget (`supports_ttl`) are told to.
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
        """Say which store, and where in it.

        Args:
            store: The store.
            namespace: Where in it; give each tenant a place of its own.
            max_text_chars: Characters of a single text; a longer one is not kept.
            max_age_seconds: How long after it was last put a text is given back; None leaves that
                to the store.
            clock: Tells the time in seconds, the same to all processes.

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
        """Keep a text; see `OriginalStore.put`. One of more than `max_text_chars` is not kept."""
        if len(text) > self.max_text_chars:
            return None
        try:
            self.store.put(**self._entry(text))
        except Exception:
            logger.warning(_NOT_KEPT, exc_info=True)
            return None
        return reference_of(text)

    def get(self, reference: str) -> str | None:
        """The text, or None; see `OriginalStore.get`."""
        try:
            return self._text_of(self.store.get(**self._place(reference)), reference)
        except Exception:
            logger.warning(_NOT_READ, reference, exc_info=True)
            return None

    async def aput(self, text: str) -> str | None:
        """`put`, by the store's own way; what is long to compress is compressed in a thread."""
        if len(text) > self.max_text_chars:
            return None
        try:
            await self.store.aput(**await asyncio.to_thread(self._entry, text))
        except Exception:
            logger.warning(_NOT_KEPT, exc_info=True)
            return None
        return await asyncio.to_thread(reference_of, text)

    async def aget(self, reference: str) -> str | None:
        """`get`, by the store's own way."""
        try:
            item = await self.store.aget(**self._place(reference))
            return await asyncio.to_thread(self._text_of, item, reference)
        except Exception:
            logger.warning(_NOT_READ, reference, exc_info=True)
            return None

    def _entry(self, text: str) -> dict[str, Any]:
        """What the store's `put` is called with."""
        packed = base64.b64encode(pack_text(text)).decode("ascii")
        entry = {
            "namespace": self.namespace,
            "key": reference_of(text),
            "value": {"packed": packed, "put_at": self._clock()},
            "index": False,  # nobody looks for originals by their meaning
        }
        if self.max_age_seconds is not None and self.store.supports_ttl:
            entry["ttl"] = self.max_age_seconds / 60  # in minutes
        return entry

    def _place(self, reference: str) -> dict[str, Any]:
        """What the store's `get` is called with; ours is the time since the last `put`."""
        refresh = None if self.max_age_seconds is None else False
        return {"namespace": self.namespace, "key": reference, "refresh_ttl": refresh}

    def _text_of(self, item: Item | None, reference: str) -> str | None:
        """The text that an entry holds, unless it is too old or damaged."""
        if item is None or self._is_old(item):
            return None
        return unpack_text(base64.b64decode(item.value["packed"]), reference)

    def _is_old(self, item: Item) -> bool:
        age = self._clock() - item.value["put_at"]
        return self.max_age_seconds is not None and bool(age >= self.max_age_seconds)
