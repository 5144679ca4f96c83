"""Law of arguments: what a public call cannot mean is refused when it is made, by name.

The table is made from the signatures: a parameter of a new kind fails until it is entered here.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool
from langgraph.store.memory import InMemoryStore
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool

import specprefill_integrations
from specprefill_integrations import Budget, ContextCompressor, GapStyle, TextHint
from specprefill_integrations.bench import concurrent_requests
from specprefill_integrations.calibration import Calibration, LabeledCase
from specprefill_integrations.evaluation import Answer, EvaluationCase, FieldNames
from specprefill_integrations.evaluation._run_log import RunLog
from specprefill_integrations.langchain import (
    SpecPrefillDocumentCompressor,
    SpecPrefillDocumentTransformer,
    SpecPrefillMiddleware,
    StoreOriginals,
    compress_messages,
    deep_agent_options,
)
from specprefill_integrations.llama_index import (
    SpecPrefillMemoryBlock,
    SpecPrefillNodePostprocessor,
    SpecPrefillTransform,
)
from specprefill_integrations.observability import BreakEven, CompressionMetrics, Prices, TtftLog
from specprefill_integrations.originals import InMemoryOriginals, SqliteOriginals
from specprefill_integrations.pipeline import select_covering
from specprefill_integrations.scoring import (
    DraftModel,
    EncoderSpanScorer,
    LinearReadout,
    ReadoutProfile,
)
from specprefill_integrations.scoring._encoder_model import EncoderModel
from specprefill_integrations.splitting import ProseSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.tool_results import ToolPolicy
from specprefill_integrations.types import Span
from tests.laws.test_public_names import PUBLIC
from tests.tiny_encoders import tiny_encoder, tiny_pair_tokenizer

BUDGET = Budget(keep_fraction=0.5)
COMPRESSOR = ContextCompressor(KeywordScorer(), on_error="raise")

# What the library hands out: callers read these, and make none.
RESULTS = {
    *("AbResult", "Compression", "CompressedResult", "ConcurrencyResult", "FaultsResult"),
    *("ContextCompressionEndEvent", "ContextCompressionSkippedEvent", "EngineStatistics"),
    *("ContextCompressionStartEvent", "EvidenceResult", "LimitResult", "Lineup"),
    *("MemoryResult", "MetricsTotals", "Outcome", "Percentiles", "ReadingSpeed", "Span"),
    *("PromptChange", "PromptSaving", "ShadowSummary"),
    *("GpuResult", "HostResult", "HostSeconds", "SecondQuestionResult"),
    *("DraftModel", "SplitterChoice"),
    *("SplitResult", "SplittingResult", "Stages", "TimesResult", "TtftRecord", "TtftSummary"),
    *("Calibration", "DraftLayers", "PromptLayout", "SpanReadings", "TokenUsage", "Unit"),
}
# Called within each compression with all its units or texts: to look at every one takes time.
HOT = {
    *("Outline", "ScoreRequest", "select_best", "select_covering"),
    *("is_compressible", "outcome_of", "outcome_of_skipped"),
}
# Calls that need a draft or long: only their refusals are tried here.
LONG = {
    *("bench.measure_cold_start", "bench.measure_faults", "bench.measure_memory"),
    *("bench.measure_second_question", "bench.measure_times", "bench.prepare_passes"),
    *("bench.measure_gpu", "bench.measure_host", "calibration.read_for_calibration"),
}


async def ask_later(request: object) -> str:
    """A function that nothing awaits."""
    return str(request)


class AskLater:
    """Is called as one."""

    async def __call__(self, request: object) -> str:
        """Return a question."""
        return str(request)


NO_COUNTER: list[Any] = ["gpt2", 7, lambda first, second: 1, lambda: 1, ask_later, AskLater()]
NO_MATRIX: list[Any] = ["text", 7, None, [[0.5]], *map(np.array, ([0.5], [[0.5, math.nan]]))]
NO_TEXT: list[Any] = [7, b"text", ["text"], HumanMessage("text")]
NO_NUMBER: list[Any] = ["500", True, None, [1], math.nan]
NO_COUNT: list[Any] = [*NO_NUMBER, 1.5, -1]
NOTHING: list[Any] = [0.2, "name", object()]


# Wrong values by the name of the parameter, which means the same wherever it occurs.
WRONG: dict[str, Sequence[Any]] = {
    "arguments": ["text", 7],
    "aggregation": ["sum", 7, None],
    "around_tokens": NO_COUNT,
    "feedback_units": NO_COUNT,
    "around_weight": NO_NUMBER,
    "assistant_message": NO_TEXT,
    "attention_mass": ["0.2", True, 0, 1.1, math.nan],
    "target_recall": ["0.9", True, 0, 1, 1.1, math.nan],
    "score_calibration": NOTHING,
    "language_warnings": ["unknown", [7], 7, None],
    "own_kinds": ["text", [7], 7, None],
    "intercept": [*NO_NUMBER, math.inf, -math.inf],
    "slope": [*NO_NUMBER, 0, -1],
    "least_log_shares": ["1", [1.0, None], [1.0, 2.0], [0.0] * 201, [0.5], [-math.inf], None],
    "alone_tokens": ["500", True, 0, 1.5],
    "batch_tokens": ["500", True, 0, 1.5],
    "cache_bytes": ["500", True, -1, 1.5],
    "prefilter": ["0.5", True, 0, 1.1, math.nan],
    "budget": [*NOTHING, None],
    "cache_entries": NO_COUNT,
    **dict.fromkeys(("cache_write_per_million", "cached_input_per_million"), ("1", -0.1, True)),
    "clock": ["now", 7],
    "code": [7, "lines"],
    "compressor": NOTHING,
    "compressor_name": [7, ["text"]],
    "count_tokens": ["gpt2", 7],
    "cuts_long_texts": ["yes", 1, None],
    "deadline_seconds": ["1", True, 0, math.nan],
    "device": [7, ["cpu"]],
    "draft": [7, ["a"]],
    "drop_repeats": ["yes", 1, None],
    "draft_per_hour": [*NO_NUMBER, -1],
    "draft_per_token": [*NO_NUMBER, -1],
    "draft_tokens_per_second": [*NO_NUMBER, 0, -1, math.inf],
    **dict.fromkeys(("draft_seconds", "first_wait_seconds"), (*NO_NUMBER, -1)),
    **dict.fromkeys(("callers", "calls", "chars", "concurrency"), (*NO_COUNT, 0)),
    **dict.fromkeys(("max_failures", "mean_chars", "repeats", "tokens"), (*NO_COUNT, 0)),
    **dict.fromkeys(("count", "lookahead_tokens", "retries"), NO_COUNT),
    **dict.fromkeys(("tokens_after", "tokens_before"), NO_COUNT),
    **dict.fromkeys(("first_token_seconds", "reading_seconds"), ("1", True, math.nan)),
    **dict.fromkeys(("input_tokens", "max_input_tokens", "output_tokens"), ("1", True, 1.5)),
    **dict.fromkeys(("seconds", "total_seconds"), NO_NUMBER),
    **dict.fromkeys(
        (
            "can_be_recalled",
            "general_purpose",
            "goal_argument",
            "is_error",
            "user_message_only",
            "lookahead",
            "needs_all",
            "with_terms",
            "trust_remote_code",
        ),
        ("yes", 1, None),
    ),
    **dict.fromkeys(
        ("answers", "command", "names", "scorers", "texts", "variants"), ("text", [7], 7, None)
    ),
    **dict.fromkeys(("break_even", "prices", "target"), (*NOTHING, None)),
    **dict.fromkeys(("fields", "judge", "like", "plan"), NOTHING),
    **dict.fromkeys(("fitted_on", "measured", "setup", "shape"), ("text", 7, None)),
    **dict.fromkeys(("cases", "data", "left_out", "peer_weights"), ("text", ["text"], 7)),
    **dict.fromkeys(("find_request", "function", "on_case", "track"), ("now", 7, None)),
    **dict.fromkeys(("base_url", "reply", "revision", "skipped_because"), (7, ["text"])),
    **dict.fromkeys(("around_weights", "own_weights"), ("1", [1.0, None], None)),
    "body": [*NO_TEXT, None],
    "breaks": ["0", ["0"], 7, None],
    "by": ["words", 7, None],
    "comment": [*NO_TEXT, None],
    "compressors": ["bm25", ["bm25"], {"bm25": 7}, None],
    "error_min_tokens": NO_COUNT,
    "evidence": ["text", [7], [(0,)], [(0, (1, 2))], [[(0, (1, 2))]], [[]], [], None],
    "id": NO_TEXT,
    "keep_fractions": [0.5, "0.5", [0], [1.1], ["0.5"], [], None],
    "key": ["key", 7, None],
    "lexical_weights": ["1", [1.0] * 99, [1.0, "1"], None],
    "limit": ["1", True, 0, 1.5],
    "log_likelihood": [*NO_NUMBER, 0.1, -math.inf],
    "margin": [*NO_NUMBER, 0, 1],
    "metric": ["bleu", 7],
    "model": ["gpt-4o", 7],
    "note": NO_TEXT,
    "options": ["text", 7, {7: 7}],
    "passes": ["question", ["answer"], 7, None],
    "paths": ["log", ["log"], 7, None],
    "readout": ["linear", 7],
    "requests": ["text", [7], None],
    "runtime": [],  # is whatever the framework has
    "seed": ["0", True, None, 1.5],
    "skip": ["bored", 7],
    "source": [7, ["a"]],
    "text": NO_TEXT,
    "template": NO_TEXT,
    "tokens_per_second": [*NO_NUMBER, 0, -1],
    "dtype": ["float3", 7],
    "earlier_turns": ["text", [7], [("a",)], ["ab"], 7, None],
    "exit_seconds": [*NO_NUMBER, -1, math.inf],
    "exclude_tools": ["write_*", b"a", [7], {"write": 1}, 7, None],
    "first_depth": NO_NUMBER,
    "form": ["xml", 7],
    "fraction_of": ["words", 7, None],
    "gaps": ["[...]", 7, GapStyle],
    "goal": NO_TEXT,
    "heads": ["all", [1], 7, None],
    "input_per_million": [*NO_NUMBER, -1],
    "json": ["invalid", 7, None],
    "keep_fraction": ["0.2", True, 0, 1.1, math.nan],
    "keep_results": NO_COUNT,
    "kind": ["novel", 7],
    "kinds": ["log", [7], None],
    "language": [7, ["en"]],
    "last_depth": NO_NUMBER,
    "leave_whole": ["never", 7],
    "license": NO_TEXT,
    "limits": NOTHING,
    "log": NOTHING,
    "mark_ends": ["no", 0, None],
    "marker": [*NO_TEXT, None],
    "max_age_seconds": ["1", True, 0, -1, math.nan],
    "max_around_chars": ["500", True, 0, 1.5],
    "max_batch_chars": ["500", True, 0, 1.5],
    "max_bytes": [*NO_NUMBER, 0],
    "max_cases": ["1", True, 0, 1.5],
    "max_chars": [*NO_NUMBER, 0],
    "max_code_chars": [*NO_COUNT, 0],
    "max_item_chars": [*NO_COUNT, 0],
    "max_question_tokens": [*NO_COUNT, 0],
    "max_records": [*NO_COUNT, 0],
    "max_text_chars": ["500", True, [1], math.nan, 0],
    "max_tokens": ["500", True, 1.5, 0, -1],
    "max_unit_chars": [*NO_COUNT, 0],
    "max_waiting": ["500", True, 0, 1.5],
    "metrics": NOTHING,
    "mime_type": NO_TEXT,
    "min_tokens": ["500", True, 1.5, -1, [1], math.nan],
    "name": NO_TEXT,
    "namespace": ["specprefill", [7], None],
    "null_question": [*NO_TEXT, None],
    "omitted_key": NO_TEXT,
    "on_marker_in_arguments": ["skip", 7, None],
    "on_error": ["skip", 7, None],
    "only_last": ["yes", 1, None],
    "originals": ["store", InMemoryOriginals, 7],
    "output_per_million": [*NO_NUMBER, -1],
    "overhead_seconds": [*NO_NUMBER, -1],
    "output_name": [*NO_TEXT, None],
    "path": [7, None],
    "pattern": ["(", 7, None],
    "per_text": [*NO_NUMBER, -1],
    "positive_label": [True, 1.5, -1, ["KEEP"]],
    "pool_kernel": [*NO_COUNT, 0],
    "protect": ["error", ["error"], 7, None],
    "quantity": ["tokens", 7, None],
    "query": [7, ["text"], HumanMessage("text"), ask_later, partial(ask_later), AskLater()],
    "records": ["text", 7, None],
    "reference": NO_TEXT,
    "reference_note": [*NO_TEXT, None],
    "rows": [*NO_COUNT, 0],
    "sample": [*NO_NUMBER, 0, 1.1],
    "scorer": ["readout", 7, None, KeywordScorer],
    "selector": ["best", 7],
    "splitter": ["lines", 7],
    "splitters": ["lines", {"novel": len}, {"log": "lines"}, None],
    "store": ["store", 7, None],
    "target_per_token": [*NO_NUMBER, -1],
    "target_tokens_per_second": [*NO_NUMBER, 0, -1, math.inf],
    "task": [7, None],
    "times": ["text", 7, None],
    "tokenizer_fn": ["gpt2", 7, None],
    "tool": NO_TEXT,
    "tool_name": [7, None],
    "tool_policies": ["a", {"a": BUDGET}, {7: ToolPolicy()}, [ToolPolicy()]],
    "tools": ["read", ["read"], [len], 7, None],
    "transcripts": ["text", {"a": "text"}, None],
    "trigger": ["half", ("half", 1), ("fraction", 2), ("tokens", "9"), ("messages", 0), [], 7],
    "failures": NOTHING,
    "shadow_log": NOTHING,
    "ttft_log": NOTHING,
    "user_message": NO_TEXT,
    "window_tokens": ["500", True, 0, 1.5],
}
# Where the name of a parameter means something else.
OF_ONE: dict[str, Sequence[Any]] = {
    **{f"FieldNames.{name}": ["name", [7], None] for name in FieldNames.__slots__},
    "as_token_counter.counter": [],  # refused as `count_tokens`, which integrations call it
    "AttentionScorer.draft": [*NOTHING, None],
    "ScoreCalibration.cases": [*NO_COUNT, 0],
    "EncoderSpanScorer.draft": [*NOTHING, None],
    "from_pair.model": [*NOTHING, None],
    "from_pair.tokenizer": [*NOTHING, None],
    "from_pretrained.source": [7, ["a"], None],
    "build_lineup.draft": NOTHING,
    "DraftChoice.dtype": [7, ["float32"]],
    "EvaluationCase.evidence": ["text", [7], None],
    "EvaluationCase.metric": [7, ["f1"]],
    "LabeledCase.kind": NO_TEXT,
    "LangChainTarget.model": [*NOTHING, None],
    "LinearReadout.match": ["match", 7, [[0.5]]],
    "ValueMatch.layer": [*NO_COUNT, -1],
    "ValueMatch.token_weights": NO_MATRIX,
    "ValueMatch.question_weights": NO_MATRIX,
    "LinearReadout.window_tokens": [*NO_COUNT, 0],
    "LlamaIndexTarget.model": [*NOTHING, None],
    "measure_faults.scorer": ["readout", 7, KeywordScorer],
    "measure_memory.passes": [*NOTHING, None],
    "measure_second_question.passes": [*NOTHING, None],
    "measure_gpu.lengths": [[0], ["9"], 7, None],
    "measure_gpu.shapes": [["gpt5"], [7], 7, None],
    "measure_host.kinds": ["log", [7], ["novel"], None],
    "measure_splitting.kinds": ["log", [7], ["novel"]],
    "measure_times.passes": [*NOTHING, None],
    "named_likelihood_target.model": NO_TEXT,
    "named_target.model": NO_TEXT,
    "prepare_passes.dtype": [7, ["float32"]],
    "prepare_passes.scorer": ["mine", 7, None],
    "read_for_calibration.draft": [*NOTHING, None],
    "read_for_calibration.last_depth": [*NO_NUMBER, 0, 1.1],
    "read_for_calibration.prior": ["profile", 7],
    "read_log_times.scorer": NO_TEXT,
    "ReadoutProfile.draft": NO_TEXT,
    "ReadoutProfile.readout": ["linear", 7, None],
    "unfitted_scorers.draft": [*NOTHING, None],
    "Variant.scorer": [7, ["bm25"]],
    "ApiKeys.keys": ["a-single-key", [7], 7, None],
    "ApiKeys.file": [7],
    "build_app.api_keys": ["a-valid-key", 7],
    "build_app.originals": ["store", 7],
    "Compress.text_column": [7, None],
    "Compress.query": [7],
    "Compress.query_column": [7],
    "Compress.folder": [7],
    "Compress.make_compressor": [COMPRESSOR, None],
    "Compress.threads": [*NO_COUNT, 0, None],
    "from_service.api_key": [7, ["a-valid-key"]],
    "from_service.url": ["example.com", "ftp://example.com", 7, None],
    "RemoteScorer.url": ["example.com", "ftp://example.com", 7, None],
    "RemoteScorer.api_key": [7, ["a-valid-key"]],
    "RemoteScorer.max_retries": [*NO_COUNT, None],
    "RemoteScorer.max_connections": [*NO_COUNT, 0, None],
    **{
        f"ServiceLimits.{name}": [*NO_NUMBER, 0, None]
        for name in (
            *("max_body_bytes", "max_documents", "max_spans", "max_tokens", "max_query_chars"),
            *("max_calls", "max_calls_per_tenant", "body_seconds", "deadline_seconds"),
            *("max_rows", "max_bytes_in_flight", "retry_after_seconds"),
        )
    },
    "TenantOriginals.folder": [7],
    "ShadowLog.path": [7],
    "compress_tool.tool": [len, "read", None],
    "ProseSplitter.language": ["klingon", 7, None],
    "MarkdownSplitter.language": ["klingon", 7, None],
    "SpecPrefillMemoryBlock.name": [7, None],
    "SpecPrefillMemoryBlock.priority": [-1, "first", None],
    "recall_tool.name": [7, None],
    "ToolPolicy.budget": NOTHING,
    "ProtectionRule.tools": ["bash", [7], None],
    "from_draft_model.scorer": ["mine", 7, None],
    "CalibratedDifferenceReadout.window_tokens": [*NO_COUNT, 0],
    "recall_tool.originals": ["store", 7, None],
    "RecallTool.originals": ["store", 7, None],
    "RecallTool.count_tokens": NO_COUNTER,
    "recall_tool.count_tokens": NO_COUNTER,
    "ContextCompressor.count_tokens": NO_COUNTER,
    "from_draft_model.count_tokens": NO_COUNTER,
}
# Parameters that frameworks define, for all classes of a kind.
OF_FRAMEWORKS = {
    "SpecPrefillMemoryBlock": {"description", "accept_short_term_memory"},
    "SpecPrefillNodePostprocessor": {"callback_manager"},
    "RecallTool": {
        *inspect.signature(BaseTool).parameters,
        "response_format",
    },
}


def read(name: str) -> str:
    """Read a page."""
    return name


class Silent:
    """A model without words."""

    def answer(self, prompt: str) -> Answer:
        """Answer nothing."""
        return Answer(
            text=prompt[:0],
            first_token_seconds=None,
            total_seconds=0.0,
            input_tokens=None,
            output_tokens=None,
        )


PROFILE_FILE = next(Path(specprefill_integrations.__file__).parent.rglob("profiles/*.json"))
DRAFT = DraftModel.from_source("owner/name", device="cpu")  # loads nothing
READOUT = LinearReadout(
    heads=((0, 0),), passes=("question",), own_weights=(1.0,), around_weights=(0.0,)
)
PROFILE = ReadoutProfile(draft="tiny", shape={}, readout=READOUT, fitted_on={})
CASE = EvaluationCase(id="1", task="facts", query="Who?", texts=("Ada.",), answers=("Ada",))
LABELED = LabeledCase(kind="facts", query="Who?", texts=("Ada.",), evidence=(((0, Span(0, 3)),),))
CALIBRATION = Calibration(draft=DRAFT, readout=READOUT, units=[], scores=[], validation="")

# By name of the parameter; with that of its function where it means something else there.
VALID: dict[str, Any] = {
    "ApiKeys.keys": ["a-valid-key"],
    "build_app.api_keys": None,
    "Compress.make_compressor": lambda: COMPRESSOR,
    "from_service.url": "https://example.com",
    "RemoteScorer.url": "https://example.com",
    "Budget.keep_fraction": 0.5,
    "build_lineup.like": COMPRESSOR,
    "LabeledCase.evidence": LABELED.evidence,
    "LabeledCase.kind": "facts",
    "ScoreCalibration.cases": 9,
    "ValueMatch.layer": 0,
    "ValueMatch.token_weights": np.eye(2),
    "ValueMatch.question_weights": np.eye(2),
    "EncoderSpanScorer.draft": EncoderModel.from_source("owner/name", device="cpu"),
    "from_pair.model": tiny_encoder("bert"),
    "from_pair.tokenizer": tiny_pair_tokenizer("bert"),
    "from_pretrained.source": "owner/name",
    "LangChainTarget.model": FakeListChatModel(responses=[]),
    "LlamaIndexTarget.model": MockLLM(),
    "load.source": PROFILE_FILE,
    "measure_limits.cases": [],
    "measure_splitting.chars": 1_000,
    "measure_splitting.repeats": 1,
    "named_likelihood_target.base_url": "http://localhost:1",
    "named_likelihood_target.model": "tiny",
    "named_target.base_url": "http://localhost:1",
    "named_target.model": "tiny",
    "read_cases.path": os.devnull,
    "read_for_calibration.cases": [LABELED] * 4,
    "read_log_times.scorer": "bm25",
    "ReadoutProfile.draft": "tiny",
    "answers": CASE.answers,
    "around_weights": (0.0,),
    "break_even": BreakEven.in_seconds(
        budget=BUDGET, draft_tokens_per_second=1e4, target_tokens_per_second=1e3
    ),
    "callers": 1,
    "calls": 2,
    "cases": [CASE],
    "compressors": COMPRESSOR,
    "count": 1,
    "counter": len,
    "draft": DRAFT,
    "first_token_seconds": None,
    "fitted_on": {},
    "function": ProseSplitter(),
    "heads": READOUT.heads,
    "id": "1",
    "intercept": 0.0,
    "least_log_shares": (-1.0, -2.0),
    "slope": 1.0,
    "input_tokens": None,
    "keep_fractions": [0.5],
    "kind": "prose",
    "log_likelihood": -1.0,
    "log": Mock(spec=RunLog, records=[], setup={}, path="log"),
    "margin": 0.05,
    "mean_chars": 50,
    "names": ["bm25"],
    "output_tokens": None,
    "own_weights": (1.0,),
    "passes": READOUT.passes,
    "paths": [],
    "prices": Prices(input_per_million=1, output_per_million=1),
    "query": "Who?",
    "readout": READOUT,
    "repeats": 1,
    "requests": concurrent_requests(2, 50),
    "scorers": ["bm25"],
    "seconds": 1.0,
    "setup": {},
    "shape": {},
    "target": Silent(),
    "task": "facts",
    "text": "Ada.",
    "texts": CASE.texts,
    "tokens": 64,
    "tokens_per_second": 1e4,
    "total_seconds": 1.0,
    "variants": ["full"],
    "budget": BUDGET,
    "draft_per_token": 1e-5,
    "draft_tokens_per_second": 1e4,
    "input_per_million": 1.0,
    "keep_fraction": 0.5,
    "originals": InMemoryOriginals(),
    "pattern": "error",
    "compressor": COMPRESSOR,
    "quantity": "seconds",
    "records": [],
    "scorer": KeywordScorer(),
    "splitter": KeywordScorer().token_spans,
    "store": InMemoryStore(),
    "target_per_token": 1e-4,
    "target_tokens_per_second": 1e3,
    "times": [],
    "tool": FunctionTool.from_defaults(read),
    "tools": [],
    "compressor_name": "keywords",
}


def public_callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and class that callers call."""
    seen: list[object] = []
    for module in PUBLIC:
        folder = module.split(".")[-1]
        for name in getattr(import_module(module), "__all__", ()):
            one = getattr(import_module(module), name)
            is_error = isinstance(one, type) and issubclass(one, BaseException)
            is_abstract = inspect.isabstract(one) or getattr(one, "_is_protocol", False)
            is_called = inspect.isroutine(one) or isinstance(one, type)
            is_left_out = name in RESULTS | HOT or one in seen
            if is_called and not is_error and not is_abstract and not is_left_out:
                seen.append(one)
                if inspect.signature(one).parameters:
                    yield f"{folder}.{name}", one


CALLED = {
    **dict(public_callables()),
    "langchain.deep_agent_options": partial(
        deep_agent_options, SpecPrefillMiddleware(compressor=COMPRESSOR, budget=BUDGET)
    ),
    "observability.BreakEven.in_seconds": BreakEven.in_seconds,
    "compressor.from_draft_model": ContextCompressor.from_draft_model,
    "compressor.from_service": ContextCompressor.from_service,
    "observability.CompressionMetrics.record": CompressionMetrics().record,
    "scoring.DraftModel.from_source": DraftModel.from_source,
    "scoring.ReadoutProfile.load": ReadoutProfile.load,
    "scoring.ReadoutProfile.save": PROFILE.save,
    "scoring.EncoderSpanScorer.from_pair": EncoderSpanScorer.from_pair,
    "scoring.EncoderSpanScorer.from_pretrained": EncoderSpanScorer.from_pretrained,
}


def parameters_of(name: str) -> list[inspect.Parameter]:
    """The parameters of a callable that a caller fills in by name."""
    of_framework = OF_FRAMEWORKS.get(name.rsplit(".", maxsplit=1)[-1], ())
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(CALLED[name]).parameters.values()
    return [one for one in parameters if one.name not in of_framework and one.kind not in variable]


def wrong_values(name: str, parameter: str) -> Sequence[Any] | None:
    """What a parameter cannot mean; None if it is not entered above."""
    return OF_ONE.get(f"{name.rsplit('.', maxsplit=1)[-1]}.{parameter}", WRONG.get(parameter))


CASES = [(name, one.name) for name in CALLED for one in parameters_of(name)]


def valid_arguments(name: str, folder: Path) -> dict[str, Any]:
    """Arguments with which a callable can be called."""
    last = name.rsplit(".", maxsplit=1)[-1]
    own = {key.partition(".")[2]: one for key, one in VALID.items() if key.startswith(f"{last}.")}
    needed = [one.name for one in parameters_of(name) if one.default is one.empty]
    if "compressor_name" in inspect.signature(CALLED[name]).parameters:
        needed += ["compressor", "compressor_name"]
    shared = {"path": folder / "file", **VALID}
    return {one: shared[one] for one in needed if one not in own} | own


def test_every_parameter_is_entered() -> None:
    assert [case for case in CASES if wrong_values(*case) is None] == []


@pytest.mark.parametrize("name", sorted(CALLED.keys() - LONG))
def test_valid_arguments_are_taken(name: str, tmp_path: Path) -> None:
    """Else the next test would show nothing."""
    CALLED[name](**valid_arguments(name, tmp_path))


@pytest.mark.parametrize(("name", "parameter"), CASES, ids=[".".join(case) for case in CASES])
def test_what_a_parameter_cannot_mean_is_refused(name: str, parameter: str, tmp_path: Path) -> None:
    valid = valid_arguments(name, tmp_path)
    for wrong in wrong_values(name, parameter) or ():
        with pytest.raises((TypeError, ValueError)) as found:
            CALLED[name](**{**valid, parameter: wrong})
        assert parameter in str(found.value), (wrong, found.value)
        assert len(str(found.value)) < 900
    assert list(tmp_path.iterdir()) == []


DOOR = SpecPrefillDocumentCompressor(compressor=COMPRESSOR, budget=BUDGET)
TRANSFORMER = SpecPrefillDocumentTransformer(compressor=COMPRESSOR, budget=BUDGET)
POSTPROCESSOR = SpecPrefillNodePostprocessor(compressor=COMPRESSOR, budget=BUDGET)
INGESTION = SpecPrefillTransform(
    compressor=COMPRESSOR, compressor_name="keywords", budget=BUDGET, query="dog"
)
STEP = compress_messages(compressor=COMPRESSOR, budget=BUDGET)
TEXT = "The dog barked. It rained. Nobody came."
DOCUMENTS = [Document(TEXT)]

NO_QUESTION: list[Any] = [["dog"], HumanMessage("dog"), 7]
# The caller, what it is called with, the parameter that is wrong, wrong values.
CALLS: list[tuple[Callable[..., Any], dict[str, Any], str, Sequence[Any]]] = [
    (COMPRESSOR.compress, {"text": TEXT, "budget": BUDGET}, "text", [*NO_TEXT, None]),
    (COMPRESSOR.compress, {"text": TEXT, "budget": BUDGET}, "query", NO_QUESTION),
    (COMPRESSOR.compress, {"text": TEXT, "budget": BUDGET}, "budget", WRONG["budget"]),
    (COMPRESSOR.compress, {"text": TEXT, "budget": BUDGET}, "hint", ["log", 7]),
    (
        COMPRESSOR.compress_documents,
        {"texts": [TEXT], "budget": BUDGET},
        "texts",
        [TEXT, b"text", {TEXT}, {"a": TEXT}, [b"text"], [None], None, 7],
    ),
    (
        COMPRESSOR.compress_documents,
        {"texts": [TEXT], "budget": BUDGET},
        "hints",
        ["log", ["log"], TextHint(), [TextHint()] * 2],
    ),
    (COMPRESSOR.replace, {}, "on_error", WRONG["on_error"]),
    (CALIBRATION.compare, {"scorers": {}, "count": 1}, "count", NO_COUNT),
    (CALIBRATION.compare, {"scorers": {}, "count": 1}, "scorers", [COMPRESSOR, {"a": 7}]),
    (
        select_covering,
        {"units": [], "token_limit": 9, "gap_tokens": 1},
        "floor",
        [*NO_NUMBER, -0.1, 1.1],
    ),
    (COMPRESSOR.replace, {}, "gaps", WRONG["gaps"]),
    (
        DOOR.compress_documents,
        {"documents": DOCUMENTS, "query": "dog"},
        "documents",
        [TEXT, [TEXT], DOCUMENTS[0], None],
    ),
    (DOOR.compress_documents, {"documents": DOCUMENTS, "query": "dog"}, "query", NO_QUESTION),
    (DOOR.compress_documents, {"documents": [], "query": "dog"}, "query", NO_QUESTION),
    (
        DOOR.compress_documents,
        {"documents": DOCUMENTS, "query": "dog"},
        "callbacks",
        ["x", ["x"], 7],
    ),
    (TRANSFORMER.transform_documents, {"documents": DOCUMENTS}, "query", NO_QUESTION),
    (TRANSFORMER.transform_documents, {"documents": DOCUMENTS}, "documents", [TEXT, [TEXT]]),
    (DOOR.as_runnable().invoke, {}, "input", [TEXT, [TEXT], {"documents": DOCUMENTS}, {}]),
    (STEP.invoke, {}, "input", [TEXT, {"messages": []}, 7]),
    (INGESTION, {}, "nodes", [TEXT, [TEXT], TextNode(text=TEXT), None]),
    (
        POSTPROCESSOR.postprocess_nodes,
        {"nodes": [NodeWithScore(node=TextNode(text=TEXT))]},
        "nodes",
        [[TextNode(text=TEXT)], [TEXT]],
    ),
    (
        POSTPROCESSOR.postprocess_nodes,
        {"nodes": [NodeWithScore(node=TextNode(text=TEXT))]},
        "query_bundle",
        ["dog", QueryBundle(["dog"]), QueryBundle(HumanMessage("dog"))],
    ),
]


@pytest.mark.parametrize(
    ("call", "valid", "parameter", "wrongs"),
    CALLS,
    ids=[f"{n}-{c[2]}" for n, c in enumerate(CALLS)],
)
def test_what_a_call_cannot_mean_is_refused_whatever_on_error_says(
    call: Callable[..., Any], valid: dict[str, Any], parameter: str, wrongs: list[Any]
) -> None:
    if valid:
        call(**valid)
    named = {"input": "messages|input", "query_bundle": "query"}.get(parameter, parameter)
    for wrong in wrongs:
        with pytest.raises((TypeError, ValueError), match=named):
            call(**{**valid, parameter: wrong})


async def test_asynchronous_calls_refuse_the_same() -> None:
    forgiving = COMPRESSOR.replace(on_error="pass_through")
    with pytest.raises(TypeError, match="text must be a text"):
        await forgiving.acompress(b"text", budget=BUDGET)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="texts must be a sequence of str"):
        await forgiving.acompress_documents(TEXT, budget=BUDGET)
    with pytest.raises(TypeError, match="query must be a text"):
        await DOOR.acompress_documents(DOCUMENTS, NO_QUESTION)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs documents and query"):
        await DOOR.as_runnable().ainvoke({"query": "dog"})
    assert forgiving.skip_counts == {}


async def test_a_memory_block_refuses_what_it_cannot_mean() -> None:
    forgiving = COMPRESSOR.replace(on_error="pass_through")
    block = SpecPrefillMemoryBlock(compressor=forgiving, metrics=CompressionMetrics())
    for wrong in ("abc", ["abc"], ChatMessage("abc"), None):
        with pytest.raises(TypeError, match="messages must be"):
            await block.aput(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="content must be"):
        await block.atruncate(5, 9)  # type: ignore[arg-type]
    for wrong in ("x", None, 1.5):
        with pytest.raises(TypeError, match="tokens_to_truncate must be"):
            await block.atruncate("abc", wrong)  # type: ignore[arg-type]
    await block.aput([ChatMessage("abc")], from_short_term_memory=True, session_id="s")
    assert await block.aget(session_id="s") == "user: abc"
    assert block.metrics is not None
    assert block.metrics.totals().calls == 0


@pytest.mark.parametrize("kind", [InMemoryOriginals, SqliteOriginals, StoreOriginals])
async def test_stores_refuse_what_is_no_text(kind: Callable[..., Any], tmp_path: Path) -> None:
    given = {SqliteOriginals: [tmp_path / "file"], StoreOriginals: [InMemoryStore()]}
    store = kind(*given.get(kind, []))  # type: ignore[call-overload]
    for wrong in (5, b"x", ["x"], None):
        for call in (store.put, store.reference_of):
            with pytest.raises(TypeError, match="text must be a text"):
                call(wrong)
        for acall in (store.aput, store.areference_of):
            with pytest.raises(TypeError, match="text must be a text"):
                await acall(wrong)
        with pytest.raises(TypeError, match="reference must be a text"):
            store.get(wrong)
        with pytest.raises(TypeError, match="reference must be a text"):
            await store.aget(wrong)
    assert store.get("no reference") is None


def test_messages_say_what_to_write() -> None:
    def refusal(call: Callable[..., Any], **given: Any) -> str:
        with pytest.raises((TypeError, ValueError)) as found:
            call(**{"compressor": COMPRESSOR, "budget": BUDGET, **given})
        return str(found.value)

    assert refusal(compress_messages, budget=0.2) == (
        "budget must be a Budget; got 0.2. Write Budget(keep_fraction=0.2)."
    )
    assert refusal(compress_messages, exclude_tools="write_*") == (
        "exclude_tools must be a sequence of str; got 'write_*'. Write ['write_*']."
    )
    assert refusal(compress_messages, min_tokens=-1) == (
        "min_tokens must be a whole number of at least 0 or 'auto' or a BreakEven or "
        "('fraction', a number in (0, 1]); got -1."
    )
    assert "Write ToolPolicy(budget=Budget(max_tokens=800))." in refusal(
        compress_messages, tool_policies={"a": BUDGET}
    )
    assert refusal(GapStyle, marker=7) == (
        "GapStyle.__init__() got an unexpected keyword argument 'compressor'"
    )


def test_numbers_of_numpy_are_numbers() -> None:
    Budget(max_tokens=np.int64(9), keep_fraction=np.float32(0.5))
    Prices(input_per_million=np.float32(1), output_per_million=np.int16(2))
    TtftLog(np.uint8(9))
    compress_messages(
        compressor=COMPRESSOR,
        budget=BUDGET,
        min_tokens=np.int64(100),
        keep_results=np.int32(0),
        exclude_tools={"write_*"},
    )


def test_the_table_names_what_there_is() -> None:
    public = {name for module in PUBLIC for name in getattr(import_module(module), "__all__", ())}
    assert sorted((RESULTS | HOT) - public) == []
    assert sorted(LONG - CALLED.keys()) == []
    assert sorted(WRONG.keys() - {parameter for _, parameter in CASES}) == []
