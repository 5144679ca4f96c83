"""The agent's example, run as a newcomer runs it: real tools, no key, no network."""

from __future__ import annotations

import re

from tests.integration_tests.test_demo import number, run


def test_the_agent() -> None:
    done = run("langchain_agent.py", "--scorer=keyword", "--max-tokens=300")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert len(re.findall(r"^\d+\. ", shown, re.MULTILINE)) == 10
    turns = re.findall(r": ([\d,]+) -> ([\d,]+) tokens, by user_message", shown)
    assert len(turns) == 9
    assert all(number(after) <= 300 < number(before) for before, after in turns)
    assert "recall_original: unchanged, recalled" in shown
    assert "order 7123 accepted, 5 items" in shown
    assert "I cannot see it." not in shown
    assert "There is no reference to recall." not in shown
    [(before, after)] = re.findall(r"in all \d+ prompts │ +([\d,]+) │ +([\d,]+)", shown)
    assert 0 < number(after) < 0.2 * number(before)
    assert "Every prompt begins with the one before: yes." in shown
