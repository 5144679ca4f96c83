"""Blocks of markdown."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from specprefill_integrations.splitting._lines import LineSplitter
from specprefill_integrations.splitting._markdown import MarkdownSplitter, _blocks
from tests.unit_tests.splitting.reading import needs, pieces

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"
PARTS = ["# a", "- x", "  - y", "> q", TABLE, "```", "1. z", "    code", "[r]: /x", "<div>", "***"]
PARTS += ["text", "===", " ", "\t", "\n", "\n\n", "\r\n", "\0"]

CODE = "```python\ndef f():\n    return 1\n\n\ndef g():\n    return 2\n```"


def test_all_stands_below_its_headings():
    text = """\
---
title: A guide
---
# Guide

Read this. Then go on.

Install
-------

1. Run pip.
2. Wait.

### On Windows

> Use the other one.
> It is better.

## Use

| name | price |
|------|-------|
| Fig  | 1     |

[ref]: http://example.org
"""
    assert needs(MarkdownSplitter(), text) == {
        "---\ntitle: A guide\n---": [],
        "# Guide": [],
        "Read this.": ["# Guide"],
        "Then go on.": ["# Guide"],
        "Install\n-------": ["# Guide"],
        "1. Run pip.": ["# Guide", "Install\n-------"],
        "2. Wait.": ["# Guide", "Install\n-------"],
        "### On Windows": ["# Guide", "Install\n-------"],
        "> Use the other one.\n> It is better.": ["# Guide", "Install\n-------", "### On Windows"],
        "## Use": ["# Guide"],
        "| name | price |": ["# Guide", "## Use"],
        "|------|-------|": ["# Guide", "## Use", "| name | price |"],
        "| Fig  | 1     |": ["# Guide", "## Use", "| name | price |", "|------|-------|"],
        "[ref]: http://example.org": ["# Guide", "## Use"],
    }


def test_a_short_item_keeps_what_is_nested_in_it():
    text = "- Fruit\n  - figs\n  - pears\n- Nuts\n"
    assert pieces(MarkdownSplitter(), text) == ["- Fruit\n  - figs\n  - pears", "- Nuts"]


def test_what_is_nested_in_a_long_item_needs_its_first_sentence():
    text = "- Buy fruit. Ripe ones.\n  - figs\n\n    in a bag\n  - pears\n"
    assert needs(MarkdownSplitter(max_item_chars=25), text) == {
        "- Buy fruit.": [],
        "Ripe ones.": [],
        "  - figs\n\n    in a bag": ["- Buy fruit."],
        "  - pears": ["- Buy fruit."],
    }


def test_short_code_is_whole_and_pieces_of_long_code_need_the_fence():
    assert pieces(MarkdownSplitter(), f"Look:\n\n{CODE}\n") == ["Look:", CODE]
    assert needs(MarkdownSplitter(max_code_chars=30), CODE) == {
        "```python": [],
        "def f():\n    return 1": ["```python"],
        "def g():\n    return 2\n```": ["```python"],
    }


def test_long_code_is_cut_by_another_splitter():
    splitter = MarkdownSplitter(max_code_chars=30, code=LineSplitter())
    assert needs(splitter, CODE) == {
        "```python": [],
        "def f():": ["```python"],
        "return 1": ["```python"],
        "def g():": ["```python"],
        "return 2": ["```python"],
        "```": ["```python"],
    }


def test_a_fence_that_is_never_closed():
    text = CODE.removesuffix("\n```")
    splitter = MarkdownSplitter(max_code_chars=30, code=LineSplitter())
    assert pieces(splitter, text)[-1] == "return 2"


@pytest.mark.parametrize("block", ["<div>\n<b>x</b>\n</div>", "    indented\n      code", "***"])
def test_other_blocks_are_kept_as_they_are(block):
    found = needs(MarkdownSplitter(), f"# A\n\n{block}\n\nEnd.")
    assert found == {"# A": [], block: ["# A"], "End.": ["# A"]}


def test_a_number_sign_in_code_is_no_heading():
    found = needs(MarkdownSplitter(), "```sh\n# install\n```\n\nSo it is.")
    assert found["So it is."] == []


def test_a_heading_that_is_too_long_heads_nothing():
    found = needs(MarkdownSplitter(max_unit_chars=20), "# A heading of many words\n\nText.")
    assert found["Text."] == []


def test_a_byte_order_mark_hides_no_heading():
    assert needs(MarkdownSplitter(), "\ufeff# Guide\n\nText.")["Text."] == ["\ufeff# Guide"]


@pytest.mark.parametrize(
    "caption",
    [
        "Table 3: prices of fruit, as they were in May of the year 2021, in euros and per pound.",
        "**Tab. 3.** Prices of fruit. All of them are in euros.",
        "*Tabelle 2 \u2013 Preise von Obst im Mai.*",
        "表1\uff1a五月の価格。",
    ],
)
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_row_needs_the_caption_of_its_table(caption, gap):
    table = ["| Name | Price |", "|---|---|", "| Fig | 1 |", "| Pear | 2 |"]
    lines = "\n".join(table)
    text = f"Read this. It is so.\n\n{caption}{gap}{lines}\n\nEnd.\n"
    found = needs(MarkdownSplitter(), text)
    *above, header, rule = found["| Pear | 2 |"]
    assert (" ".join(above), header, rule) == (caption, *table[:2])
    assert found["End."] == found["It is so."] == []


def test_a_paragraph_above_a_table_is_no_caption():
    table = "| Name | Price |\n|---|---|\n| Fig | 1 |\n"
    found = needs(MarkdownSplitter(), f"All 3 tables were made in May.\n\n{table}")
    assert found["| Fig | 1 |"] == ["| Name | Price |", "|---|---|"]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
@example(f"# a\n\n- x\n\n  > {TABLE}")
def test_blocks_are_those_of_the_parsers_own_tokens(text):
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert of_tree(_blocks(text), "blocks") == of_tree(SyntaxTreeNode(tokens).children, "children")


def of_tree(nodes, below):
    return [
        (
            *(node.type, list(node.map), node.tag, node.markup),
            [] if node.type == "table" else of_tree(getattr(node, below), below),
        )
        for node in nodes
        if node.type != "inline"
    ]
