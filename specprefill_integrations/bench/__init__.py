"""Measurements of what scoring costs and stands: time, memory, concurrency, splitting, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names
from specprefill_integrations.bench._concurrency import (
    ConcurrencyResult,
    concurrent_requests,
    measure_concurrency,
)
from specprefill_integrations.bench._faults import FaultsResult, measure_faults
from specprefill_integrations.bench._host import HostResult, HostSeconds, measure_host
from specprefill_integrations.bench._scoring import (
    MemoryResult,
    SecondQuestionResult,
    TimesResult,
    measure_cold_start,
    measure_memory,
    measure_second_question,
    measure_times,
    prepare_passes,
)
from specprefill_integrations.bench._splitting import SplittingResult, measure_splitting

if TYPE_CHECKING:
    from specprefill_integrations.bench._gpu import GpuResult, measure_gpu

__all__ = [
    "ConcurrencyResult",
    "FaultsResult",
    "GpuResult",
    "HostResult",
    "HostSeconds",
    "MemoryResult",
    "SecondQuestionResult",
    "SplittingResult",
    "TimesResult",
    "concurrent_requests",
    "measure_cold_start",
    "measure_concurrency",
    "measure_faults",
    "measure_gpu",
    "measure_host",
    "measure_memory",
    "measure_second_question",
    "measure_splitting",
    "measure_times",
    "prepare_passes",
]

__getattr__ = lazy_names(__name__, {"GpuResult": "_gpu", "measure_gpu": "_gpu"})
