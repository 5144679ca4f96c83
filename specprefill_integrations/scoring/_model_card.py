"""The model card of a readout profile: what it is, its figures, its data, as the hub shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import ModelCardData

from specprefill_integrations._visible import visible
from specprefill_integrations.scoring._draft_names import is_hub_id

_LIBRARY = "specprefill-integrations"
_TAGS = ["prompt-compression", "readout-profile"]

_TEXT = """\
# Readout profile of {draft}

The weights with which `specprefill-integrations` turns what it reads of the draft model `{draft}`
into scores of the parts of a text, to keep those that a question needs. The draft model itself is
not in this repository, and has a license of its own.

```python
from specprefill_integrations import ContextCompressor
from specprefill_integrations.scoring import ReadoutProfile

profile = ReadoutProfile.load("OWNER/NAME")  # this repository, or a local copy of it
compressor = ContextCompressor.from_draft_model({source}, readout=profile)
```

## Evidence recall

The share of cases whose compressed texts hold the evidence, by the share of tokens kept.

{figures}
## Fitted on

{fitted_on}
## Draft

{draft_facts}"""

_TITLES = {
    "recall": "In the mean over kinds",
    "by_kind": "By kind",
    "target_recall": "With `Budget(target_recall=0.9)`, the share of held-out cases that keep all "
    "evidence, and the median share of tokens kept",
}
_NAMES = ("kind", "scorer")
_NAMES_OF = {"target_recall": ("kind",)}
_MOST_CHARS = 2_000


def model_card(content: Mapping[str, Any], license_name: str | None) -> str:
    """Return the card in markdown, with its metadata in front as YAML.

    Args:
        content: The values of the profile, by the names of its fields.
        license_name: The license of the profile.
    """
    names = [content["draft"], *content["names"]]
    source = next(filter(is_hub_id, names), None)
    metadata = ModelCardData(
        base_model=source, license=license_name, library_name=_LIBRARY, tags=_TAGS
    )
    facts = {"names": names, **content["shape"]}
    text = _TEXT.format(
        draft=_cell(content["draft"]),
        source=json.dumps(source or content["draft"]),
        figures="\n".join(_tables(content["measured"])) or "Not measured.\n",
        fitted_on="".join(_bullets(content["fitted_on"])),
        draft_facts="".join(_bullets(facts)),
    )
    note = f"\n## Note\n\n{content['note']}\n" if content["note"] else ""
    return f"---\n{metadata.to_yaml().strip()}\n---\n\n{text}{note}"


def is_model_card(text: str) -> bool:
    """Return True if a text is the card of a profile."""
    return text.startswith("---\n") and f"library_name: {_LIBRARY}\n" in text.partition("\n---")[0]


def _tables(measured: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table for each group of figures; one for those without a group."""
    groups = {name: own for name, own in measured.items() if _has_rows(own)}
    others = {name: own for name, own in measured.items() if name not in groups}
    for name, own in groups.items():
        yield f"{_TITLES.get(name) or _cell(name)}:\n\n{_table(own, _NAMES_OF.get(name, _NAMES))}"
    if others:
        yield _table(others, _NAMES)


def _table(figures: Mapping[str, Any], row_names: Sequence[str]) -> str:
    """Return figures as a table.

    Args:
        figures: By keep fraction, by scorer, and by kind if there are kinds.
        row_names: The names of what rows are about.
    """
    rows = list(_rows(figures))
    names = row_names[-max(len(own) for own, _ in rows) :]
    columns = list(dict.fromkeys(column for _, own in rows for column in own))
    lines = [[*names, *map(_column_name, columns)]]
    lines.append(["---"] * len(lines[0]))
    lines += [[*own, *(values.get(column, "") for column in columns)] for own, values in rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _column_name(column: str) -> str:
    is_fraction = column.replace(".", "", 1).isdigit()
    return f"keep {column}" if is_fraction else column


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """Yield the names of each row, and its values by column."""
    for name, own in figures.items():
        if _has_rows(own):
            yield from (([name, *names], values) for names, values in _rows(own))
        else:
            yield [name], own if isinstance(own, Mapping) else {"": own}


def _has_rows(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(own, Mapping) for own in value.values())


def _bullets(values: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}- {_cell(name)}:\n"
            yield from _bullets(value, f"{indent}  ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{indent}- {_cell(name)}:\n"
            yield from (f"{indent}  - {_cell(one)}\n" for one in value)
        else:
            yield f"{indent}- {_cell(name)}: {_cell(value)}\n"


def _cell(value: object) -> str:
    """Return a value in one line of a table."""
    return visible(str(value), _MOST_CHARS).replace("|", "\\|")
