"""Which runs lie in which."""

from __future__ import annotations

from specprefill_integrations.observability._run_tree import RunTree


def test_paths_lead_from_the_outermost_run() -> None:
    tree = RunTree()
    tree.started("agent", None)
    tree.started("step", "agent")
    tree.started("model", "step")
    assert tree.path_to("model") == ("agent", "step", "model")
    assert tree.path_to("agent") == ("agent",)


def test_a_parent_nobody_told_of_is_the_outermost_that_is_known() -> None:
    tree = RunTree()
    tree.started("one", "unknown")
    tree.started("other", "unknown")
    assert tree.path_to("one")[0] == tree.path_to("other")[0] == "unknown"
    assert tree.path_to("nobody") == ("nobody",)


def test_what_outlives_the_run_it_lies_in_stays_where_it_is() -> None:
    tree = RunTree()
    tree.started("agent", None)
    tree.started("step", "agent")
    tree.started("model", "step")
    assert not tree.ended("step")
    assert tree.path_to("model") == ("agent", "step", "model")
    assert not tree.ended("model")
    assert tree.ended("agent")
    assert not tree.ended("agent")
