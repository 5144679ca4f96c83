"""Units of markup, SQL and plays."""

from __future__ import annotations

import pytest

from specprefill_integrations import TextHint
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._chat import ChatSplitter
from specprefill_integrations.splitting._code._sql import SqlSplitter
from specprefill_integrations.splitting._detection import guess_kind
from specprefill_integrations.splitting._markup import MarkupSplitter
from tests.unit_tests.splitting.reading import needs

RST = """\
=====
Guide
=====

It is a guide. Read
all of it.

Options
-------

These are ``known``:

- the first
  of them
- the second

.. note:: Careful.

   More about it.

Deep
~~~~

Words.

More
----

The end.
"""

ASCIIDOC = """\
= Guide
:toc:

== Options

Words.

.Listing
[source,python]
----
x = 1

y = 2
----

* one
"""

LATEX = r"""\documentclass{article}
\begin{document}
\section{Options}
It is so. Really
it is.
\begin{itemize}
\item the first
  of them
\item the second
\end{itemize}
\subsection{Deep}
\begin{equation}
x = 1

\end{equation}
"""

MAN = """\
.TH FERRY 1
.SH NAME
ferry \\- goes
.SH OPTIONS
These are
known.
.TP
.B \\-a
Sets the
harbor.
.TP
.B \\-b
Sets it.
.PP
The end.
"""

BIBTEX = "@article{ada,\n  title = {On it},\n}\n\n@book{bob,\n  title = {Of it},\n}\n"
ORG = "#+title: A\n* Options\nWords.\n#+begin_src python\nx\n\n#+end_src\n** Deep\nMore.\n"
WIKI = "Words.\n\n== Options ==\n* one\n* two\n\n=== Deep ===\nMore words. And more.\n"

SQL = """\
-- all ships
CREATE TABLE `ship` (
  id int
);
INSERT INTO `ship` VALUES (1,'It''s; (a)'),
(2,'b');
INSERT INTO crew (id, name) VALUES (3,'c'),(4,'d');
COPY port (id) FROM stdin;
5\tx;
6\ty
\\.
SELECT 1;
"""

PLAY = """\
ACT I

SCENE I. A harbor.

HAMLET.
Words, words.

HORATIO.
So
it is.

SCENE II. A ship.

HAMLET.
More.

HORATIO.
Yes.
"""

SCREENPLAY = """\
INT. HARBOR - DAY

The wind.

          ANN
     (softly)
     It leaves.

          BEN (V.O.)
     When?

EXT. SHIP - NIGHT

          ANN
     Now.

          BEN (V.O.)
     Good.
"""


def test_restructuredtext():
    title, options, lead = "=====\nGuide\n=====", "Options\n-------", "These are ``known``:"
    assert needs(MarkupSplitter(), RST) == {
        title: [],
        "It is a guide.": [title],
        "Read\nall of it.": [title],
        options: [title],
        lead: [title, options],
        "- the first\n  of them": [title, options, lead],
        "- the second": [title, options, lead],
        ".. note:: Careful.\n\n   More about it.": [title, options, lead],
        "Deep\n~~~~": [title, options],
        "Words.": [title, options, "Deep\n~~~~"],
        "More\n----": [title],
        "The end.": [title, "More\n----"],
    }


def test_asciidoc():
    found = needs(MarkupSplitter(), ASCIIDOC)
    above = ["= Guide", "== Options"]
    assert found[".Listing\n[source,python]\n----\nx = 1\n\ny = 2\n----"] == above
    assert found["* one"] == above


def test_latex():
    found = needs(MarkupSplitter(), LATEX)
    assert found["Really\nit is."] == [r"\section{Options}"]
    assert found["\\item the first\n  of them"] == [r"\section{Options}"]
    block = "\\begin{equation}\nx = 1\n\n\\end{equation}"
    assert found[block] == [r"\section{Options}", r"\subsection{Deep}"]


def test_manual_pages():
    found = needs(MarkupSplitter(), MAN)
    above = [".TH FERRY 1", ".SH OPTIONS"]
    assert found[".TP\n.B \\-a\nSets the\nharbor."] == above
    assert found[".TP\n.B \\-b\nSets it."] == above
    assert found[".PP\nThe end."] == above


def test_bibtex():
    long = BIBTEX.replace("On it", "On it, " * 9)
    found = needs(MarkupSplitter(max_unit_chars=40), long)
    assert {tuple(above) for above in found.values()} == {(), ("@article{ada,",)}
    assert "@book{bob,\n  title = {Of it},\n}" in found


def test_org_and_wiki():
    assert needs(MarkupSplitter(form="org"), ORG)["More."] == ["* Options", "** Deep"]
    assert needs(MarkupSplitter(), WIKI)["And more."] == ["== Options ==", "=== Deep ==="]


def test_process_ids_are_no_headings():
    lines = ["HEAP SUMMARY:", "   in use at exit: 4,448 bytes in 9 blocks", ""] * 9
    assert SplitByKind().kind("\n".join(f"==15682== {line}".rstrip() for line in lines)) == "lines"


def test_rows_need_their_table():
    found = needs(SqlSplitter(max_unit_chars=46), SQL)
    table = "-- all ships\nCREATE TABLE `ship` (\n  id int\n);"
    insert = "INSERT INTO `ship` VALUES"
    assert found["(1,'It''s; (a)'),"] == found["(2,'b');"] == [table, insert]
    assert found["(3,'c'),"] == found["(4,'d');"] == ["INSERT INTO crew (id, name) VALUES"]
    assert found["5\tx;"] == found["6\ty"] == ["COPY port (id) FROM stdin;"]
    assert found["SELECT 1;"] == []


def test_speeches_need_their_scene():
    found = needs(ChatSplitter(), PLAY)
    assert found["HORATIO.\nSo\nit is."] == ["SCENE I. A harbor."]
    assert found["HORATIO.\nYes."] == ["SCENE II. A ship."]
    found = needs(ChatSplitter(), SCREENPLAY)
    assert found["          BEN (V.O.)\n     When?"] == ["INT. HARBOR - DAY"]
    assert found["          BEN (V.O.)\n     Good."] == ["EXT. SHIP - NIGHT"]


def test_a_long_speech_is_cut_below_the_speaker():
    found = needs(ChatSplitter(max_unit_chars=40), PLAY + "\nHAMLET.\n" + "To be or not. " * 9)
    assert all("HAMLET." in above for unit, above in found.items() if "To be" in unit)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("markup", text) for text in (RST, ASCIIDOC, LATEX, MAN, BIBTEX, WIKI)),
        ("markup", ".nh\n.ad l\n.TH LS 1\n" + "It lists what is there.\n" * 40),
        *(("code", SQL), ("chat", PLAY), ("chat", SCREENPLAY)),
        ("prose", "A title\n=======\n\nSome words, and nothing else. They go on.\n"),
        ("markdown", "# A\n\nWords and `code`.\n\n## B\n\n- one\n- two\n"),
    ],
)
def test_evidence(kind, text):
    assert guess_kind(text) == kind


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        *(("a.rst", RST, "markup"), ("a.rst", "Some words. No more.", "prose")),
        ("a.rst", "A title\n=======\n\nSome words. No more.", "markup"),
        *(("ls.1", MAN, "markup"), ("notes.1", "Some words. No more.", "prose")),
        *(("a.tex", LATEX, "markup"), ("refs.bib", BIBTEX, "markup"), ("a.org", ORG, "markup")),
        *(("dump.sql", SQL, "code"), ("a.fountain", SCREENPLAY, "chat")),
    ],
)
def test_names(name, text, kind):
    assert SplitByKind().kind(text, TextHint(name=name)) == kind


def test_sql_has_its_own_splitter():
    assert isinstance(SplitByKind().for_text(SQL).splitter, SqlSplitter)
    choice = SplitByKind().for_text(SQL, TextHint(name="dump.sql"))
    assert isinstance(choice.splitter, SqlSplitter)
    assert choice.gaps.marked("x") == "-- [... 1 line omitted ...]"


CELLS = [(f"Port {n}", str(n * 7)) for n in range(90)]


@pytest.mark.parametrize(
    ("form", "head", "row", "tail"),
    [
        ("asciidoc", ".Ports\n[cols=2]\n|===\n|Name |Depth", "|{} |{}", "|==="),
        (
            "latex",
            "\\begin{table}\n\\caption{Ports}\n\\begin{tabular}{ll}\nName & Depth \\\\\n\\hline",
            "{} & {} \\\\",
            "\\end{tabular}\n\\end{table}",
        ),
        (
            "rst",
            ".. table:: Ports\n\n   ======= =====\n   Name    Depth\n   ======= =====",
            "   {:7} {}",
            "   ======= =====",
        ),
        ("rst", ".. csv-table:: Ports\n   :header: Name, Depth", "   {}, {}", ""),
    ],
)
def test_rows_of_a_long_table_need_its_caption_and_its_header(form, head, row, tail):
    gap = "\n\n" if form == "asciidoc" or "csv" in head else "\n"
    rows = "\n".join(row.format(*cells) for cells in CELLS)
    found = needs(MarkupSplitter(form=form), f"{head}{gap}{rows}\n{tail}\n\nThe end.\n")
    assert len([unit for unit in found if "Port 3" in unit or "Port 89" in unit]) > 1
    assert all(found[unit] == [head] for unit in found if "Port " in unit)
    assert found["The end."] == []


def test_what_is_no_table_has_no_header():
    code = "\n".join(f"    print({n})" for n in range(90))
    found = needs(MarkupSplitter(form="rst"), f".. code:: python\n\n    name\n    ----\n{code}\n")
    assert next(iter(found)) == ".. code:: python"
