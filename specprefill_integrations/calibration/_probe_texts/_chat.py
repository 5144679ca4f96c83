"""Probe texts of dialogue: months of talk between friends, or between a user and an assistant."""

from __future__ import annotations

from typing import Any

from specprefill_integrations.calibration._probe_texts._draw import Draw, word_tables
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark

_Topic = dict[str, Any]

_THIRD = {"has": "has", "does": "does", "is": "is"}
_FIRST = {
    "who": "I",
    "who_object": "me",
    "whose": "my",
    "has": "have",
    "does": "do",
    "is": "am",
}


def chat(draw: Draw, chars: int) -> MarkedCase:
    """Make a dated dialogue; its texts are the sessions, or all of them in one.

    Args:
        draw: Source of names and values.
        chars: Approximate length in characters.
    """
    tables = word_tables()["chat"]
    assistant = draw.chance(35)
    speakers = ["user", "assistant"] if assistant else _people(draw)
    asked, topic = speakers[0], draw.choice(tables["topics"])
    value = draw[topic["sort"]]
    draw.reserve(value)
    turns = [_told(draw, topic, speakers, value)]
    turns += [_near(draw, topic, speakers) for _ in range(draw.number(2, 3))]
    others = [other for other in draw.shuffled(tables["topics"]) if other is not topic]
    while sum(len(line) for turn in turns for line in turn) < 0.88 * chars:
        turns.append(_other_turns(draw, others, speakers))
    sessions = _sessions(draw, draw.shuffled(turns))
    third = {"who": asked, "who_object": asked, "whose": f"{asked}'s", **_THIRD}
    query = draw.choice(topic["asked"]).format_map(_FIRST if assistant else third)
    texts = sessions if draw.chance(50) else ["\n\n".join(sessions)]
    return MarkedCase(query=query, answer=value, texts=tuple(texts))


def _people(draw: Draw) -> list[str]:
    names = [draw.deal(pronoun, draw.names["first"][pronoun]) for pronoun in ("she", "he", "she")]
    return draw.shuffled(names)[: draw.number(2, 3)]


def _told(draw: Draw, topic: _Topic, speakers: list[str], value: str) -> list[str]:
    text = _claim(draw.choice(topic["told"]), value)
    return [mark(f"{speakers[0]}: {text}"), _answer(draw, speakers, draw.choice(topic["reply"]))]


def _answer(draw: Draw, speakers: list[str], text: str) -> str:
    if speakers[1] == "assistant":
        text = draw.deal("thanks", word_tables()["chat"]["thanks"])
    return f"{draw.choice(speakers[1:])}: {text}"


def _claim(wording: str, value: str) -> str:
    return wording.format(v=value, V=value[:1].upper() + value[1:])


def _near(draw: Draw, topic: _Topic, speakers: list[str]) -> list[str]:
    """Speak of the same topic with another value or another person."""
    text = draw.deal(topic["near"][0], topic["near"]).format(other=draw[topic["sort"]])
    speaker = draw.choice(speakers)
    if speakers[1] == "assistant":
        speaker = "user"
    elif draw.chance(50):
        speaker = draw.choice(speakers[1:])
        text = _claim(draw.choice(topic["told"]), draw[topic["sort"]])
    line = f"{speaker}: {text}"
    return [line, _answer(draw, speakers, "")] if speaker == "user" else [line]


def _other_turns(draw: Draw, others: list[_Topic], speakers: list[str]) -> list[str]:
    with_assistant = speakers[1] == "assistant"
    if draw.chance(30):
        in_turn = speakers if with_assistant else draw.shuffled(speakers)
        return _near(draw, draw.choice(others), in_turn)
    if with_assistant:
        lines, in_turn = draw.deal("requests", word_tables()["chat"]["requests"]), speakers
    else:
        lines = draw.deal("talk", word_tables()["chat"]["small_talk"])
        in_turn = draw.shuffled(speakers)
    return [f"{in_turn[turn % 2]}: {text.format_map(draw)}" for turn, text in enumerate(lines)]


def _sessions(draw: Draw, turns: list[list[str]]) -> list[str]:
    header = draw.choice(word_tables()["chat"]["headers"])
    year, month = draw.number(2019, 2025), draw.number(0, 8)
    sessions = []
    while turns:
        size = draw.number(2, 4)
        lines = [line for turn in turns[:size] for line in turn]
        sessions.append("\n".join([_header(draw, header, year, month), *lines]))
        turns = turns[size:]
        year, month = divmod(12 * year + month + draw.number(0, 1) + 1, 12)
    return sessions


def _header(draw: Draw, header: str, year: int, month: int) -> str:
    return header.format(
        hour=draw.number(7, 11),
        minute=f"{draw.number(0, 59):02}",
        half=draw.choice(("am", "pm")),
        day=draw.number(1, 28),
        month=draw.names["months"][month],
        year=year,
    )
