"""Questions with known evidence, to fit a readout to."""

from __future__ import annotations

from dataclasses import dataclass

from specprefill_integrations._arguments import checked
from specprefill_integrations.types import Span


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledCase:
    """A question, its texts, and the evidence in them.

    Raises:
        ValueError: There is no evidence, or a piece of it is not a span of its text.
    """

    kind: str
    """Kind of text, such as `facts`, `chat` or `code`."""

    query: str
    """The question."""

    texts: tuple[str, ...]
    """The texts."""

    evidence: tuple[tuple[int, Span], ...]
    """Index of the text and span of each piece of evidence; any one answers the question."""

    def __post_init__(self) -> None:
        """Validate the evidence."""
        if not self.evidence:
            msg = f"a case needs evidence; {self.query!r} has none"
            raise ValueError(msg)
        for document, span in self.evidence:
            inside = 0 <= document < len(self.texts) and 0 <= span.start < span.end
            if not inside or span.end > len(self.texts[document]):
                msg = f"evidence {span!r} of text {document!r} is outside of the texts"
                raise ValueError(msg)
