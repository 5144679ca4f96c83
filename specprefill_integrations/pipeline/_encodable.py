"""Text that any tokenizer can encode."""

from __future__ import annotations

import re

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can encode; spans of the text stay valid."""
    return _LONE_SURROGATE.sub("\ufffd", text)
