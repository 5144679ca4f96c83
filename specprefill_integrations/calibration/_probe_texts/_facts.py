"""Probe texts of short encyclopedia passages about invented things."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from functools import cache

from specprefill_integrations.calibration._probe_texts._draw import Draw, word_tables
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that can be stated and asked about a subject."""

    sort: str
    """Sort of its value."""

    statements: tuple[str, ...]
    """Sentences that state it, with `{v}` for the value."""

    questions: tuple[str, ...]
    """Questions for it in other words, with `{name}` for the subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Sort of thing that passages are about.

    In sentences, `{S}` and `{s}` are the thing at the start and within, `{he}`, `{his}` and `{him}`
    its pronouns; any other name is a fresh value of that sort.
    """

    names: tuple[str, ...]
    """Forms of its name; one that starts with `the` takes an article."""

    nouns: tuple[str, ...]
    """Nouns that a passage uses for it."""

    copula: str
    """`is` or `was`."""

    about: tuple[str, ...]
    """Phrases that follow the noun where it is introduced."""

    attributes: tuple[Attribute, ...]
    """Attributes that can be asked for."""

    fillers: tuple[str, ...]
    """Sentences that answer nothing."""


@cache
def subjects() -> tuple[Subject, ...]:
    """Load all subjects."""
    found = []
    for table in word_tables()["facts"]["subjects"]:
        attributes = (
            Attribute(one["sort"], tuple(one["statements"]), tuple(one["questions"]))
            for one in table["attributes"]
        )
        found.append(
            Subject(
                names=tuple(table["names"]),
                nouns=tuple(table["nouns"]),
                copula=table["copula"],
                about=tuple(table["about"]),
                attributes=tuple(attributes),
                fillers=tuple(table["fillers"]),
            )
        )
    return tuple(found)


_PRONOUNS = {
    "it": {"he": "it", "his": "its", "him": "it"},
    "he": {"he": "he", "his": "his", "him": "him"},
    "she": {"he": "she", "his": "her", "him": "her"},
}


@dataclass(frozen=True, slots=True)
class _Entity:
    subject: Subject
    fields: dict[str, str]
    name: str
    noun: str
    pronoun: str


@dataclass(frozen=True, slots=True)
class _Told:
    attribute: Attribute
    value: str


def facts(draw: Draw, chars: int) -> MarkedCase:
    """Make passages about several subjects, in random order.

    Args:
        draw: Source of names and values.
        chars: Approximate length of all passages together, in characters.
    """
    subject = draw.choice(subjects())
    asked = _entity(draw, subject, {})
    attribute = draw.choice(subject.attributes)
    told = _Told(attribute, draw[attribute.sort])
    draw.reserve(told.value)
    sentences = draw.number(4, 6)
    texts = [_passage(draw, asked, sentences, asked=told)]
    names = [asked.name]
    while sum(map(len, texts)) < 0.92 * chars:
        other = _distractor(draw, asked, names)
        names.append(other.name)
        hard = other.subject is subject and draw.chance(75)
        also = _Told(attribute, draw[attribute.sort]) if hard else None
        texts.append(_passage(draw, other, sentences + draw.number(0, 1), also=also))
    return MarkedCase(
        query=_query(draw, attribute, asked), answer=told.value, texts=tuple(draw.shuffled(texts))
    )


def _query(draw: Draw, attribute: Attribute, asked: _Entity) -> str:
    query = draw.choice(attribute.questions).format(name=asked.name)
    if draw.chance(40):
        return query.rstrip("?").lower()
    if query.endswith("?") and draw.chance(15):
        prefix: str = draw.choice(word_tables()["facts"]["prefixes"])
        return prefix + query[0].lower() + query[1:]
    return query


def _distractor(draw: Draw, asked: _Entity, names: list[str]) -> _Entity:
    subject = asked.subject if draw.chance(50) else draw.choice(subjects())
    while True:
        shared = {}
        if draw.chance(40):
            field = draw.choice(sorted(asked.fields))
            shared[field] = asked.fields[field]
        other = _entity(draw, subject, shared)
        if asked.name not in other.name and not any(other.name in name for name in names):
            return other


def _entity(draw: Draw, subject: Subject, fields: dict[str, str]) -> _Entity:
    pronoun = draw.choice(("he", "she")) if "{first}" in subject.names[0] else "it"
    own = dict(fields)
    if pronoun != "it":
        own["first"] = draw.deal(pronoun, draw.names["first"][pronoun])
    template = draw.choice(subject.names)
    for field in ("stem", "adjective", "thing"):
        if f"{{{field}}}" in template:
            own.setdefault(field, draw[field])
    name = template.format_map(own)
    return _Entity(subject, own, name, draw.choice(subject.nouns), pronoun)


def _passage(
    draw: Draw,
    entity: _Entity,
    sentences: int,
    *,
    asked: _Told | None = None,
    also: _Told | None = None,
) -> str:
    told = asked or also
    others = [one for one in entity.subject.attributes if told is None or one != told.attribute]
    facts = draw.shuffled(others)[: sentences - draw.number(2, 3)]
    items: list[_Told | str] = [_Told(one, draw[one.sort]) for one in facts]
    items += [told] if told else []
    while len(items) < sentences:
        items.append(_filler(draw, entity))
    items = draw.shuffled(items)
    if asked and draw.chance(25):
        items = [asked, *(item for item in items if item is not asked)]
    leads = _leads(items[0])
    if leads and draw.chance(75):
        lead = draw.choice(leads).replace("{S} ", "{S}, {a_noun} {about}, ", 1)
        lines = [_sentence(draw, entity, items.pop(0), asked, lead=lead)]
    else:
        lines = [_sentence(draw, entity, "", asked, lead="{S} {is} {a_noun} {about}.")]
    lines += [_sentence(draw, entity, item, asked) for item in items]
    return f"{_title(draw, entity)}\n{' '.join(lines)}"


def _leads(item: _Told | str) -> list[str]:
    statements = item.attribute.statements if isinstance(item, _Told) else ()
    return [statement for statement in statements if statement.startswith("{S} ")]


def _title(draw: Draw, entity: _Entity) -> str:
    title = entity.name.removeprefix("the ")
    return f"{title} ({entity.noun})" if draw.chance(20) else title


def _filler(draw: Draw, entity: _Entity) -> str:
    if draw.chance(35):
        general: list[str] = word_tables()["facts"]["fillers"]
        return draw.deal("general", general)
    return draw.deal(entity.subject.names[0], entity.subject.fillers)


def _sentence(
    draw: Draw, entity: _Entity, item: _Told | str, asked: _Told | None, *, lead: str = ""
) -> str:
    value = item.value if isinstance(item, _Told) else ""
    if lead:
        template, reference = lead, entity.name
    else:
        template = draw.choice(item.attribute.statements) if isinstance(item, _Told) else item
        template = _varied(draw, template) if value else template
        reference = _reference(draw, entity)
    context = {
        "v": value,
        "V": _capital(value),
        "s": reference,
        "S": _capital(reference),
        "a_noun": f"{'an' if entity.noun[0] in 'aeiou' else 'a'} {entity.noun}",
        "is": entity.subject.copula,
        "about": draw.choice(entity.subject.about).format_map(draw),
        **_PRONOUNS[entity.pronoun],
        "His": _capital(_PRONOUNS[entity.pronoun]["his"]),
    }
    sentence = template.format_map(ChainMap(context, draw))
    return mark(sentence) if item is asked else sentence


def _varied(draw: Draw, template: str) -> str:
    if template.startswith("{S} ") and draw.chance(12):
        openers = word_tables()["facts"]["openers"]
        template = draw.deal("openers", openers) + template.replace("{S}", "{s}", 1)
    if draw.chance(20):
        tails = word_tables()["facts"]["tails"]
        template = template.removesuffix(".") + draw.deal("tails", tails) + "."
    return template


def _reference(draw: Draw, entity: _Entity) -> str:
    references = (entity.pronoun, entity.pronoun, f"the {entity.noun}", entity.name)
    return draw.choice(references)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
