"""Measurements of compression: evidence recall, A/B comparisons, limits, costs.

Importing this imports no `torch`, no framework and no command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names

if TYPE_CHECKING:
    from specprefill_integrations.evaluation._ab import AbResult, run_ab
    from specprefill_integrations.evaluation._ab_limits import AbLimits
    from specprefill_integrations.evaluation._ab_summary import summarize_ab
    from specprefill_integrations.evaluation._ab_variants import Variant, variants_of
    from specprefill_integrations.evaluation._break_even_log import read_log_times
    from specprefill_integrations.evaluation._case_compressor import CaseCompressor, KeptTexts
    from specprefill_integrations.evaluation._case_files import FieldNames, read_cases
    from specprefill_integrations.evaluation._cases import EvaluationCase
    from specprefill_integrations.evaluation._cost import net_saving, total_cost
    from specprefill_integrations.evaluation._evidence import EvidenceResult, measure_evidence
    from specprefill_integrations.evaluation._judging import Judge
    from specprefill_integrations.evaluation._likelihood import AnswerLikelihood, LikelihoodTarget
    from specprefill_integrations.evaluation._limits import LimitResult, measure_limits
    from specprefill_integrations.evaluation._lineup import Lineup, build_lineup
    from specprefill_integrations.evaluation._report._break_even_picture import draw_break_even
    from specprefill_integrations.evaluation._run_log import open_run_log
    from specprefill_integrations.evaluation._settings import DraftChoice
    from specprefill_integrations.evaluation._targets import (
        Answer,
        ChatTarget,
        LangChainTarget,
        LlamaIndexTarget,
        named_likelihood_target,
        named_target,
    )

_NAMES = {
    "_ab": ("AbResult", "run_ab"),
    "_ab_limits": ("AbLimits",),
    "_ab_summary": ("summarize_ab",),
    "_ab_variants": ("Variant", "variants_of"),
    "_break_even_log": ("read_log_times",),
    "_case_compressor": ("CaseCompressor", "KeptTexts"),
    "_case_files": ("FieldNames", "read_cases"),
    "_cases": ("EvaluationCase",),
    "_cost": ("net_saving", "total_cost"),
    "_evidence": ("EvidenceResult", "measure_evidence"),
    "_judging": ("Judge",),
    "_likelihood": ("AnswerLikelihood", "LikelihoodTarget"),
    "_limits": ("LimitResult", "measure_limits"),
    "_lineup": ("Lineup", "build_lineup"),
    "_report._break_even_picture": ("draw_break_even",),
    "_run_log": ("open_run_log",),
    "_settings": ("DraftChoice",),
    "_targets": (
        "Answer",
        "ChatTarget",
        "LangChainTarget",
        "LlamaIndexTarget",
        "named_likelihood_target",
        "named_target",
    ),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = [
    "AbLimits",
    "AbResult",
    "Answer",
    "AnswerLikelihood",
    "CaseCompressor",
    "ChatTarget",
    "DraftChoice",
    "EvaluationCase",
    "EvidenceResult",
    "FieldNames",
    "Judge",
    "KeptTexts",
    "LangChainTarget",
    "LikelihoodTarget",
    "LimitResult",
    "Lineup",
    "LlamaIndexTarget",
    "Variant",
    "build_lineup",
    "draw_break_even",
    "measure_evidence",
    "measure_limits",
    "named_likelihood_target",
    "named_target",
    "net_saving",
    "open_run_log",
    "read_cases",
    "read_log_times",
    "run_ab",
    "summarize_ab",
    "total_cost",
    "variants_of",
]


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
