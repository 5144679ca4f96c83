"""The device and the dtype of a draft."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_LEAST_GAIN = 1.5
"""The gain in speed for which a CPU computes in bfloat16. With units for it, products of matrices
are two to seven times as fast as in float32, without them several times slower."""

_ROUNDS = 4


def resolved_device(device: str | torch.device | None) -> torch.device:
    """Return a device, by default CUDA if available, else the CPU.

    `cuda` becomes the current device, so that both names share one copy of the weights.

    Raises:
        ValueError: PyTorch does not know the device, or cannot use it here.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with _refusing(device):
        found = torch.device(device)
        if found.type != "cuda":
            _compute_on(found)
            return found
    # Counting the devices takes no memory of them.
    count = torch.cuda.device_count()
    if (found.index or 0) >= count:
        msg = f"device={str(device)!r} cannot be used here: PyTorch finds {count} CUDA devices."
        raise ValueError(msg)
    if found.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return found


def resolved_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return a dtype: by default bfloat16 on CUDA and on CPUs faster with it, else float32.

    Raises:
        ValueError: It is no floating-point type.
    """
    if dtype is None:
        is_faster = device.type == "cuda" or (device.type == "cpu" and _cpu_is_faster_in_bfloat16())
        return torch.bfloat16 if is_faster else torch.float32
    return named_dtype(dtype)


def named_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return a dtype from a name such as "bfloat16".

    Raises:
        ValueError: It is no floating-point type.
    """
    found = (
        dtype
        if isinstance(dtype, torch.dtype)
        else getattr(torch, str(dtype).removeprefix("torch."), None)
    )
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"dtype must be a floating-point type such as 'float32' or 'bfloat16'; got {dtype!r}."
        raise ValueError(msg)
    return found


@cache
def _cpu_is_faster_in_bfloat16() -> bool:
    """Measure whether this processor multiplies matrices faster in bfloat16, once per process.

    It takes about 20 ms. No flag tells it for all processors and builds of PyTorch.
    """
    pairs = [
        (
            torch.ones(256, 576, dtype=dtype, device="cpu"),
            torch.ones(576, 576, dtype=dtype, device="cpu"),
        )
        for dtype in (torch.float32, torch.bfloat16)
    ]
    rounds = [[_seconds_to_multiply(*pair) for pair in pairs] for _ in range(_ROUNDS)]
    wide, narrow = (min(column) for column in zip(*rounds, strict=True))
    return bool(wide > _LEAST_GAIN * narrow)


def _seconds_to_multiply(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.mm(left, right)
    return time.perf_counter() - start


def check_device(device: str) -> None:
    """Check that PyTorch can compute on a device of this machine.

    Raises:
        ValueError: It cannot.
    """
    found = resolved_device(device)
    with _refusing(device):
        _compute_on(found)


def free_bytes(device: torch.device) -> int | None:
    """Return the memory of a CUDA device that this process can have; None for any other device."""
    if device.type != "cuda":
        return None
    # PyTorch does not return memory to the device, but uses it again.
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + reserve)


def in_halves(
    read: Callable[[Sequence[ItemT]], list[ResultT]],
    items: Sequence[ItemT],
    release: Callable[[], bool] = lambda: False,
) -> list[ResultT]:
    """Read items together, or in halves if the device runs out of memory.

    Args:
        read: Returns one result for each item.
        items: The items.
        release: Frees memory that can be spared, before another attempt; True if it freed any.

    Raises:
        torch.OutOfMemoryError: There is no memory for a single item.
    """
    try:
        return read(items)
    except torch.OutOfMemoryError:
        if not release() and len(items) == 1:
            raise
    # Outside of the handler, where the error no longer keeps the tensors alive.
    torch.cuda.empty_cache()
    if len(items) == 1:
        return read(items)
    half = len(items) // 2
    return in_halves(read, items[:half], release) + in_halves(read, items[half:], release)


def _compute_on(device: torch.device) -> None:
    torch.zeros(1, device=device).item()  # some devices fail only when they are used


@contextmanager
def _refusing(device: str | torch.device) -> Iterator[None]:
    """Turn PyTorch's errors about a device into one `ValueError`."""
    try:
        yield
    except (RuntimeError, AssertionError, ImportError) as error:
        first, *_ = str(error).splitlines() or [""]
        msg = f"device={str(device)!r} cannot be used here: {first}"
        raise ValueError(msg) from error
