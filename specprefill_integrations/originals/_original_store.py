"""The seam between those that keep originals and those that put or fetch them, and what all share.

A text is known by its content: the same text has the same reference, in every store and process.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from typing import Protocol, runtime_checkable

from specprefill_integrations.errors import OriginalStoreError

logger = logging.getLogger(__name__)

REFERENCE_CHARS = 12
"""Hexadecimal digits of a reference: short enough for a marker in a prompt, and two given texts
share one with a chance of 1 in 2^48."""


@runtime_checkable
class OriginalStore(Protocol):
    """Keeps texts, up to a limit, and gives them back by reference.

    Nothing here raises because a text cannot be kept or found: that a text cannot be fetched back
    must not stop an agent.
    """

    def put(self, text: str) -> str | None:
        """Keep a text; one that is kept already counts as new again.

        Args:
            text: The text: any, lone surrogates and NUL included.

        Returns:
            Its reference, or None where it is not kept, because it is larger than all that may be
            kept or because the store failed. No marker may name a reference then.
        """

    def get(self, reference: str) -> str | None:
        """The text, exactly as it was put, or None where it is not or no longer kept."""

    async def aput(self, text: str) -> str | None:
        """`put`, without holding up the event loop."""

    async def aget(self, reference: str) -> str | None:
        """`get`, without holding up the event loop."""


def reference_of(text: str) -> str:
    """The reference of a text: the beginning of the SHA-256 of its content."""
    return hashlib.sha256(_encoded(text)).hexdigest()[:REFERENCE_CHARS]


def pack_text(text: str) -> bytes:
    """A text as bytes for a store, compressed; next to nothing is lost where that saves nothing."""
    return zlib.compress(_encoded(text))


def unpack_text(packed: bytes, reference: str) -> str | None:
    """The text that was packed; None, and a warning, where it is not the one of `reference`.

    Args:
        packed: What the store gave.
        reference: What it was asked for.
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
    """Reject limits that mean nothing.

    Args:
        limits: Each by the name that the user knows it by; None is no limit.

    Raises:
        OriginalStoreError: One of them is not above 0.
    """
    for name, limit in limits.items():
        if limit is not None and not limit > 0:
            msg = f"{name} of a store of originals must be above 0; got {limit!r}."
            raise OriginalStoreError(msg)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
