"""Answers of HTTP servers, as `curl -i` and `curl -v` print them: headers, then a body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from specprefill_integrations._arguments import checked
from specprefill_integrations.splitting._lines import LineSplitter, source_lines
from specprefill_integrations.splitting._rendering import GapStyle, merge_adjacent, render_kept
from specprefill_integrations.splitting._splitter import SplitResult, Splitter
from specprefill_integrations.types import CountTokens, Span

_START = re.compile(
    r"(?:< )?HTTP/\d(?:\.\d)? \d{3}\b"
    r"|\* +(?:Trying \S+\.\.\.|Host \S+ was resolved|Connected to \S+ \()"
)
_STATUS = re.compile(r"HTTP/\d(?:\.\d)? \d{3}\b")
_FIELD = re.compile(r"[\w-]{1,80}:|[ \t]|\s*$")

# Lines of `curl -v` that are not of the body, and those of its progress meter.
_VERBOSE = re.compile(r"[*<>](?:\s|$)|[{}] \[|\s+(?:% Total|Dload)| {0,2}\d{1,3} .{0,70}--:--:--")
_HEAD_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer, split at its body."""

    start: int
    """Start of the body."""

    head: SplitResult[Any]
    """The headers."""

    body: SplitResult[Any]
    """The body."""

    def parted(self, spans: Sequence[Span]) -> tuple[list[Span], list[Span]]:
        """Spans of the headers, and spans of the body by their place in it."""
        head = [span for span in spans if span.start < self.start]
        body = [Span(a - self.start, b - self.start) for a, b in spans[len(head) :]]
        return head, body

    def moved(self, spans: Sequence[Span]) -> list[Span]:
        """Spans of the body by their place in the text."""
        return [Span(a + self.start, b + self.start) for a, b in spans]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSplitter(Splitter[_Answer]):
    """Splits an answer into the lines of its headers and the units of its body.

    The body is written as its own splitter writes it: that of JSON as valid JSON.
    """

    body: Splitter[Any]
    """The splitter of the body."""

    words_stand_alone: ClassVar[bool] = False

    def parse(self, text: str) -> _Answer:
        """Split the headers and the body."""
        start = body_start(text)
        return _Answer(start, LineSplitter().split(text[:start]), self.body.split(text[start:]))

    def units(self, text: str, parsed: _Answer) -> list[Span]:  # noqa: ARG002
        """Return the lines of the headers and the units of the body."""
        return [*parsed.head.units, *parsed.moved(parsed.body.units)]

    def links(
        self, text: str, units: Sequence[Span], parsed: _Answer | None = None
    ) -> list[tuple[int, ...]]:
        """Return the needs of the body's units."""
        parsed = parsed or self.parse(text)
        head, body = parsed.parted(units)
        found = parsed.body.splitter.links(parsed.body.text, body, parsed.body.parsed)
        return [
            *([()] * len(head)),
            *(tuple(len(head) + index for index in needs) for needs in found),
        ]

    def only_heads(
        self,
        units: Sequence[Span],
        links: Sequence[tuple[int, ...]],
        parsed: _Answer | None = None,
    ) -> set[int]:
        """Return what the splitter of the body returns."""
        if parsed is None:
            return set()
        head, body = parsed.parted(units)
        first = len(head)
        needs = [tuple(index - first for index in above) for above in links[first:]]
        found = parsed.body.splitter.only_heads(body, needs, parsed.body.parsed)
        return {first + index for index in found}

    def refine(
        self,
        found: SplitResult[_Answer],
        costs: Sequence[int],
        limit: int,
        count_tokens: CountTokens,
        gaps: GapStyle,
    ) -> SplitResult[_Answer]:
        """Cut units of the body that cost more than the whole limit."""
        answer = found.parsed
        costs = costs[len(answer.head.units) :]
        body = answer.body.splitter.refine(answer.body, costs, limit, count_tokens, gaps)
        if body is answer.body:
            return found
        finer = replace(answer, body=body)
        return replace(found, parsed=finer, units=tuple(self.units(found.text, finer)))

    def typical_marker(self, gaps: GapStyle) -> str:
        """Return that of the body."""
        return self.body.typical_marker(gaps)

    def estimate_slack(self, gap_tokens: int) -> int:
        """Return that of the body."""
        return self.body.estimate_slack(gap_tokens)

    def joined(
        self, text: str, spans: Sequence[Span], parsed: _Answer | None = None
    ) -> tuple[Span, ...]:
        """Merge what is adjacent, but not the headers with the body."""
        parsed = parsed or self.parse(text)
        head, body = parsed.parted(spans)
        found = parsed.body.splitter.joined(parsed.body.text, body, parsed.body.parsed)
        return (*merge_adjacent(text, head), *parsed.moved(found))

    def render(
        self,
        text: str,
        kept: Sequence[Span],
        *,
        gaps: GapStyle = GapStyle(),  # noqa: B008 - a frozen value
        reference: str | None = None,
        parsed: _Answer | None = None,
    ) -> str:
        """Write the kept headers, and the body as its splitter writes it."""
        if not kept:
            return ""
        parsed = parsed or self.parse(text)
        head, body = parsed.parted(kept)
        top, rest = text[: parsed.start], text[parsed.start :]
        headers = render_kept(top, head, gaps, reference) or gaps.marked(top.strip(), reference)
        is_whole = [text[a:b] for a, b in head] == [top.strip()]
        if not body:
            return f"{headers}\n{gaps.marked(rest.strip())}" if rest.strip() else headers
        written = parsed.body.splitter.render(
            rest,
            body,
            gaps=gaps,
            reference=reference if is_whole else None,
            parsed=parsed.body.parsed,
        )
        between = top[len(top.rstrip()) :] if is_whole else "\n"
        return f"{headers}{between}{written}"


def looks_like_http(text: str) -> bool:
    """Return True if a text starts with the headers of an answer, as `curl` prints them."""
    return bool(_START.match(text))


def body_start(text: str) -> int:
    """The start of the body: after the last block of headers."""
    is_verbose = not _STATUS.match(text)
    start, in_block = 0, False
    for line in source_lines(text[:_HEAD_CHARS]):
        row = text[line.start : line.end]
        if is_verbose:
            is_header = bool(_VERBOSE.match(row))
        elif in_block:
            is_header = bool(_FIELD.match(row))
            in_block = bool(row.strip())
        else:
            in_block = bool(_STATUS.match(row))
            is_header = in_block or not row.strip()
        if not is_header:
            break
        start = line.end
    return start
