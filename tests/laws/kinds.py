"""Documents of every kind, whole and damaged."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.laws.texts import texts

LINE_ENDS = ("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\u2028", "\f", "\v")

ODDITIES = (
    *("\ufeff", "\u0301", "\u0903", "\u200d", "\u0600", "\ufe0f", "\x00", "\ud800", "\x1c"),
    *(
        "👩‍👩‍👧‍👦",
        "🇩🇪🇫",
        "👍🏽",
        "我们今天讨论。",
        "สวัสดีครับ",
        "مرحبا",
        "क्षि",
        "e\u0301",
        "\u1100\u1161",
    ),
    *("\t", " ", "\r", "\n", '"', "|", ",", "<", ">", "```", "---", "# ", "- ", "> ", "@@ "),
)

LINES: dict[str, tuple[str, ...]] = {
    "log": (
        *("2024-05-01 12:00:01,123 INFO app: started", "2024-05-01T12:00:02Z ERROR [db] lost it"),
        *("May  1 12:00:03 host sshd[42]: Failed password", "[Wed May 01 12:00:04 2024] [error] x"),
        *("Traceback (most recent call last):", '  File "a.py", line 3, in f', "    f(1)"),
        *(
            "ValueError: 我们今天讨论。",
            "\tat org.example.Main.run(Main.java:3)",
            "Caused by: x: y",
        ),
        *("goroutine 1 [running]:", "main.main()", "panic: no", "web_1  | 12:00:05 GET /"),
        *('1.2.3.4 - - [01/May/2024:12:00:06 +0000] "GET / HTTP/1.1" 200 5', '{"level":"info"}'),
        *("1714564807 tick", "I0501 12:00:08 x.go:1] y", "plain words", "  more", ""),
        "During handling of the above exception, another exception occurred:",
    ),
    "chat": (
        *(
            "Anna: Hi there!",
            "Ben: Oh, hello.",
            "Zoë (12:03): text",
            "[12:04] Anna: two",
            "<ben> x",
        ),
        *("**Anna:** bold", "User: what?", "Assistant: That.", "and a line below", "  indented"),
        *("[1:56 pm on 8 May, 2023]", "--- Monday ---", "Session 2", "2024-05-01", "Note: no"),
        *("李雷：你好。", "12/05/23, 10:15 - Ben: hm", "Anna:\u0301 x", "Anna:", ""),
    ),
    "diff": (
        *("diff --git a/x.py b/x.py", "index 123..456 100644", "--- a/x.py", "+++ b/x.py"),
        *("@@ -1,3 +1,4 @@ def f():", "@@ -9 +10 @@", " same", "+new", "-old", "--- old comment"),
        *("\\ No newline at end of file", "Binary files a and b differ", "commit 1234", "    why"),
        *("rename from a", "-- ", "2.40.1", "@@@ -1 -1 +1,2 @@@", "words", ""),
    ),
    "table": (
        *("name,price,note", 'Apple,1,"red, round"', 'Pear,2,"two', 'lines"', "Fig,,", "a,b"),
        *("a\tb\tc", "\t\t", "1;2;3", "x|y|z", "| a | b |", "|---|:-:|", "| 1 | 2 |"),
        *(" id | name ", "----+------", "+--+--+", '"unclosed,1', '"say ""hi""",2,3', ""),
    ),
    "markdown": (
        *("# Guide", "## Part", "Setext", "------", "======", "A sentence. And one more."),
        *("- item", "  - nested item with some words", "1. first", "   more of it", "* star"),
        *("> quote", "> > deeper", "```python", "def f():", "    return 1", "```", "~~~"),
        *("| a | b |", "|---|---|", "| 1 | 2 |", "<div>", "</div>", "    code", "---", "title: x"),
        *("[a]: http://x", "***", "", "", "- - - x", "+ > - # odd", "\tcode", "\\", "- ```"),
    ),
    "html": (
        *("<!DOCTYPE html>", "<html><body>", "<h1>Shop</h1>", "<h2 id='a'>Prices</h2>", "<p>One."),
        *("<p>Two <b>bold</b> words</p>", "<ul><li>a<li>b</ul>", "<table><thead><tr><th>n"),
        *("<tr><td>1<td>2</tr>", "</table>", "<tr><th>x</th></tr>", "<div>", "</div>", "</p>"),
        *("<script>if (a < b) {}</script>", "<style>p {}", "<!-- c -->", "<!--", "&amp;", "<p"),
        *('<a href="x>y">', "<h3>\u0301", "\u0600<p>", "<br/>", "text", "</h1>", "<td>", ""),
    ),
    "yaml": (
        *("---", "...", "%YAML 1.2", "# about it", "    # deeper", "app:", "  name: shop # x"),
        *("  script: |", "    set -e", "  folded: >-2", "  list:", "  - a", "  - b: 1", "    c: 2"),
        *("- - x", "-", "? key", ": value", "  flow: [1, {a: b},", "    'two', \"x]", "  ]", "}"),
        *('  quoted: "one', '    two"', "  single: 'it''s", "<<: *base", "base: &base !tag", "  "),
        *("{{- if .x }}", "{% if y %}", "words", "\twords: in tab", "a:b", "键: 值", '"k": v', ""),
    ),
    "ini": (
        *(
            "[server]",
            '  [remote "origin"] ; x',
            "host = 10.0.0.1",
            "port=3306",
            "skip-name-resolve",
        ),
        *(
            "\turl = git@x:y",
            "; about it",
            "# too",
            "! too",
            "key: value",
            "a.b.c = x \\",
            "    more",
        ),
        *(
            'KEY="two',
            'lines"',
            "export A='b'",
            '@="x"',
            "words",
            "= 1",
            "[",
            "]",
            "键 = 1",
            "",
            "",
        ),
    ),
    "xml": (
        *(
            '<?xml version="1.0"?>',
            "<!DOCTYPE a [<!ENTITY x 'y'>]>",
            "<project>",
            "<deps>",
            "</deps>",
        ),
        *("<dep>", "<artifactId>lib</artifactId>", "<version>1</version>", "</dep>", "</project>"),
        *(
            '<path d="M 0 0 L 1 1"/>',
            "<p>text <b>bold</b> more.</p>",
            "<![CDATA[<x>]]>",
            "<!-- c -->",
        ),
        *(
            "<a:b x='1'>",
            "</a:b>",
            "<item",
            "<![CDATA[",
            "<!--",
            "&amp;",
            "text",
            "<title>\u0301",
            "",
        ),
    ),
    "mail": (
        *("From ann@x Fri May  4 14:05:44 2001", "From: Ann <ann@x>", "To: bob@x,", "  carl@x"),
        *("Subject: Ferry", "Date: Fri, 4 May 2001 14:05:44 -0400", "Received: by b; x", "", ""),
        *(
            "Dear Bob,",
            "the ferry leaves. It is late.",
            "On Friday, Ann wrote:",
            "> quoted",
            "> > more",
        ),
        *(
            "-----Original Message-----",
            "Sent: Friday",
            "--b1",
            "Content-Type: text/html",
            "<p>a</p>",
        ),
        *("--b1--", "aGVsbG8=" * 8, "*From:* Zoë", "我们今天讨论。", "-- ", "Ann"),
    ),
    "subtitles": (
        *(
            "WEBVTT",
            "NOTE x",
            "1",
            "00:00:01,000 --> 00:00:02,500",
            "Hello there.",
            "- Who?",
            "",
            "",
        ),
        *("intro", "00:03.000 --> 00:04.000 align:start", "<v Ann>Hi", "0:00:01.000,0:00:03.000"),
        *("00:00:01,000 --> x", "-->", "2", "我们今天讨论。"),
    ),
    "markup": (
        *("Title", "=====", "Part", "----", "A sentence. And one more, which", "goes on.", "", ""),
        *(
            ".. note:: Careful.",
            "   indented",
            "Options:",
            "- item",
            "  more of it",
            "1. step",
            "::",
        ),
        *(
            "= Guide",
            "== Part",
            "[source,python]",
            ".Block",
            "----",
            "|===",
            "== Wiki ==",
            "* star",
        ),
        *(
            "\\documentclass{article}",
            "\\section{One}",
            "\\begin{table}",
            "\\end{table}",
            "\\item x",
        ),
        *(
            ".TH FERRY 1",
            ".SH NAME",
            ".TP",
            ".B bold",
            ".nf",
            ".fi",
            "'\\\" x",
            "@article{key,",
            "}",
        ),
        *("#+BEGIN_SRC", "#+END_SRC", "  title = {On it},", "我们今天讨论。", "``code``", "\u0301"),
    ),
    "sql": (
        *(
            "-- dump",
            "/* x */",
            "CREATE TABLE t (",
            "  id int,",
            ");",
            "INSERT INTO t VALUES",
            "(1,'a;b'),",
        ),
        *(
            "(2,'it''s');",
            "INSERT INTO `u` (a, b) VALUES (1,2),(3,4);",
            "COPY w (a) FROM stdin;",
            "1\tx",
        ),
        *(
            "\\.",
            "SELECT 1;",
            "'",
            '"',
            "`",
            "$$ body; $$",
            "(",
            ")",
            ";",
            ";\u0301",
            "\u0600(",
            "words",
            "",
        ),
    ),
    "play": (
        *(
            "ACT I",
            "SCENE II. A room.",
            "INT. HARBOR - DAY",
            "HAMLET.",
            "ANN (V.O.)",
            "BEN",
            "@ben",
            "",
            "",
        ),
        *(
            "Words are said.",
            "(softly)",
            "HAMLET. To be.",
            "ANN: hi",
            "     BEN",
            "FADE IN:",
            "李雷",
            "A\u0301B",
        ),
    ),
    "toml": (
        *("[project]", "[project.urls]", "[[package]]", "[[package.parts]]", "[a.'b.c'.\"d\"] # x"),
        *('name = "x"', "version = '1'", "a.b.c = 1", "list = [", '  "one", # x', "  [2],", "]"),
        *('text = """', "words", "[no.table]", '"""', "text = '''", "'''", "t = { a = 1 }"),
        *("# about it", "  # indented", "d = 1979-05-27", "[", "[[", "[x", "{", "}", "= 1"),
        *('"quoted key" = true', "key", "y = {", "z = [{", "键 = 1", "", ""),
    ),
}


@st.composite
def documents(draw: st.DrawFn, kind: str) -> str:
    """Lines of a kind in any order, and one in two such texts damaged."""
    lines = draw(st.lists(st.sampled_from(LINES[kind]), max_size=25))
    if draw(st.booleans()):
        return draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    text = "".join(line + draw(st.sampled_from(LINE_ENDS)) for line in lines)
    for _ in range(draw(st.integers(0, 4))):
        text = draw(damaged(text))
    return text


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A text with a slice deleted, doubled or put elsewhere, or with something odd inserted."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece, rest = text[start:end], text[:start] + text[end:]
    place = draw(st.integers(0, len(rest)))
    return draw(
        st.sampled_from(
            [
                rest,
                text[:end] + piece + text[end:],
                rest[:place] + piece + rest[place:],
                text[:start] + draw(st.sampled_from(ODDITIES)) + text[start:],
                text[:start] + draw(texts) + text[start:],
            ]
        )
    )
