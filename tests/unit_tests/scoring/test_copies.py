"""Copies of scorers and engines score alike, in this process and in others."""

from __future__ import annotations

import copy
import pickle

import cloudpickle
import joblib
import pytest

from specprefill_integrations.scoring import (
    AttentionScorer,
    DraftModel,
    EngineLimits,
    LinearReadout,
    ReadingPlan,
    ScoringEngine,
    shared_engine,
)
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import random_match, save_tiny_draft, tiny_model, tiny_tokenizer

TEXT = "The cat sat on the mat. The dog ran away from the house. It was late."
QUESTION = "Where is the cat?"
READOUT = LinearReadout(
    heads=((0, 0), (1, 2)),
    passes=("question", "null_question"),
    own_weights=(0.5, -0.25, 1.0, -1.0),
    around_weights=(0.1, 0.2, 0.3, 0.2),
    match=random_match("llama", 1),
)
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda original: pickle.loads(pickle.dumps(original)),  # noqa: S301 - our own
    "cloudpickle": lambda original: pickle.loads(cloudpickle.dumps(original)),  # noqa: S301
}


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def copied(request):
    return request.param


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    """A scorer that has scored, so that everything it finds lazily is there."""
    folder = save_tiny_draft(tmp_path_factory.mktemp("draft"))
    scorer = AttentionScorer(DraftModel.from_source(folder), READOUT, ReadingPlan(window_tokens=50))
    scores_of(scorer)
    return scorer


def scores_of(scorer):
    return scorer.score_spans(QUESTION, [TEXT], [ProseSplitter()(TEXT)])


def in_another_process(passed, pickled):
    """Score with each; return the scores and what the engines have in common there.

    Args:
        passed: A scorer, its shared engine and a private one.
        pickled: The same as bytes.
    """
    found = []
    for scorer, shared, private in (passed, pickle.loads(pickled)):  # noqa: S301 - our own
        scores = [scores_of(one) for one in (scorer, shared, private)]
        is_shared = [
            shared_engine(scorer).statistics == one.statistics for one in (shared, private)
        ]
        found.append((scores, is_shared, [one.statistics.calls for one in (shared, private)]))
    return found


class TestAttentionScorer:
    def test_a_copy_equals_the_scorer_and_scores_alike(self, scorer, copied):
        other = copied(scorer)
        assert other == scorer
        assert other.draft is scorer.draft
        assert scores_of(other) == scores_of(scorer)

    def test_what_was_found_lazily_is_left_behind(self, scorer):
        assert set(pickle.loads(pickle.dumps(scorer)).__dict__) == {  # noqa: S301
            "draft",
            "readout",
            "plan",
        }

    def test_a_draft_made_from_a_loaded_model_is_copied_but_not_pickled(self):
        draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
        assert copy.copy(draft) is copy.deepcopy(draft) is draft
        with pytest.raises(TypeError, match="name its source"):
            pickle.dumps(AttentionScorer(draft, READOUT))


class TestScoringEngine:
    def test_a_shared_one_is_the_shared_one(self, scorer, copied):
        engine = shared_engine(scorer)
        assert copied(engine) is engine
        hurried = copied(engine.with_deadline(30))
        assert hurried.deadline_seconds == 30
        calls = engine.statistics.calls
        scores_of(hurried)
        assert engine.statistics.calls == calls + 1

    def test_after_it_was_closed_a_pickle_is_the_next_one(self):
        engine = shared_engine(KeywordScorer())
        engine.close()
        other = pickle.loads(pickle.dumps(engine))  # noqa: S301
        assert other is shared_engine(KeywordScorer())
        assert not other.is_closed

    def test_a_private_one_stays_private(self, scorer):
        limits = EngineLimits(cache_entries=3)
        engine = ScoringEngine(scorer, limits=limits, deadline_seconds=30)
        assert copy.copy(engine) is copy.deepcopy(engine) is engine
        other = pickle.loads(pickle.dumps(engine))  # noqa: S301
        assert (other.limits, other.deadline_seconds) == (limits, 30)
        calls = shared_engine(scorer).statistics.calls
        assert scores_of(other) == scores_of(engine)
        assert [one.statistics.calls for one in (other, engine)] == [1, 1]
        assert shared_engine(scorer).statistics.calls == calls


def test_another_process_scores_alike_and_has_one_shared_engine(scorer):
    """What joblib passes, by cloudpickle, and what pickle does; one process for both."""
    shared, private = shared_engine(scorer), ScoringEngine(scorer)
    [expected] = scores_of(shared)
    before = shared.statistics
    passed = (scorer, shared, private)
    call = joblib.delayed(in_another_process)(passed, pickle.dumps(passed))
    [found] = joblib.Parallel(n_jobs=2)([call])
    joblib.externals.loky.get_reusable_executor().shutdown()
    assert [calls for _, _, calls in found] == [[1, 1], [2, 1]]
    for scores, is_shared, _ in found:
        assert [one[0] for one in scores] == [pytest.approx(expected, rel=1e-5)] * 3
        assert is_shared == [True, False]
    assert shared.statistics == before
