"""A log of what compression would have saved and lost, while nothing is changed.

It knows no framework: it gets texts with their compressions, then prompts with their answers.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cachetools import FIFOCache

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.observability._case_file import CaseFile
from specprefill_integrations.observability._shadow_summary import SHADOW_START, ShadowSummary
from specprefill_integrations.observability._terms import TermKind, terms_of
from specprefill_integrations.observability._ttft_record import TokenUsage
from specprefill_integrations.types import Compression, Span

# Results whose terms are remembered, to be found in later answers; the oldest are forgotten.
_MAX_RESULTS = 1_000

# Terms remembered of a result, about 100 kB.
_MAX_TERMS = 1_000

# Terms by which a result is recognized in a prompt.
_FINGERPRINT = 32

_Terms = Mapping[str, tuple[TermKind, int]]


@dataclass(frozen=True, slots=True)
class _Dropped:
    """The terms that one call of the compressor would have dropped, and kept nowhere."""

    terms: _Terms
    """Kind of each term, and how often it occurs."""

    def copies_in(self, prompt: Mapping[str, int]) -> int:
        """Return how often a prompt holds the whole of the texts, by their terms."""
        sample = islice(self.terms.items(), _FINGERPRINT)
        return min((prompt.get(term, 0) // count for term, (_, count) in sample), default=0)


class ShadowLog:
    """Records compressions that were made but not used, and what answers took from the rest.

    A `ContextCompressor(shadow_log=...)` returns every text unchanged and adds a record of what it
    would have kept. `ShadowCallbackHandler` (LangChain) and `ShadowEventHandler` (LlamaIndex) add
    one for each answer of a model: the texts that its prompt held, and the numbers, identifiers
    and names in the answer that stand in the prompt only where it would have been cut. Arguments of
    tool calls are part of an answer.

    Records hold counts and no text, unless `with_terms` is set. Thread-safe. Bounded: terms of the
    last 1,000 texts are remembered, the first 1,000 different ones of each. A deep copy is the same
    object; it cannot be pickled.
    """

    @checked
    def __init__(
        self,
        path: str | Path | None = None,
        *,
        max_records: PositiveInt = 100_000,
        with_terms: bool = False,
    ) -> None:
        """Start, or continue a file.

        Args:
            path: A file for the records, as JSON lines, readable by its owner and written by this
                process alone; None keeps them in memory.
            max_records: Records in the file, beyond which none is added; in memory, the oldest
                are dropped.
            with_terms: Record the terms that would have been lost, too. They are parts of texts.

        Raises:
            EvaluationDataError: The file has other content.
            OSError: The file cannot be created or written.
            ValueError: `max_records` is below 1.
        """
        self._file = (
            None if path is None else CaseFile(path, max_records, start=SHADOW_START.encode())
        )
        self._with_terms = with_terms
        self._lock = ForkSafeLock(self._forget)
        self._records: deque[Mapping[str, Any]] = deque(maxlen=int(max_records))
        self._forget()

    def __deepcopy__(self, memo: dict[int, Any]) -> ShadowLog:
        """Return the same object: all copies of a compressor record in one place."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse to be pickled: records of another process would be lost.

        Raises:
            TypeError: Always.
        """
        msg = "A ShadowLog cannot be pickled: give every process a log of its own."
        raise TypeError(msg)

    def _forget(self) -> None:
        self._dropped: FIFOCache[str, _Dropped] = FIFOCache(_MAX_RESULTS)

    @property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """The records that this object has added, the oldest first."""
        with self._lock:
            return tuple(self._records)

    def summary(self) -> ShadowSummary:
        """Sum up the records."""
        return ShadowSummary.of(self.records)

    def measured(
        self, texts: Sequence[str], results: Sequence[Compression], tool: str | None = None
    ) -> list[Compression]:
        """Add a call of the compressor.

        Args:
            texts: The texts.
            results: What compressing them together gave.
            tool: The tool that returned them.

        Returns:
            The texts unchanged, each with the reason that compression had, or with `shadow`.
        """
        shared = next((r.skipped_because for r in results if r.skipped_because), None)
        was_cut = any(result.skipped_because is None for result in results)
        call_id = uuid.uuid4().hex[:16]
        if was_cut:
            dropped = _Dropped(_dropped_terms(texts, results))
            with self._lock:
                self._dropped[call_id] = dropped
        self._add(
            {
                "event": "compression",
                "id": call_id,
                "time": time.time(),
                "tool": tool,
                "texts": len(results),
                "original_tokens": sum(result.original_tokens for result in results),
                "kept_tokens": sum(result.kept_tokens for result in results),
                "elapsed_seconds": max((r.elapsed_seconds for r in results), default=0.0),
                "skipped_because": None if was_cut else shared,
            }
        )
        return [*map(_unused, texts, results)]

    @checked
    def answered(
        self,
        prompt: Iterable[str],
        answer: Iterable[str],
        *,
        model: str | None = None,
        usage: TokenUsage | None = None,
    ) -> None:
        """Add an answer of a model.

        Args:
            prompt: The texts of the prompt.
            answer: The texts of the answer, arguments of tool calls included.
            model: The model's name.
            usage: Tokens as the provider reports them.
        """
        said = {term: kind for text in answer for term, kind in terms_of(text, is_answer=True)}
        read = Counter(term for text in prompt for term, _ in terms_of(text))
        with self._lock:
            found = {i: (d, d.copies_in(read)) for i, d in self._dropped.items()}
        held = {call_id: one for call_id, one in found.items() if one[1]}
        cut: Counter[str] = Counter()
        for dropped, copies in held.values():
            for term in said.keys() & dropped.terms.keys():
                cut[term] += copies * dropped.terms[term][1]
        lost_terms = {term for term, count in cut.items() if read[term] <= count}
        lost = {
            call_id: sorted(lost_terms & dropped.terms.keys())
            for call_id, (dropped, _) in held.items()
            if lost_terms & dropped.terms.keys()
        }
        used = usage or TokenUsage()
        self._add(
            {
                "event": "answer",
                "id": uuid.uuid4().hex[:16],
                "time": time.time(),
                "model": model,
                "input_tokens": used.input_tokens,
                "cached_tokens": used.cached_tokens,
                "output_tokens": used.output_tokens,
                "compressions": list(held),
                "lost": {
                    call_id: dict(Counter(said[term] for term in terms))
                    for call_id, terms in lost.items()
                },
                **({"lost_terms": lost} if self._with_terms else {}),
            }
        )

    def _add(self, record: Mapping[str, Any]) -> None:
        with self._lock:
            self._records.append(record)
        if self._file is not None:
            self._file.add(record)


def _dropped_terms(texts: Sequence[str], results: Sequence[Compression]) -> _Terms:
    """Return the terms of the dropped parts that no kept part has."""
    kept = {term for result in results for term, _ in terms_of(result.text)}
    found: dict[str, tuple[TermKind, int]] = {}
    for text, result in zip(texts, results, strict=True):
        for gap in _gaps(result.kept, len(text)):
            for term, kind in terms_of(text[gap.start : gap.end]):
                if term in kept or (len(found) == _MAX_TERMS and term not in found):
                    continue
                found[term] = kind, found.get(term, (kind, 0))[1] + 1
    return found


def _gaps(kept: Sequence[Span], chars: int) -> list[Span]:
    edges = [0, *(edge for span in kept for edge in span), chars]
    return [Span(*edge) for edge in zip(edges[::2], edges[1::2], strict=True)]


def _unused(text: str, result: Compression) -> Compression:
    """Return the text unchanged."""
    if result.skipped_because is not None:
        return result
    return replace(
        result,
        text=text,
        kept=(Span(0, len(text)),) if text else (),
        kept_tokens=result.original_tokens,
        skipped_because="shadow",
        is_widened=False,
        repeated=(),
    )
