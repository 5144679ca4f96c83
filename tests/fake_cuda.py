"""A CUDA device without a GPU: computes on the CPU and records when the host waits for it.

Tensors of the device say that they are on `cuda:0` and cannot be mixed with tensors of the host. As
on a real device, copies without waiting come late: until the event behind them was awaited, their
target holds rubbish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA = torch.device("cuda", 0)

aten = torch.ops.aten

# Operations whose result the host needs to go on, or whose size depends on values.
WAITING = {
    aten._local_scalar_dense,
    aten.bincount,
    aten.equal,
    aten.masked_select,
    aten.nonzero,
    aten.unique_consecutive,
    aten._unique2,
    aten.unique_dim,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


class DeviceTensor(Tensor):
    """A tensor of the device; `own` holds its numbers."""

    own: Tensor

    @staticmethod
    def __new__(cls, own: Tensor) -> DeviceTensor:  # noqa: PYI034 - Self needs Python 3.11
        outside = torch.empty_strided(own.shape, own.stride(), dtype=own.dtype, device="meta")
        made = Tensor._make_subclass(cls, outside, False)
        made.own = own
        return made

    @property
    def device(self) -> torch.device:
        return CUDA

    def record_stream(self, stream: Stream) -> None:
        stream.device.log.append(f"used in {stream.name}")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        msg = f"{func} outside of the block"
        raise RuntimeError(msg)


class Stream:
    """In the place of `torch.cuda.Stream`."""

    def __init__(self, device: FakeCuda, name: str) -> None:
        self.device = device
        self.name = name

    def wait_event(self, event: Event) -> None:
        assert event.stream is not None
        self.device.log.append(f"{self.name} follows {event.stream.name}")


class Event:
    """In the place of `torch.cuda.Event`."""

    def __init__(self, device: FakeCuda) -> None:
        self.device = device
        self.behind: list[tuple[Tensor, Tensor]] = []
        self.stream: Stream | None = None

    def record(self, stream: Stream) -> None:
        self.stream = stream
        self.behind = list(self.device.late)
        self.device.log.append("recorded")

    def synchronize(self) -> None:
        with torch.inference_mode():
            for target, source in self.behind:
                target.copy_(source)
        come = [id(target) for target, _ in self.behind]
        self.device.late = [late for late in self.device.late if id(late[0]) not in come]
        self.device.log.append("awaited")


class FakeCuda(TorchDispatchMode):
    """The device. `log` has copies, events, and operations for which the host waits."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.free_bytes = 2**36
        self.late: list[tuple[Tensor, Tensor]] = []
        self.stream = Stream(self, "a stream")

    def waits(self) -> list[str]:
        return [entry for entry in self.log if entry.startswith("waits: ")]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        packet = func.overloadpacket
        if packet in {aten.pin_memory, aten._pin_memory}:
            made = _pin(args[0].clone())
        elif packet is aten.is_pinned:
            made = _is_pinned(args[0])
        elif packet is aten.empty and kwargs.pop("pin_memory", None):
            made = _pin(torch.empty(args[0], dtype=kwargs.get("dtype")))
        elif packet is aten._fused_sdp_choice:
            made = 0  # plain operations
        elif packet is aten._to_copy:
            made = self._copied(args[0], **kwargs)
        elif packet is aten.copy_:
            made = self._filled(*args, *kwargs.values())
        elif _has_parts(func):
            with self:
                made = func.decompose(*args, **kwargs)
        else:
            made = self._computed(func, args, kwargs)
        return made

    def _computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        on_device = [one for one in tensors if isinstance(one, DeviceTensor)]
        on_host = [one for one in tensors if not isinstance(one, DeviceTensor) and one.ndim]
        if on_device and func.overloadpacket in WAITING:
            self.log.append(f"waits: {func}")
        if on_device and func.overloadpacket in INDEXING:
            by_value = any(
                one.dtype == torch.bool for one in tree_leaves(args[1]) if one is not None
            )
            if by_value or on_host:
                self.log.append(f"waits: {func}")
        elif on_device and on_host:
            msg = f"{func} of tensors on {CUDA} and on the host"
            raise RuntimeError(msg)
        is_made_there = _is_there(kwargs.get("device"))
        if is_made_there:
            kwargs["device"] = torch.device("cpu")
        own_args, own_kwargs = tree_map_only(DeviceTensor, lambda one: one.own, (args, kwargs))
        result = func(*own_args, **own_kwargs)
        if not (on_device or is_made_there):
            return result
        known = {id(one.own): one for one in on_device}  # of operations in place

        def wrapped(one: Tensor) -> DeviceTensor:
            return known[id(one)] if id(one) in known else DeviceTensor(one)

        return tree_map_only(Tensor, wrapped, result)

    def _copied(
        self, source: Tensor, *, device: Any = None, non_blocking: bool = False, **options: Any
    ) -> Tensor:
        to_there = isinstance(source, DeviceTensor) if device is None else _is_there(device)
        own = source.own if isinstance(source, DeviceTensor) else source
        if isinstance(source, DeviceTensor) != to_there and source.numel():
            self.log.append("to device" if to_there else "to host")
            if not (to_there and non_blocking and _is_pinned(source)):
                self.log.append(f"waits: copy from {source.device} to {device}")
        made = aten._to_copy.default(own, **options)
        made = own.clone() if made is own else made
        return DeviceTensor(made) if to_there else made

    def _filled(self, target: Tensor, source: Tensor, *late: bool) -> Tensor:
        both = [one.own if isinstance(one, DeviceTensor) else one for one in (target, source)]
        if isinstance(target, DeviceTensor) == isinstance(source, DeviceTensor) or not source.ndim:
            both[0].copy_(both[1])
            return target
        self.log.append("to host" if isinstance(source, DeviceTensor) else "to device")
        own = target if isinstance(source, DeviceTensor) else source
        if any(late) and _is_pinned(own) and isinstance(source, DeviceTensor):
            target.fill_(torch.nan if target.is_floating_point() else -1)
            self.late.append((target, both[1].clone()))
            return target
        if not (any(late) and _is_pinned(own)):
            self.log.append("waits: copy_")
        both[0].copy_(both[1])
        return target


def _pin(tensor: Tensor) -> Tensor:
    tensor.lies_in_pinned_memory = True  # type: ignore[attr-defined]
    return tensor


def _is_pinned(tensor: Tensor) -> bool:
    return hasattr(tensor, "lies_in_pinned_memory")


@cache
def _has_parts(func: Any) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def _is_there(device: Any) -> bool:
    """Whether a device is ours; as PyTorch's own code sees our tensors, they are on `meta`."""
    return torch.device(device or "cpu").type in {CUDA.type, "meta"}


def to_device(model: nn.Module) -> nn.Module:
    """Move a model in place."""
    with _disable_current_modes(), torch.inference_mode():
        for module in model.modules():
            for name, one in module._parameters.items():
                if one is not None:
                    own = DeviceTensor(one.detach().clone())
                    own._is_param = True
                    module._parameters[name] = own
            for name, one in module._buffers.items():
                if one is not None:
                    module._buffers[name] = DeviceTensor(one.detach().clone())
    return model


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """Have a device within the block."""
    device = FakeCuda()
    torch._C._set_only_lift_cpu_tensors(True)
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "Event", lambda **_: Event(device))
        patch.setattr(torch.cuda, "current_stream", lambda _: device.stream)
        patch.setattr(torch.cuda, "empty_cache", lambda: None)
        patch.setattr(torch.cuda, "mem_get_info", lambda _: (device.free_bytes, 2**37))
        patch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
        patch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
        try:
            yield device
        finally:
            torch._C._set_only_lift_cpu_tensors(False)
