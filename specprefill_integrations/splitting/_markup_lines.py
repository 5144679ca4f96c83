"""Headings, items and blocks of markup languages, by the starts of lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from specprefill_integrations.splitting._lines import source_lines

FormName = Literal["rst", "asciidoc", "latex", "man", "org", "wiki", "bibtex"]

_NEVER = re.compile(r"(?!)")
_UNDERLINE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}$")
_LIST = re.compile(
    r"(?<![ \t])[ \t]{0,40}(?:[-*+•]|\.{1,5}|\*{1,5}|(?:\d{1,3}|[A-Za-z#])[.)]|\(\d{1,3}\)) "
)
_LONGEST_TITLE = 200
_UNDERLINE_RANK = 1

_LATEX_RANKS = ("part", "chapter", "section", "subsection", "subsubsection", "paragraph")
_LATEX_HEADING = re.compile(rf"[ \t]{{0,20}}\\({'|'.join(_LATEX_RANKS)})\*?[ \t]{{0,5}}[\[{{]")
_LATEX_TITLE = re.compile(r"[ \t]{0,20}\\title[ \t]{0,5}[\[{]")
_LATEX_BLOCK = re.compile(
    r"[ \t]{0,40}\\begin\{((?:verbatim|lstlisting|minted|equation|align|gather|multline|eqnarray"
    r"|displaymath|tabular|table|figure|algorithm|tikzpicture|thebibliography|array)\w{0,20}\*?)\}"
)

_MAN_HEADING = re.compile(r"[.'][ \t]{0,5}(TH|Dt|SH|Sh|SS|Ss)\b")
_MAN_RANKS = {"TH": 0, "Dt": 0, "SH": 1, "Sh": 1, "SS": 2, "Ss": 2}
_MAN_ITEM = re.compile(r"[.'][ \t]{0,5}(?:TP|IP|HP|TQ|It)\b")
_MAN_BREAK = re.compile(r"[.'][ \t]{0,5}(?:PP|P|LP|Pp|RS|RE|Bl|El|sp|br|SH|Sh|SS|Ss|TH)\b")
_MAN_BLOCKS = {".nf": ".fi", ".EX": ".EE", ".TS": ".TE", ".Bd": ".Ed"}

_ASCIIDOC_HEADING = re.compile(r"(={1,6}) \S")
_ASCIIDOC_BLOCK = re.compile(
    r"(-{4,}|\.{4,}|={4,}|\+{4,}|_{4,}|\*{4,}|/{4,}|[|,:!]===|```.{0,20})$"
)
_ORG_HEADING = re.compile(r"(\*{1,8}) \S")
_ORG_SETTING = re.compile(r"#\+\w{1,20}[:_ ]")
_ORG_BLOCK = re.compile(r"[ \t]{0,40}#\+begin_(\w{1,20})", re.IGNORECASE)
_WIKI_HEADING = re.compile(r"(={1,6})[^=\d].{0,200}?\1[ \t]{0,20}$")  # `==42==` is a process
_RST_BLOCK = re.compile(r"[ \t]{0,40}\.\. ")
_BIBTEX_ENTRY = re.compile(r"[ \t]{0,20}@\w{1,30}[ \t]{0,5}[{(]")

# Signs of a markup that are rare elsewhere.
_RST_SIGN = re.compile(
    r"\.\. (?:[\w-]{1,40}::|_[^:]{1,80}:|\|)|:[a-z-]{1,20}(?::[a-z-]{1,20})?:`|\S::$|``[^`]{1,80}``"
)
_LATEX_SIGN = re.compile(
    r"\\(?:documentclass|begin\{|section\*?\{|subsection\*?\{|chapter\*?\{|item\b|end\{)"
)
_ASCIIDOC_SIGN = re.compile(
    r"={1,5} \S[^=]{0,200}$|:[\w-]{1,40}:(?: |$)|\[[\w,=\"% .-]{1,80}\]$|(?:-{4}|\.{4}|={4}|\|===)$"
)
_MAN_SIGN = re.compile(r"[.'](?:\\\"|[A-Z][A-Za-z]?\b)")
_SHARE = 0.15
_LEAST_SIGNS = 2
_FIRST_LINES = 40
_READ_CHARS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The signs of a markup language."""

    heading: re.Pattern[str] = _NEVER
    """A heading of one line."""

    ranks: Callable[[re.Match[str]], int] = lambda found: len(found[1])
    """The rank of such a heading."""

    is_underlined: bool = False
    """True if a heading may be a line with a line of punctuation below it."""

    item: re.Pattern[str] = _LIST
    """The first line of an item."""

    items_end_at_marks: bool = False
    """True if an item goes on up to the next mark, whatever the indentation."""

    breaks: re.Pattern[str] = _NEVER
    """A line that ends a paragraph."""

    note: re.Pattern[str] = _NEVER
    """A line about the block below it."""

    closing: Callable[[str], str | None] = lambda _line: None
    """The line that closes a block that a line opens; empty if indentation does, None if none."""

    def heading_lines(self, lines: Sequence[str], index: int) -> int:
        """The number of lines of a heading that starts at a line; 0 if none does."""
        line = lines[index]
        if self.heading.match(line):
            return 1
        if not self.is_underlined or index + 1 >= len(lines):
            return 0
        if _is_underlined(line, lines[index + 1]):
            return 2
        is_over = index + 2 < len(lines) and line == lines[index + 2] and _UNDERLINE.match(line)
        return 3 if is_over and _is_underlined(lines[index + 1].strip(), line) else 0

    def rank(self, lines: Sequence[str], index: int, known: dict[str, int]) -> int:
        """The rank of a heading.

        Args:
            lines: The lines of the text.
            index: Its first line.
            known: The ranks of the underlines so far; a new one is added.
        """
        found = self.heading.match(lines[index])
        if found:
            return self.ranks(found)
        count = self.heading_lines(lines, index)
        style = lines[index + count - 1][:1] * (count - 1)
        return known.setdefault(style, _UNDERLINE_RANK + len(known))


def _is_underlined(title: str, below: str) -> bool:
    """True if a line is a title by the line of punctuation below it."""
    is_title = bool(title) and not title[:1].isspace() and len(title) <= _LONGEST_TITLE
    return (
        is_title
        and bool(_UNDERLINE.match(below))
        and not _UNDERLINE.match(title)
        and (len(below) + 2 >= len(title))
    )


def _rst_closing(line: str) -> str | None:
    return "" if _RST_BLOCK.match(line) else None


def _asciidoc_closing(line: str) -> str | None:
    found = _ASCIIDOC_BLOCK.match(line)
    return ("```" if line.startswith("```") else line) if found else None


def _latex_closing(line: str) -> str | None:
    found = _LATEX_BLOCK.match(line)
    return f"\\end{{{found[1]}}}" if found else None


def _man_closing(line: str) -> str | None:
    return _MAN_BLOCKS.get(line[:3])


def _org_closing(line: str) -> str | None:
    found = _ORG_BLOCK.match(line)
    if not found:
        return None
    return f"#+end_{found[1]}" if "#+begin" in line else f"#+END_{found[1]}"


def _bibtex_closing(line: str) -> str | None:
    return "}" if _BIBTEX_ENTRY.match(line) else None


def _latex_rank(found: re.Match[str]) -> int:
    return _LATEX_RANKS.index(found[1])


FORMS: dict[FormName, Form] = {
    "rst": Form(is_underlined=True, closing=_rst_closing),
    "asciidoc": Form(
        heading=_ASCIIDOC_HEADING, note=re.compile(r"\[.*\]$|\.\w"), closing=_asciidoc_closing
    ),
    "latex": Form(
        heading=_LATEX_HEADING,
        ranks=_latex_rank,
        item=re.compile(r"[ \t]{0,40}\\(?:bib)?item\b"),
        items_end_at_marks=True,
        breaks=re.compile(r"[ \t]{0,40}\\(?:begin|end)\{"),
        closing=_latex_closing,
    ),
    "man": Form(
        heading=_MAN_HEADING,
        ranks=lambda found: _MAN_RANKS[found[1]],
        item=_MAN_ITEM,
        items_end_at_marks=True,
        breaks=_MAN_BREAK,
        closing=_man_closing,
    ),
    "org": Form(heading=_ORG_HEADING, note=re.compile(r"[ \t]{0,20}#\+\w+:"), closing=_org_closing),
    "wiki": Form(heading=_WIKI_HEADING, item=re.compile(r"[*#:;]{1,6}[ \t]{0,5}\S")),
    "bibtex": Form(closing=_bibtex_closing),
}
"""The signs of each markup language."""


def markup_form(text: str) -> FormName | None:
    """Find the markup language of a text by its beginning; None if it shows none."""
    head = text[:_READ_CHARS].removeprefix("\ufeff")
    lines = [head[a:b].rstrip() for a, b in source_lines(head)]
    filled = [line for line in lines if line]
    if not filled:
        return None
    checks: Sequence[tuple[FormName, bool]] = (
        ("man", _is_manual_page(filled)),
        ("latex", _count(_LATEX_SIGN, filled) >= _LEAST_SIGNS),
        ("bibtex", _count(_BIBTEX_ENTRY, filled) > 0 and bool(_BIBTEX_ENTRY.match(filled[0]))),
        ("org", min(_count(_ORG_SETTING, filled), _count(_ORG_HEADING, filled)) > 0),
        ("wiki", _count(_WIKI_HEADING, filled) >= _LEAST_SIGNS),
        ("asciidoc", _is_asciidoc(filled)),
        ("rst", _is_rst(lines)),
    )
    return next((form for form, holds in checks if holds), None)


def may_be_markup(text: str) -> bool:
    """True if a text with the name of such a file shows any markup."""
    lines = [text[a:b].rstrip() for a, b in source_lines(text[:_READ_CHARS])]
    is_underlined = any(FORMS["rst"].heading_lines(lines, i) for i in range(len(lines)))
    return is_underlined or markup_form(text) is not None


def _is_manual_page(lines: Sequence[str]) -> bool:
    """True if the first lines have the title of a page, or macros are frequent."""
    titles = (found[1] for line in lines[:_FIRST_LINES] if (found := _MAN_HEADING.match(line)))
    is_titled = any(_MAN_RANKS[name] == 0 for name in titles)
    return is_titled or (_share(_MAN_SIGN, lines) and _count(_MAN_HEADING, lines) > 0)


def _is_asciidoc(lines: Sequence[str]) -> bool:
    titles = _count(_ASCIIDOC_HEADING, lines)
    return titles > 0 and sum(map(bool, map(_ASCIIDOC_SIGN.match, lines))) > _LEAST_SIGNS


def _is_rst(lines: Sequence[str]) -> bool:
    form = FORMS["rst"]
    titles = sum(form.heading_lines(lines, i) > 0 for i in range(len(lines)))
    signs = sum(bool(_RST_SIGN.search(line)) for line in lines)
    return signs >= _LEAST_SIGNS and titles > 0


def _count(sign: re.Pattern[str], lines: Sequence[str]) -> int:
    return sum(bool(sign.match(line)) for line in lines)


def _share(sign: re.Pattern[str], lines: Sequence[str]) -> bool:
    return _count(sign, lines) >= max(_LEAST_SIGNS, _SHARE * len(lines))
