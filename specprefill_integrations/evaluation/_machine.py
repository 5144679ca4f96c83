"""Description of the machine that a measurement ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specprefill_integrations.scoring._draft_model import DraftModel

_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine(draft: DraftModel | None = None) -> dict[str, object]:
    """Describe system, processor and Python, without the machine's or the user's name.

    Args:
        draft: Adds its device, data type and CPU threads.
    """
    found: dict[str, object] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    if draft is not None:
        import torch  # noqa: PLC0415 - a draft has imported it already

        found["device"] = str(draft.device)
        found["dtype"] = str(draft.dtype).removeprefix("torch.")
        found["threads"] = torch.get_num_threads()
    return found


def _processor() -> str:
    """The processor's name; Linux keeps it in /proc/cpuinfo only."""
    try:
        lines = _CPU_INFO.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
