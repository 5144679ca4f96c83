"""Names and messages of others in one visible line, for logs, gap markers and tables."""

from __future__ import annotations

_MOST_CHARS = 300


def visible(text: str, most_chars: int = _MOST_CHARS) -> str:
    r"""Return a text without line breaks and control characters.

    Everything that does not print, such as line ends of any sort, escape sequences of terminals,
    bidirectional controls and lone surrogates, is written as in a Python string, such as `\n`. A
    backslash that is in the text stays single: the result is for reading, not for decoding.

    Args:
        text: A name or message that someone else chose.
        most_chars: Characters of the text to show; longer ones end in `...`.
    """
    shown = text if len(text) <= most_chars else f"{text[:most_chars]}..."
    if shown.isprintable():
        return shown
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in shown
    )
