"""A dictionary that forgets: for what is under way, some of which ends without a word."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

ItemT = TypeVar("ItemT")

MAX_ITEMS = 10_000
"""More than this is not under way in one process: the oldest were abandoned."""


class BoundedDict(OrderedDict[str, ItemT]):
    """Holds the items that were added last."""

    def __setitem__(self, key: str, item: ItemT) -> None:
        """Add an item, and forget the oldest one where there are too many."""
        super().__setitem__(key, item)
        if len(self) > MAX_ITEMS:
            self.popitem(last=False)
