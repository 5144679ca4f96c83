"""What those components of LlamaIndex share that hold a compressor: how they are copied."""

from __future__ import annotations

import logging
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field
from llama_index.core.schema import BaseComponent
from typing_extensions import Self

from specprefill_integrations.compressor import ContextCompressor

logger = logging.getLogger(__name__)


class WithCompressor(BaseComponent):
    """A component with a compressor, which no dictionary and no pickle takes along."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    compressor: ContextCompressor | None = Field(
        default=None,
        exclude=True,
        description="What compresses; None is the shared default, loaded at first use.",
    )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with the same compressor: it owns a lock and a model."""
        memo = {} if memo is None else memo
        memo[id(self.compressor)] = self.compressor
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: LlamaIndex deletes what cannot be pickled from the living object."""
        if self.compressor:
            logger.warning("Pickled without the compressor; the copy uses the shared default.")
        weightless = self.model_copy(update={"compressor": None})
        return super(WithCompressor, weightless).__getstate__()
