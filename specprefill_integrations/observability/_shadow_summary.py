"""Sums over the records of a shadow log, and a small table of them. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specprefill_integrations._visible import visible
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.observability._prompt_saving import PromptSaving

SHADOW_START = '{"event":'
"""Beginning of each line of a shadow log."""

_NO_TOOL = "(no tool)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSums:
    """Sums of some compressions that were not used."""

    texts: int = 0
    """Calls of the compressor, those that would have left their texts unchanged included."""

    cut: int = 0
    """Calls that would have cut something."""

    original_tokens: int = 0
    """Tokens of all texts."""

    kept_tokens: int = 0
    """Tokens that would have been kept."""

    quoted: int = 0
    """Calls of whose cut parts an answer holds terms that stood nowhere else in the prompt."""

    def __add__(self, other: ShadowSums) -> ShadowSums:
        return ShadowSums(
            texts=self.texts + other.texts,
            cut=self.cut + other.cut,
            original_tokens=self.original_tokens + other.original_tokens,
            kept_tokens=self.kept_tokens + other.kept_tokens,
            quoted=self.quoted + other.quoted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSummary:
    """Sums of what compression would have saved and lost."""

    total: ShadowSums = ShadowSums()
    """Sums of all compressions."""

    by_tool: Mapping[str, ShadowSums] = field(default_factory=dict)
    """Sums by tool; texts of no tool are under `(no tool)`."""

    skips: Mapping[str, int] = field(default_factory=dict)
    """Calls that would have left their texts unchanged, by skip reason."""

    draft_seconds: float = 0.0
    """Seconds that compression took."""

    answers: int = 0
    """Answers of models that were seen; without any, nothing is known of losses and reads."""

    lost: Mapping[str, int] = field(default_factory=dict)
    """Terms of answers that would have been cut from their prompt, by kind."""

    saved_tokens: int = 0
    """Prompt tokens that models would not have read, those from a prompt cache left out."""

    saved_cached_tokens: int = 0
    """Prompt tokens that would not have been read from the provider's prompt cache."""

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> ShadowSummary:
        """Sum up records of a `ShadowLog`.

        Tokens of a text that an earlier prompt held count as cached, as far as the provider reports
        cached ones.
        """
        compressions: dict[str, Mapping[str, Any]] = {}
        answers = []
        for record in records:
            if record["event"] == "compression":
                compressions[record["id"]] = record
            else:
                answers.append(record)
        quoted = {call_id for answer in answers for call_id in answer["lost"]}
        by_tool: dict[str, ShadowSums] = {}
        for call_id, record in compressions.items():
            tool = record["tool"] or _NO_TOOL
            sums = _sums_of(record, is_quoted=call_id in quoted)
            by_tool[tool] = by_tool.get(tool, ShadowSums()) + sums
        lost: Counter[str] = Counter()
        for answer in answers:
            for kinds in answer["lost"].values():
                lost.update(kinds)
        fresh, cached = _saved_reads(compressions, answers)
        return cls(
            total=sum(by_tool.values(), ShadowSums()),
            by_tool=by_tool,
            skips=Counter(r["skipped_because"] for r in compressions.values() if _is_whole(r)),
            draft_seconds=sum(record["elapsed_seconds"] for record in compressions.values()),
            answers=len(answers),
            lost=lost,
            saved_tokens=fresh,
            saved_cached_tokens=cached,
        )

    def net_saving(self, prices: Prices) -> float:
        """Return the money that would have been saved, less the draft's machine; may be negative.

        Args:
            prices: Prices of tokens and of the draft's machine.
        """
        saving = PromptSaving(
            fresh_tokens=self.saved_tokens, cached_tokens=self.saved_cached_tokens
        )
        return saving.money(prices) - self.draft_seconds / 3600 * prices.draft_per_hour

    def report(self, prices: Prices | None = None) -> str:
        """Return a small text table and what it means.

        Args:
            prices: Prices, for a line about money; None leaves it out.
        """
        return "\n".join(self._lines(prices))

    def _lines(self, prices: Prices | None) -> Iterator[str]:
        yield f"{'tool':<24}{'texts':>8}{'cut':>8}{'tokens':>12}{'kept':>12}{'quoted':>8}"
        for tool, sums in [*sorted(self.by_tool.items()), ("all", self.total)]:
            yield (
                f"{visible(tool, 23):<24}{sums.texts:>8,}{sums.cut:>8,}{sums.original_tokens:>12,}"
                f"{sums.kept_tokens:>12,}{sums.quoted:>8,}"
            )
        for reason, count in sorted(self.skips.items()):
            yield f"unchanged, {reason}: {count:,}"
        yield f"seconds of compression: {self.draft_seconds:,.1f}"
        if not self.answers:
            yield "No answers were seen: what they need of the cut parts is not known."
            return
        kinds = ", ".join(f"{count:,} {kind}s" for kind, count in sorted(self.lost.items()))
        yield f"{self.answers:,} answers; their terms that would have been cut: {kinds or 'none'}"
        yield (
            f"prompt tokens saved: {self.saved_tokens:,}, "
            f"and {self.saved_cached_tokens:,} from a prompt cache"
        )
        if prices is not None:
            yield f"net saving, less the draft: {self.net_saving(prices):,.6f}"


def read_shadow_log(paths: Iterable[Path]) -> ShadowSummary:
    """Read files of `ShadowLog`.

    Args:
        paths: The files.

    Raises:
        EvaluationDataError: A file is no such log.
        OSError: A file cannot be read.
    """
    return ShadowSummary.of(record for path in paths for record in _records_of(path))


def are_shadow_logs(paths: Iterable[Path]) -> bool:
    """Return True if one of these files begins as a shadow log does."""
    return any(path.is_file() and _start_of(path).startswith(SHADOW_START) for path in paths)


def _start_of(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(100)


def _records_of(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return  # of a process that was killed
            try:
                record = json.loads(line)
                is_record = record["event"] in {"compression", "answer"}
            except (ValueError, TypeError, KeyError):
                is_record = False
            if not is_record:
                msg = f"{str(path)!r} is no shadow log."
                raise EvaluationDataError(msg)
            yield record


def _sums_of(record: Mapping[str, Any], *, is_quoted: bool) -> ShadowSums:
    return ShadowSums(
        texts=1,
        cut=int(not _is_whole(record)),
        original_tokens=record["original_tokens"],
        kept_tokens=record["kept_tokens"],
        quoted=int(is_quoted),
    )


def _is_whole(record: Mapping[str, Any]) -> bool:
    return record["skipped_because"] is not None


def _saved_reads(
    compressions: Mapping[str, Mapping[str, Any]], answers: Iterable[Mapping[str, Any]]
) -> tuple[int, int]:
    """Return the prompt tokens that would have been saved: read anew, and from a cache."""
    fresh = cached = 0
    seen: set[str] = set()
    for answer in answers:
        new = old = 0
        for call_id in answer["compressions"]:
            record = compressions.get(call_id)
            saved = record["original_tokens"] - record["kept_tokens"] if record else 0
            old, new = (old + saved, new) if call_id in seen else (old, new + saved)
        seen.update(answer["compressions"])
        from_cache = min(old, answer["cached_tokens"] or 0)
        cached += from_cache
        fresh += new + old - from_cache
    return fresh, cached
