"""Copies between the host and a device, one each way for a batch, without waiting for the device.

A device computes what was queued for it while the host goes on; a host that waits for it lets the
queue run empty. CUDA copies without waiting only from and to pinned memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BatchT = TypeVar("BatchT")


def send(arrays: Sequence[NDArray[np.int64]], device: torch.device) -> list[Tensor]:
    """Copy arrays to a device together.

    Args:
        arrays: Whole numbers.
        device: The device.

    Returns:
        The arrays on the device, in the same shapes.
    """
    packed = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))  # (numbers,)
    is_cuda = device.type == "cuda"
    moved = (packed.pin_memory() if is_cuda else packed).to(device, non_blocking=is_cuda)
    parts = torch.split(moved, [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]


def padded(
    rows: Sequence[Sequence[int]], padding: int = 0, *, on_the_left: bool = False
) -> NDArray[np.int64]:
    """Pad rows to the longest, by default on the right. Shape: (rows, longest)."""
    longest = max(map(len, rows))
    found = np.full((len(rows), longest), padding, dtype=np.int64)
    for number, row in enumerate(rows):
        start = longest - len(row) if on_the_left else 0
        found[number, start : start + len(row)] = row
    return found


def one_ahead(
    batches: Iterable[BatchT], queue: Callable[[BatchT], Callable[[], None]]
) -> Generator[None, None, None]:
    """Queue each batch before the results of the one before are awaited, a batch in each slice.

    Args:
        batches: The batches.
        queue: Queues a batch, and returns the function that waits for its results.
    """
    wait: Callable[[], None] | None = None
    for batch in batches:
        yield
        wait_for_next = queue(batch)
        if wait is not None:
            wait()
        wait = wait_for_next
    if wait is not None:
        wait()


class Queued:
    """Work of a device in one stream, whose results are used in other streams, too."""

    def __init__(self, device: torch.device) -> None:
        """Stand for all that the current stream was given.

        Args:
            device: The device.
        """
        self._device = device
        if device.type == "cuda":
            self._stream = torch.cuda.current_stream(device)
            self._computed = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._computed.record(self._stream)

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Let the current stream wait for it; no host waits.

        Args:
            tensors: What the stream will use: their memory is not used again before.
        """
        if self._device.type != "cuda":
            return
        stream = torch.cuda.current_stream(self._device)
        if stream != self._stream:
            stream.wait_event(self._computed)
            for tensor in tensors:
                tensor.record_stream(stream)


class Received:
    """Numbers on their way from a device to the host."""

    def __init__(self, numbers: Tensor) -> None:
        """Queue the copy behind what the device is to compute before.

        Args:
            numbers: The numbers, on their device.
        """
        self._copied: torch.cuda.Event | None = None
        if numbers.device.type != "cuda":
            self._numbers = numbers.cpu()
            return
        self._numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
        self._numbers.copy_(numbers, non_blocking=True)
        self._copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call] # blocks no core
        self._copied.record(torch.cuda.current_stream(numbers.device))

    def wait(self) -> NDArray[np.float64]:
        """Return the numbers, once they have come."""
        if self._copied is not None:
            self._copied.synchronize()
        found: NDArray[np.float64] = self._numbers.double().numpy()
        return found
