"""The wire contract of the service: its requests and answers, as pydantic models.

Places in texts count characters (Unicode code points), as in `Span`. Unknown fields of requests are
refused, except in chat messages, whose rows are returned as they came.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.types import (
    Budget,
    Compression,
    Kind,
    LanguageWarning,
    SkipReason,
    Span,
    TextHint,
)

DEADLINE_HEADER = "X-Deadline-Seconds"
"""Seconds within which a caller wants its answer."""

REQUEST_ID_HEADER = "X-Request-ID"
"""Names a call in answers and logs; made up by the service if the caller gives none."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    """Clients accept answers with fields of later versions."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class BudgetFields(_Request):
    """See `Budget`; of several limits, the strictest holds."""

    keep_fraction: float | None = None
    max_tokens: int | None = None
    attention_mass: float | None = None
    target_recall: float | None = None
    min_tokens: int = Field(default=64, description="Tokens up to which keep_fraction gives way.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.value()
        return self

    def value(self) -> Budget:
        """Return the budget.

        Raises:
            BudgetError: It cannot be met or means nothing.
        """
        return Budget(**self.model_dump())


class Document(_Request):
    """A text and what is known of it; see `TextHint`."""

    text: str
    kind: Kind | None = Field(default=None, description="Its kind; null: it is detected.")
    name: str | None = Field(default=None, description="The name or path of its file.")
    mime_type: str | None = None
    tool: str | None = Field(default=None, description="The tool that returned it.")

    def hint(self, reference: str | None) -> TextHint:
        """Return the hint, with the reference that gap markers name."""
        known = self.model_dump(exclude={"text"})
        return TextHint(**known, reference=reference)


class FunctionCall(BaseModel):
    """The function of a tool call."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    arguments: str = "{}"


class ToolCall(BaseModel):
    """A tool call in a message of the assistant."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    function: FunctionCall | None = None


class ChatMessage(BaseModel):
    """A row of a conversation in OpenAI's chat format; further fields stay as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: str
    content: str | list[str | dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class ToolResultFields(_Request):
    """Settings for tool results, each of which has the budget."""

    budget: BudgetFields = BudgetFields(keep_fraction=0.3)
    query: str | None = Field(
        default=None,
        description="The question; for tool results, null takes it from the conversation.",
    )
    query_from: Literal["tool_call", "user_message"] = Field(
        default="tool_call",
        description="Where the question about a tool result is taken from: the call with the "
        "messages before it, or only the user's message before it.",
    )
    min_tokens: Annotated[int, Field(ge=0)] = Field(
        default=500, description="Tool results of fewer tokens pass through unchanged."
    )
    exclude_tools: list[str] = Field(
        default=[], description="Names or globs of tools whose results pass through unchanged."
    )


_OF_MESSAGES = ("tools", "query_from", "min_tokens", "exclude_tools")


class CompressRequest(ToolResultFields):
    """Documents, which share one budget, or a conversation, each of whose tool results has it."""

    budget: BudgetFields
    documents: list[Document] | None = None
    messages: list[ChatMessage] | None = None
    tools: list[dict[str, Any]] | None = Field(
        default=None,
        description="The agent's tools. With keep_originals, the answer adds one that recalls "
        "originals, for the caller to fulfil by GET /v1/originals/{reference}.",
    )
    keep_originals: bool = Field(
        default=False, description="Keep texts that are cut, for GET /v1/originals/{reference}."
    )
    with_units: bool = Field(
        default=False, description="For documents: answer with their units and scores."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.documents is None) == (self.messages is None):
            msg = "give either documents or messages"
            raise ValueError(msg)
        if self.messages is not None and self.with_units:
            msg = "with_units belongs to documents"
            raise ValueError(msg)
        if self.messages is None:
            for name in _OF_MESSAGES:
                if name in self.model_fields_set:
                    msg = f"{name} belongs to messages"
                    raise ValueError(msg)
        return self


Place = Annotated[int, Field(ge=0)]


class CompressedDocument(_Answer):
    """The result of a document; see `Compression`."""

    text: str
    kept: list[Span]
    original_tokens: int
    kept_tokens: int
    skipped_because: SkipReason | None
    is_left_out: bool
    is_widened: bool = Field(
        description="True if more than keep_fraction is kept, so that the best part of the call is "
        "there; never more than min_tokens of the budget."
    )
    language_warnings: list[LanguageWarning]
    reference: str | None
    units: list[tuple[Place, Place, float]] | None = Field(
        default=None,
        description="With with_units: [start, end, score] of what was kept or dropped as a whole, "
        "ascending; empty if nothing was scored.",
    )

    @classmethod
    def of(cls, result: Compression, reference: str | None) -> Self:
        """Translate a result."""
        return cls(
            text=result.text,
            kept=list(result.kept),
            original_tokens=result.original_tokens,
            kept_tokens=result.kept_tokens,
            skipped_because=result.skipped_because,
            is_left_out=result.is_left_out,
            is_widened=result.is_widened,
            language_warnings=list(result.language_warnings),
            reference=reference,
        )


class CompressedMessage(_Answer):
    """Counts of a tool result; null where its tokens were not counted."""

    index: int = Field(description="The place of its row in messages.")
    original_tokens: int | None
    kept_tokens: int | None
    skipped_because: SkipReason | None
    query_sources: list[str]
    references: list[str]


class CompressAnswer(_Answer):
    """The compressed documents or messages, in the order of the request."""

    documents: list[CompressedDocument] | None = None
    messages: list[ChatMessage] | None = Field(
        default=None, description="As many rows as in the request."
    )
    results: list[CompressedMessage] | None = Field(
        default=None, description="One for each tool result among the messages."
    )
    tools: list[dict[str, Any]] | None = None
    original_tokens: int
    kept_tokens: int
    elapsed_seconds: float


class ScoreRequest(_Request):
    """Texts and the spans to score; all scores of a call are comparable."""

    query: str | None = None
    texts: list[Annotated[str, Field(min_length=1)]]
    spans: list[list[tuple[Place, Place]]] = Field(
        description="For each text [start, end] of its spans, in characters, ascending."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.spans) != len(self.texts):
            msg = f"{len(self.texts)} texts need as many lists of spans; got {len(self.spans)}"
            raise ValueError(msg)
        for index, (text, spans) in enumerate(zip(self.texts, self.spans, strict=True)):
            if any(not start <= end <= len(text) for start, end in spans):
                msg = f"a span of text {index} is not in it ({len(text)} characters)"
                raise ValueError(msg)
            if any(one[0] > other[0] for one, other in pairwise(spans)):
                msg = f"the spans of text {index} do not ascend"
                raise ValueError(msg)
        return self


class ScoreAnswer(_Answer):
    """One score per span; higher means more needed."""

    scores: list[list[Annotated[float, Field(allow_inf_nan=False)]]]


class TokensRequest(_Request):
    """Texts to count."""

    texts: list[str]


class TokensAnswer(_Answer):
    """Tokens of each text, by the draft's tokenizer."""

    tokens: list[Place]


class ScorerAnswer(_Answer):
    """Properties of the scores; see `SpanScorer`."""

    version: str
    scores_are_logarithms: bool
    score_calibration: ScoreCalibration | None


class OriginalAnswer(_Answer):
    """A text that was cut."""

    reference: str
    text: str


class ProblemDetail(_Answer):
    """A field of a request that is wrong."""

    field: str
    message: str


class ProblemFields(_Answer):
    """An error."""

    code: str
    message: str
    request_id: str
    details: list[ProblemDetail] = []


class ProblemAnswer(_Answer):
    """The body of every answer with a status of 400 and above."""

    error: ProblemFields
