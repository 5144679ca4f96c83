"""Many similar records, as JSON or as a configuration file; one field of one of them is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass

from specprefill_integrations.calibration._probe_texts._draw import Draw
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark

_Record = dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schema:
    key: str
    """The field that names a record."""

    key_sort: str
    """The sort of its value."""

    noun: str
    """What a question calls a record."""

    fields: dict[str, tuple[str, str]]
    """Field -> the template of its value, and the question's words for it."""


_SCHEMAS = (
    _Schema(
        key="host",
        key_sort="stem",
        noun="the server",
        fields={
            "port": ("{port}", "the network port"),
            "region": ("{region}", "the location"),
            "owner": ("{person}", "the responsible person"),
            "disk_gb": ("{integer}", "the storage capacity"),
            "rack": ("R{few}", "the cabinet number"),
            "token": ("{hash}", "the secret credential"),
        },
    ),
    _Schema(
        key="customer",
        key_sort="person",
        noun="the customer",
        fields={
            "phone": ("+49 {ticket}", "the telephone number"),
            "city": ("{town}", "the place of residence"),
            "since": ("{modern_date}", "the day of joining"),
            "points": ("{integer}", "the bonus balance"),
            "advisor": ("{person}", "the contact at our office"),
            "reference": ("{hash}", "the file code"),
        },
    ),
    _Schema(
        key="order_id",
        key_sort="uuid",
        noun="the order",
        fields={
            "buyer": ("{person}", "the purchaser"),
            "article": ("{product}", "the item bought"),
            "quantity": ("{integer}", "the number of pieces"),
            "shipped_to": ("{town}", "the destination"),
            "tracking": ("TR{ticket}", "the parcel code"),
            "placed": ("{modern_date}", "the date of purchase"),
        },
    ),
    _Schema(
        key="employee",
        key_sort="person",
        noun="the employee",
        fields={
            "office": ("{town}", "the workplace"),
            "supervisor": ("{person}", "the superior"),
            "extension": ("{port}", "the internal phone number"),
            "salary": ("{integer}", "the pay"),
            "hired": ("{modern_date}", "the first working day"),
            "degree": ("{subject}", "the academic background"),
        },
    ),
    _Schema(
        key="sensor",
        key_sort="hash",
        noun="the sensor",
        fields={
            "site": ("{stem} Bridge", "the place of installation"),
            "interval_ms": ("{milliseconds}", "the pause between measurements"),
            "firmware": ("v{few}.{few}", "the software version"),
            "calibrated": ("{modern_date}", "the last adjustment"),
            "technician": ("{person}", "the maintainer"),
            "threshold": ("{integer}", "the alarm level"),
        },
    ),
    _Schema(
        key="sku",
        key_sort="ticket",
        noun="the product with article number",
        fields={
            "label": ("{adjective} {thing}", "the name"),
            "maker": ("{stem} Works", "the manufacturer"),
            "price_cents": ("{integer}", "the cost"),
            "finish": ("{color}", "the look of the surface"),
            "stock": ("{few}", "the amount on hand"),
            "warehouse": ("{town}", "the depot"),
        },
    ),
    _Schema(
        key="course",
        key_sort="thing",
        noun="the course",
        fields={
            "lecturer": ("{person}", "the teacher"),
            "field": ("{subject}", "the discipline"),
            "room": ("H{few}", "the lecture hall"),
            "exam": ("{modern_date}", "the day of the test"),
            "seats": ("{integer}", "the maximum number of participants"),
            "textbook": ("The {adjective} {thing}", "the recommended reading"),
        },
    ),
)
_QUESTIONS = (
    "What is {field} of {noun} {key}?",
    "For {noun} {key}, what is {field}?",
    "look up {field} for {noun} {key}",
    "I need {field} of {noun} {key}.",
)


def records(draw: Draw, chars: int) -> MarkedCase:
    """Make a case of records.

    Args:
        draw: Where names and values come from.
        chars: About how many characters the records have.

    Returns:
        The case.
    """
    if draw.chance(15):
        return _pairs(draw, chars)
    schema = draw.choice(_SCHEMAS)
    write = draw.choice((_json_array, _json_lines, _json_object, _configuration, _yaml))
    table: list[_Record] = []
    while not table or len(write(schema, table, (-1, ""))) < 0.95 * chars:
        table.append(_record(draw, schema))
    row = draw.number(0, len(table) - 1)
    field = draw.choice(sorted(schema.fields))
    query = draw.choice(_QUESTIONS).format(
        field=schema.fields[field][1], noun=schema.noun, key=table[row][schema.key]
    )
    text = write(schema, table, (row, field))
    return MarkedCase(query=query, answer=str(table[row][field]), texts=(text,))


def _record(draw: Draw, schema: _Schema) -> _Record:
    record: _Record = {schema.key: draw[schema.key_sort]}
    for field, (template, _) in schema.fields.items():
        value = template.format_map(draw)
        number = value.replace(",", "")
        record[field] = int(number) if number.isdecimal() else value
    return record


def _pairs(draw: Draw, chars: int) -> MarkedCase:
    pairs = [(draw["uuid"], draw["uuid"]) for _ in range(max(2, chars // 82))]
    key, value = draw.choice(pairs)
    lines = [f'"{one}": "{other}"' for one, other in pairs]
    text = ",\n ".join(mark(line) if value in line else line for line in lines)
    query = draw.choice((f'What is the value of the key "{key}"?', f"value for {key}"))
    return MarkedCase(query=query, answer=value, texts=(f"{{{text}}}",))


def _marked(line: str, *, asked: bool) -> str:
    return mark(line) if asked else line


def _json_array(schema: _Schema, table: list[_Record], asked: tuple[int, str]) -> str:
    del schema
    return "[\n" + ",\n".join(_json_body(r, row, asked, 2) for row, r in enumerate(table)) + "\n]"


def _json_body(record: _Record, row: int, asked: tuple[int, str], indent: int) -> str:
    pad = " " * indent
    lines = [
        f"{pad}  "
        + _marked(f"{json.dumps(field)}: {json.dumps(value)}", asked=(row, field) == asked)
        for field, value in record.items()
    ]
    return f"{pad}{{\n" + ",\n".join(lines) + f"\n{pad}}}"


def _json_object(schema: _Schema, table: list[_Record], asked: tuple[int, str]) -> str:
    entries = []
    for row, record in enumerate(table):
        inner = {field: value for field, value in record.items() if field != schema.key}
        body = _json_body(inner, row, asked, 2).lstrip()
        entries.append(f"  {json.dumps(record[schema.key])}: {body}")
    return "{\n" + ",\n".join(entries) + "\n}"


def _json_lines(schema: _Schema, table: list[_Record], asked: tuple[int, str]) -> str:
    del schema
    return "\n".join(
        _marked(json.dumps(record), asked=row == asked[0]) for row, record in enumerate(table)
    )


def _configuration(schema: _Schema, table: list[_Record], asked: tuple[int, str]) -> str:
    sections = []
    for row, record in enumerate(table):
        lines = [
            _marked(f"{field} = {value}", asked=(row, field) == asked)
            for field, value in record.items()
            if field != schema.key
        ]
        sections.append("\n".join([f"[{record[schema.key]}]", *lines]))
    return "\n\n".join(sections)


def _yaml(schema: _Schema, table: list[_Record], asked: tuple[int, str]) -> str:
    entries = []
    for row, record in enumerate(table):
        lines = [
            "    " + _marked(f"{field}: {value}", asked=(row, field) == asked)
            for field, value in record.items()
            if field != schema.key
        ]
        entries.append("\n".join([f"  - {schema.key}: {record[schema.key]}", *lines]))
    return "\n".join([f"{schema.key}s:", *entries])
