"""Prices of tokens and of a draft's machine, given or looked up in the table of genai-prices.

No network access: the table is part of the installed package.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from specprefill_integrations._arguments import NonNegativeFloat, PositiveInt, checked
from specprefill_integrations.errors import MissingDependencyError


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices, all in the same currency.

    Raises:
        ValueError: A price is below 0 or not finite.
    """

    input_per_million: NonNegativeFloat
    """Price of a million prompt tokens."""

    cached_input_per_million: NonNegativeFloat | None = None
    """Price of a million prompt tokens from the provider's prompt cache; None if they cost the
    same as others."""

    cache_write_per_million: NonNegativeFloat | None = None
    """Price of a million prompt tokens that are read and written to the provider's prompt cache;
    None if they cost the same as others."""

    output_per_million: NonNegativeFloat = 0.0
    """Price of a million answer tokens."""

    draft_per_hour: NonNegativeFloat = 0.0
    """Price of an hour of the draft's machine while it works; 0 if it costs nothing extra."""

    @property
    def cached_input(self) -> float:
        """Price of a million prompt tokens from the provider's prompt cache."""
        if self.cached_input_per_million is None:
            return self.input_per_million
        return self.cached_input_per_million

    @property
    def cache_write(self) -> float:
        """Price of a million prompt tokens that are written to the provider's prompt cache."""
        if self.cache_write_per_million is None:
            return self.input_per_million
        return self.cache_write_per_million

    @classmethod
    @checked
    def of_model(
        cls,
        model: str,
        *,
        provider: str | None = None,
        prompt_tokens: PositiveInt = 10_000,
        draft_per_hour: NonNegativeFloat = 0.0,
    ) -> Prices:
        """Look up a model's prices in US dollars in the installed table of genai-prices.

        Args:
            model: The provider's name of the model, such as `gpt-4o`.
            provider: The provider, such as `openai`; None for the likeliest one.
            prompt_tokens: Tokens of a typical prompt: some models cost more beyond a length.
            draft_per_hour: See `Prices`; the table does not contain it.

        Raises:
            MissingDependencyError: The extra `report` is not installed.
            LookupError: The table does not know the model.
        """
        try:
            from genai_prices import Usage, calc_price  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            package = "genai-prices"
            raise MissingDependencyError(package, "report") from error

        fresh = Usage(input_tokens=prompt_tokens, output_tokens=prompt_tokens)
        cached = Usage(input_tokens=prompt_tokens, cache_read_tokens=prompt_tokens)
        written = Usage(input_tokens=prompt_tokens, cache_write_tokens=prompt_tokens)
        try:
            once = calc_price(fresh, model, provider_id=provider)
            again = calc_price(cached, model, provider_id=provider)
            kept = calc_price(written, model, provider_id=provider)
        except LookupError as error:
            msg = f"The installed table of genai-prices has no prices for {model!r}."
            raise LookupError(msg) from error
        return cls(
            input_per_million=_per_million(once.input_price, prompt_tokens),
            cached_input_per_million=_per_million(again.input_price, prompt_tokens),
            cache_write_per_million=None
            if kept.input_price == once.input_price
            else _per_million(kept.input_price, prompt_tokens),
            output_per_million=_per_million(once.output_price, prompt_tokens),
            draft_per_hour=draft_per_hour,
        )


def _per_million(price: Decimal, tokens: int) -> float:
    return float(price / tokens * 1_000_000)
