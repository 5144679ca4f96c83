"""Files and hunks of a diff."""

from __future__ import annotations

from specprefill_integrations.splitting._diffs import DiffSplitter
from tests.unit_tests.splitting.reading import needs, pieces

HEADER = "diff --git a/shop.sql b/shop.sql\nindex 12..34 100644\n--- a/shop.sql\n+++ b/shop.sql"
HUNK = "@@ -1,3 +1,3 @@ tables\n same\n--- an old comment\n+++ a new comment\n same"
OTHER_HUNK = "@@ -9 +9,2 @@\n-old\n+new\n+newer\n\\ No newline at end of file"
BINARY = "diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ"


def test_hunks_need_their_file():
    text = f"commit 1234\n\n    Why\n\n{HEADER}\n{HUNK}\n{OTHER_HUNK}\n{BINARY}\n"
    assert needs(DiffSplitter(), text) == {
        "commit 1234\n\n    Why": [],
        HEADER: [],
        HUNK: [HEADER],
        OTHER_HUNK: [HEADER],
        BINARY: [],
    }


def test_a_diff_without_git():
    header, other = "--- a.txt\t2024-05-01\n+++ b.txt\t2024-05-02", "--- c.txt\n+++ d.txt"
    found = needs(DiffSplitter(), f"{header}\n@@ -1 +1 @@\n-a\n+b\n{other}\n{OTHER_HUNK}")
    assert found["@@ -1 +1 @@\n-a\n+b"] == [header]
    assert found[OTHER_HUNK] == [other]


def test_counts_that_are_wrong_do_not_cut_a_hunk():
    hunk = "@@ -1,1 +1,1 @@\n-a\n+b\n+c\n d"
    assert pieces(DiffSplitter(), f"{HEADER}\n{hunk}\n{HEADER}\n") == [HEADER, hunk, HEADER]


def test_the_signature_of_a_mail_is_no_line_of_a_hunk():
    assert pieces(DiffSplitter(), f"{HEADER}\n{HUNK}\n-- \n2.40.1\n") == [
        HEADER,
        HUNK,
        "-- \n2.40.1",
    ]


def test_pieces_of_a_long_hunk_keep_their_marks_and_need_its_first_line():
    lines = [f" line {i}" if i % 2 else f"+line {i}" for i in range(9)]
    text = "\n".join([HEADER, "@@ -1,4 +1,9 @@ def f():", *lines])
    found = needs(DiffSplitter(max_unit_chars=90), text)
    assert found["@@ -1,4 +1,9 @@ def f():"] == [HEADER]
    assert found["\n".join(lines)] == [HEADER, "@@ -1,4 +1,9 @@ def f():"]
