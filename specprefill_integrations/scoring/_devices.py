"""Devices and data types that a draft can run with."""

from __future__ import annotations

import torch


def check_device(device: str) -> None:
    """Check that PyTorch can compute on a device of this machine.

    Raises:
        ValueError: It cannot.
    """
    try:
        torch.zeros(1, device=device).item()  # some devices fail only when they are used
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first, *_ = str(error).splitlines() or [""]
        msg = f"{device!r} cannot be used here: {first}"
        raise ValueError(msg) from error


def check_dtype(dtype: str) -> None:
    """Check the name of a floating-point type, such as "bfloat16" or "torch.bfloat16".

    Raises:
        ValueError: There is no such type.
    """
    found = getattr(torch, dtype.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"a floating-point type such as 'float32' or 'bfloat16' is needed; got {dtype!r}"
        raise ValueError(msg)
