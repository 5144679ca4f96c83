"""What a device says when its memory is used up, recognized without importing `torch`."""

from __future__ import annotations

import sys
import traceback


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in names or isinstance(error, MemoryError)


def release_memory(error: BaseException) -> None:
    """Let go of what was computed when an error struck, and of what the device holds in reserve."""
    traceback.clear_frames(error.__traceback__)  # their variables are what took the memory
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
