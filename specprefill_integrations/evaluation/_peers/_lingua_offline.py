"""LLMLingua's `PromptCompressor` without what it fetches from the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from specprefill_integrations.errors import MissingDependencyError

try:
    from llmlingua import PromptCompressor
except ImportError as error:
    # A broken installation must not look like a missing one.
    if error.name != "llmlingua":
        raise
    raise MissingDependencyError(package="llmlingua", extra="peers") from error


@dataclass(frozen=True, slots=True)
class DraftTokens:
    """Stands in for OpenAI's tokenizer, with which the package counts words and savings."""

    tokenizer: Any
    """The draft's, with which all compressors' tokens are counted."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without special ones."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return found


class OfflinePromptCompressor(PromptCompressor):  # type: ignore[misc] # it has no types
    """All of the package's algorithms; what is set here, its own `__init__` sets alike.

    That one fetches OpenAI's tokenizer first of all, and loads weights, both from the network.
    """

    def __init__(self, model_name: str, draft_tokenizer: Any, *, is_second: bool) -> None:  # noqa: ANN401
        """Set everything but `model`, `tokenizer`, `device` and `max_position_embeddings`.

        Args:
            model_name: The package asks it for how words are cut.
            draft_tokenizer: Counts tokens.
            is_second: Whether it is LLMLingua-2.
        """
        self.model_name = model_name
        self.use_llmlingua2 = is_second
        self.retrieval_model = None
        self.retrieval_model_name = None
        self.open_api_config: dict[str, Any] = {}
        self.cache_bos_num = 10
        self.prefix_bos_num = 100
        self.context_idxs: list[list[int]] = []
        self.oai_tokenizer = DraftTokens(draft_tokenizer)
