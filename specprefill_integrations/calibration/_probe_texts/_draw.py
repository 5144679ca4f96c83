"""One seeded source of names and values, which come again only when there are no others.

Knows the vocabulary and nothing about the texts that use it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from specprefill_integrations.calibration._probe_texts import _vocabulary as words

_Item = TypeVar("_Item")


class Draw(dict[str, str]):
    """Values by the name of their sort, as templates ask for them: `"{town}".format_map(draw)`."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng
        self._decks: dict[str, list[int]] = {}
        self._seen: set[str] = set()
        self._reserved = ""

    def __missing__(self, sort: str) -> str:
        if sort in _DECKS:
            return self.deal(sort, _DECKS[sort])
        return self._unseen(lambda: self._made(sort))

    def reserve(self, value: str) -> None:
        """Never draw this value again: it is the answer."""
        self._reserved = value

    def choice(self, items: Sequence[_Item]) -> _Item:
        """Draw one item; it may come again."""
        return self.rng.choice(items)

    def number(self, low: int, high: int) -> int:
        """Draw a number, both ends included; it may come again."""
        return self.rng.randrange(low, high + 1)

    def chance(self, percent: int) -> bool:
        """Say yes in this many of a hundred draws."""
        return self.rng.randrange(100) < percent

    def deal(self, deck: str, items: Sequence[_Item]) -> _Item:
        """Draw one item; it comes again only when all others of its deck have come."""
        if not self._decks.get(deck):
            places = [place for place, item in enumerate(items) if item != self._reserved]
            self._decks[deck] = self.shuffled(places)
        return items[self._decks[deck].pop()]

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """Return the items in a new order."""
        return self.rng.sample(items, len(items))

    def hexadecimal(self, digits: int) -> str:
        """Draw this many hexadecimal digits."""
        return f"{self.rng.randrange(16**digits):0{digits}x}"

    def _unseen(self, make: Callable[[], str]) -> str:
        value = make()
        for _ in range(_TRIES):
            if value not in self._seen:
                break
            value = make()
        while value == self._reserved:
            value = make()
        self._seen.add(value)
        return value

    def _made(self, sort: str) -> str:
        if sort in _NUMBERS:
            low, high, unit = _NUMBERS[sort]
            return f"{self.number(low, high):,}{unit}"
        return _MAKERS[sort](self)

    def _stem(self) -> str:
        parts = (words.ONSETS, words.MIDDLES, words.ENDINGS)
        stem = ""
        while len(stem) < _STEM_CHARS:
            stem = "".join(self.choice(part) for part in parts)
        return stem

    def _person(self) -> str:
        names = words.FIRST_NAMES[self.choice(("she", "he"))]
        return f"{self.choice(names)} {self['stem']}"

    def _uuid(self) -> str:
        return "-".join(self.hexadecimal(digits) for digits in (8, 4, 4, 4, 12))


# A small range runs out of new numbers; then an old one has to do.
_TRIES = 20
# Shorter ones are words too often.
_STEM_CHARS = 5
_DECKS = {**words.POOLS, "adjective": words.ADJECTIVES, "thing": words.THINGS}
_NUMBERS = {
    "count": (1_100, 97_000, ""),
    "few": (13, 99, ""),
    "metres": (21, 340, " metres"),
    "kilometres": (31, 980, " kilometres"),
    "milliseconds": (12, 980, ""),
    "days": (11, 120, " days"),
    "tonnes": (210, 9_800, " tonnes"),
}
_MAKERS: dict[str, Callable[[Draw], str]] = {
    "stem": Draw._stem,  # noqa: SLF001 - its own table
    "person": Draw._person,  # noqa: SLF001
    "uuid": Draw._uuid,  # noqa: SLF001
    "year": lambda draw: str(draw.number(1790, 2015)),
    "modern_year": lambda draw: str(draw.number(1925, 2020)),
    "age": lambda draw: str(draw.number(19, 38)),
    "integer": lambda draw: str(draw.number(1_100, 97_000)),
    "modern_date": lambda draw: (
        f"{draw.number(1, 28)} {draw.choice(words.MONTHS)} {draw.number(1995, 2024)}"
    ),
    "deadline": lambda draw: (
        f"{draw.number(1, 28)} {draw.choice(words.MONTHS)} {draw.number(2026, 2039)}"
    ),
    "date": lambda draw: (
        f"{draw.number(1, 28)} {draw.choice(words.MONTHS)} {draw.number(1790, 2015)}"
    ),
    "town": lambda draw: draw["stem"].rstrip("x") + draw.choice(words.TOWN_ENDINGS),
    "region": lambda draw: draw["stem"].rstrip("x") + draw.choice(words.REGION_ENDINGS),
    "money": lambda draw: f"{draw.number(2, 89)}.{draw.number(1, 9)} million crowns",
    "length": lambda draw: f"{draw.number(9, 88)}.{draw.number(1, 9)} centimetres",
    "port": lambda draw: str(draw.number(1_025, 65_000)),
    "ticket": lambda draw: str(draw.number(10_000, 99_999)),
    "hash": lambda draw: draw.hexadecimal(8),
}
