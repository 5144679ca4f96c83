"""Hints about a text from a framework's metadata. Knows common keys, imports no framework."""

from __future__ import annotations

from collections.abc import Mapping

from specprefill_integrations.types import TextHint

# Keys that loaders and readers use, the most specific first.
_NAME_KEYS = ("file_name", "filename", "file_path", "path", "source", "url")
_MIME_TYPE_KEYS = ("mime_type", "mimetype", "content_type", "file_type")


def hint_from_metadata(metadata: Mapping[str, object]) -> TextHint:
    """Read the file name and the MIME type from a document's metadata.

    Args:
        metadata: The metadata of a document or node; values that are not strings are ignored.
    """
    return TextHint(
        name=_first_text(metadata, _NAME_KEYS), mime_type=_first_text(metadata, _MIME_TYPE_KEYS)
    )


def _first_text(metadata: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    found = (metadata.get(key) for key in keys)
    return next((value for value in found if isinstance(value, str) and value.strip()), None)
