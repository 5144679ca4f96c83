"""The references that gap markers name: promised before it is known what is cut, kept after.

What is left whole is never put: it would push out what some marker names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from specprefill_integrations.originals._original_store import OriginalStore, reference_of


class PromisedReferences:
    """The references of some texts, of which those are put that are cut."""

    def __init__(self, texts: Sequence[str], store: OriginalStore | None) -> None:
        """Promise each text the reference that its content has in every store of ours.

        Args:
            texts: The texts.
            store: Where they go; None where nobody could fetch them back.
        """
        self._texts = texts
        self._store = store
        self._named = [None if store is None else reference_of(text) for text in texts]
        self._put: set[int] = set()

    @property
    def named(self) -> Sequence[str | None]:
        """What markers are to name, text by text; None for nothing."""
        return tuple(self._named)

    def put(self, cut: Iterable[int]) -> bool:
        """Put what was cut.

        Args:
            cut: Which of the texts that are.

        Returns:
            Whether all is as it was promised. Where it is not, because the store does not keep a
            text or knows it by another name, markers must be written anew: `named` has changed.
        """
        before = self.named
        for index, store in self._still_to_put(cut):
            self._named[index] = store.put(self._texts[index])
        return self.named == before

    async def aput(self, cut: Iterable[int]) -> bool:
        """`put`, without holding up the event loop."""
        before = self.named
        for index, store in self._still_to_put(cut):
            self._named[index] = await store.aput(self._texts[index])
        return self.named == before

    def _still_to_put(self, cut: Iterable[int]) -> Iterator[tuple[int, OriginalStore]]:
        for index in cut:
            if self._store is not None and index not in self._put:
                self._put.add(index)
                yield index, self._store
