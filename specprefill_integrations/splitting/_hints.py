"""What a framework's metadata says of a text -> a hint. Knows the usual keys, no framework."""

from __future__ import annotations

from collections.abc import Mapping

from specprefill_integrations.types import TextHint

# As loaders and readers name them, the most definite first.
_NAME_KEYS = ("file_name", "filename", "file_path", "path", "source", "url")
_MIME_TYPE_KEYS = ("mime_type", "mimetype", "content_type", "file_type")


def hint_from_metadata(metadata: Mapping[str, object]) -> TextHint:
    """Read the file name and the MIME type out of a document's metadata.

    Args:
        metadata: As loaders and readers fill it; what is no text in it is passed over.
    """
    return TextHint(
        name=_first_text(metadata, _NAME_KEYS), mime_type=_first_text(metadata, _MIME_TYPE_KEYS)
    )


def _first_text(metadata: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    found = (metadata.get(key) for key in keys)
    return next((value for value in found if isinstance(value, str) and value.strip()), None)
