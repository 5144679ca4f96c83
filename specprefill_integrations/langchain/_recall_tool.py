"""The recall tool for LangChain agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from langchain_core.tools import ArgsSchema, BaseTool, InjectedToolArg
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)
from typing_extensions import Self

from specprefill_integrations._arguments import PositiveInt, check
from specprefill_integrations._metadata import METADATA_KEY, metadata_of
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.langchain._runtime import current_runtime
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.originals._recall import (
    AROUND_HELP,
    RECALL_HELP,
    REFERENCE_HELP,
    find_reference,
)
from specprefill_integrations.originals._store_choice import is_chosen
from specprefill_integrations.pipeline._failures import FailureLog
from specprefill_integrations.pipeline._token_counting import as_token_counter
from specprefill_integrations.tool_results._recaller import Recaller, as_text


class RecallInput(BaseModel):
    """The arguments that a model fills in: two texts, so that no model gets a type wrong."""

    reference: Annotated[str, BeforeValidator(as_text)] = Field(description=REFERENCE_HELP)
    around: Annotated[str, BeforeValidator(as_text)] = Field(default="", description=AROUND_HELP)


class _RecallInputOfRuntime(RecallInput):
    """The same, and the runtime that LangGraph adds; the model does not see it."""

    runtime: Annotated[Any, InjectedToolArg] = None


def _as_max_tokens(value: object) -> int:
    return int(check("max_tokens", value, PositiveInt))  # type: ignore[call-overload, no-any-return]


def _as_originals(value: object) -> object:
    return check("originals", value, OriginalStore | Callable[[Any], Any])


class RecallTool(BaseTool):
    """A tool that gives an agent the original of a compressed text, or a part of it.

    An original that fits is returned in full. Otherwise the answer is the lines that were asked for
    and as many lines around them as fit, with their numbers in the first line. Where there is no
    original, the answer says so and what to do instead; no call raises.

    The message's artifact names the recalled original under "specprefill", so that it is never
    compressed, whatever the tool is called.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    name: str = "recall_original"
    description: str = RECALL_HELP
    args_schema: ArgsSchema | None = RecallInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_validation_error: Any = "Give the reference that the shortened text names."

    originals: Annotated[OriginalStore | Callable[[Any], Any], BeforeValidator(_as_originals)]
    """The store that the compressing side puts originals into; or the function that chooses it,
    which gets the `ToolRuntime` of the call."""

    max_tokens: Annotated[int, BeforeValidator(_as_max_tokens)] = 2000
    """Tokens of an answer."""

    compressor: ContextCompressor | None = None
    """The compressor whose counter is used; None is the shared default, loaded at first use."""

    count_tokens: Annotated[Any, AfterValidator(as_token_counter)] = None
    """Counts tokens in place of the compressor: a function from a text to its number of tokens, a
    LangChain model, a tokenizer."""

    _failures: FailureLog = PrivateAttr(default_factory=FailureLog)

    @model_validator(mode="after")
    def _with_runtime(self) -> Self:
        """Take the runtime as an argument where a function needs it."""
        if is_chosen(self.originals) and self.args_schema is RecallInput:
            self.args_schema = _RecallInputOfRuntime
        return self

    def _run(
        self, reference: str, around: str = "", runtime: object = None
    ) -> tuple[str, dict[str, Any]]:
        """Fetch an original; the arguments are those of `RecallInput`."""
        runtime = runtime or current_runtime()
        return self._recaller().answer(reference, around, runtime), _artifact(reference)

    async def _arun(
        self, reference: str, around: str = "", runtime: object = None
    ) -> tuple[str, dict[str, Any]]:
        """`_run`, off the event loop."""
        runtime = runtime or current_runtime()
        answer = await self._recaller().aanswer(reference, around, runtime)
        return answer, _artifact(reference)

    def _recaller(self) -> Recaller:
        return Recaller(
            originals=self.originals,
            max_tokens=self.max_tokens,
            compressor=self.compressor,
            count_tokens=self.count_tokens,
            failures=self._failures,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy with the same store and counter."""
        memo = {} if memo is None else memo
        for shared in (self.originals, self.compressor, self.count_tokens):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)


def _artifact(reference: str) -> dict[str, Any]:
    found = find_reference(reference)
    references = () if found is None else (found,)
    return {METADATA_KEY: metadata_of(skipped_because="recalled", references=references)}
