"""Seeded source of names and values for the probe's texts, and the word tables they come from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

_Item = TypeVar("_Item")


@cache
def word_tables() -> dict[str, Any]:
    """Names, pools of values, and the templates of each kind of text."""
    place = files("specprefill_integrations.calibration._probe_texts") / "probe_texts.json"
    tables: dict[str, Any] = json.loads(place.read_text("utf-8"))
    return tables


class Draw(dict[str, str]):
    """Fresh values by sort, for templates: `"{town}".format_map(draw)`.

    A value comes again only when its sort has no other.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng
        self.names: dict[str, Any] = word_tables()["names"]
        self._pools: dict[str, list[str]] = word_tables()["pools"]
        self._decks: dict[str, list[int]] = {}
        self._seen: set[str] = set()
        self._reserved = ""

    def __missing__(self, sort: str) -> str:
        if sort in self._pools:
            return self.deal(sort, self._pools[sort])
        return self._unseen(lambda: self._made(sort))

    def reserve(self, value: str) -> None:
        """Exclude a value, the answer, from further draws."""
        self._reserved = value

    def choice(self, items: Sequence[_Item]) -> _Item:
        """Draw one item, with replacement."""
        return self.rng.choice(items)

    def number(self, low: int, high: int) -> int:
        """Draw a number, both ends included."""
        return self.rng.randrange(low, high + 1)

    def chance(self, percent: int) -> bool:
        """Draw True with a probability in percent."""
        return self.rng.randrange(100) < percent

    def deal(self, deck: str, items: Sequence[_Item]) -> _Item:
        """Draw one item of a named deck, without replacement until the deck is used up."""
        if not self._decks.get(deck):
            places = [place for place, item in enumerate(items) if item != self._reserved]
            self._decks[deck] = self.shuffled(places)
        return items[self._decks[deck].pop()]

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """Shuffle a copy of the items."""
        return self.rng.sample(items, len(items))

    def hexadecimal(self, digits: int) -> str:
        """Draw a hexadecimal number of this many digits."""
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
            return f"{self.number(low, high):{',' if unit is not None else ''}}{unit or ''}"
        return _MAKERS[sort](self)

    def _stem(self) -> str:
        stem = ""
        while len(stem) < _STEM_CHARS:
            stem = "".join(self.choice(self.names[p]) for p in ("onsets", "middles", "endings"))
        return stem

    def _person(self) -> str:
        names = self.names["first"][self.choice(("she", "he"))]
        return f"{self.choice(names)} {self['stem']}"

    def _date(self, first: int, last: int) -> str:
        return (
            f"{self.number(1, 28)} {self.choice(self.names['months'])} {self.number(first, last)}"
        )

    def _place(self, endings: str) -> str:
        stem = self["stem"].rstrip("x")
        return f"{stem}{self.choice(self.names[endings])}"


_TRIES = 20  # a small range runs out of new numbers
_STEM_CHARS = 5  # shorter ones are often English words
# Lowest, highest, and the unit; None writes the digits without commas.
_NUMBERS: dict[str, tuple[int, int, str | None]] = {
    "count": (1_100, 97_000, ""),
    "few": (13, 99, ""),
    "metres": (21, 340, " metres"),
    "kilometres": (31, 980, " kilometres"),
    "milliseconds": (12, 980, ""),
    "days": (11, 120, " days"),
    "tonnes": (210, 9_800, " tonnes"),
    "year": (1790, 2015, None),
    "modern_year": (1925, 2020, None),
    "age": (19, 38, None),
    "integer": (1_100, 97_000, None),
    "port": (1_025, 65_000, None),
    "ticket": (10_000, 99_999, None),
}
_MAKERS: dict[str, Callable[[Draw], str]] = {
    "stem": Draw._stem,  # noqa: SLF001 - its own table
    "person": Draw._person,  # noqa: SLF001
    "uuid": lambda draw: "-".join(map(draw.hexadecimal, (8, 4, 4, 4, 12))),
    "hash": lambda draw: draw.hexadecimal(8),
    "date": lambda draw: draw._date(1790, 2015),  # noqa: SLF001
    "modern_date": lambda draw: draw._date(1995, 2024),  # noqa: SLF001
    "deadline": lambda draw: draw._date(2026, 2039),  # noqa: SLF001
    "town": lambda draw: draw._place("town_endings"),  # noqa: SLF001
    "region": lambda draw: draw._place("region_endings"),  # noqa: SLF001
    "money": lambda draw: f"{draw.number(2, 89)}.{draw.number(1, 9)} million crowns",
    "length": lambda draw: f"{draw.number(9, 88)}.{draw.number(1, 9)} centimetres",
}
