"""The fields and copies of components that hold a compressor."""

from __future__ import annotations

import pickle
from typing import Any

from llama_index.core.bridge.pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    model_validator,
)
from llama_index.core.schema import BaseComponent
from typing_extensions import Self

from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations.compressor import ContextCompressor, shared_compressor
from specprefill_integrations.llama_index._events import CallEvents
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.tool_results import Outcome


class WithCompressor(BaseModel):
    """A model with a compressor and metrics.

    A dictionary of it (`to_dict`, `model_dump`) cannot hold a compressor. It holds a text in its
    place, so that restoring it raises instead of using the default compressor.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    compressor: ContextCompressor | None = Field(
        default=None, description="The compressor; None is the shared default, loaded at first use."
    )
    metrics: CompressionMetrics | None = Field(
        default=None,
        exclude=True,
        description="Metrics to add counts to; None is `process_metrics()`.",
    )

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        budget = getattr(self, "budget", None)
        if self.compressor is not None and budget is not None:
            self.compressor.check_budget(budget)
        return self

    @field_serializer("compressor")
    def _compressor_as_text(self, compressor: ContextCompressor | None) -> str | None:
        return None if compressor is None else "a compressor: pass compressor= to restore it"

    def _ready_compressor(self) -> ContextCompressor:
        """Return the compressor, or the shared default."""
        return shared_compressor() if self.compressor is None else self.compressor

    async def _aready_compressor(self) -> ContextCompressor:
        """Do the same off the event loop: building the default imports torch."""
        return await run_in_thread(self._ready_compressor)

    def _report(self, events: CallEvents, outcome: Outcome) -> None:
        """Add the outcome of a call to the metrics and send its event."""
        outcome.record(self.metrics)
        events.finish(outcome)


class ComponentWithCompressor(WithCompressor, BaseComponent):
    """A component of LlamaIndex with a compressor."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle.

        LlamaIndex drops what cannot be pickled, and a copy would use the default compressor.

        Raises:
            TypeError: The compressor cannot be pickled.
        """
        try:
            pickle.dumps(self.compressor)
        except Exception as error:
            msg = (
                f"{type(self).__name__}: the compressor cannot be pickled ({error}). "
                "Use picklable stages, or run the pipeline in one process."
            )
            raise TypeError(msg) from error
        # LlamaIndex deletes what cannot be pickled from the living object: give it a copy.
        return super(ComponentWithCompressor, self.model_copy()).__getstate__()
