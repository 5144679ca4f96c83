"""The runtime of a LangGraph run, for functions that choose a store."""

from __future__ import annotations


def current_runtime() -> object | None:
    """Return the runtime of the graph that is running; None outside of one."""
    try:
        from langgraph.runtime import get_runtime  # noqa: PLC0415 - not all users have it

        return get_runtime()
    except (ImportError, KeyError, RuntimeError):
        return None
