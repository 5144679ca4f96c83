"""Which kind a text is of."""

from __future__ import annotations

import json

import pytest

from specprefill_integrations.splitting._code._guess_language import guess_language
from specprefill_integrations.splitting._detection import guess_kind
from tests.unit_tests.splitting import test_diffs, test_html_text, test_logs

PROSE = """\
The house stood on a hill, white and silent. Nobody had lived there for years: the last of them
left in 1931, and took the dog along. It is said that she wrote letters, none of which survived.

He came back once. "Not again," he said, and closed the door."""

SCRIPT = """\
# Moves files about
# and says so
import shutil

def move(a, b):
    shutil.move(a, b)
    print(a, b)
"""

LISTING = """\
total 12
-rw-r--r--  1 ann  ann   123 May  1 a.txt
-rw-r--r--  1 ann  ann  4567 May  1 b.txt
-rw-r--r--  1 ann  ann    89 May  1 c.txt
-rw-r--r--  1 ann  ann     0 May  1 a file with a long name.txt
"""

# Cells of several lines that look like other kinds.
NOTES = (
    "Dear all,\n\nthe ferry leaves at noon.\n\nBob",
    "# Title\n\n## Part\n\n**bold**",
    "Ann: hi\nBen: ho\nAnn: hu",
    "2024-05-01 12:00:00 ERROR x\n2024-05-01 12:00:01 INFO y\n" * 3,
    '{""a"": 1,\n ""b"": [2]}',
    "<p>a</p>\n<p>b</p>\n<p>c</p>",
)

OUTPUTS = [
    "".join(
        f"==42== {i} bytes in 1 blocks\n==42==    at load_{i} (shop.c:{i})\n" for i in range(9)
    ),
    "".join(f"npm warn deprecated lib{i}@1.{i}: use other{i} instead.\n" for i in range(9)),
    "".join(f"Setting up lib{'abcdefghi'[i]} (1.{i}) ...\n" for i in range(9)),
    "".join(f"Processing ./wheels/part{i}.whl (line {i})\n" for i in range(9)),
    "".join(f"a.c:{i}:2: warning: unused\n  int x;\n  ~~~~~~ ^~\n" for i in range(9)),
    "".join(f"{i}a1b2c3 Doors: one more subject of a commit\n" for i in range(9)),
    "".join(f"4.0K\t./part_{i}\n" for i in range(9)),
    "".join(f"  File: a{i}\n  Size: {i}\nDevice: 8\nAccess: 0644\n" for i in range(9)),
    "".join(f"Trying:\n    add({i})\nExpecting:\n    {i}\nok\n" for i in range(9)),
    "".join(f"/srv/a.py:{i}: DeprecationWarning: old\n  x = load({i})\n" for i in range(9)),
    "\x1b[1mNAME{i}\x1b[0m   AGE\n" + "".join(f"web-{i}    3d\n" for i in range(9)),
    " id | name\n----+------\n" + "".join(f"  {i} | ann\n" for i in range(9)) + "(9 rows)\n",
    "".join(f"=== RUN   TestAdd{i}\n--- PASS: TestAdd{i} (0.00s)\n" for i in range(9)),
]

# Sentences of one form, over line breaks at the same places.
WRAPPED = " ".join(
    f"Rule {i} of the pier says that nobody who came\nby ferry {i} may fish. " for i in range(9)
)

# Pages of one line each, with a number and a footer.
PAGES = "".join(
    f"Some parts of page {i} are left out. {'The tenant pays the rent. ' * 9}\n{i}\n"
    f"Source: Harbour Board, lease, page {i}\n"
    for i in range(9)
)

TEXTS = {
    "prose": [
        *("", " \n", "word", PROSE, "First, this.\nSecond, that.\nThird, those.", "{not json}"),
        *("[1] A citation, and so on.", "Note: one thing.\nNote: another.", "<3 and more <3"),
        *(
            "One day:\nit rained all day and nobody came.",
            "2024-05-01 was a fine day for all of us.",
            WRAPPED,
            PAGES,
        ),
    ],
    "json": ['{"a": [1, 2]}', "[\n 1,\n 2\n]", '\ufeff{"a": 1}', json.dumps({"a": PROSE})],
    "jsonl": ['{"a": 1}\n{"a": 2}\n', "[1]\n\n[2]", '{"text": "x"}\n' * 5_000],
    "yaml": [
        "name: shop\non:\n  push:\n    - main\njobs:\n  test: {}\n",
        "---\n- name: install\n  apt: nginx\n- name: start\n  service: nginx\n",
    ],
    "toml": [
        '[project]\nname = "shop"\nversion = "1"\n\n[tool.x]\non = true\nlist = [\n  "a",\n]\n'
    ],
    "csv": [
        "name,price,note\nFig,1,\nPear,2,x\n",
        "a\tb\n1\t2\n3\t4\n",
        "a;b\n1;2\n3;4\n",
        "time,value,state\n2024-05-01T12:00:00,1,a\n2024-05-01T12:00:01,2,b\n",
        'a,b,c\n1,"x\ny",3\n4,5,6\n',
        "Table 3: sales of May\nname,price,note\nFig,1,\nPear,2,x\n",
        "Sales of May\n\nname,price,note\nFig,1,\nPear,2,x\n",
        *("a,note\n" + f'1,"{note}"\n' * 90 for note in NOTES),
    ],
    "log": [
        *(
            "\n".join(form.format(i) for i in range(9))
            for name, form in test_logs.FORMS.items()
            if name != "json"
        ),
        f"12:00:00 a\n12:00:01 b\n{test_logs.JAVA}\n12:00:02 c",
        "2024-05-01 12:00:00 worker: a\n2024-05-01 12:00:01 web: b\n2024-05-01 12:00:02 worker: c",
        "12:00:00 INFO worker: a\n12:00:01 INFO web: b\n12:00:02 INFO worker: c\n" * 3,
    ],
    "diff": [
        f"commit 12\n\n    Why\n\n{test_diffs.HEADER}\n@@ -1,3 +1,3 @@\n ```sh\n-x\n+y\n ```\n",
        f"{test_diffs.HEADER}\n{test_diffs.HUNK}",
        "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n",
    ],
    "html": [test_html_text.PAGE, "<div>\n<p>a</p>\n<p>b</p>\n</div>"],
    "chat": [
        "User: Hi\nAssistant: Hello. How\nare you?",
        "Ann: Hi\nBen: Ho\nAnn: Hu\n",
        "[8 May, 2023]\nAnn: Hi\nBen: Ho\nAnn: Hu\n",
        "[12:03] <ann> hi\n[12:04] <ben> ho\n[12:05] <ann> hu\n",
        "12/05/23, 10:15 - Ann: Hi\n12/05/23, 10:16 - Ben: Ho\n12/05/23, 10:17 - Ann: Hu\n",
    ],
    "markdown": [
        "# Guide\n\nRead **this**.\n",
        "Some text.\n\n```python\nx = 1\n```\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "- one thing\n- another\n- a third\n",
        f"Look:\n\n```diff\n{test_diffs.HEADER}\n{test_diffs.HUNK}\n```\n",
    ],
    "lines": [
        "apple\npear\nfig\nplum\nnut\ncherry\n",
        LISTING,
        SCRIPT,
        *OUTPUTS,
    ],
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts]
)
def test_evidence(kind, text):
    assert guess_kind(text) == kind


def test_code_is_what_the_caller_says_is_code():
    assert guess_kind(SCRIPT, is_code=lambda head: "python" if head == SCRIPT else None) == "code"
    assert guess_kind(PROSE, is_code=lambda head: None) == "prose"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("README.md", "markdown"), ("src/Main.JAVA", "code"), ("a.ndjson", "jsonl")),
        *(("app.log.1", "log"), ("app.log.2024-05-01", "log"), ("b.tsv", "csv"), ("x.yml", "yaml")),
        *(("notes.txt", "prose"), ("get_user", "prose"), ("", "prose"), ("a.unknown", "prose")),
    ],
)
def test_names(name, kind):
    assert guess_kind(PROSE, name) == kind


@pytest.mark.parametrize(
    ("mime_type", "kind"),
    [
        *(("application/json; charset=utf-8", "json"), ("application/ld+json", "json")),
        *(("Text/HTML", "html"), ("text/x-python", "code"), ("application/vnd.x+yaml", "yaml")),
        *(("text/plain", "prose"), ("application/octet-stream", "prose"), ("", "prose")),
    ],
)
def test_mime_types(mime_type, kind):
    assert guess_kind(PROSE, mime_type=mime_type) == kind


CODE_WITH_TITLES = """\
# A program
# =========

import os
from x import y

##########
# Templates
##########


def find(path: str) -> str:
    \"""Return ``path``, see :func:`y`.\"""
    return os.fspath(y(path))


class Reader:
    \"""Reads ``path``.\"""

    def read(self) -> str:
        return find("a")
"""

GUIDE_WITH_CODE = """\
Reading
=======

Use ``find`` for it::

    import os
    from x import y

    def find(path: str) -> str:
        return os.fspath(y(path))

    class Reader:
        def read(self) -> str:
            return find("a")

See :func:`y`.
"""

DOCUMENTS = "\n---\n".join(
    f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: n{n}\ndata:\n  a: b" for n in range(5)
)

HEADERS = (
    "Name: x\nVersion: 1\n"
    + 3 * "Project-URL: Home, https://a\n"
    + "".join(f"Requires-Dist: a{n}\nProvides-Extra: b{n}\n" for n in range(9))
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("code", CODE_WITH_TITLES), ("markup", GUIDE_WITH_CODE), ("yaml", DOCUMENTS)],
)
def test_what_looks_like_another_kind_in_parts(kind, text):
    assert guess_kind(text, is_code=guess_language) == kind


def test_keys_with_hyphens_are_no_speakers():
    assert guess_kind(HEADERS) != "chat"


def test_a_name_is_believed_before_a_mime_type():
    assert guess_kind(PROSE, "a.py", "text/html") == "code"


def test_only_the_beginning_is_looked_at():
    lines = "".join(f"12:00:{i % 60:02} step {i}\n" for i in range(2_000))
    assert guess_kind(lines + PROSE * 200) == "log"


def test_a_record_may_be_longer_than_all_that_is_looked_at():
    row = json.dumps({"id": 1, "text": "word " * 8_000})
    assert guess_kind(f"{row}\n{row}\n") == "jsonl"
    assert guess_kind(f"{row}\n{row[:-1]}\n") != "jsonl"
