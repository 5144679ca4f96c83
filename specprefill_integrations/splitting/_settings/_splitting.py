"""Entries of YAML, TOML and INI files, linked to the enclosing keys, list items or tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from specprefill_integrations._arguments import PositiveInt, checked
from specprefill_integrations.splitting._entries import add_entries
from specprefill_integrations.splitting._lines import source_lines
from specprefill_integrations.splitting._outline import Outline, OutlineSplitter
from specprefill_integrations.splitting._settings._files import settings_form
from specprefill_integrations.splitting._settings._ini import ini_entries
from specprefill_integrations.splitting._settings._toml import toml_entries
from specprefill_integrations.splitting._settings._yaml import yaml_entries

_READERS = {"yaml": yaml_entries, "toml": toml_entries, "ini": ini_entries}

# Characters examined to tell YAML from TOML.
_SNIFFED_CHARS = 20_000


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSplitter(OutlineSplitter):
    """Splits YAML, TOML or INI into entries; nested entries need the ones that enclose them.

    A small block is one unit. A comment belongs to the next entry. The pieces of an oversized value
    need its first line.
    """

    max_unit_chars: PositiveInt = 400
    """Characters of a block up to which it is one unit; larger ones are opened."""

    form: Literal["yaml", "toml", "ini"] | None = None
    """The format of the file; None: YAML or TOML, detected from the text."""

    def parse(self, text: str) -> Outline:
        """Find the entries of `text` and their nesting."""
        head = text[:_SNIFFED_CHARS]
        form = self.form or settings_form([head[a:b] for a, b in source_lines(head)])
        entries = _READERS[form](text)
        outline = Outline(text)
        add_entries(outline, entries, self.max_unit_chars)
        return outline
