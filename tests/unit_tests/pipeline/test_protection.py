"""What is protected by default, and rules of one's own."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.pipeline._protection import (
    DEFAULT_PROTECTION,
    ProtectionRule,
    protected,
)
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind, Span


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
    ],
)
def test_other_lines(line: str) -> None:
    assert not is_protected(line)


def test_the_default_leaves_prose_and_code_to_the_question() -> None:
    assert not is_protected("ValueError: is what it raises.", "prose")
    assert not is_protected("exit_code = 1", "code")
    assert is_protected("Total,12,30", "csv")


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
