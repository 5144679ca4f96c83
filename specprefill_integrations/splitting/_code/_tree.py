"""Syntax trees of source code, with offsets in characters.

Uses tree-sitter if the extra `code` is installed and has the language, else indentation.
tree-sitter counts bytes, so it parses a copy of the text with one byte per character.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from specprefill_integrations.splitting._code._languages import GRAMMARS

if TYPE_CHECKING:
    from tree_sitter import Language

logger = logging.getLogger(__name__)

# The parser calls back every few steps. Code takes 4 to 9 callbacks per thousand characters,
# minified code 20. Text that is not code takes 40 and more, and its end takes time that grows with
# the square of its length and cannot be interrupted, so the parser has to be stopped before it.
_LEAST_STEPS = 60
_CHARACTERS_A_STEP = 40

# It reads a chunk up to 15 times, but may look ahead to the end at every character.
_LEAST_READS = 1_000
_READS_A_CHUNK = 20
_CHUNK_BYTES = 1 << 12

# Suffixes of node types that are usable even inside an error node.
_WHOLE = ("comment", "declaration", "definition", "_item", "specifier", "statement")

_LONE_CARRIAGE_RETURN = re.compile(r"\r(?!\n)")
_ROW = re.compile(r"^([^\S\n]*)(\S[^\n]*)", re.MULTILINE)
_COMMENT = re.compile(r"#(?![!\[])|//|/\*|\*/?(?=\s|$)|--(?=\s)")
_DECORATOR = re.compile(r"@\w|#\[|\[[A-Z]\w*(?:\(.*\))?\]$")
_IMPORT = re.compile(r"(?:import|from|use|using|require|package)\b|#\s*include\b")
_CONTAINER = re.compile(r"(?:[\w ]+ )?(?:class|impl|interface|module|namespace|struct|trait)\b")
_FUNCTION = re.compile(
    r"(?:[\w ]+ )?(?:def|fn|fun|func|function|method|proc|sub)\b"
    r"|(?!(?:if|elif|for|while|switch|catch|return|with|else|do|try)\b)"
    r"[\w<>\[\],:*&. ]+\(.*\)\s*\{?$"
)
_CLOSER = re.compile(r"(?:end|fi|done|esac)?\W*")


class SyntaxNode(Protocol):
    """A node of a syntax tree, with the attributes of tree-sitter's nodes."""

    @property
    def type(self) -> str:
        """Its type in the grammar."""

    @property
    def is_named(self) -> bool:
        """False for keywords and punctuation."""

    @property
    def start_byte(self) -> int:
        """Its first character."""

    @property
    def end_byte(self) -> int:
        """One past its last character."""

    @property
    def children(self) -> Sequence[SyntaxNode]:
        """Its children in order."""

    def child_by_field_name(self, name: str, /) -> SyntaxNode | None:
        """The child with this field name, or None."""


@dataclass(slots=True, eq=False)
class LineNode:
    """A line, with the more deeply indented lines below it."""

    type: str
    is_named: bool
    start_byte: int
    end_byte: int
    children: list[LineNode] = field(default_factory=list)

    def child_by_field_name(self, _name: str, /) -> LineNode | None:
        """Return None: lines have no named fields."""
        return None


class _OneByteEach(dict[int, str]):
    """A translation table to ASCII: white space stays white space, the rest becomes a letter."""

    def __missing__(self, code: int) -> str:
        """Translate a character and remember the result."""
        character = chr(code)
        is_plain = character in "\t\n\r\f" or " " <= character <= "~"
        is_blank = character.isspace() or character == "\ufeff"
        self[code] = shown = character if is_plain else " " if is_blank else "x"
        return shown


def as_ascii(text: str) -> str:
    """An ASCII text of the same length and structure, with line feeds for carriage returns."""
    return _LONE_CARRIAGE_RETURN.sub("\n", text.translate(_OneByteEach()))


def parse(source: str, language: str | None) -> SyntaxNode:
    """The syntax tree of a text.

    Args:
        source: The text, as returned by `as_ascii`.
        language: One of `GRAMMARS`; for None and other languages, only indentation is used.
    """
    grammar = _grammar(language) if language in GRAMMARS else None
    root = _parsed(source, grammar) if grammar else None
    return root or indentation_tree(source)


@cache
def _grammar(language: str) -> Language | None:
    """The grammar of a language; None, with one warning, if it is not installed."""
    module, function = GRAMMARS[language]
    try:
        from tree_sitter import Language  # noqa: PLC0415 - an extra

        return Language(getattr(import_module(module), function)())
    except ImportError as error:
        logger.warning(
            "Splitting %s by indentation only (%s). "
            'To split by syntax: pip install "specprefill-integrations[code]"',
            language,
            error,
        )
        return None


def _parsed(source: str, grammar: Language) -> SyntaxNode | None:
    """The parsed tree; None if the parser gives up or finds mostly errors."""
    from tree_sitter import Parser  # noqa: PLC0415 - an extra

    content = source.encode("ascii")
    steps = 0
    reads = _LEAST_READS + len(content) // _CHUNK_BYTES * _READS_A_CHUNK

    def read(offset: int, _point: object) -> bytes:
        nonlocal reads
        reads -= 1
        return content[offset : offset + _CHUNK_BYTES] if reads > 0 else b""

    def is_too_slow(offset: int, _has_error: bool) -> bool:  # noqa: FBT001 - called by position
        nonlocal steps
        steps += 1
        return reads <= 0 or steps > _LEAST_STEPS + offset // _CHARACTERS_A_STEP

    try:
        tree = Parser(grammar).parse(read, progress_callback=is_too_slow)
    except ValueError:
        return None
    if reads <= 0:
        return None
    root = tree.root_node
    top = [root] if root.type == "ERROR" else root.children
    wrong = [node for node in top if node.type == "ERROR"]
    saved = (node for node in without_errors(wrong) if node.type.endswith(_WHOLE))
    lost = sum(map(_length, wrong)) - sum(map(_length, saved))
    return root if 2 * lost <= len(source) else None


def _length(node: SyntaxNode) -> int:
    return node.end_byte - node.start_byte


def without_errors(nodes: Iterable[SyntaxNode]) -> Iterator[SyntaxNode]:
    """The nodes, with error nodes replaced by their children."""
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR" and node.children:
            waiting.extend(reversed(node.children))
        else:
            yield node


def indentation_tree(source: str) -> LineNode:
    """A tree of lines, each with the more deeply indented lines that follow it."""
    root = LineNode("file", is_named=True, start_byte=0, end_byte=len(source))
    above = [(-1, root)]
    for match in _ROW.finditer(source):
        depth = len(match[1].expandtabs())
        if above[-1][0] == depth and match[2].strip() == "{":
            above[-1][1].children.append(_line_node(match))
            continue
        while above[-1][0] >= depth:
            _close(above.pop()[1])
        node = _line_node(match)
        above[-1][1].children.append(node)
        above.append((depth, node))
    while len(above) > 1:
        _close(above.pop()[1])
    return root


def _line_node(match: re.Match[str]) -> LineNode:
    """A node of one line."""
    return LineNode(
        _line_type(match[2].rstrip()),
        is_named=not _CLOSER.fullmatch(match[2]),
        start_byte=match.start(2),
        end_byte=match.end(2),
    )


def _line_type(line: str) -> str:
    """The node type that a line most likely starts."""
    if _COMMENT.match(line):
        return "comment"
    if _DECORATOR.match(line):
        return "decorator"
    if _IMPORT.match(line):
        return "import_statement"
    if _CONTAINER.match(line):
        return "class_definition"
    return "function_definition" if _FUNCTION.match(line) else "line"


def _close(node: LineNode) -> None:
    """Make the line of a node its first child, if it has children."""
    if node.children:
        own = LineNode("line", node.is_named, node.start_byte, node.end_byte)
        node.children.insert(0, own)
        node.end_byte = node.children[-1].end_byte
