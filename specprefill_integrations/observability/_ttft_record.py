"""One call of a model in numbers: values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """What a provider says that a call took; None is what it does not say."""

    input_tokens: int | None = None
    """Tokens of the prompt, those read from a prompt cache included."""

    cached_tokens: int | None = None
    """Those of them that came from a prompt cache."""

    output_tokens: int | None = None
    """Tokens of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftRecord:
    """One call of a model that was answered."""

    run_id: str
    """What the framework calls it."""

    started: float
    """When the model was called, in seconds since 1970."""

    total_seconds: float
    """From the call to the end of the answer."""

    model: str | None = None
    """The model's name; None where the framework does not say it."""

    first_token_seconds: float | None = None
    """From the call to the first piece of the answer that holds anything, the provider's queue
    included; None where the answer came in one piece, and nobody can tell."""

    draft_seconds: float = 0.0
    """What compression took before the call and since the one before it in the same run of the
    app, the draft's queue included. What happened at the same time counts once."""

    saved_tokens: int = 0
    """By how much compression has shortened the texts of this run of the app so far."""

    usage: TokenUsage = TokenUsage()
    """What the provider says that it took."""

    @property
    def ttft_seconds(self) -> float | None:
        """Time to first token as a user pays it: compressing, then the model's first token."""
        if self.first_token_seconds is None:
            return None
        return self.draft_seconds + self.first_token_seconds

    @property
    def is_streamed(self) -> bool:
        """Whether the answer came in pieces, so that the first token has a time."""
        return self.first_token_seconds is not None

    @property
    def is_compressed(self) -> bool:
        """Whether compression took part, were it in vain: it took time, or tokens off."""
        return self.saved_tokens > 0 or self.draft_seconds > 0

    @property
    def prefill_tokens(self) -> int | None:
        """Tokens that the model had to read before it could answer: those of no cache."""
        if self.usage.input_tokens is None:
            return None
        return self.usage.input_tokens - (self.usage.cached_tokens or 0)

    def as_json_object(self) -> dict[str, object]:
        """Everything as plain values for JSON."""
        found = asdict(self)
        usage = found.pop("usage")
        return {**found, **usage, "ttft_seconds": self.ttft_seconds}
