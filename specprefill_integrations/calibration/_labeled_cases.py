"""Questions whose evidence is known: what a readout is fitted to. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

from specprefill_integrations.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledCase:
    """One question, the texts it is asked of, and where in them the evidence stands."""

    kind: str
    """What sort of text it is, such as `facts`, `chat` or `code`."""

    query: str
    """The question."""

    texts: tuple[str, ...]
    """The texts."""

    evidence: tuple[tuple[int, Span], ...]
    """Text and stretch of each piece of evidence; any one of them answers the question."""

    def __post_init__(self) -> None:
        """Reject a case without evidence, or with evidence that stands nowhere.

        Raises:
            ValueError: There is none, or a piece of it is not a stretch of its text.
        """
        if not self.evidence:
            msg = f"a case needs evidence; {self.query!r} has none"
            raise ValueError(msg)
        for document, span in self.evidence:
            inside = 0 <= document < len(self.texts) and 0 <= span.start < span.end
            if not inside or span.end > len(self.texts[document]):
                msg = f"evidence {span!r} of text {document!r} stands in none of the texts"
                raise ValueError(msg)
