"""The metadata of compressed documents, nodes and messages: one shape in every integration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

METADATA_KEY = "specprefill"
"""Metadata key of compressed documents, nodes and messages; these are not compressed again."""

_IN_ALL = {"original_tokens", "kept_tokens", "skipped_because"}


def metadata_of(  # noqa: PLR0913 - one keyword a key
    *,
    original_tokens: int | None = None,
    kept_tokens: int | None = None,
    skipped_because: str | None = None,
    query_sources: Sequence[str] = (),
    kept: Sequence[tuple[int, int]] | None = None,
    references: Sequence[str] = (),
    start_char_idx: int | None = None,
) -> dict[str, object]:
    """Return the metadata of one document, node or message: plain values for JSON, no text.

    Args:
        original_tokens: Tokens before; None where they were not counted.
        kept_tokens: Tokens after, gap markers included; None where they were not counted.
        skipped_because: The skip reason; None if it was compressed.
        query_sources: Sources of the question.
        kept: Spans of the original that were kept; None for messages, which may hold many texts.
        references: References to the originals, by which the recall tool fetches them.
        start_char_idx: The place of a node's text in its source, which it no longer has.
    """
    return {
        "original_tokens": original_tokens,
        "kept_tokens": kept_tokens,
        "skipped_because": skipped_because,
        "query_sources": list(query_sources),
        "kept": None if kept is None else [list(span) for span in kept],
        "references": list(references),
        "start_char_idx": start_char_idx,
    }


def own_metadata(metadata: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return what an integration wrote into some metadata; None if none did.

    An app's own value under the same key does not count.

    Args:
        metadata: Metadata of a document, node or message.
    """
    values = (value for key, value in metadata.items() if str(key).startswith(METADATA_KEY))
    return next((ours for value in values if (ours := _read(value)) is not None), None)


def key_in(metadata: Mapping[str, object]) -> str:
    """Return the key to write to: an app's own value under the usual one stays.

    Args:
        metadata: Metadata of a document, node or message.
    """
    key = METADATA_KEY
    while key in metadata and _read(metadata[key]) is None:
        key += "_"
    return key


def _read(value: object) -> Mapping[str, object] | None:
    """Return a value as the metadata that it is, as JSON or not; None if it is something else."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) and value.keys() >= _IN_ALL else None
