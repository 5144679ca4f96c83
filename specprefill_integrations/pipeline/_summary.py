"""The results of all texts of a call together."""

from __future__ import annotations

from collections.abc import Sequence

from specprefill_integrations.types import Compression, LanguageWarning, SkipReason


def shared_reason(results: Sequence[Compression]) -> SkipReason | None:
    """Why all texts passed through unchanged, or that nothing of them was kept; else None."""
    reasons = [r.skipped_because for r in results if r.skipped_because != "empty_text"]
    if None in reasons:
        return None if any(result.kept for result in results) else "nothing_kept"
    return reasons[0] if reasons else "no_text"


def shared_warnings(results: Sequence[Compression]) -> tuple[LanguageWarning, ...]:
    """The language warnings of all texts, each once."""
    return tuple(sorted({warning for result in results for warning in result.language_warnings}))
