"""What is protected by default, and rules of one's own."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.pipeline._protection import (
    DEFAULT_PROTECTION,
    ProtectionRule,
    protected,
)
from specprefill_integrations.splitting import JsonSplitter, LineSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind, Span


class Backwards(KeywordScorer):
    """Prefers what the question does not ask for."""

    def score_spans(self, query, texts, spans):
        return [[-score for score in scores] for scores in super().score_spans(query, texts, spans)]


def is_protected(line: str, kind: Kind = "lines") -> bool:
    [found] = protected(line, [Span(0, len(line))], DEFAULT_PROTECTION, kind=kind)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: no such key",
        "requests.exceptions.ConnectionError: refused",
        "KeyboardInterrupt",
        "Traceback (most recent call last):",
        "Caused by: java.io.IOException: disk full",
        "error: could not compile `shop`",
        "error[E0308]: mismatched types",
        "main.c:3:5: error: expected ';'",
        "FAILED tests/test_shop.py::test_open",
        "fatal: not a git repository",
        "exit code: 1",
        "Process exited with code 137",
        "exited with status 2",
        "returncode=-9",
        "HTTP/1.1 404 Not Found",
        "< HTTP/2 200 ",
        "Total: 34 files",
        "| Total | 3 |",
        "Grand total   9",
        "=========== 3 failed, 21 passed in 2.31s ===========",
        "Tests: 3 failed, 9 passed, 12 total",
        "Ran 12 tests in 0.3s",
        "E   AssertionError: assert 1 == 2",
        "E       assert Decimal('409.5') == Decimal('40.95')",
        "    Expected: 40",
        '    Received: "023"',
        "--- FAIL: TestX (0.00s)",
        "FAIL\texample.org/x\t0.012s",
        "FAIL: test_open (tests.test_shop.TestShop)",
        "test t::subs ... FAILED",
        "test_open (tests.Shop.test_open) ... ERROR",
        "tests/test_a.py::test_x FAILED                        [ 50%]",
        "thread 't::subs' panicked at src/lib.rs:1:88:",
        "test result: FAILED. 1 passed; 1 failed; 0 ignored",
        "  77:9  error    'token' is not defined  no-undef",
        "a.ts(3,9): error TS2551: Property 'mail' does not exist",
        "src/App.java:9: error: cannot find symbol",
        "[ERROR] /srv/A.java:[3,5] cannot find symbol",
        "[INFO] BUILD FAILURE",
        "Tests run: 9, Failures: 1, Errors: 0, Skipped: 0",
        "make: *** [Makefile:3: all] Error 2",
        "npm ERR! code ERESOLVE",
        "npm error code E404",
        "E: Unable to locate package foo",
        "ERROR: Could not find a version that satisfies x",
        "ERROR 1064 (42000): You have an error in your SQL syntax",
        "bash: rg: command not found",
        "cat: notes.txt: No such file or directory",
        "scp: /srv: No space left on device",
        "ssh: connect to host web-3 port 22: Connection timed out",
        "CONFLICT (content): Merge conflict in a.py",
        " ! [rejected]        main -> main (non-fast-forward)",
        "Segmentation fault (core dumped)",
        "web-13   0/1   CrashLoopBackOff   7   3m",
        "\u2502 Error: Invalid resource type",
        "Plan: 1 to add, 0 to change, 1 to destroy.",
        "curl: (22) The requested URL returned error: 404",
        "2026-11-28 10:00:00 ERROR 503: Service Unavailable.",
        "GET /api 500 Internal Server Error",
        "Error response from daemon: No such container: web",
    ],
)
def test_lines_that_tell_how_it_ended(line: str) -> None:
    assert is_protected(line)


@pytest.mark.parametrize(
    "line",
    [
        "INFO app: started",
        "This error is common among beginners.",
        "The exception proves the rule.",
        "totally different",
        "GET /error HTTP/1.1",
        "return codes are described below",
        "0 errors, 0 warnings",
        "Tests run: 9, Failures: 0, Errors: 0, Skipped: 0",
        "src/errors.py:12: def error_handling(request):",
        "ERROR: 0",
        "Received a letter from the expected guest.",
        "door 500 is closed",
        "test_failed_payment PASSED",
        "E = mc2",
    ],
)
def test_other_lines(line: str) -> None:
    assert not is_protected(line)


def test_the_default_leaves_prose_and_code_to_the_question() -> None:
    assert not is_protected("ValueError: is what it raises.", "prose")
    assert not is_protected("exit_code = 1", "code")
    assert is_protected("Total,12,30", "csv")


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[31mm.c:4:3: \x1b[1;31merror: \x1b[0mno member",
        "\x1b[31mFAILED\x1b[0m test_a.py::test_x - boom",
        "\x1b[1m\x1b[31mE       assert 1 == 2\x1b[0m",
        "downloading 10%\rdownloading 20%\rerror: disk full\n",
    ],
)
def test_colors_hide_nothing(line: str) -> None:
    assert is_protected(line)


def test_entries_of_a_log_that_tell_of_an_error() -> None:
    assert is_protected("2026-11-28 10:00:00 ERROR [db] lost it", "log")
    assert is_protected('time="2026-11-28" level=error msg="lost it"', "log")
    assert not is_protected("2026-11-28 10:00:00 INFO errors: 0", "log")
    assert not is_protected("2026-11-28 10:00:00 INFO done, ERROR: 0", "log")


@pytest.mark.parametrize("rule", DEFAULT_PROTECTION)
@pytest.mark.parametrize("blank", ["\n", " \n", "| \n", "\r\n"])
def test_blank_lines_match_no_rule(rule: ProtectionRule, blank: str) -> None:
    assert rule.expression.search(blank * 20_000) is None


def test_rules_are_about_kinds_and_tools() -> None:
    rule = ProtectionRule(pattern="x", kinds=("log", "js*"), tools=("bash*", "run_?"))
    assert rule.holds_for("json", "bash_shell")
    assert rule.holds_for("log", "run_1")
    assert not rule.holds_for("csv", "bash")
    assert not rule.holds_for("log", "python")
    assert not rule.holds_for("log", None)
    assert ProtectionRule(pattern="x").holds_for("prose", None)


def test_a_pattern_that_is_none_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="pattern must be a regular expression"):
        ProtectionRule(pattern="(")


def test_an_error_outlives_a_budget_that_asks_for_something_else() -> None:
    log = "\n".join(f"2024-05-01 12:00:{n:02} INFO door {n} is open" for n in range(40))
    log += "\n2024-05-01 12:01:00 ERROR lost it\nValueError: no door\n"
    kept = ContextCompressor(KeywordScorer(), on_error="raise").compress(
        log, "which door is open?", budget=Budget(keep_fraction=0.2)
    )
    assert "ValueError: no door" in kept.text
    bare = ContextCompressor(KeywordScorer(), protect=(), on_error="raise").compress(
        log, "which door is open?", budget=Budget(keep_fraction=0.2)
    )
    assert "ValueError: no door" not in bare.text


def test_a_rule_for_one_tool() -> None:
    rows = "\n".join(f"row {n} of the table" for n in range(50))
    rows = f"{rows}\nversion 3\n{rows}"
    compressor = ContextCompressor(
        KeywordScorer(),
        protect=[ProtectionRule(pattern=r"^version \d", tools=("pip*",))],
        on_error="raise",
    )
    budget = Budget(keep_fraction=0.1)
    told = compressor.compress(rows, "row table", budget=budget, hint=TextHint(tool="pip_list"))
    other = compressor.compress(rows, "row table", budget=budget, hint=TextHint(tool="ls"))
    assert "version 3" in told.text
    assert "version 3" not in other.text


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("What is known about commit 4fa09c1d?", "4fa09c1d"),
        ("Who owns `build/part_7.tar`?", "build/part_7.tar"),
        ("Why does pod web-13 restart?", "web-13"),
        ("Where is parseHeader called?", "parseHeader"),
        ("What happened to order 90417?", "90417"),
    ],
)
def test_a_name_in_the_question_protects_the_sentence_that_holds_it(query: str, name: str) -> None:
    sentences = [f"Door {n} of the house is open and nobody knows why." for n in range(30)]
    sentences[17] = f"It all began when they came across {name} by chance."
    compressor = ContextCompressor(Backwards(), on_error="raise")
    kept = compressor.compress(" ".join(sentences), query, budget=Budget(keep_fraction=0.2))
    assert name in kept.text


@pytest.mark.parametrize(
    ("query", "kind"),
    [("Why is the door open?", "prose"), ("Is web-1 open?", "prose"), ("Is web-13 open?", "json")],
)
def test_other_words_and_parts_of_names_protect_nothing(query: str, kind: Kind) -> None:
    text = "The door of web-13 is open."
    unit = Span(0, len(text))
    assert protected(text, [unit], DEFAULT_PROTECTION, kind=kind, query=query) == [False]


def test_a_name_that_many_units_hold_protects_none() -> None:
    text = "see web-13 " * 9
    units = [Span(n * 11, n * 11 + 10) for n in range(9)]
    found = protected(text, units, DEFAULT_PROTECTION, kind="prose", query="What is web-13?")
    assert not any(found)
    assert not any(protected(text, units[:2], (), kind="prose", query="What is web-13?"))


def test_ids_of_records_are_protected_unless_empty() -> None:
    text = '{"id": 7, "user_id": "", "order_id": null, "uuid": "4-f", "note": "id"}'
    units = JsonSplitter(max_unit_chars=1)(text)
    found = protected(text, units, DEFAULT_PROTECTION, kind="json")
    kept = [text[a:b] for (a, b), held in zip(units, found, strict=True) if held]
    assert kept == ['"id": 7', '"uuid": "4-f"']


def test_of_a_chain_of_causes_the_root_is_protected() -> None:
    text = "Caused by: a.B: one\n\tat C.d\nCaused by: a.B: two\nCaused by: a.B: three\n\tat E.f\n"
    lines = LineSplitter()(text)
    found = protected(text, lines, DEFAULT_PROTECTION, kind="lines")
    assert found == [False, False, False, True, False]
