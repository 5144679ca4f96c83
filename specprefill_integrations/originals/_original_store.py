"""The interface of stores of originals, and what all stores share.

A text is identified by its content: it has the same reference in every store and process.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from typing import Protocol, runtime_checkable

from specprefill_integrations.errors import OriginalStoreError

logger = logging.getLogger(__name__)

REFERENCE_CHARS = 12
"""Hexadecimal digits of a reference: short enough for a gap marker, and two texts share one with
a probability of 1 in 2^48."""


@runtime_checkable
class OriginalStore(Protocol):
    """Keeps texts, up to a limit, and returns them by reference.

    A text that cannot be kept or found never raises: it must not stop an agent.
    """

    def put(self, text: str) -> str | None:
        """Keep a text; one that is kept already counts as new.

        Args:
            text: Any text, lone surrogates and NUL included.

        Returns:
            Its reference; None if it is not kept because it exceeds the store's limit or the store
            failed. In that case no gap marker may name a reference.
        """

    def get(self, reference: str) -> str | None:
        """Return the text exactly as it was put, or None if it is not kept (any longer)."""

    async def aput(self, text: str) -> str | None:
        """Do the same as `put` without blocking the event loop."""

    async def aget(self, reference: str) -> str | None:
        """Do the same as `get` without blocking the event loop."""


def reference_of(text: str) -> str:
    """Return the reference of a text: the first digits of its SHA-256."""
    return hashlib.sha256(_encoded(text)).hexdigest()[:REFERENCE_CHARS]


def pack_text(text: str) -> bytes:
    """Compress a text for storage. Incompressible texts grow by a few bytes."""
    return zlib.compress(_encoded(text))


def unpack_text(packed: bytes, reference: str) -> str | None:
    """Restore a packed text; None, with a warning, if it does not match `reference`.

    Args:
        packed: The stored bytes.
        reference: The reference they were stored under.
    """
    try:
        text = zlib.decompress(packed).decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError):
        text = None
    if text is None or reference_of(text) != reference:
        logger.warning("The original %s is damaged and treated as missing.", reference)
        return None
    return text


def check_limits(**limits: float | None) -> None:
    """Reject invalid limits.

    Args:
        limits: Limits by parameter name; None for no limit.

    Raises:
        OriginalStoreError: A limit is not above 0.
    """
    for name, limit in limits.items():
        if limit is not None and not limit > 0:
            msg = f"{name} of a store of originals must be above 0; got {limit!r}."
            raise OriginalStoreError(msg)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
