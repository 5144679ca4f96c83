"""Originals of a service: a store for each tenant, so that none sees another's texts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from specprefill_integrations._arguments import PositiveFloat, PositiveInt, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.originals import InMemoryOriginals, OriginalStore, SqliteOriginals

_NAME_CHARS = 32


class TenantOriginals:
    """Opens the store of a tenant at its first use."""

    @checked
    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        max_bytes: PositiveInt = 256 * 1024 * 1024,
        max_age_seconds: PositiveFloat | None = None,
    ) -> None:
        """Open no store yet.

        Args:
            folder: The folder of the SQLite files, one per tenant; None keeps texts in memory.
            max_bytes: Bytes of a tenant's texts, compressed as stored; in memory, characters.
            max_age_seconds: Seconds for which a text is kept; None for no limit.
        """
        self._folder = None if folder is None else Path(folder)
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._lock = ForkSafeLock()
        self._stores: dict[str, OriginalStore] = {}

    def __call__(self, tenant: str) -> OriginalStore:
        """Return the store of a tenant.

        Raises:
            OriginalStoreError: Its file cannot be opened as a database.
        """
        with self._lock:
            if tenant not in self._stores:
                self._stores[tenant] = self._opened(tenant)
            return self._stores[tenant]

    def _opened(self, tenant: str) -> OriginalStore:
        if self._folder is None:
            return InMemoryOriginals(
                max_chars=self._max_bytes, max_age_seconds=self._max_age_seconds
            )
        name = hashlib.sha256(tenant.encode()).hexdigest()[:_NAME_CHARS]
        return SqliteOriginals(
            self._folder / f"{name}.sqlite",
            max_bytes=self._max_bytes,
            max_age_seconds=self._max_age_seconds,
        )
