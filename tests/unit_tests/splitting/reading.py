"""Units as a reader sees them."""

from __future__ import annotations

from specprefill_integrations.splitting._outline import OutlineSplitter


def pieces(splitter: OutlineSplitter, text: str) -> list[str]:
    """The units as text."""
    return [text[a:b] for a, b in splitter(text)]


def needs(splitter: OutlineSplitter, text: str) -> dict[str, list[str]]:
    """Each unit and the units that it needs, as text."""
    units = splitter(text)
    found = pieces(splitter, text)
    links = splitter.links(text, units)
    return {unit: [found[i] for i in above] for unit, above in zip(found, links, strict=True)}
