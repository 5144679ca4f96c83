"""Savings net of the prompt cache: against a provider that caches prefixes, and an example."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.evaluation import net_saving, total_cost
from specprefill_integrations.observability import (
    Prices,
    PromptChange,
    PromptSaving,
    TokenUsage,
    TtftRecord,
)

Message = tuple[int, bool]
"""The tokens of a message, and True if it is compressed, to a fifth."""


@dataclass
class Provider:
    """Caches the prompt before; a prompt is read anew from the first difference on."""

    last: list[Message] = field(default_factory=list)

    def usage(self, prompt: list[Message]) -> TokenUsage:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(prompt, self.last, strict=False))
        cached = sum(size(message) for message, _ in same)
        self.last = list(prompt)
        total = sum(map(size, prompt))
        return TokenUsage(input_tokens=total, cached_tokens=cached, output_tokens=0)


def size(message: Message) -> int:
    tokens, is_compressed = message
    return tokens // 5 if is_compressed else tokens


def removed(message: Message) -> int:
    return message[0] - size(message)


turns = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(1, 9_999), st.booleans()), min_size=1, max_size=3),
        st.sets(st.integers(0, 9), max_size=3),
    ),
    min_size=1,
    max_size=6,
)


@given(turns)
def test_it_is_the_difference_to_the_same_calls_without_compression(
    turns: list[tuple[list[Message], set[int]]],
) -> None:
    """Each turn adds messages, some of them compressed, and compresses some old ones."""
    with_us, without = Provider(), Provider()
    prompt: list[Message] = []
    for added, old in turns:
        earlier = sum(map(removed, prompt))
        rewritten = sorted(i for i in old if i < len(prompt) and not prompt[i][1])
        resent = sum(map(size, prompt[rewritten[0] :])) if rewritten else 0
        for index in rewritten:
            prompt[index] = (prompt[index][0], True)
        changed = sum(removed(prompt[index]) for index in rewritten)
        prompt += added
        change = PromptChange(
            new_tokens=sum(map(removed, added)),
            earlier_tokens=earlier,
            rewritten_tokens=changed,
            resent_tokens=resent,
        )
        ours, full = with_us.usage(prompt), without.usage([(t, False) for t, _ in prompt])
        record = TtftRecord(run_id="1", started=0, total_seconds=1, change=change, usage=ours)
        full_call = TtftRecord(run_id="2", started=0, total_seconds=1, usage=full)
        if not ours.cached_tokens and not resent:  # a cache of nothing was not seen to work
            continue
        saving = record.saving
        assert saving.fresh_tokens == (full_call.prefill_tokens or 0) - (record.prefill_tokens or 0)
        assert saving.cached_tokens == (full.cached_tokens or 0) - (ours.cached_tokens or 0)
        prices = Prices(input_per_million=3.0, cached_input_per_million=0.3)
        money = total_cost([full_call], prices).total - total_cost([record], prices).total
        assert net_saving([record], prices) == pytest.approx(money, abs=1e-12)


def calls_of(*calls: tuple[PromptChange, int, int]) -> list[TtftRecord]:
    return [
        TtftRecord(
            run_id="1",
            started=0,
            total_seconds=1,
            change=change,
            usage=TokenUsage(input_tokens=read, cached_tokens=cached, output_tokens=0),
        )
        for change, read, cached in calls
    ]


def test_compressing_what_was_in_the_cache_costs_first() -> None:
    """The example of docs/ttft-and-cost.md."""
    rewriting = PromptChange(rewritten_tokens=6_400, resent_tokens=9_500)
    later = PromptChange(earlier_tokens=6_400)
    calls = calls_of(
        (rewriting, 4_600, 1_000), *((later, 5_100 + 500 * n, 4_600 + 500 * n) for n in range(4))
    )
    savings = [call.saving for call in calls]
    assert savings[0] == PromptSaving(fresh_tokens=-3_100, cached_tokens=9_500)
    assert savings[1:] == [PromptSaving(cached_tokens=6_400)] * 4
    assert [round(saving.net_tokens) for saving in savings] == [-2_150, 640, 640, 640, 640]
    prices = Prices(input_per_million=3.0, cached_input_per_million=0.3)
    assert net_saving(calls[:4], prices) < 0 < net_saving(calls, prices)


def test_compressing_on_arrival_never_costs_prompt_tokens() -> None:
    calls = calls_of(
        (PromptChange(new_tokens=6_400), 2_600, 1_000),
        (PromptChange(earlier_tokens=6_400), 3_100, 2_600),
    )
    assert [round(call.saving.net_tokens) for call in calls] == [6_400, 640]


class TestProviders:
    def saving(self, **usage: int | None) -> PromptSaving:
        change = PromptChange(earlier_tokens=50, rewritten_tokens=100, resent_tokens=300)
        known = {"input_tokens": 1_000, "cached_tokens": None, "cache_write_tokens": None}
        return PromptSaving.of(change, **{**known, **usage})

    def test_without_a_report_all_tokens_count_in_full(self) -> None:
        assert self.saving() == PromptSaving(fresh_tokens=150)
        assert self.saving(input_tokens=None) == PromptSaving(fresh_tokens=150)

    def test_a_cache_that_has_to_be_asked_for_and_is_not_holds_nothing(self) -> None:
        found = self.saving(cached_tokens=0, cache_write_tokens=0)
        assert found == PromptSaving(fresh_tokens=150)

    def test_what_is_read_anew_is_written_anew(self) -> None:
        found = self.saving(cached_tokens=200, cache_write_tokens=800)
        assert found == PromptSaving(fresh_tokens=-200, cached_tokens=350, written_tokens=-200)
        prices = Prices(
            input_per_million=1.0, cached_input_per_million=0.1, cache_write_per_million=1.25
        )
        assert found.money(prices) == pytest.approx((-200 * 1.25 + 35) / 1_000_000)

    @given(
        st.builds(PromptChange, **dict.fromkeys(PromptChange.__slots__, st.integers(0, 9_999))),
        st.integers(0, 9_999),
        st.none() | st.integers(0, 9_999),
        st.none() | st.integers(0, 9_999),
    )
    def test_all_that_was_removed_counts_once(self, change, tokens, cached, written) -> None:
        cached = cached if cached is None else min(cached, tokens)
        found = PromptSaving.of(
            change, input_tokens=tokens, cached_tokens=cached, cache_write_tokens=written
        )
        assert found.fresh_tokens + found.cached_tokens == change.removed_tokens
        assert found.cached_tokens >= 0
