"""Probe texts of one document each: contracts, logs, records and code."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable
from typing import Any

from specprefill_integrations.calibration._probe_texts._draw import Draw, word_tables
from specprefill_integrations.calibration._probe_texts._marked_case import MarkedCase, mark

_Record = dict[str, str | int]
# A function's templates, the noun in its name, and its name.
_Chosen = tuple[dict[str, Any], str, str]


def contract(draw: Draw, chars: int) -> MarkedCase:
    """Make an agreement in numbered clauses with headings.

    Args:
        draw: Source of names and values.
        chars: Approximate length in characters.
    """
    tables = word_tables()["contract"]
    asked, *others = draw.shuffled(tables["clauses"])
    value, padding = draw[asked["sort"]], draw.number(0, 2)
    draw.reserve(value)
    clauses = [_clause(draw, asked, value, asked=True)]
    while sum(len(clause) + 5 for clause in clauses) < 0.88 * chars:
        if others:
            clause = others.pop()
            clauses.append(_clause(draw, clause, draw[clause["sort"]], padding=padding))
        else:
            clauses.append(f"Miscellaneous\n{_general(draw, 3)}")
    numbered = [f"{number}. {text}" for number, text in enumerate(draw.shuffled(clauses), 1)]
    opening = tables["opening"].format(
        heading=draw.choice(("SUPPLY", "LICENSE", "DISTRIBUTION", "SERVICE", "COOPERATION")),
        first=draw["stem"],
        town=draw["town"],
        second=draw["stem"],
        person=draw["person"],
    )
    query = draw.choice(asked["asked"])
    if not draw.chance(50):
        template = draw.choice(tables["highlights"])
        query = template.format(heading=asked["heading"], question=query)
    return MarkedCase(query=query, answer=value, texts=("\n\n".join([opening, *numbered]),))


def _clause(
    draw: Draw, clause: dict[str, Any], value: str, *, asked: bool = False, padding: int = 1
) -> str:
    other = clause["other_heading"]
    heading = draw.choice((clause["heading"], other, other))
    rule = draw.choice(clause["rule"]).format(v=value)
    sentences = [mark(rule) if asked else rule, *clause["around"]]
    if padding:
        sentences.append(_general(draw, padding))
    return f"{heading}\n{' '.join(draw.shuffled(sentences))}"


def _general(draw: Draw, sentences: int) -> str:
    general: list[str] = word_tables()["contract"]["general"]
    return " ".join(draw.deal("general", general).format_map(draw) for _ in range(sentences))


def log(draw: Draw, chars: int) -> MarkedCase:
    """Make the log of a few services, with one rare event in it.

    Args:
        draw: Source of names and values.
        chars: Approximate length in characters.
    """
    tables = word_tables()["log"]
    asked, *others = draw.shuffled(tables["events"])
    value = draw[asked["sort"]]
    messages = [(asked["level"], asked["name"], asked["message"].format(v=value))]
    draw.reserve(value)
    lines = max(1, chars // 76)
    for event in others[: min(draw.number(3, 6), lines // 4)]:
        text = event["message"].format(v=draw[event["sort"]])
        messages.append((event["level"], event["name"], text))
    while len(messages) < lines:
        level, name, message = draw.choice(tables["routine"])
        messages.append((level, name, message.format_map(draw)))
    written = _log_lines(draw, messages)
    query = draw.choice(tables["prefixes"]) + draw.choice(asked["asked"])
    return MarkedCase(query=query, answer=value, texts=("\n".join(written),))


def _log_lines(draw: Draw, messages: list[tuple[str, str, str]]) -> list[str]:
    form = draw.choice(word_tables()["log"]["formats"])
    month, day = draw.number(1, 12), draw.number(1, 28)
    clock = draw.number(0, 40_000_000)
    lines = []
    for place in draw.shuffled(range(len(messages))):
        level, name, text = messages[place]
        clock += draw.number(1, 400_000)
        seconds, part = divmod(clock, 1000)
        line = form.format(
            month=month,
            day=day,
            hour=seconds // 3600,
            minute=seconds // 60 % 60,
            second=seconds % 60,
            part=part,
            level=level,
            name=name,
            text=text,
        )
        lines.append(mark(line) if place == 0 else line)
    return lines


def records(draw: Draw, chars: int) -> MarkedCase:
    """Make many similar records, as JSON, YAML or a configuration file; one field is asked for.

    Args:
        draw: Source of names and values.
        chars: Approximate length in characters.
    """
    if draw.chance(15):
        return _uuid_pairs(draw, chars)
    tables = word_tables()["records"]
    schema = draw.choice(tables["schemas"])
    key = schema["key"]
    write = draw.choice((_json_array, _json_lines, _json_object, _configuration, _yaml))
    table: list[_Record] = []
    while not table or len(write(key, table, (-1, ""))) < 0.95 * chars:
        table.append(_record(draw, schema))
    row = draw.number(0, len(table) - 1)
    field = draw.choice(sorted(schema["fields"]))
    query = draw.choice(tables["questions"]).format(
        field=schema["fields"][field][1], noun=schema["noun"], key=table[row][key]
    )
    text = write(key, table, (row, field))
    return MarkedCase(query=query, answer=str(table[row][field]), texts=(text,))


def _record(draw: Draw, schema: dict[str, Any]) -> _Record:
    record: _Record = {schema["key"]: draw[schema["key_sort"]]}
    for field, (template, _) in schema["fields"].items():
        value = template.format_map(draw)
        number = value.replace(",", "")
        record[field] = int(number) if number.isdecimal() else value
    return record


def _uuid_pairs(draw: Draw, chars: int) -> MarkedCase:
    pairs = [(draw["uuid"], draw["uuid"]) for _ in range(max(2, chars // 82))]
    key, value = draw.choice(pairs)
    lines = [f'"{one}": "{other}"' for one, other in pairs]
    text = ",\n ".join(mark(line) if value in line else line for line in lines)
    query = draw.choice((f'What is the value of the key "{key}"?', f"value for {key}"))
    return MarkedCase(query=query, answer=value, texts=(f"{{{text}}}",))


def _json_array(key: str, table: list[_Record], asked: tuple[int, str]) -> str:
    del key
    return "[\n" + ",\n".join(f"  {_json(r, row, asked)}" for row, r in enumerate(table)) + "\n]"


def _json_object(key: str, table: list[_Record], asked: tuple[int, str]) -> str:
    entries = []
    for row, record in enumerate(table):
        inner = {field: value for field, value in record.items() if field != key}
        entries.append(f"  {json.dumps(record[key])}: {_json(inner, row, asked)}")
    return "{\n" + ",\n".join(entries) + "\n}"


def _json(record: _Record, row: int, asked: tuple[int, str]) -> str:
    lines = _fields(record, row, asked, lambda f, v: f"{json.dumps(f)}: {json.dumps(v)}")
    return "{\n" + ",\n".join(f"    {line}" for line in lines) + "\n  }"


def _json_lines(key: str, table: list[_Record], asked: tuple[int, str]) -> str:
    del key
    lines = [json.dumps(record) for record in table]
    return "\n".join(mark(line) if row == asked[0] else line for row, line in enumerate(lines))


def _configuration(key: str, table: list[_Record], asked: tuple[int, str]) -> str:
    sections = []
    for row, record in enumerate(table):
        lines = _fields(record, row, asked, lambda f, v: f"{f} = {v}", without=key)
        sections.append("\n".join([f"[{record[key]}]", *lines]))
    return "\n\n".join(sections)


def _yaml(key: str, table: list[_Record], asked: tuple[int, str]) -> str:
    entries = [f"{key}s:"]
    for row, record in enumerate(table):
        entries.append(f"  - {key}: {record[key]}")
        lines = _fields(record, row, asked, lambda f, v: f"{f}: {v}", without=key)
        entries += [f"    {line}" for line in lines]
    return "\n".join(entries)


def _fields(
    record: _Record,
    row: int,
    asked: tuple[int, str],
    write: Callable[[str, str | int], str],
    *,
    without: str = "",
) -> list[str]:
    """Write the fields of a record, with the one that is asked for marked."""
    lines = {field: write(field, value) for field, value in record.items() if field != without}
    return [mark(line) if (row, field) == asked else line for field, line in lines.items()]


def code(draw: Draw, chars: int) -> MarkedCase:
    """Make a module of small functions without documentation, in Python or JavaScript.

    Args:
        draw: Source of names and values.
        chars: Approximate length in characters.
    """
    tables = word_tables()["code"]
    nouns = draw.shuffled(tables["nouns"])[: draw.number(2, 4) + chars // 8_000]
    pairs = draw.shuffled([(function, noun) for function in tables["functions"] for noun in nouns])
    write = draw.choice((_python, _python, _python_class, _javascript))
    chosen: list[_Chosen] = []
    while not chosen or (len(write(chosen, "")) < 0.9 * chars and len(chosen) < len(pairs)):
        function, (noun, _, _) = pairs[len(chosen)]
        chosen.append((function, noun, draw.choice(function["names"]).replace("NOUN", noun)))
    place = draw.number(0, len(chosen) - 1)
    function, (_, one, many) = pairs[place]
    does = draw.choice(function["does"]).format(one=one, many=many)
    name = chosen[place][2]
    return MarkedCase(
        query=draw.choice(tables["questions"]).format(does=does),
        answer=_camel(name) if write is _javascript else name,
        texts=(write(chosen, name),),
    )


def _python(chosen: list[_Chosen], asked: str) -> str:
    head = word_tables()["code"]["python_head"]
    return "\n\n\n".join([head, *(_python_function(one, asked) for one in chosen)])


def _python_class(chosen: list[_Chosen], asked: str) -> str:
    blocks = [word_tables()["code"]["python_head"]]
    for noun in dict.fromkeys(noun for _, noun, _ in chosen):
        own = [_python_function(one, asked, "self, ") for one in chosen if one[1] == noun]
        methods = textwrap.indent("\n\n".join(own), "    ")
        blocks.append(f"class {noun.title()}Desk:\n{methods}")
    return "\n\n\n".join(blocks)


def _python_function(chosen: _Chosen, asked: str, first: str = "") -> str:
    function, _, name = chosen
    signature = f"def {name}({first}{function['parameters']}):"
    body = "\n".join(f"    {line}" for line in function["python"].split("|"))
    return f"{mark(signature) if name == asked else signature}\n{body}"


def _javascript(chosen: list[_Chosen], asked: str) -> str:
    blocks = [word_tables()["code"]["javascript_head"]]
    for function, _, name in chosen:
        signature = f"export function {_camel(name)}({function['parameters']}) {{"
        # One bar ends a line; two are JavaScript's "or".
        lines = re.split(r"(?<!\|)\|(?!\|)", function["javascript"])
        body = "\n".join(f"  {line}" for line in lines)
        blocks.append(f"{mark(signature) if name == asked else signature}\n{body}\n}}")
    return "\n\n".join(blocks)


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)
