"""Heat maps of cases whose answers changed: token scores, and what was kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.evaluation._ab_variants import Variant
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._report._findings import JudgedCase
from specprefill_integrations.heat_map._page import HeatMapDocument, Shades, shade_documents
from specprefill_integrations.heat_map._token_scores import TokenHeatRecorder
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.types import Budget, Compression

_DraftScorer = Literal["readout", "published"]

# Scorers with token scores.
_DRAFT_SCORERS: Mapping[str, _DraftScorer] = {"readout": "readout", "published": "published"}

_MERGE_ABOVE_TOKENS = 5_000  # keeps pages with many cases small
_DRAFT_OPTIONS = ("dtype", "window_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseHeat:
    """Heat map of a case's texts with one variant."""

    variant: str
    """Name of the variant."""

    shades: Shades
    """The shaded texts, with what was kept."""

    answer: Literal["kept", "cut", "not in the texts"]
    """Place of a literal right answer."""

    kept_otherwise: bool
    """True if the logged run kept another number of tokens."""


class CaseHeatMaker:
    """Makes heat maps with the draft of a measurement."""

    def __init__(self, draft: Mapping[str, Any]) -> None:
        """Take the draft's settings from a log, except for the device.

        Args:
            draft: The settings.
        """
        self._draft = draft.get("draft")
        self._options: dict[str, Any] = {name: draft.get(name) for name in _DRAFT_OPTIONS}
        self._ready: dict[_DraftScorer, tuple[ContextCompressor, TokenHeatRecorder]] = {}

    def heat(self, judged: JudgedCase, variants: Iterable[Variant]) -> CaseHeat | None:
        """Compress a case again with the variant whose answer lost (or else gained) most.

        Args:
            judged: The case.
            variants: Variants to choose from.

        Returns:
            The heat map; None if no variant with a draft changed the answer.

        Raises:
            SpecPrefillError: The draft cannot be loaded, or cannot read the case.
        """
        changed = [
            variant
            for variant in variants
            if variant.scorer in _DRAFT_SCORERS and judged.change(variant.name) != 0
        ]
        if not changed:
            return None
        variant = min(changed, key=lambda one: judged.change(one.name))
        compressor, recorder = self._compressor(_DRAFT_SCORERS[str(variant.scorer)])
        case = judged.case
        results = compressor.compress_documents(
            case.texts, case.query, budget=Budget(keep_fraction=variant.keep_fraction)
        )
        # Texts within the budget were not scored.
        unread = [
            text for text in map(encodable, case.texts) if text and not recorder.heat_of(text)
        ]
        if unread:
            recorder.score_spans(case.query, unread, [[] for _ in unread])
        kept_tokens = sum(result.kept_tokens for result in results)
        return CaseHeat(
            variant=variant.name,
            shades=_shades(case, results, recorder),
            answer=_place_of_answer(case, [result.text for result in results]),
            kept_otherwise=kept_tokens != judged.compressed[variant.name].kept_tokens,
        )

    def _compressor(self, scorer: _DraftScorer) -> tuple[ContextCompressor, TokenHeatRecorder]:
        if scorer not in self._ready:
            compressor = ContextCompressor.from_draft_model(
                self._draft, scorer=scorer, on_error="raise", **self._options
            )
            recorder = TokenHeatRecorder(compressor.scorer)
            self._ready[scorer] = compressor.replace(scorer=recorder), recorder
        return self._ready[scorer]


def _shades(
    case: EvaluationCase, results: Sequence[Compression], recorder: TokenHeatRecorder
) -> Shades:
    documents = [
        HeatMapDocument(
            name=f"Text {number} of {len(results)}",
            text=text,
            token_scores=recorder.heat_of(text),
            kept=result.kept,
            original_tokens=result.original_tokens,
            kept_tokens=result.kept_tokens,
            skipped_because=result.skipped_because,
        )
        for number, (text, result) in enumerate(zip(case.texts, results, strict=True), start=1)
    ]
    return shade_documents(documents, merge_above_tokens=_MERGE_ABOVE_TOKENS)


def _place_of_answer(
    case: EvaluationCase, kept: Sequence[str]
) -> Literal["kept", "cut", "not in the texts"]:
    if case.is_answered_by(kept):
        return "kept"
    return "cut" if case.is_answered_by(case.texts) else "not in the texts"
