"""Parts of a long string in JSON, as spans of the source.

Escapes, and pairs of escapes that form one character, are never split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from specprefill_integrations.splitting._chat import ChatSplitter
from specprefill_integrations.splitting._detection import guess_kind
from specprefill_integrations.splitting._diffs import DiffSplitter
from specprefill_integrations.splitting._finer import split_oversized, trimmed
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.splitting._json._escapes import decoded, decoded_with_places, escaped
from specprefill_integrations.splitting._json._nodes import Node
from specprefill_integrations.splitting._markdown import MarkdownSplitter
from specprefill_integrations.splitting._output._logs import LogSplitter
from specprefill_integrations.splitting._output._splitting import OutputSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.splitting._splitter import Splitter
from specprefill_integrations.splitting._tables import TableSplitter
from specprefill_integrations.types import Kind, Span

# Encoded bytes, minified code: a part of it is useless.
_ENCODED = re.compile(r"[!-~]{200,}")

# Texts of other kinds are split into lines.
_SPLITTERS: dict[Kind, Callable[[], Splitter[Any]]] = {
    "prose": ProseSplitter,
    "markdown": MarkdownSplitter,
    "html": HtmlSplitter,
    "csv": TableSplitter,
    "log": LogSplitter,
    "diff": DiffSplitter,
    "chat": ChatSplitter,
}

# Sentences and lines up to that many times the wanted length stay whole.
_LONGEST_PART = 2


def parts_of_string(
    text: str, node: Node, max_chars: int
) -> tuple[list[Span], list[tuple[int, ...]]]:
    """Split a string as a text of its own kind.

    Args:
        text: The JSON.
        node: The string.
        max_chars: Approximate maximum characters of a part.

    Returns:
        Disjoint spans of the JSON in ascending order, and for each the indices of those that it
        needs, such as headings. Empty if a part of the string is useless without the rest because
        most of it is encoded.
    """
    assert node.inside, "a string"
    said, places = decoded_with_places(text, node.inside, node.level + 1)
    if 2 * sum(len(run) for run in _ENCODED.findall(said)) > len(said):
        return [], []
    splitter = _SPLITTERS.get(guess_kind(said), OutputSplitter)()
    found = splitter.split(said)
    pieces: list[Span] = []
    for unit in found.units:
        part = trimmed(said, unit)
        is_long = part.end - part.start > _LONGEST_PART * max_chars
        pieces += split_oversized(said, part, max_chars) if is_long else [part]
    links = splitter.links(said, pieces, found.parsed)
    return [Span(places[start], places[end]) for start, end in pieces], links


def written_string(text: str, node: Node, kept: Sequence[Span], marker: Callable[[], str]) -> str:
    """Write a string with the kept ones of its parts.

    Args:
        text: The JSON.
        node: The string.
        kept: The kept parts, ascending.
        marker: Returns the next gap marker, escaped.
    """
    assert node.inside, "a string"
    start, end = node.inside
    written = [text[node.start : start]]
    at = start
    for part in [*kept, Span(end, end)]:
        between = text[at : max(at, part.start)]
        said = decoded(between, node.level + 1)
        if said.strip():
            blank = escaped("\n" if "\n" in said else " ", node.level + 1)
            before, after = blank * (at > start), blank * (part.start < end)
            mark = marker()
            between = before + mark + after if mark else before and after
        written += [between, text[max(part.start, start) : min(part.end, end)]]
        at = part.end
    return "".join((*written, text[end : node.end]))
