"""Self-contained HTML page with token scores and kept spans."""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.types import Span

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    package = "jinja2"
    raise MissingDependencyError(package, "cli") from error

TOP_SHARES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Shares of the highest scores that get shades 1 to 7; other tokens get none.

Shades go by rank, so that an outlier does not flatten the others, and are finer at the top.
"""

_MERGE_ABOVE_TOKENS = 20_000
"""Length from which on neighbors of equal shade are merged, to halve the page's elements."""

_OVERVIEW_BINS = 160
_ALIGNED_SHARE = 0.2


def _stand_ins() -> dict[int, str]:
    """Map characters that HTML, UTF-8 or a terminal cannot carry to visible ones."""
    controls = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n\r"}
    unprintable = [*range(0x80, 0xA0), *range(0xD800, 0xE000)]
    return {**controls, 0x7F: "\u2421", **dict.fromkeys(unprintable, "\ufffd")}


VISIBLE = _stand_ins()
"""Table for `str.translate`, character by character, so that spans stay valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMapDocument:
    """A text with its token scores and kept spans."""

    name: str
    """Name of the text, such as its path."""

    text: str
    """The source."""

    token_scores: Sequence[tuple[Span, float]]
    """Span and score of each token, ascending; see `TokenHeatRecorder.heat_of`."""

    kept: Sequence[Span]
    """Kept spans: disjoint, ascending."""

    original_tokens: int
    """Tokens of the source."""

    kept_tokens: int
    """Tokens of the compressed text, gap markers included."""

    skipped_because: str | None = None
    """Skip reason; None if the text was compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMapHeading:
    """Facts about the call, for the top of the page."""

    query: str | None
    """The question."""

    draft: str
    """The name of the draft."""

    scorer: str
    """The name of the scorer."""

    budget: str
    """The budget as text."""

    elapsed_seconds: float
    """Duration of the compression."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """Span of text with one tooltip: a token, a run of tokens, or the text between two."""

    start: int
    end: int
    score: float | None = None
    level: int = 0
    rank: int = 0
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """Cells that are kept or dropped together."""

    kept: bool
    gap: str
    """Marker of a dropped part if only kept ones are shown."""

    cells: list[_Cell]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Ranks and shades of the scores of a page."""

    ascending: Sequence[float]

    @classmethod
    def of(cls, scores: Iterable[float]) -> _Scale:
        return cls(sorted(scores))

    def rank(self, score: float) -> int:
        """Rank a score: 1 is best, equal scores share a rank."""
        return len(self.ascending) - bisect_right(self.ascending, score) + 1

    def level(self, score: float) -> int:
        """Shade of a score, by the share of scores that are at least as high."""
        count = len(self.ascending)
        share = (count - bisect_left(self.ascending, score)) / count
        return sum(share <= top for top in TOP_SHARES)

    def floor(self, level: int) -> float | None:
        """Lowest score with a shade of at least `level`, if there is one."""
        candidates = self.ascending
        low, high = 0, len(candidates)
        while low < high:
            middle = (low + high) // 2
            low, high = (
                (low, middle) if self.level(candidates[middle]) >= level else (middle + 1, high)
            )
        return candidates[low] if low < len(candidates) else None


def render_heat_map(documents: Sequence[HeatMapDocument], heading: HeatMapHeading) -> str:
    """Render a page with tokens shaded by the rank of their scores, and kept parts underlined.

    The page needs no network, follows the light or dark theme, and shows every character of the
    texts; those that HTML cannot carry are replaced as in `VISIBLE`.

    Args:
        documents: The texts; shaded on one scale.
        heading: Facts for the top of the page.

    Returns:
        HTML that can be encoded in UTF-8.
    """
    shades = shade_documents(documents)
    return render_page(
        "heat_map/heat_map.html.j2",
        heading=heading,
        sections=shades.sections,
        legend=shades.legend,
        scored_tokens=shades.scored_tokens,
        original_tokens=sum(document.original_tokens for document in documents),
        kept_tokens=sum(document.kept_tokens for document in documents),
    )


@dataclass(frozen=True, slots=True)
class Shades:
    """Shaded documents for the macros of `heat_map_pieces.html.j2`."""

    sections: Sequence[Mapping[str, object]]
    """One per document, for `shown`."""

    legend: Sequence[Mapping[str, object]]
    """Meaning of each shade, for `scale`."""

    scored_tokens: int
    """Number of scored tokens of all documents."""


def shade_documents(
    documents: Sequence[HeatMapDocument], *, merge_above_tokens: int = _MERGE_ABOVE_TOKENS
) -> Shades:
    """Shade documents on one scale, for use in another page.

    Args:
        documents: The texts.
        merge_above_tokens: Number of tokens above which neighbors of equal shade are merged.
    """
    scale = _Scale.of(score for document in documents for _, score in document.token_scores)
    merge = len(scale.ascending) > merge_above_tokens
    sections = [_section(document, scale, merge=merge) for document in documents]
    return Shades(sections, _legend(scale), len(scale.ascending))


def render_page(template: str, **values: object) -> str:
    """Render a template of this package, escaped and without characters that HTML cannot carry.

    Args:
        template: Path within the package.
        values: Variables of the template.
    """
    environment = Environment(
        loader=PackageLoader("specprefill_integrations", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value.translate(VISIBLE) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = csp_hash
    page = environment.get_template(template).render(values)
    # A parser turns a bare carriage return into a line feed.
    return page.replace("\r", "&#13;")


def _section(document: HeatMapDocument, scale: _Scale, *, merge: bool) -> dict[str, object]:
    cells = list(_cells(document, scale))
    overview = list(_overview(cells, len(document.text)))
    if merge:
        cells = list(_merged(cells))
    return {
        "document": document,
        "parts": list(_parts(document, cells)),
        "overview": overview,
        "aligned": _is_aligned(document.text),
    }


def _cells(document: HeatMapDocument, scale: _Scale) -> Iterator[_Cell]:
    """Cut the text into cells by token; tokens that share characters share a cell."""
    last = _Cell(0, 0)
    for (start, end), score in document.token_scores:
        begin = max(start, last.end)
        cell = _Cell(begin, max(begin, end), score, scale.level(score), scale.rank(score))
        if start < last.end and last.score is not None:
            last = _joined(last, cell)
            continue
        yield last
        yield _Cell(last.end, begin)
        last = cell
    yield last
    yield _Cell(last.end, len(document.text))


def _merged(cells: Iterable[_Cell]) -> Iterator[_Cell]:
    """Merge neighbors of equal shade."""
    last = _Cell(0, 0)
    for cell in cells:
        if cell.start == cell.end:
            continue
        if last.score is not None and cell.score is not None and last.level == cell.level:
            last = _joined(last, cell)
        else:
            yield last
            last = cell
    yield last


def _joined(left: _Cell, right: _Cell) -> _Cell:
    """Join two scored cells; the better score counts."""
    best = max(left, right, key=lambda cell: -cell.rank)
    return replace(best, start=left.start, end=right.end, tokens=left.tokens + right.tokens)


def _parts(document: HeatMapDocument, cells: Iterable[_Cell]) -> Iterator[_Part]:
    """Cut the cells at the ends of kept spans."""
    edges = [0, *(edge for span in document.kept for edge in span), len(document.text)]
    remaining = iter(cells)
    cell = next(remaining, None)
    for number, (start, end) in enumerate(pairwise(edges)):
        inside: list[_Cell] = []
        while cell is not None and cell.start < end:
            piece = replace(cell, start=max(cell.start, start), end=min(cell.end, end))
            if piece.start < piece.end:
                inside.append(piece)
            if cell.end > end:
                break
            cell = next(remaining, None)
        if inside:
            kept = number % 2 == 1
            yield _Part(kept, "" if kept else _gap(document.text, start, end), inside)


def _gap(text: str, start: int, end: int) -> str:
    """Make the marker of a dropped part, on a separate line if the part has a line break."""
    missing = text[start:end]
    if not missing.strip():
        return missing if start and end < len(text) else ""
    blank = "\n" if "\n" in missing else " "
    return f"{blank if start else ''}[...]{blank if end < len(text) else ''}"


def _overview(cells: Sequence[_Cell], length: int) -> Iterator[int]:
    """Shade bins of equal length by the rank of their mean shade."""
    sums = [0.0] * _OVERVIEW_BINS
    counts = [0] * _OVERVIEW_BINS
    for cell in cells:
        if cell.score is not None and cell.start < cell.end:
            index = (cell.start + cell.end) * _OVERVIEW_BINS // (2 * length)
            sums[index] += cell.level
            counts[index] += 1
    means = [total / max(1, count) for total, count in zip(sums, counts, strict=True)]
    scale = _Scale.of(means)
    return (scale.level(mean) for mean in means)


def _legend(scale: _Scale) -> list[dict[str, object]]:
    """List the shades in ascending order, each with its lowest score."""
    entries: list[dict[str, object]] = [{"level": 0, "label": "rest", "floor": None}]
    for level, share in enumerate(TOP_SHARES, start=1):
        entries.append({"level": level, "label": f"{share:.0%}", "floor": scale.floor(level)})
    return entries


def _is_aligned(text: str) -> bool:
    """Detect columns: many lines with indents or runs of blanks."""
    lines = [line for line in text.split("\n") if line.strip()]
    # Two blanks may follow a full stop.
    aligned = sum("   " in line.rstrip() or "\t" in line for line in lines)
    return aligned > _ALIGNED_SHARE * len(lines)


def csp_hash(script: str) -> str:
    """Hash of a script for the content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
