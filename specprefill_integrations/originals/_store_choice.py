"""The store of a call: one for all calls, or the choice of a function, such as a tenant's."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.originals._original_store import OriginalStore

ChooseStore: TypeAlias = Callable[[Any], OriginalStore | Awaitable[OriginalStore | None] | None]
"""A function from the framework's runtime of a call to its store; None for no store."""

Originals: TypeAlias = OriginalStore | ChooseStore
"""A store for all calls, or a function that chooses one for each."""


def is_chosen(originals: object) -> bool:
    """Return True for a function that chooses a store."""
    return callable(originals) and not isinstance(originals, OriginalStore)


def store_of(originals: Originals | None, runtime: object) -> OriginalStore | None:
    """Return the store of a call.

    Args:
        originals: The store, or a function that chooses it.
        runtime: What the framework knows of the call; None where it has nothing to tell.

    Raises:
        TypeError: The function returns something else, or is asynchronous.
        Exception: The function's own.
    """
    if originals is None or isinstance(originals, OriginalStore):
        return originals
    found = originals(runtime)
    if inspect.iscoroutine(found):
        found.close()
        msg = "originals is an asynchronous function, which a synchronous call cannot ask."
        raise TypeError(msg)
    return _checked(found)


async def astore_of(originals: Originals | None, runtime: object) -> OriginalStore | None:
    """`store_of`, off the event loop; the function may be asynchronous."""
    if originals is None or isinstance(originals, OriginalStore):
        return originals
    found = await run_in_thread(lambda: originals(runtime))
    return _checked(await found if inspect.isawaitable(found) else found)


def _checked(found: object) -> OriginalStore | None:
    if found is None or isinstance(found, OriginalStore):
        return found
    msg = f"originals returned no OriginalStore; got {type(found).__name__}."
    raise TypeError(msg)
