"""Questions that need all of a text, and what a compressor does with them."""

from __future__ import annotations

import pytest

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.pipeline._query_intent import needs_every_word
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import save_tiny_draft

PROSE = "Rain fell. " * 20 + "The dog barked at noon. " + "Nobody slept. " * 20
CODE = "def bark(times):\n    return 'wuff' * times\n\n\ndef rest(hours):\n    return hours\n"
HALF = Budget(keep_fraction=0.5)


@pytest.mark.parametrize(
    "query",
    [
        "Quote the clause on liability.",
        "What does section 4 say, word for word?",
        "Give me the exact wording of the notice",
        "How many times did the dog bark?",
        "how many times does it fail in this log?",
        "How often was the ferry turned back?",
        "How often does the word fog appear?",
        "Count the open tickets.",
        "This is a log. Count the errors.",
        "Read the log and count the errors",
        "I want you to count each restart",
        "Find the number of times the job failed.",
        "What do the invoices add up to?",
        "Sum up all the amounts",
        "What is the total number of orders?",
        "Translate this into French",
        "Can you quote the clause on liability and translate it?",
        "Please proofread: is there a mistake?",
    ],
)
def test_of_any_text(query):
    assert needs_every_word(query, "prose")
    assert needs_every_word(query, "code")


@pytest.mark.parametrize(
    "query",
    [
        "Fix the failing test in parser.py",
        "  rename x to y",
        "Could you please refactor this?",
        "I'll change the signature now.",
        "We need to add a parameter to rest().",
        "The build is red.\nFix the failing test.\n",
        "E   AssertionError: 1 != 2\n\n  refactor rest()",
    ],
)
def test_of_code_alone(query):
    assert needs_every_word(query, "code")
    assert needs_every_word(query, "diff")
    assert not needs_every_word(query, "log")
    assert not needs_every_word(query, "prose")


@pytest.mark.parametrize(
    "query",
    [
        None,
        "",
        "When did the dog bark?",
        "how many characters are present in icd-10 codes?",  # a fact, as most such questions
        "Which function does this? Add all files of a folder to the archive.",
        "Who fixed the bug?",
        "What was the account number?",
        "Who wrote the number-one song?",
        "How often does the backup job run?",
        "How often should the key be rotated?",
        "How many times can a user enter a wrong password?",
        "What is the maximum number of times a job is retried?",
        "Can you sum up this thread?",
        "Why do the totals not add up?",
        "Which function is used to count the rows?",
        "Where do we count the retries?",
        "Does the server count every request?",
        "How do I translate the interface into German?",
        "Where does the middleware translate the request?",
        "Does the quote the vendor sent include taxes?",
    ],
)
@pytest.mark.parametrize("kind", ["prose", "code"])
def test_parts_may_go(query, kind):
    assert not needs_every_word(query, kind)


def test_white_space_changes_nothing_however_long():
    for space in ("\n\n", "\n \n  ", " \n" * 9):
        assert needs_every_word(f"This is a log{space}Count the errors", "log")
    for space in (" ", "   ", "  \n"[:2]):
        assert not needs_every_word(f"This is a log{space}Count the errors", "log")


@pytest.mark.parametrize("query", ["\n" * 100_000 + "x", "how often " * 20_000, " \n" * 50_000])
def test_long_questions_need_no_word(query):
    assert not needs_every_word(query, "code")


class TestCompressor:
    def test_a_text_stays_whole_and_says_why(self):
        compressor = ContextCompressor(KeywordScorer())
        result = compressor.compress(PROSE, "How many times did the dog bark?", budget=HALF)
        assert (result.text, result.skipped_because) == (PROSE, "needs_every_word")
        assert compressor.skip_counts == {"needs_every_word": 1}

    async def test_off_the_event_loop_too(self):
        compressor = ContextCompressor(KeywordScorer())
        result = await compressor.acompress(PROSE, "Quote the passage on the dog.", budget=HALF)
        assert (result.text, result.skipped_because) == (PROSE, "needs_every_word")

    def test_a_number_of_tokens_is_kept_to(self):
        compressor = ContextCompressor(KeywordScorer())
        budget = Budget(max_tokens=20)
        result = compressor.compress(PROSE, "How many times did the dog bark?", budget=budget)
        assert result.skipped_because is None
        assert result.kept_tokens <= 20

    def test_each_text_by_its_kind_and_the_budget_is_of_the_others(self):
        compressor = ContextCompressor(KeywordScorer())
        hints = [TextHint(kind="code"), TextHint(kind="prose")]
        code, prose = compressor.compress_documents(
            [CODE, PROSE], "Fix bark: the dog is too loud.", budget=HALF, hints=hints
        )
        assert (code.text, code.skipped_because) == (CODE, "needs_every_word")
        assert prose.skipped_because is None
        assert 0 < prose.kept_tokens <= prose.original_tokens / 2

    @pytest.mark.parametrize("rule", [None, lambda query, kind: False])
    def test_the_rule_is_the_callers(self, rule):
        compressor = ContextCompressor(KeywordScorer(), leave_whole=rule)
        result = compressor.compress(PROSE, "How many times did the dog bark?", budget=HALF)
        assert result.skipped_because is None
        assert compressor.replace(scorer=KeywordScorer()).stages.leave_whole is rule

    def test_the_published_algorithm_has_no_such_rule(self, tmp_path):
        draft = save_tiny_draft(tmp_path)
        published = ContextCompressor.from_draft_model(draft, scorer="published")
        assert published.stages.leave_whole is None
        assert ContextCompressor.from_draft_model(draft).stages.leave_whole is needs_every_word
