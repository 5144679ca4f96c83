"""Texts of files and of standard input, decoded."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specprefill_integrations.cli._terminal import USAGE_ERROR, fail

STDIN = "-"
"""Path of standard input."""

# The marks of UTF-32 come first: that of UTF-16 is the beginning of one of them.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Beginnings of files that are no text in any encoding: PDF, PNG, ZIP, gzip, ELF.
_BINARY = (b"%PDF-", b"\x89PNG", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\x7fELF")


@dataclass(frozen=True, slots=True)
class Source:
    """A text and where it came from."""

    path: str
    """Path as typed; `-` for standard input."""

    text: str
    """The text, without a byte order mark."""

    @property
    def title(self) -> str:
        """Name for people."""
        return "standard input" if self.path == STDIN else self.path


def read_sources(paths: Sequence[str], encoding: str | None = None) -> list[Source]:
    """Read and decode files; exit with a usage error if one cannot be.

    Args:
        paths: The files; `-` at most once.
        encoding: Their encoding. None: UTF-8, or UTF-16 or UTF-32 if a byte order mark says so.
    """
    if paths.count(STDIN) > 1:
        fail("stdin can be read only once", USAGE_ERROR)
    return [Source(path, _decode(path, _read(path), encoding)) for path in paths]


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except FileNotFoundError:
        fail(f"no such file: {path!r}", USAGE_ERROR)
    except IsADirectoryError:
        fail(f"a folder, not a file: {path!r}", USAGE_ERROR)
    except OSError as error:
        fail(f"{path!r} cannot be read: {error.strerror}", USAGE_ERROR)


def _decode(path: str, data: bytes, encoding: str | None) -> str:
    if data.startswith(_BINARY):
        fail(f"{_name(path)} is a binary file, not text", USAGE_ERROR)
    found = encoding or next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(found)
    except UnicodeDecodeError as error:
        advice = (
            "it holds NUL bytes, as binary files do"
            if b"\0" in data
            else "give its --encoding, such as latin-1, which reads any bytes"
        )
        place = f"see byte {error.start + 1:,}"
        fail(f"{_name(path)} is not text in {found.upper()} ({place}); {advice}", USAGE_ERROR)
    if "\0" in text:
        fail(
            f"{_name(path)} holds NUL characters: it is no text, or its --encoding is another one, "
            "such as utf-16-le",
            USAGE_ERROR,
        )
    return text.removeprefix("\ufeff")


def _name(path: str) -> str:
    return "standard input" if path == STDIN else repr(path)
