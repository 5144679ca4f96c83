"""Short passages about invented things, as a search over an encyclopedia finds them."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass

from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark
from specprefill_integrations.calibration._probe_texts._subjects import (
    GENERAL_FILLERS,
    SUBJECTS,
    Attribute,
    Subject,
)
from specprefill_integrations.calibration._probe_texts._vocabulary import (
    FIRST_NAMES,
    OPENERS,
    TAILS,
)

_PRONOUNS = {
    "it": {"he": "it", "his": "its", "him": "it"},
    "he": {"he": "he", "his": "his", "him": "him"},
    "she": {"he": "she", "his": "her", "him": "her"},
}
_PREFIXES = ("According to the passages, ", "In one short phrase: ", "I would like to know: ")


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
    """Make a case of encyclopedia passages.

    Args:
        draw: Where names and values come from.
        chars: About how many characters the passages have together.

    Returns:
        The case; the passages stand in random order.
    """
    subject = draw.choice(SUBJECTS)
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
        return draw.choice(_PREFIXES) + query[0].lower() + query[1:]
    return query


def _distractor(draw: Draw, asked: _Entity, names: list[str]) -> _Entity:
    subject = asked.subject if draw.chance(50) else draw.choice(SUBJECTS)
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
        own["first"] = draw.deal(pronoun, FIRST_NAMES[pronoun])
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
        return draw.deal("general", GENERAL_FILLERS)
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
        template = draw.deal("openers", OPENERS) + template.replace("{S}", "{s}", 1)
    if draw.chance(20):
        template = template.removesuffix(".") + draw.deal("tails", TAILS) + "."
    return template


def _reference(draw: Draw, entity: _Entity) -> str:
    references = (entity.pronoun, entity.pronoun, f"the {entity.noun}", entity.name)
    return draw.choice(references)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
