"""Masking of secrets in settings, addresses and commands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"
"""Replaces a secret."""

_SECRET = re.compile(
    r"secret|passw|credential|authorization|cookie|apikey"
    r"|(?:api|access|auth|bearer|refresh|session|subscription|private)_(?:key|token)"
    r"|^(?:key|token)$"
)
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_PARAMETER = re.compile(r"(?<=[?&])([^=&#\s]+)=[^&#\s]*")
_OPTION = re.compile(r"(--[\w-]+=)?(.*)", re.DOTALL)


def masked(value: Any) -> Any:  # noqa: ANN401 - plain values of JSON
    """Plain JSON values with those under names such as `api_key` masked."""
    if isinstance(value, Mapping):
        return {
            name: MASK if inner and _is_secret(str(name)) else masked(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return masked_address(value) if isinstance(value, str) else value


def masked_address(text: str) -> str:
    """An address without user, password and keys; any other text unchanged."""
    if "://" not in text:
        return text
    return _PARAMETER.sub(_masked_parameter, _USER.sub(f"{MASK}@", text))


def masked_command(words: Sequence[str]) -> list[str]:
    """The words of a command, with JSON objects and addresses masked."""
    return [_masked_word(word) for word in words]


def _masked_word(word: str) -> str:
    option, value = _OPTION.fullmatch(word).groups("")  # type: ignore[union-attr] # it always matches
    try:
        found = json.loads(value) if value.lstrip().startswith("{") else None
    except ValueError:
        found = None
    if found is None:
        return option + masked_address(value)
    hidden = masked(found)
    return word if hidden == found else option + json.dumps(hidden, ensure_ascii=False)


def _masked_parameter(parameter: re.Match[str]) -> str:
    return f"{parameter[1]}={MASK}" if _is_secret(parameter[1]) else parameter[0]


def _is_secret(name: str) -> bool:
    return _SECRET.search(name.lower().replace("-", "_")) is not None
