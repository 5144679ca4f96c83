"""Detection of YAML and TOML by their lines; nearly all lines must fit.

`settings_form` tells the two apart if a text is known to be one of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

_LEAST_SHARE = 0.9
_LEAST_KEYS = 2

_YAML_KEY = re.compile(r"\s*(?:- +)*(?:[\w./$@*-]{1,60}|\"[^\"]{1,60}\"|'[^']{1,60}'):(?: +\S|$)")
_YAML_OTHER = re.compile(r"\s*(?:#|- \S|-$|---$|\.{3}$)|\s{2,}\S")
_YAML_NESTED = re.compile(r"(?:\s+|\s*- +)[\w./$@*\"'-]{1,60}:(?: |$)|---$|\s*- \S")

_TOML_VALUE = r"(?:[\"'\[{]|(?:true|false|[+-]?(?:inf|nan))\b|[+-]?\d(?!\d{0,3}\.\d+\.))"
_TOML_KEY = re.compile(rf"\s*(?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\.[\w\"'-]+)* *= *{_TOML_VALUE}")
_TOML_TABLE = re.compile(r"\s*\[{1,2}[\w.\"'-]+\]{1,2}\s*(?:#|$)")
_ASSIGNMENT = re.compile(r"\s*[\w.\"'-]{1,200}[ \t]*=")
_TOML_OTHER = re.compile(r"\s*#|\s+\S|[\]}]")


def looks_like_yaml(lines: Sequence[str]) -> bool:
    """True if nearly all lines are keys, items or nested, and there is some nesting."""
    lines = _without_long_comments(lines)
    keys = [line for line in lines if _YAML_KEY.match(line)]
    others = sum(bool(_YAML_OTHER.match(line)) for line in lines if not _YAML_KEY.match(line))
    is_nested = any(_YAML_NESTED.match(line) for line in lines)
    fits = len(keys) + others >= _LEAST_SHARE * len(lines) and len(keys) > others / 2
    return is_nested and fits and len(keys) >= _LEAST_KEYS


def looks_like_toml(lines: Sequence[str]) -> bool:
    """True if nearly all lines are assignments of TOML values, table names or nested."""
    keys = sum(bool(_TOML_KEY.match(line)) for line in lines)
    tables = sum(bool(_TOML_TABLE.match(line)) for line in lines)
    others = sum(bool(_TOML_OTHER.match(line)) for line in lines)
    fits = keys + tables + others >= _LEAST_SHARE * len(lines) and keys > others / 2
    return tables > 0 and fits and keys >= _LEAST_KEYS


def _without_long_comments(lines: Sequence[str]) -> list[str]:
    """Drop all but the first line of each comment; markdown headings are never adjacent."""
    pairs = pairwise(["", *lines])
    return [line for above, line in pairs if not (line[:1] == above[:1] == "#")]


def settings_form(lines: Sequence[str]) -> Literal["yaml", "toml"]:
    """The format that more lines of a settings file look like."""
    toml = sum(bool(_ASSIGNMENT.match(line) or _TOML_TABLE.match(line)) for line in lines)
    yaml = sum(bool(_YAML_KEY.match(line)) for line in lines)
    return "toml" if toml > yaml else "yaml"
