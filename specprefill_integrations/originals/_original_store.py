"""The interface of stores of originals, and what all stores share.

A text has the same reference for as long as its store exists, in every process. Each store has a
random key, so that a reference cannot be computed from a text without the store.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib
from typing import Protocol, runtime_checkable

from specprefill_integrations._arguments import PositiveFloat, check, checked
from specprefill_integrations.errors import OriginalStoreError

REFERENCE_CHARS = 12
"""Hexadecimal digits of a reference: short enough for a gap marker, and two texts share one with
a probability of 1 in 2^48."""

KEY_BYTES = 32
"""Length of a store's key."""


@runtime_checkable
class OriginalStore(Protocol):
    """Keeps texts, up to a limit, and returns them by reference.

    A text that cannot be kept or found never raises: it must not stop an agent. The stores of this
    library raise `TypeError` for a text or a reference that is no `str`.
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


@runtime_checkable
class NamesOriginals(Protocol):
    """A store that knows a text's reference before it is put; optional.

    Gap markers are written before it is known which texts are cut. If a store has no such methods,
    they name `reference_of(text)`, and are written again if `put` returns something else.
    """

    def reference_of(self, text: str) -> str | None:
        """Return the reference that `put` would return; None if it would keep nothing."""

    async def areference_of(self, text: str) -> str | None:
        """Do the same as `reference_of` without blocking the event loop."""


@checked
def reference_of(text: str, key: bytes = b"") -> str:
    """Return a reference of a text.

    Args:
        text: Any text.
        key: A secret of the store. Without one, everybody who knows the text knows the reference.

    Returns:
        The first digits of the text's HMAC-SHA256 with the key, or of its SHA-256 without one.
    """
    data = _encoded(text)
    digest = hmac.digest(key, data, "sha256") if key else hashlib.sha256(data).digest()
    return digest.hex()[:REFERENCE_CHARS]


def new_key() -> bytes:
    """Return a random key for a store's references."""
    return secrets.token_bytes(KEY_BYTES)


def pack_text(text: str) -> bytes:
    """Compress a text for storage. Incompressible texts grow by a few bytes."""
    return zlib.compress(_encoded(text))


def unpack_text(packed: object, reference: str, key: bytes = b"") -> str:
    """Restore a packed text.

    Args:
        packed: The stored value.
        reference: The reference that it was stored under.
        key: The store's key. References without a key, of earlier versions, are valid too.

    Raises:
        DamagedOriginalError: The value is no packed text, or another text.
    """
    try:
        text = zlib.decompress(packed).decode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    except (TypeError, ValueError, zlib.error) as error:
        raise DamagedOriginalError(reference) from error
    if reference not in {reference_of(text, key), reference_of(text)}:
        raise DamagedOriginalError(reference)
    return text


class DamagedOriginalError(ValueError):
    """A stored text that cannot be restored; never leaves a store."""

    def __init__(self, reference: str) -> None:
        """Name the reference."""
        super().__init__(f"the original {reference} is damaged")


def check_limits(**limits: float | None) -> None:
    """Reject invalid limits.

    Args:
        limits: Limits by parameter name; None for no limit.

    Raises:
        OriginalStoreError: A limit is not above 0.
    """
    try:
        for name, limit in limits.items():
            check(name, limit, PositiveFloat | None)
    except (TypeError, ValueError) as error:
        raise OriginalStoreError(str(error)) from error


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
