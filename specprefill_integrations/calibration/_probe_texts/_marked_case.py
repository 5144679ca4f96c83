"""Probe cases under construction: the evidence stands between two marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from specprefill_integrations.calibration._labeled_cases import LabeledCase
from specprefill_integrations.types import Span

_OPEN, _CLOSE = "\x02", "\x03"
_MARKED = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")


def mark(evidence: str) -> str:
    """Put the marks around the evidence."""
    return f"{_OPEN}{evidence}{_CLOSE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedCase:
    """Question, answer, and texts with the evidence marked."""

    query: str
    """The question."""

    answer: str
    """The answer, as the evidence has it."""

    texts: tuple[str, ...]
    """The texts; one of them holds the marked stretch."""

    def is_sound(self) -> bool:
        """Check that the evidence holds the answer, and nothing else does."""
        answer = re.compile(rf"(?<!\w){re.escape(self.answer)}(?!\w)", re.IGNORECASE)
        evidence = [found for text in self.texts for found in _MARKED.findall(text)]
        elsewhere = (_MARKED.sub("", text) for text in self.texts)
        return (
            len(evidence) == 1
            and answer.search(evidence[0]) is not None
            and not any(answer.search(text) for text in (*elsewhere, self.query))
        )

    def labeled(self, kind: str) -> LabeledCase:
        """Turn the marks into spans.

        Args:
            kind: Kind of text.
        """
        return LabeledCase(
            kind=kind,
            query=self.query,
            texts=tuple(_MARKED.sub(r"\1", text) for text in self.texts),
            evidence=tuple(
                ((document, Span(found.start(), found.end() - 2)),)
                for document, text in enumerate(self.texts)
                for found in _MARKED.finditer(text)
            ),
        )
