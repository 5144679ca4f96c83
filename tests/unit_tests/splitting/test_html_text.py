"""Blocks of HTML."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.splitting._html_text import HtmlSplitter
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.splitting.reading import needs, pieces

PAGE = """\
<!DOCTYPE html>
<html><head><title>Shop</title>
<script>if (a < b) { p = "<p>no</p>"; }</script></head>
<body class="x"><h1>Fruit &amp; more</h1>
<p>We sell <b>ripe</b> fruit.</p><p>Cheap.
<ul><li>Figs<li>Pears</ul>
<h2>Prices</h2>
<table><thead><tr><th>Name<th>Price</thead>
<tr><td>Fig</td><td><p>1</p></td></tr>
<tr><td>Pear<td>2</table>
<h1>About</h1>
Open all day.
</body></html>"""


def test_blocks_need_their_headings_and_rows_their_header():
    fruit = '</head>\n<body class="x"><h1>Fruit &amp; more</h1>'
    prices, header = "<h2>Prices</h2>", "<table><thead><tr><th>Name<th>Price</thead>"
    assert needs(HtmlSplitter(), PAGE) == {
        "<!DOCTYPE html>\n<html><head><title>Shop</title>": [],
        '<script>if (a < b) { p = "<p>no</p>"; }</script>': [],
        fruit: [],
        "<p>We sell <b>ripe</b> fruit.</p>": [fruit],
        "<p>Cheap.": [fruit],
        "<ul><li>Figs": [fruit],
        "<li>Pears</ul>": [fruit],
        prices: [fruit],
        header: [fruit, prices],
        "<tr><td>Fig</td><td><p>1</p></td></tr>": [fruit, prices, header],
        "<tr><td>Pear<td>2</table>": [fruit, prices, header],
        "<h1>About</h1>": [],
        "Open all day.\n</body></html>": ["<h1>About</h1>"],
    }


def test_a_header_without_thead_is_a_row_of_nothing_but_names():
    rows = ["<tr><th>a</th></tr>", "<tr><th>1</th><td>2</td></tr>", "<tr><th>x</th></tr>"]
    found = needs(HtmlSplitter(), "".join(["<table>", *rows, "</table>"]))
    header, first, last = found
    assert header == "<table><tr><th>a</th></tr>"
    assert found[first] == found[last] == [header]


def test_a_definition_needs_its_term():
    text = (
        "<h1>A</h1><dl><dt>port</dt><dd><p>One.</p><p>Two.</p></dd><dt>host<dd>Three."
        "<dl><dt>inner</dt><dd>Four.</dd></dl></dl><p>Five.</p>"
    )
    assert needs(HtmlSplitter(), text) == {
        "<h1>A</h1>": [],
        "<dl><dt>port</dt>": ["<h1>A</h1>"],
        "<dd><p>One.</p>": ["<h1>A</h1>", "<dl><dt>port</dt>"],
        "<p>Two.</p></dd>": ["<h1>A</h1>", "<dl><dt>port</dt>"],
        "<dt>host": ["<h1>A</h1>"],
        "<dd>Three.": ["<h1>A</h1>", "<dt>host"],
        "<dl><dt>inner</dt>": ["<h1>A</h1>", "<dt>host"],
        "<dd>Four.</dd></dl></dl>": ["<h1>A</h1>", "<dt>host", "<dl><dt>inner</dt>"],
        "<p>Five.</p>": ["<h1>A</h1>"],
    }


def test_an_item_needs_the_line_with_a_colon_and_the_item_around_it():
    text = (
        "<h1>A</h1><p>The <b>crew are:</b></p><ul><li>Jan<li>Ute<ol><li>Al</ol></ul>"
        "<p>No list here:</p><p>End.</p><h2>B</h2><ul><li>Bo</ul>"
    )
    title, lead = "<h1>A</h1>", "<p>The <b>crew are:</b></p>"
    assert needs(HtmlSplitter(), text) == {
        title: [],
        lead: [title],
        "<ul><li>Jan": [title, lead],
        "<li>Ute": [title, lead],
        "<ol><li>Al</ol></ul>": [title, lead, "<li>Ute"],
        "<p>No list here:</p>": [title],
        "<p>End.</p>": [title],
        "<h2>B</h2>": [title],
        "<ul><li>Bo</ul>": [title, "<h2>B</h2>"],
    }


@pytest.mark.parametrize("limit", range(12, 80, 4))
def test_items_share_in_the_relevance_of_their_lead(limit):
    crew = ["<li>Jan Brugh</li>", "<li>Ute Vries</li>", "<li>Pal Hansen</li>"]
    lead = "<p>The members of the crew are:</p>"
    fill = "<p>Fishermen mend their nets on the quay until noon.</p>"
    text = "".join([fill, lead, "<ol>", *crew, "</ol>", fill, fill])
    compressor = ContextCompressor(KeywordScorer(), drop_repeats=False, on_error="raise")
    budget = Budget(max_tokens=limit)
    kept = compressor.compress(text, "Who are members of the crew?", budget=budget).text
    assert lead not in kept or crew[0] in kept
    assert "Fishermen" not in kept or all(item in kept for item in crew)


def test_a_table_without_a_header():
    assert not any(needs(HtmlSplitter(), "<table><tr><td>1</tr><tr><td>2</tr></table>").values())


ROWS = "<tr><th>Name</th><th>Price</th></tr><tr><td>Fig</td><td>1</td></tr><tr><td>Pear"


@pytest.mark.parametrize(
    ("above", "head"),
    [
        ("<table><caption>Prices of May</caption>", ["<table><caption>Prices of May</caption>"]),
        ("<table><caption>Prices of May", ["<table><caption>Prices of May"]),
        (
            "<table><caption><p>Table 3</p><div>Prices</div></caption><colgroup><col></colgroup>",
            ["<table><caption><p>Table 3</p>", "<div>Prices</div></caption>"],
        ),
        ("<p>The prices <b>are:</b></p><table>", ["<p>The prices <b>are:</b></p>"]),
        ("<p><i>Tab. 2.1</i> Prices.</p><table>", ["<p><i>Tab. 2.1</i> Prices.</p>"]),
        (
            "<figure><figcaption>Prices</figcaption><table>",
            ["<figure><figcaption>Prices</figcaption>"],
        ),
    ],
)
def test_a_row_needs_the_caption_of_its_table(above, head):
    found = needs(HtmlSplitter(), f"<p>Text.</p>{above}{ROWS}</table><p>End.</p>")
    row = "<tr><td>Fig</td><td>1</td></tr>"
    header = next(unit for unit in found if "Name" in unit)
    assert found[row] == found["<tr><td>Pear</table>"] == [*head, header]
    assert found[header] == head
    assert found["<p>End.</p>"] == []


@pytest.mark.parametrize("limit", range(12, 90, 6))
def test_a_caption_is_never_kept_without_a_row(limit):
    text = (
        "<p>Fishermen mend their nets on the quay until noon.</p><table><caption>Prices of fruit "
        f"in the shops</caption>{ROWS}</table><p>The quay is wet.</p><p>The quay is old.</p>"
    )
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    budget = Budget(max_tokens=limit)
    kept = compressor.compress(text, "prices of fruit in the shops", budget=budget).text
    assert ("Prices of fruit" in kept) == ("<td>" in kept)


def test_a_paragraph_is_no_caption():
    found = needs(HtmlSplitter(), f"<p>Fresh today.</p><table>{ROWS}</table>")
    assert found["<tr><td>Pear</table>"] == [next(unit for unit in found if "Name" in unit)]


def test_a_table_within_a_row_has_a_header_of_its_own():
    inner = "<table><tr><th>b</th></tr><tr><td>2</td></tr></table>"
    found = needs(HtmlSplitter(), f"<table><tr><th>a</tr><tr><td>{inner}</td></tr></table>")
    assert found["<tr><td>2</td></tr></table></td></tr></table>"] == [
        "<tr><td><table><tr><th>b</th></tr>"
    ]


def test_a_long_script_is_cut_at_lines_and_needs_nothing():
    script = "<script>\nlet a = 1;\nlet b = 2;\n</script>"
    found = needs(HtmlSplitter(max_unit_chars=21), f"<h1>A</h1>{script}")
    assert found == {
        "<h1>A</h1>": [],
        "<script>\nlet a = 1;": [],
        "let b = 2;\n</script>": [],
    }


def test_broken_markup_is_text():
    text = "<p <p>one</p </p> <!-- two <p>three"
    assert pieces(HtmlSplitter(), text) == ["<p", "<p>one</p </p> <!-- two <p>three"]


RULES = " ".join(
    f"Rule {n} of the pier says\nthat nobody who came by ferry, e.g. at\r\n{n} o'clock, may fish."
    for n in range(12)
)


def test_sentences_of_a_long_block_go_on_across_line_breaks():
    found = pieces(HtmlSplitter(), f"<p>{RULES}</p>")
    assert len(found) == 12
    assert found[7] == (
        "Rule 7 of the pier says\nthat nobody who came by ferry, e.g. at\r\n7 o'clock, may fish."
    )


@pytest.mark.parametrize("fraction", [0.2, 0.3, 0.5])
def test_line_breaks_in_the_source_tear_no_sentence(fraction):
    kept = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        f"<html><h1>Pier</h1><p>{RULES}</p></html>",
        "ferry 7",
        budget=Budget(keep_fraction=fraction),
    )
    rules = [line for line in kept.text.split("[...]") if "Rule" in line]
    assert rules
    assert all(part.rstrip("</p>html\n ").endswith("may fish.") for part in rules)


def test_lines_of_preformatted_text_stay_lines():
    text = "<pre>" + "\n".join(f"line {n} of it" for n in range(90)) + "</pre>"
    assert all("\nline" in f"\n{piece}" for piece in pieces(HtmlSplitter(), text)[1:])
