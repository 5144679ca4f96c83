"""The application of the service: its routes over one compressor."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from specprefill_integrations._arguments import checked
from specprefill_integrations._concurrency import run_in_thread
from specprefill_integrations._deadline import Deadline
from specprefill_integrations._telemetry import score_span
from specprefill_integrations.compressor import ContextCompressor, with_failures
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.originals import OriginalStore
from specprefill_integrations.originals._promised_references import PromisedReferences
from specprefill_integrations.originals._recall import find_reference
from specprefill_integrations.pipeline._failures import FailureLog
from specprefill_integrations.pipeline._token_counting import count_each
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.scoring._span_scorer import estimated_tokens
from specprefill_integrations.serving._admission import Admission
from specprefill_integrations.serving._api_keys import ApiKeys
from specprefill_integrations.serving._chat import (
    tool_results_of,
    with_recall_tool,
    with_result,
    with_room,
)
from specprefill_integrations.serving._contract import (
    CompressAnswer,
    CompressedDocument,
    CompressedMessage,
    CompressRequest,
    OriginalAnswer,
    ProblemAnswer,
    ScoreAnswer,
    ScorerAnswer,
    ScoreRequest,
    TokensAnswer,
    TokensRequest,
)
from specprefill_integrations.serving._engine_health import EngineHealth
from specprefill_integrations.serving._guardrail import (
    GUARDRAIL_PATH,
    GuardrailAnswer,
    GuardrailRequest,
    guarded,
)
from specprefill_integrations.serving._limits import ServiceLimits
from specprefill_integrations.serving._problems import Problem, add_handlers, check_limit
from specprefill_integrations.serving._service_metrics import CONTENT_TYPE, ServiceMetrics
from specprefill_integrations.serving._unit_scores import UnitScoreRecorder
from specprefill_integrations.tool_results import (
    QuerySource,
    ToolResult,
    ToolResultCompressor,
    outcome_of,
)
from specprefill_integrations.tool_results._tool_policy import is_among
from specprefill_integrations.types import Budget, Compression, Span

logger = logging.getLogger(__name__)

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemAnswer}
    for status in (400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)
}


@checked
def build_app(
    compressor: ContextCompressor,
    *,
    api_keys: ApiKeys | None,
    limits: ServiceLimits | None = None,
    originals: Callable[[str], OriginalStore] | None = None,
    metrics: CompressionMetrics | None = None,
) -> FastAPI:
    """Build the application. It closes the engine of the compressor when it shuts down.

    Args:
        compressor: The compressor; a scorer that is no `ScoringEngine` gets one. Its own
            `skip_counts` stay as they are: `metrics` count the calls of the service.
        api_keys: The keys of callers; None admits everybody.
        limits: The limits.
        originals: Returns the store of a tenant, such as `TenantOriginals`; None keeps nothing.
        metrics: Metrics to add counts to; None: new ones.
    """
    scorer = compressor.scorer
    engine = scorer if isinstance(scorer, ScoringEngine) else ScoringEngine(scorer)
    compressor = compressor.replace(scorer=engine, on_error="pass_through")
    failures = FailureLog(types_only=True)
    service = _Service(
        compressor=with_failures(compressor, failures),
        failures=failures,
        engine=engine,
        health=EngineHealth(engine),
        limits=limits or ServiceLimits(),
        originals=originals,
        metrics=ServiceMetrics(engine, metrics or CompressionMetrics()),
    )
    app = FastAPI(
        title="SpecPrefill",
        version=version("specprefill-integrations"),
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
        responses=_PROBLEMS,
    )
    app.add_middleware(Admission, api_keys=api_keys, limits=service.limits, metrics=service.metrics)
    add_handlers(app, service.limits.retry_after_seconds)
    for path, endpoint, answer in (
        ("/v1/compress", service.compress, CompressAnswer),
        (GUARDRAIL_PATH, service.guardrail, GuardrailAnswer),
        ("/v1/score", service.score, ScoreAnswer),
        ("/v1/tokens", service.tokens, TokensAnswer),
    ):
        app.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            response_model=answer,
            response_model_exclude_unset=True,
        )
    app.add_api_route("/v1/scorer", service.scorer, response_model=ScorerAnswer)
    app.add_api_route("/v1/originals/{reference}", service.original, response_model=OriginalAnswer)
    for name in ("healthz", "readyz", "metrics"):
        endpoint = getattr(service, f"show_{name}")
        app.add_api_route(f"/{name}", endpoint, name=name, response_model=None, responses={})
    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """The routes."""

    compressor: ContextCompressor
    engine: ScoringEngine
    health: EngineHealth
    limits: ServiceLimits
    originals: Callable[[str], OriginalStore] | None
    metrics: ServiceMetrics
    failures: FailureLog

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Close the engine at the end."""
        del app
        yield
        await run_in_thread(self.engine.close)

    async def compress(self, request: Request, asked: CompressRequest) -> CompressAnswer:
        """Compress documents, or the tool results of a conversation."""
        started = time.perf_counter()
        budget = self._check(asked)
        if asked.keep_originals and self.originals is None:
            raise Problem(422, "originals_not_kept", "This service keeps no originals.")
        tenant = str(request.scope["tenant"])
        if asked.documents is not None:
            answer = await self._compress_documents(asked, budget, tenant)
        else:
            answer = await self._compress_messages(asked, budget, tenant)
        return answer.model_copy(update={"elapsed_seconds": time.perf_counter() - started})

    async def guardrail(self, request: Request, asked: GuardrailRequest) -> GuardrailAnswer:
        """Compress the tool results of a request that passes LiteLLM's proxy."""
        tenant = str(request.scope["tenant"])

        async def compress(wanted: CompressRequest) -> CompressAnswer:
            budget = self._check(wanted)
            return await self._compress_messages(wanted, budget, tenant)

        return await guarded(asked, compress)

    async def score(self, asked: ScoreRequest) -> ScoreAnswer:
        """Score spans of texts."""
        self._check_query(asked.query)
        check_limit("Spans", sum(map(len, asked.spans)), self.limits.max_spans)
        await self._check_texts(asked.texts)
        spans = [[Span(*span) for span in of_text] for of_text in asked.spans]
        if not any(spans):
            return ScoreAnswer(scores=[[] for _ in spans])
        with score_span():
            scores = await self.engine.ascore_spans(asked.query, asked.texts, spans)
        return ScoreAnswer(scores=scores)

    async def tokens(self, asked: TokensRequest) -> TokensAnswer:
        """Count the tokens of texts."""
        check_limit("Texts", len(asked.texts), self.limits.max_spans)  # parts of documents
        tokens = await self._count(asked.texts, self.engine.count_tokens)
        return TokensAnswer(tokens=tokens)

    async def scorer(self) -> ScorerAnswer:
        """Describe the scores."""
        return await run_in_thread(self._describe)

    async def original(self, request: Request, reference: str) -> OriginalAnswer:
        """Return a text that was cut."""
        text = None
        if self.originals is not None and find_reference(reference) == reference:
            store = await run_in_thread(partial(self.originals, str(request.scope["tenant"])))
            text = await store.aget(reference)
        if text is None:
            raise Problem(404, "not_found", "This original is not kept here, or no longer.")
        return OriginalAnswer(reference=reference, text=text)

    async def show_healthz(self) -> JSONResponse:
        """Tell that the process is alive."""
        return JSONResponse({"status": "ok"})

    async def show_readyz(self) -> JSONResponse:
        """Tell if the engine answers or gets on; the first time, this loads the draft."""
        try:
            await self.health.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
            return JSONResponse(
                {"status": "not ready", "reason": type(error).__name__},
                503,
                {"Retry-After": str(self.limits.retry_after_seconds)},
            )
        return JSONResponse({"status": "ready"})

    async def show_metrics(self) -> PlainTextResponse:
        """Return the metrics in Prometheus' text format."""
        return PlainTextResponse(self.metrics.to_prometheus(), media_type=CONTENT_TYPE)

    async def _compress_documents(
        self, asked: CompressRequest, budget: Budget, tenant: str
    ) -> CompressAnswer:
        documents = asked.documents or []
        texts = [document.text for document in documents]
        await self._check_texts(texts)
        store = self.originals if asked.keep_originals else None
        references = PromisedReferences(texts, store, tenant)
        recorder = UnitScoreRecorder(self.engine) if asked.with_units else None
        compressor = recorder.in_place_of(self.compressor) if recorder else self.compressor
        try:
            results = await _compressed(compressor, asked, budget, references)
        except Exception as error:  # noqa: BLE001 - of the store of originals, whatever it is
            what = f"Passed {len(texts)} texts through unchanged"
            self.failures.add(logger, what, "failed", error)
            results = list(map(_failed, texts))
        cut = [index for index, result in enumerate(results) if _is_cut(result)]
        sources: tuple[QuerySource, ...] = ("caller",) if (asked.query or "").strip() else ()
        if results:
            outcome_of(results, query_sources=sources).record(self.metrics.compression)
        answers = [
            CompressedDocument.of(result, reference if index in cut else None)
            for index, (result, reference) in enumerate(zip(results, references.named, strict=True))
        ]
        if recorder:
            answers = [
                one.model_copy(update={"units": recorder.units_of(text)})
                for one, text in zip(answers, texts, strict=True)
            ]
        return CompressAnswer(
            documents=answers,
            original_tokens=sum(result.original_tokens for result in results),
            kept_tokens=sum(result.kept_tokens for result in results),
            elapsed_seconds=0,
        )

    async def _compress_messages(
        self, asked: CompressRequest, budget: Budget, tenant: str
    ) -> CompressAnswer:
        messages = list(asked.messages or [])
        check_limit("Messages", len(messages), self.limits.max_rows)
        check_limit("Tools", len(asked.tools or []), self.limits.max_rows)
        found = tool_results_of(asked, tenant)
        found = with_room(found, await self._tokens_to_compress(asked, found), self.limits)
        compressor = ToolResultCompressor(
            compressor=self.compressor,
            budget=budget,
            min_tokens=asked.min_tokens,
            exclude_tools=asked.exclude_tools,
            query=asked.query,
            originals=self.originals,
            metrics=self.metrics.compression,
            failures=self.failures,
        )
        done = await asyncio.gather(*map(compressor.acompress, found.values()))
        results = []
        for index, one in zip(found, done, strict=True):
            messages[index] = with_result(messages[index], one)
            counts = one.outcome.as_metadata()
            results.append(CompressedMessage.model_validate({"index": index, **counts}))
        tools = asked.tools
        if tools is not None and asked.keep_originals:
            tools = with_recall_tool(tools)
        return CompressAnswer(
            messages=messages,
            results=results,
            tools=tools,
            original_tokens=sum(one.original_tokens or 0 for one in results),
            kept_tokens=sum(one.kept_tokens or 0 for one in results),
            elapsed_seconds=0,
        )

    def _describe(self) -> ScorerAnswer:
        return ScorerAnswer(
            version=version("specprefill-integrations"),
            scores_are_logarithms=self.engine.scores_are_logarithms,
            score_calibration=self.engine.score_calibration,
        )

    def _check(self, asked: CompressRequest) -> Budget:
        budget = asked.budget.value()
        self.compressor.check_budget(budget)
        self._check_query(asked.query)
        return budget

    def _check_query(self, query: str | None) -> None:
        check_limit("Characters of query", len(query or ""), self.limits.max_query_chars)

    async def _tokens_to_compress(
        self, asked: CompressRequest, found: Mapping[int, ToolResult]
    ) -> dict[int, int]:
        """Return the tokens of tool results that are not skipped; at most, if they are few."""
        counted = {
            index: [*one.texts]
            for index, one in found.items()
            if one.skip is None and not is_among(one.tool_name, asked.exclude_tools)
        }
        texts = [text for of_result in counted.values() for text in of_result]
        # No tokenizer makes more tokens of a text than it has bytes.
        most = sum(len(text.encode()) for text in texts)
        if most <= self.limits.max_tokens and len(texts) <= self.limits.max_documents:
            return {}
        each = iter(await self._count(texts, self.compressor.count_tokens))
        tokens = {index: sum(islice(each, len(of))) for index, of in counted.items()}
        return {index: count for index, count in tokens.items() if count >= asked.min_tokens}

    async def _check_texts(self, texts: Sequence[str]) -> None:
        """Refuse too many texts, or texts of too many tokens."""
        check_limit("Texts", len(texts), self.limits.max_documents)
        # No tokenizer makes more tokens of a text than it has bytes.
        if sum(len(text.encode()) for text in texts) > self.limits.max_tokens:
            tokens = await self._count(texts, self.compressor.count_tokens)
            check_limit("Tokens", sum(tokens), self.limits.max_tokens)

    async def _count(
        self, texts: Sequence[str], count_tokens: Callable[[Sequence[str]], list[int]]
    ) -> list[int]:
        counting = run_in_thread(lambda: count_each(count_tokens, texts))
        return await Deadline.after(None).wait_for(counting)


async def _compressed(
    compressor: ContextCompressor,
    asked: CompressRequest,
    budget: Budget,
    references: PromisedReferences,
) -> list[Compression]:
    """Compress documents, and keep the originals of those that are cut."""
    documents = asked.documents or []
    await references.apromise()
    while True:
        hints = [one.hint(ref) for one, ref in zip(documents, references.named, strict=True)]
        results = await compressor.acompress_documents(
            [one.text for one in documents], asked.query, budget=budget, hints=hints
        )
        cut = [index for index, result in enumerate(results) if _is_cut(result)]
        if await references.aput(cut):
            return results


def _is_cut(result: Compression) -> bool:
    return result.skipped_because is None


def _failed(text: str) -> Compression:
    """Return a text whole whose original could not be kept."""
    tokens = estimated_tokens(text)
    return Compression(
        text=text,
        kept=(Span(0, len(text)),) if text else (),
        original_tokens=tokens,
        kept_tokens=tokens,
        elapsed_seconds=0,
        skipped_because="failed",
    )
