"""A compressor can be pickled and copied, and every copy compresses alike."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import cloudpickle
import joblib
import pytest

from specprefill_integrations import Budget, Compression, ContextCompressor, GapStyle, TextHint
from specprefill_integrations.pipeline._selection import select_best
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.splitting._json._splitting import JsonSplitter
from specprefill_integrations.testing import KeywordScorer

TEXTS = [
    "The cat sat on the mat. A dog barked at the moon. Birds sang all morning long.",
    '[{"id": 1, "says": "a dog barked"}, {"id": 2, "says": "a cat sat"}, {"id": 3}]',
    "# Title\n\nA dog barked.\n\n## Other\n\nNothing happened here at all, and then it ended.\n",
]


def words(text: str) -> int:
    """Count words: a module's function pickles, a lambda does not."""
    return len(text.split())


@dataclass
class Settings:
    """A user's settings."""

    compressor: ContextCompressor
    name: str = "settings"


COMPRESSORS: dict[str, Callable[[], ContextCompressor]] = {
    "plain": lambda: ContextCompressor(KeywordScorer(), on_error="raise"),
    "engine": lambda: ContextCompressor(ScoringEngine(KeywordScorer()), on_error="raise"),
    "counter": lambda: ContextCompressor(KeywordScorer(), count_tokens=words),
    "stages": lambda: ContextCompressor(
        KeywordScorer(), splitter=JsonSplitter(), selector=select_best, gaps=GapStyle(marker="~")
    ),
}


def compressed(compressor: ContextCompressor) -> list[Compression]:
    """Compress some texts; the times, which differ, are left out."""
    hints = [None, None, TextHint(kind="markdown")]
    results = compressor.compress_documents(
        TEXTS, "dog", budget=Budget(keep_fraction=0.5), hints=hints
    )
    return [dataclasses.replace(result, elapsed_seconds=0.0) for result in results]


def spawned(compressor: ContextCompressor) -> list[Compression]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: list[Compression] = pool.apply(compressed, (compressor,))
        return found


def by_joblib(compressor: ContextCompressor) -> list[Compression]:
    found: list[list[Compression]] = joblib.Parallel(n_jobs=2, backend="loky")(
        joblib.delayed(compressed)(compressor) for _ in range(2)
    )
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("name", COMPRESSORS)
class TestCopies:
    @pytest.mark.parametrize(
        "copied",
        [
            copy.copy,
            copy.deepcopy,
            lambda compressor: pickle.loads(pickle.dumps(compressor)),  # noqa: S301 - our own
            lambda compressor: cloudpickle.loads(cloudpickle.dumps(compressor)),
            lambda compressor: compressor.replace(),
        ],
        ids=["copy", "deepcopy", "pickle", "cloudpickle", "replace"],
    )
    def test_a_copy_compresses_alike(
        self, name: str, copied: Callable[[ContextCompressor], ContextCompressor]
    ) -> None:
        compressor = COMPRESSORS[name]()
        assert compressed(copied(compressor)) == compressed(compressor)

    def test_so_it_does_in_another_process(self, name: str) -> None:
        compressor = COMPRESSORS[name]()
        assert spawned(compressor) == compressed(compressor)

    def test_asdict_takes_settings_with_a_compressor(self, name: str) -> None:
        found = dataclasses.asdict(Settings(COMPRESSORS[name]()))
        assert found["name"] == "settings"
        assert compressed(found["compressor"]) == compressed(COMPRESSORS[name]())


def test_joblib_takes_a_compressor_to_its_workers() -> None:
    compressor = COMPRESSORS["counter"]()
    assert by_joblib(compressor) == compressed(compressor)


def test_a_copy_counts_its_own_skips() -> None:
    compressor = ContextCompressor(KeywordScorer())
    compressor.compress("short", budget=Budget(max_tokens=9))
    copied = copy.deepcopy(compressor)
    assert (compressor.skip_counts, copied.skip_counts) == ({"within_budget": 1}, {})


def test_what_cannot_be_pickled_raises() -> None:
    compressor = ContextCompressor(KeywordScorer(), count_tokens=lambda text: len(text) + 1)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(compressor)
    assert compressed(cloudpickle.loads(cloudpickle.dumps(compressor))) == compressed(compressor)
