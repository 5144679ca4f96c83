"""Outputs of real tools have what their questions need, and are cut to their budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.testing import KeywordScorer
from tests.tool_outputs import RECIPES, CannotBeMadeError, Recipe


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_an_output_has_what_is_asked_for_and_is_cut_to_its_budget(recipe: Recipe) -> None:
    try:
        output = recipe.make()
    except CannotBeMadeError as error:
        pytest.skip(str(error))
    needed = recipe.needed(output)
    assert sum(min(map(len, texts)) for texts in needed) < 0.15 * len(output)
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    for keep in (0.2, 0.3):
        budget = Budget(keep_fraction=keep)
        result = compressor.compress(output, query=recipe.question, budget=budget)
        assert result.skipped_because is None
        assert result.kept_tokens <= budget.token_limit(result.original_tokens)


def test_each_has_a_name_of_its_own_and_a_row_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tool-outputs.md").read_text("utf-8")
    assert [recipe.name for recipe in RECIPES if recipe.question not in page] == []
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES) >= 46
