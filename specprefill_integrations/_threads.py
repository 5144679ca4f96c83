"""Threads, forks and event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def run_in_thread(work: Callable[[], ResultT]) -> ResultT:
    """Run `work` in a thread and wait for it, whatever it raises.

    An asyncio future cannot hold a `StopIteration`, such as one from a mock without answers left:
    its caller would wait for ever. It becomes a `RuntimeError`, as in any coroutine.
    """

    def work_or_fail() -> ResultT:
        try:
            return work()
        except StopIteration as error:
            msg = "A scorer or counter raised StopIteration."
            raise RuntimeError(msg) from error

    return await asyncio.to_thread(work_or_fail)
