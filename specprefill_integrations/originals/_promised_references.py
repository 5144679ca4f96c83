"""References for gap markers, which are written before it is known which texts are cut.

Only texts that are cut are put into the store, so that nothing else pushes out an original that a
marker names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.originals._original_store import (
    NamesOriginals,
    OriginalStore,
    reference_of,
)
from specprefill_integrations.originals._store_choice import Originals, astore_of, store_of


class PromisedReferences:
    """References of some texts; those that are cut are put into the store afterwards."""

    def __init__(
        self, texts: Sequence[str], originals: Originals | None, runtime: object = None
    ) -> None:
        """Promise nothing yet.

        Args:
            texts: The texts.
            originals: The store that receives the texts that are cut, or a function that chooses
                it; None if there is no store.
            runtime: The argument of such a function.
        """
        self._texts = texts
        self._originals = originals
        self._runtime = runtime
        self._store: OriginalStore | None = None
        self._named: list[str | None] = [None for _ in texts]
        self._put: set[int] = set()

    def promise(self) -> None:
        """Choose the store, and name the reference of each text.

        Raises:
            Exception: The function that chooses the store failed; see `store_of`.
        """
        self._store = store_of(self._originals, self._runtime)
        if isinstance(self._store, NamesOriginals):
            self._named = [self._store.reference_of(text) for text in self._texts]
        elif self._store is not None:
            self._named = [reference_of(text) for text in self._texts]

    async def apromise(self) -> None:
        """Do the same as `promise` without blocking the event loop."""
        self._store = await astore_of(self._originals, self._runtime)
        if isinstance(self._store, NamesOriginals):
            self._named = [await self._store.areference_of(text) for text in self._texts]
        elif self._store is not None:
            self._named = await run_in_thread(lambda: list(map(reference_of, self._texts)))

    @property
    def named(self) -> Sequence[str | None]:
        """The reference for the markers of each text; None for no reference."""
        return tuple(self._named)

    def put(self, cut: Iterable[int]) -> bool:
        """Put the texts that were cut.

        Args:
            cut: Indices of these texts.

        Returns:
            True if `named` is unchanged. False if the store did not keep a text or gave it another
            reference: then the markers must be written again.
        """
        before = self.named
        for index, store in self._still_to_put(cut):
            self._named[index] = store.put(self._texts[index])
        return self.named == before

    async def aput(self, cut: Iterable[int]) -> bool:
        """Do the same as `put` without blocking the event loop."""
        before = self.named
        for index, store in self._still_to_put(cut):
            self._named[index] = await store.aput(self._texts[index])
        return self.named == before

    def _still_to_put(self, cut: Iterable[int]) -> Iterator[tuple[int, OriginalStore]]:
        for index in cut:
            if self._store is not None and index not in self._put:
                self._put.add(index)
                yield index, self._store
