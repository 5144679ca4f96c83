"""Heat maps of cases whose answers changed: what the draft saw in their texts, and what was kept.

Reaches `torch` only through the draft, which is loaded for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.evaluation._ab_variants import Variant
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._report._changed_cases import JudgedCase
from specprefill_integrations.heat_map._page import HeatMapDocument, Shades, shade_documents
from specprefill_integrations.heat_map._token_scores import TokenHeatRecorder
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.types import Budget, Compression

_DraftScorer = Literal["readout", "specprefill"]

_DRAFT_SCORERS: Mapping[str, _DraftScorer] = {"readout": "readout", "published": "specprefill"}
"""Scorers that know their tokens. Of all others nobody can draw a heat map."""

_MERGE_ABOVE_TOKENS = 5_000
"""Pages with many cases are long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseHeat:
    """The texts of a case as one arm saw them."""

    arm: str
    """Which one."""

    shades: Shades
    """The texts, shaded, with what was kept."""

    answer: Literal["kept", "cut", "not in the texts"]
    """Where a right answer stands, letter by letter."""

    kept_otherwise: bool
    """Whether the measurement kept another number of tokens: with another version or machine."""


class CaseHeatMaker:
    """Reads cases again with the draft of a measurement."""

    def __init__(self, draft: Mapping[str, Any]) -> None:
        """Take the settings of the draft, as `evaluate ab` writes them into its log.

        Not the device: the measurement may have had one that this machine lacks.
        """
        names = ("dtype", "window_tokens")
        self._draft = draft.get("draft")
        self._options: dict[str, Any] = {name: draft.get(name) for name in names}
        self._ready: dict[_DraftScorer, tuple[ContextCompressor, TokenHeatRecorder]] = {}

    def heat(self, judged: JudgedCase, arms: Iterable[Variant]) -> CaseHeat | None:
        """Read a case as the arm did that changed its answer most, for the worse if any did.

        Args:
            judged: The case.
            arms: Those to choose from.

        Returns:
            None where no arm with a draft changed it.

        Raises:
            SpecPrefillError: The draft cannot be loaded, or cannot read the case.
        """
        changed = [
            arm for arm in arms if arm.scorer in _DRAFT_SCORERS and judged.change(arm.name) != 0
        ]
        if not changed:
            return None
        arm = min(changed, key=lambda one: judged.change(one.name))
        compressor, recorder = self._compressor(_DRAFT_SCORERS[str(arm.scorer)])
        case = judged.case
        results = compressor.compress_documents(
            case.texts, case.query, budget=Budget(keep_fraction=arm.keep_fraction)
        )
        _read_rest(recorder, case)
        kept_tokens = sum(result.kept_tokens for result in results)
        return CaseHeat(
            arm=arm.name,
            shades=_shades(case, results, recorder),
            answer=_place_of_answer(case, [result.text for result in results]),
            kept_otherwise=kept_tokens != judged.compressed[arm.name].kept_tokens,
        )

    def _compressor(self, scorer: _DraftScorer) -> tuple[ContextCompressor, TokenHeatRecorder]:
        if scorer not in self._ready:
            compressor = ContextCompressor.from_draft_model(
                self._draft, scorer=scorer, on_error="raise", **self._options
            )
            recorder = TokenHeatRecorder(compressor.scorer)
            compressor.scorer = recorder
            self._ready[scorer] = compressor, recorder
        return self._ready[scorer]


def _read_rest(recorder: TokenHeatRecorder, case: EvaluationCase) -> None:
    """What was within the budget was not scored for it."""
    unread = [text for text in map(encodable, case.texts) if text and not recorder.heat_of(text)]
    if unread:
        recorder.score_spans(case.query, unread, [[] for _ in unread])


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
