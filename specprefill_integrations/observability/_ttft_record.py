"""The record of one model call: values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from specprefill_integrations.observability._prompt_saving import PromptChange, PromptSaving


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of a call as its provider reports them; None where it does not."""

    input_tokens: int | None = None
    """Tokens of the prompt, those read from a prompt cache included."""

    cached_tokens: int | None = None
    """Prompt tokens read from a prompt cache."""

    cache_write_tokens: int | None = None
    """Prompt tokens that were read and written to a prompt cache."""

    output_tokens: int | None = None
    """Tokens of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftRecord:
    """One answered model call."""

    run_id: str
    """The framework's id of the call."""

    started: float
    """Start of the call, in seconds since 1970."""

    total_seconds: float
    """From the call to the end of the answer."""

    model: str | None = None
    """The model's name; None if the framework does not report it."""

    first_token_seconds: float | None = None
    """From the call to the first non-empty piece of the answer, the provider's queue included;
    None if the answer was not streamed."""

    draft_seconds: float = 0.0
    """Time spent on compression since the previous call of the same app run, waiting for the draft
    included. Compressions that overlap in time count once."""

    saved_tokens: int = 0
    """Tokens that compression has removed so far in this app run."""

    change: PromptChange = field(default_factory=PromptChange)
    """Changes that compression made to the prompt."""

    usage: TokenUsage = TokenUsage()
    """Tokens as the provider reports them."""

    @property
    def ttft_seconds(self) -> float | None:
        """Time to first token as a user feels it: compression, then the model's first token."""
        if self.first_token_seconds is None:
            return None
        return self.draft_seconds + self.first_token_seconds

    @property
    def is_streamed(self) -> bool:
        """True if the answer was streamed, so that its first token has a time."""
        return self.first_token_seconds is not None

    @property
    def is_compressed(self) -> bool:
        """True if compression took time or removed tokens, even without success."""
        removed = max(self.saved_tokens, self.change.removed_tokens)
        return removed > 0 or self.draft_seconds > 0

    @property
    def prefill_tokens(self) -> int | None:
        """Prompt tokens that no cache held, which the model read before it answered."""
        if self.usage.input_tokens is None:
            return None
        return self.usage.input_tokens - (self.usage.cached_tokens or 0)

    @property
    def saving(self) -> PromptSaving:
        """Prompt tokens saved, net of the provider's prompt cache."""
        return PromptSaving.of(
            self.change,
            input_tokens=self.usage.input_tokens,
            cached_tokens=self.usage.cached_tokens,
            cache_write_tokens=self.usage.cache_write_tokens,
        )

    def as_json_object(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        found = asdict(self)
        usage = found.pop("usage")
        saving = asdict(self.saving)
        return {**found, **usage, "saving": saving, "ttft_seconds": self.ttft_seconds}
