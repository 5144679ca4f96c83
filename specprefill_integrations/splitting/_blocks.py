"""A text of several blocks, such as the result of a tool, each split by its own kind.

Blocks of which nothing is kept are left out, and each run of them has one gap marker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from specprefill_integrations.splitting._lists import ListGroup
from specprefill_integrations.splitting._rendering import GapStyle
from specprefill_integrations.splitting._splitter import SplitResult, Splitter, SplitterChoice
from specprefill_integrations.types import CountTokens, Kind, Span, TextHint

BETWEEN_BLOCKS = "\n"
"""The separator of the blocks in the joined text."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block, split."""

    found: SplitResult[Any]
    """Its units."""

    gaps: GapStyle
    """Its gap style."""

    def joined(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Merge kept units of the block."""
        return self.found.splitter.joined(self.found.text, spans, self.found.parsed)


_Parsed = tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSplitter(Splitter[_Parsed]):
    """Splits one given text, the blocks joined by `BETWEEN_BLOCKS`."""

    blocks: tuple[Block, ...]
    """The blocks."""

    kind: Kind
    """The kind of most of the text."""

    breaks: frozenset[int] = frozenset()
    """Blocks that do not follow the one before them: no gap marker stands for both."""

    @classmethod
    def of(
        cls, texts: Sequence[str], choices: Sequence[SplitterChoice], *, breaks: Iterable[int] = ()
    ) -> BlockSplitter:
        """Split blocks.

        Args:
            texts: The blocks.
            choices: The kind, the splitter and the gap style of each; none without a splitter.
            breaks: Places of the blocks that do not follow the one before them.
        """
        chars: Counter[Kind] = Counter()
        blocks = []
        for text, choice in zip(texts, choices, strict=True):
            assert choice.splitter is not None, "a block must be cut"
            blocks.append(Block(choice.splitter.split(text), choice.gaps))
            chars[choice.kind] += len(text)
        return cls(blocks=tuple(blocks), kind=chars.most_common(1)[0][0], breaks=frozenset(breaks))

    @property
    def text(self) -> str:
        """The blocks as one text."""
        return BETWEEN_BLOCKS.join(block.found.text for block in self.blocks)

    @property
    def heads_stand_alone(self) -> bool:  # type: ignore[override]
        """True if it is so in all blocks."""
        return all(block.found.splitter.heads_stand_alone for block in self.blocks)

    @property
    def words_stand_alone(self) -> bool:  # type: ignore[override]
        """True if it is so in all blocks."""
        return all(block.found.splitter.words_stand_alone for block in self.blocks)

    def for_text(self, text: str, hint: TextHint | None = None) -> SplitterChoice:  # noqa: ARG002
        """Return this splitter."""
        return SplitterChoice(kind=self.kind, splitter=self)

    def parse(self, text: str) -> _Parsed:  # noqa: ARG002
        """Return the blocks."""
        return self.blocks

    def units(self, text: str, parsed: _Parsed) -> list[Span]:  # noqa: ARG002
        """Return the units of all blocks."""
        starts = self._starts()
        return [
            Span(start + unit.start, start + unit.end)
            for start, block in zip(starts, parsed, strict=False)
            for unit in block.found.units
        ]

    def links(
        self,
        text: str,  # noqa: ARG002
        units: Sequence[Span],
        parsed: _Parsed | None = None,  # noqa: ARG002
    ) -> list[tuple[int, ...]]:
        """Return the links in each block; no unit needs one of another block."""
        links: list[tuple[int, ...]] = []
        for block, own in self._of_each(units):
            first, found = len(links), block.found
            needs = found.splitter.links(found.text, own, found.parsed)
            links += [tuple(first + index for index in one) for one in needs]
        return links

    def lists(
        self,
        text: str,  # noqa: ARG002
        units: Sequence[Span],
        parsed: _Parsed | None = None,  # noqa: ARG002
    ) -> list[ListGroup]:
        """Return the lists in each block."""
        groups: list[ListGroup] = []
        first = 0
        for block, own in self._of_each(units):
            found = block.found
            for group in found.splitter.lists(found.text, own, found.parsed):
                members = tuple(first + index for index in group.members)
                groups.append(ListGroup(first + group.lead, members))
            first += len(own)
        return groups

    def refine(
        self,
        found: SplitResult[_Parsed],
        costs: Sequence[int],
        limit: int,
        count_tokens: CountTokens,
        gaps: GapStyle,  # noqa: ARG002
    ) -> SplitResult[_Parsed]:
        """Cut units that cost more than the whole limit, as their blocks do."""
        blocks, first = [], 0
        for block in self.blocks:
            own = costs[first : (first := first + len(block.found.units))]
            finer = block.found.splitter.refine(block.found, own, limit, count_tokens, block.gaps)
            blocks.append(block if finer is block.found else replace(block, found=finer))
        if all(new is old for new, old in zip(blocks, self.blocks, strict=True)):
            return found
        return replace(self, blocks=tuple(blocks)).split(found.text)

    def typical_marker(self, gaps: GapStyle) -> str:  # noqa: ARG002
        """Return the longest of the blocks' typical markers."""
        markers = {b.found.splitter.typical_marker(b.gaps) for b in self.blocks}
        return max(sorted(markers), key=len)

    def estimate_slack(self, gap_tokens: int) -> int:
        """Return the most of the blocks."""
        return max(block.found.splitter.estimate_slack(gap_tokens) for block in self.blocks)

    def joined(
        self,
        text: str,  # noqa: ARG002
        spans: Sequence[Span],
        parsed: _Parsed | None = None,  # noqa: ARG002
    ) -> tuple[Span, ...]:
        """Merge kept units within each block."""
        return tuple(
            Span(start + span.start, start + span.end)
            for start, (block, own) in zip(self._starts(), self._of_each(spans), strict=False)
            for span in block.joined(own)
        )

    def render(
        self,
        text: str,
        kept: Sequence[Span],
        *,
        gaps: GapStyle | None = None,  # noqa: ARG002
        reference: str | None = None,
        parsed: _Parsed | None = None,  # noqa: ARG002
    ) -> str:
        """Write the blocks that are not left out, joined; empty if nothing is kept."""
        if not kept:
            return ""
        written = self.written(text, kept, reference)
        return BETWEEN_BLOCKS.join(part for part in written if part is not None)

    def written(
        self, text: str, kept: Sequence[Span], reference: str | None = None
    ) -> list[str | None]:
        """Write each block.

        Args:
            text: The text, or one of the same length that reads the same.
            kept: Disjoint spans in ascending order, joined.
            reference: The reference that the first marker names; None for none.

        Returns:
            The text of each block; None for one that is left out. The first of a run of those has
            the marker, unless the marker of a block beside the run stands for both.
        """
        writer = _Writer(reference)
        stretches: list[list[_Kept]] = [[]]
        for index, (start, (block, own)) in enumerate(
            zip(self._starts(), self._of_each(kept), strict=False)
        ):
            if index in self.breaks:
                stretches.append([])
            one = _Kept(block, text[start : start + len(block.found.text)], own)
            stretches[-1].append(one)
        return [part for stretch in stretches for part in writer.stretch(stretch)]

    def _starts(self) -> list[int]:
        """Return where each block starts, and one place more."""
        lengths = (len(block.found.text) + len(BETWEEN_BLOCKS) for block in self.blocks)
        return list(accumulate(lengths, initial=0))

    def _of_each(self, spans: Sequence[Span]) -> Iterator[tuple[Block, list[Span]]]:
        """Yield each block and the spans in it, from the block's start."""
        for block, start in zip(self.blocks, self._starts(), strict=False):
            first = bisect_left(spans, (start, 0))
            after = bisect_left(spans, (start + len(block.found.text) + 1, 0))
            yield block, [Span(a - start, b - start) for a, b in spans[first:after]]


class _Kept(NamedTuple):
    """A block and what is kept of it."""

    block: Block
    text: str
    spans: list[Span]

    def rendered(self, reference: str | None) -> str:
        found = self.block.found
        return found.splitter.render(
            self.text, self.spans, gaps=self.block.gaps, reference=reference, parsed=found.parsed
        )

    @property
    def is_marked_at_start(self) -> bool:
        """True if a marker that could stand for more comes first."""
        marker = self._plain_marker
        is_cut = bool(self.text[: self.spans[0].start].strip())
        return bool(marker) and is_cut and self.rendered(None).startswith(marker)

    @property
    def is_marked_at_end(self) -> bool:
        """True if a marker that could stand for more comes last."""
        marker = self._plain_marker
        is_cut = bool(self.text[self.spans[-1].end :].strip())
        return bool(marker) and is_cut and self.rendered(None).endswith(marker)

    @property
    def _plain_marker(self) -> str:
        """The block's gap marker; empty if it counts lines, which are those of the block."""
        gaps = self.block.gaps
        marker = gaps.marked("x")
        return "" if marker != gaps.marked("x\nx") else marker


def _is_marked(run: Sequence[_Kept], before: Sequence[_Kept], after: Sequence[_Kept]) -> bool:
    """True if the marker of a block beside a run of left-out blocks stands for the run, too."""
    style = run[0].block.gaps
    return any(one.block.gaps == style and one.is_marked_at_end for one in before) or any(
        one.block.gaps == style and one.is_marked_at_start for one in after
    )


@dataclass(slots=True)
class _Writer:
    """Writes blocks in order."""

    reference: str | None
    """The reference for the next marker; cleared once written."""

    def stretch(self, blocks: Sequence[_Kept]) -> list[str | None]:
        """Write blocks that follow each other."""
        parts: list[str | None] = []
        runs = [list(run) for _, run in groupby(blocks, key=lambda one: bool(one.spans))]
        for before, run, after in zip([[], *runs], runs, [*runs[1:], []], strict=False):
            if run[0].spans:
                parts += map(self.block, run)
            elif _is_marked(run, before[-1:], after[:1]):
                parts += [None] * len(run)
            else:
                parts += self.marker(run)
        return parts

    def block(self, one: _Kept) -> str:
        """Write a block of which something is kept."""
        written = one.rendered(self.reference)
        if self.reference is not None and written != one.rendered(None):
            self.reference = None
        return written

    def marker(self, run: Sequence[_Kept]) -> list[str | None]:
        """Write one marker for a run of blocks, or their texts if these are shorter."""
        missing = BETWEEN_BLOCKS.join(one.text for one in run)
        styles = {one.block.gaps for one in run}
        gaps = styles.pop() if len(styles) == 1 else GapStyle()
        marker = gaps.in_place_of(missing, self.reference)
        if marker == missing:
            return [one.text for one in run]
        self.reference = None
        return [marker, *[None] * (len(run) - 1)]
