"""Keys of callers: which tenant a key belongs to. Keys change without a restart."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from specprefill_integrations._arguments import checked

logger = logging.getLogger(__name__)

# A changed file is noticed within this time.
_LOOK_SECONDS = 1.0

KEYS = "SPECPREFILL_API_KEYS"
"""The environment variable with keys, comma-separated, each as `KEY` or `TENANT:KEY`."""

CALLERS_KEY = "SPECPREFILL_API_KEY"
"""The environment variable with the key of a caller."""

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_MIN_KEY_CHARS = 8
_TENANT_CHARS = 16


class ApiKeys:
    """The keys that are accepted.

    A key is written as `KEY` or `TENANT:KEY`. Several keys of a tenant see the same originals, so
    that one can replace another; a key without a tenant is a tenant of its own. Only digests are
    held.
    """

    @checked
    def __init__(
        self,
        keys: Iterable[str] = (),
        *,
        file: str | os.PathLike[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take keys, and those of a file.

        Args:
            keys: The keys.
            file: A file with a key per line; `#` starts a comment at the start of a line and after
                white space. It is read again when it changes; as long as it cannot be read, or has
                no key, the former keys hold.
            clock: Returns the time in seconds.

        Raises:
            OSError: The file cannot be read.
            ValueError: There is no key, one is shorter than 8 characters, or one is there twice.
        """
        self._given = _unique(map(_entry, keys))
        self._file = None if file is None else Path(file)
        self._clock = clock
        self._version: tuple[int, ...] = ()
        self._looked_at = clock()
        self._tenants: Mapping[bytes, str] = self._given
        if self._file is not None:
            self._version = _version(self._file)
            self._tenants = _unique([*self._given.items(), *_read(self._file)])
        if not self._tenants:
            msg = "There is no key."
            raise ValueError(msg)

    def tenant_of(self, key: str) -> str | None:
        """Return the tenant of a key; None for a key that is not accepted."""
        self._look_at_file()
        return self._tenants.get(_digest(key))

    def _look_at_file(self) -> None:
        if self._file is None or self._clock() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        try:
            version = _version(self._file)
            if version == self._version:
                return
            found = _unique(_read(self._file))
            tenants = _unique([*self._given.items(), *found.items()])
        except (OSError, ValueError) as error:
            logger.error("The file of keys cannot be read: %s", type(error).__name__)  # noqa: TRY400 - a traceback could quote it
            return
        self._version = version
        if found:
            self._tenants = tenants
            logger.info("The file of keys has changed: %d keys", len(self._tenants))
        else:
            logger.error("The file of keys has no key; the former keys hold")


def given_keys(file: Path | None) -> ApiKeys | None:
    """Return the keys of the environment and of a file; None where both are missing.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is no key, one is too short, or one is there twice.
    """
    given = [key.strip() for key in os.environ.get(KEYS, "").split(",") if key.strip()]
    return ApiKeys(given, file=file) if given or file is not None else None


def _read(file: Path) -> list[tuple[bytes, str]]:
    return list(_entries(file.read_text("utf-8")))


def _entries(text: str) -> Iterator[tuple[bytes, str]]:
    for line in text.splitlines():
        key = _COMMENT.sub("", line, count=1).strip()
        if key:
            yield _entry(key)


def _unique(entries: Iterable[tuple[bytes, str]]) -> dict[bytes, str]:
    """Return the tenants by the digests of their keys.

    Raises:
        ValueError: A key is there twice.
    """
    tenants: dict[bytes, str] = {}
    for digest, tenant in entries:
        if digest in tenants:
            msg = f"A key of {tenants[digest]!r:.99} is there twice."
            raise ValueError(msg)
        tenants[digest] = tenant
    return tenants


def _entry(written: str) -> tuple[bytes, str]:
    """Return the digest of a key and its tenant.

    Raises:
        ValueError: The key is too short.
    """
    tenant, key = (part.strip() for part in written.rpartition(":")[::2])
    if len(key) < _MIN_KEY_CHARS:
        msg = f"A key must have at least {_MIN_KEY_CHARS} characters; got {len(key)}."
        raise ValueError(msg)
    digest = _digest(key)
    return digest, tenant or digest.hex()[:_TENANT_CHARS]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _version(file: Path) -> tuple[int, ...]:
    """Return what changes with the file."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
