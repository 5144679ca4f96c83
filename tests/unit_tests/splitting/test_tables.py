"""Rows of a table."""

from __future__ import annotations

import csv

import pytest

from specprefill_integrations.splitting._tables import TableSplitter
from tests.unit_tests.splitting.reading import needs, pieces


@pytest.mark.parametrize("mark", [",", "\t", ";", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_rows_need_the_header(mark, line_end):
    rows = [mark.join(row) for row in (["name", "price", ""], ["Fig", "", "2"], ["", "a b", ""])]
    found = needs(TableSplitter(), line_end.join(rows))
    assert found == {rows[0]: [], rows[1]: [rows[0]], rows[2]: [rows[0]]}


def test_a_quoted_field_runs_over_lines():
    rows = ["name,note,price", 'Fig,"ripe,\n\nsweet ""and"" soft",2', 'Pear,"green",1']
    text = "\n".join(rows)
    assert pieces(TableSplitter(), text) == rows
    assert [next(csv.reader(row.splitlines(keepends=True))) for row in rows] == list(
        csv.reader(text.splitlines(keepends=True))
    )


def test_a_quote_that_is_never_closed_takes_its_own_line_only():
    rows = ["name,price,note", "Fig,1,x", 'Pear,"2,y', "Plum,3,z", "Nut,4,w"]
    assert pieces(TableSplitter(), "\n".join(rows)) == rows


@pytest.mark.parametrize(
    "caption", [["Sales of May"], ["Table 3: sales of May"], ["Sales", "all shops"]]
)
def test_rows_need_the_caption_above_the_header(caption):
    rows = [*caption, "", "name,price,note", "Fig,1,a", "Pear,2,b"]
    found = needs(TableSplitter(), "\n".join(rows))
    assert found["Fig,1,a"] == found["Pear,2,b"] == [*caption, "name,price,note"]
    assert found["name,price,note"] == caption


def test_a_text_above_the_header_is_not_needed():
    text = "\n".join(f"Notice {n} about the prices in all shops of the town." for n in range(9))
    found = needs(
        TableSplitter(), f"{text}\n\nname,price,note\nFig,1,a\nPear,2,b\n" + "c,3,d\n" * 9
    )
    assert found["Fig,1,a"] == ["name,price,note"]


@pytest.mark.parametrize(
    ("header", "rule", "row"),
    [
        ("| a | b |", "|---|:-:|", '| "1 | 2 |'),
        ("a | b", "- | -", "1 | 2"),
        (" id | name ", "----+------", "  1 | Bo"),
    ],
)
def test_the_rule_comes_with_the_header(header, rule, row):
    text = f"{header}\n{rule}\n{row}\n{row} \n"
    found = needs(TableSplitter(), text)
    assert found[rule] == [header]
    assert found[row] == [header, rule]


def test_a_box_of_a_database():
    box = "+---+---+"
    found = needs(TableSplitter(), f"{box}\n| a | b |\n{box}\n| 1 | 2 |\n{box}\n")
    assert found["| 1 | 2 |"] == ["| a | b |", box]


def test_a_long_row_is_cut_and_a_long_header_is_needed_whole():
    found = needs(TableSplitter(max_unit_chars=10), "name of it,price of it\nPear or so,1\n")
    assert found["Pear or"] == ["name of", "it,", "price of", "it"]
