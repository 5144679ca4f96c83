"""What a measurement ran on, so that its times mean something later."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specprefill_integrations.scoring._draft_model import DraftModel

_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine(draft: DraftModel | None = None) -> dict[str, object]:
    """The system, its processor and Python, without a name of the machine or its user.

    Args:
        draft: Where it runs and what it computes in is told, too.
    """
    found: dict[str, object] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    if draft is not None:
        # Here, as it needs torch, which a draft has brought already.
        from specprefill_integrations.bench._passes import cpu_threads  # noqa: PLC0415

        found["device"] = str(draft.device)
        found["dtype"] = str(draft.dtype).removeprefix("torch.")
        found["threads"] = cpu_threads()
    return found


def _processor() -> str:
    """Its name as far as the system tells; Linux does so in a file of its own."""
    try:
        lines = _CPU_INFO.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
