"""Prompt tokens that compression saved a call, net of the provider's prompt cache. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from specprefill_integrations.observability._prices import Prices

CACHED_SHARE = 0.1
"""The usual price of a token from a prompt cache, as a share of the price of one that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChange:
    """The changes that compression made to the prompt of a call."""

    new_tokens: int = 0
    """Tokens removed from texts that no model had read before."""

    earlier_tokens: int = 0
    """Tokens removed for earlier calls, which would be in this prompt again."""

    rewritten_tokens: int = 0
    """Tokens removed from messages that a model had read before."""

    resent_tokens: int = 0
    """Tokens of what a model had read before, from the first such message on, as they were: a
    prompt cache holds what is before it, and nothing after it."""

    def __add__(self, other: PromptChange) -> PromptChange:
        return PromptChange(
            new_tokens=self.new_tokens + other.new_tokens,
            earlier_tokens=self.earlier_tokens + other.earlier_tokens,
            rewritten_tokens=self.rewritten_tokens + other.rewritten_tokens,
            resent_tokens=self.resent_tokens + other.resent_tokens,
        )

    @property
    def removed_tokens(self) -> int:
        """All tokens that the prompt would have had besides."""
        return self.new_tokens + self.earlier_tokens + self.rewritten_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSaving:
    """Prompt tokens that were not read because of compression; below 0 if more were read."""

    fresh_tokens: int = 0
    """Tokens that the model did not have to read."""

    cached_tokens: int = 0
    """Tokens that the provider did not have to fetch from its prompt cache."""

    written_tokens: int = 0
    """Those of `fresh_tokens` that the provider did not have to write to its prompt cache."""

    @classmethod
    def of(
        cls,
        change: PromptChange,
        *,
        input_tokens: int | None,
        cached_tokens: int | None,
        cache_write_tokens: int | None,
    ) -> PromptSaving:
        """Compare a call with what it would have been without compression.

        Without it, the prompt would have all the tokens. A provider that reports cached tokens, or
        tokens written to its cache, would have had in its cache what a model had read before, but
        what it has read anew by now.

        Args:
            change: What compression changed.
            input_tokens: Tokens of the prompt; None if the provider does not report them: then all
                that was removed counts as fresh.
            cached_tokens: Those that came from a prompt cache; None if it does not report them.
            cache_write_tokens: Those that were written to it; None if it does not report them.
        """
        removed = change.removed_tokens
        cached, written = cached_tokens or 0, cache_write_tokens or 0
        resent = max(change.resent_tokens, change.rewritten_tokens)
        # Some providers cache without being asked, and then report no writes.
        is_cached = cached_tokens is not None and (
            cache_write_tokens is None or cached + written > 0
        )
        if input_tokens is None or not is_cached:
            return cls(fresh_tokens=removed)
        would_be_cached = change.earlier_tokens if cached or written or resent else 0
        would_be_cached += resent
        saved_cached = min(would_be_cached, input_tokens + removed - cached)
        fresh = removed - saved_cached
        was_fresh = input_tokens - cached
        share_written = min(1.0, written / was_fresh) if was_fresh > 0 else 0.0
        return cls(
            fresh_tokens=fresh,
            cached_tokens=saved_cached,
            written_tokens=round(fresh * share_written),
        )

    def __add__(self, other: PromptSaving) -> PromptSaving:
        return PromptSaving(
            fresh_tokens=self.fresh_tokens + other.fresh_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            written_tokens=self.written_tokens + other.written_tokens,
        )

    @property
    def net_tokens(self) -> float:
        """The saving in tokens at full price, with cached ones at a tenth."""
        return self.fresh_tokens + CACHED_SHARE * self.cached_tokens

    def money(self, prices: Prices) -> float:
        """Return the saving in the currency of the prices, without the draft; it may be negative.

        Args:
            prices: Prices of tokens.
        """
        plain = (self.fresh_tokens - self.written_tokens) * prices.input_per_million
        written = self.written_tokens * prices.cache_write
        return (plain + written + self.cached_tokens * prices.cached_input) / 1_000_000
