"""The middleware alone, in `create_agent`: what it compresses, what it leaves whole, and why."""

from __future__ import annotations

import copy
import json
import logging
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel

import specprefill_integrations.langchain as doors
from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations._metadata import metadata_of
from specprefill_integrations.errors import DeadlineExceededError
from specprefill_integrations.langchain import RecallTool, SpecPrefillMiddleware, ToolPolicy
from specprefill_integrations.observability import CompressionMetrics, process_metrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.langchain.agents import (
    EVIDENCE,
    LONG,
    QUESTION,
    calls,
    read,
    scripted,
    stamp,
    tool_messages,
)

BUDGET = Budget(max_tokens=16)
SHARED = "specprefill_integrations.tool_results._tool_result_compressor.shared_compressor"

IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}


@pytest.fixture
def middleware(compressor: ContextCompressor) -> SpecPrefillMiddleware:
    return SpecPrefillMiddleware(
        compressor=compressor, budget=BUDGET, min_tokens=50, metrics=CompressionMetrics()
    )


def returning(result: Any, name: str = "read", **options: Any) -> StructuredTool:
    """A tool that takes anything and returns always the same."""

    def run(**_: Any) -> Any:
        return result

    schema = {"type": "object", "properties": {}, "additionalProperties": True}
    return StructuredTool.from_function(
        run, name=name, description="A tool.", args_schema=schema, **options
    )


def answer(middleware: Any, one_tool: Any, call: AIMessage | None = None) -> ToolMessage:
    """What the model sees of one tool call."""
    model = scripted(call or calls("read"))
    agent = create_agent(model, [one_tool], middleware=[middleware])
    state = agent.invoke({"messages": [HumanMessage(QUESTION)]})
    [message] = tool_messages(state)
    seen = [m for request in model.requests for m in request if isinstance(m, ToolMessage)]
    assert [m.content for m in seen] == [message.content] * len(seen)
    return message


class TestCompression:
    def test_the_model_sees_what_the_question_needs(self, middleware) -> None:
        message = answer(middleware, read)
        assert message.content == f"[...] {EVIDENCE} [...]"
        assert stamp(message) == {
            "original_tokens": KeywordScorer().count_tokens([LONG])[0],
            "kept_tokens": 16,
            "query_sources": ["user_message"],
            "skipped_because": None,
            "kept": None,
            "references": [],
            "start_char_idx": None,
        }

    def test_id_name_status_artifact_and_pairing_stay(self, middleware) -> None:
        artifact = {"rows": [1, 2]}
        one = returning((LONG, artifact), response_format="content_and_artifact")
        message = answer(middleware, one)
        assert EVIDENCE in message.content
        assert len(message.content) < len(LONG)
        assert message.artifact == artifact
        assert (message.name, message.status, message.tool_call_id) == ("read", "success", "1")
        assert message.id

    def test_what_the_tool_gave_is_not_changed(self, middleware) -> None:
        given = ToolMessage(
            [{"type": "text", "text": LONG, "extra": [1]}],
            tool_call_id="1",
            artifact={"a": 1},
            response_metadata={"mine": [1]},
        )
        before = copy.deepcopy(given)
        message = answer(middleware, returning(given))
        assert given.response_metadata == before.response_metadata
        assert given.content == before.content
        assert message.response_metadata["mine"] == [1]
        assert message.content != before.content

    def test_a_result_is_measured_by_the_compressors_counter(self, scorer) -> None:
        by_characters = ContextCompressor(scorer, count_tokens=len, on_error="raise")
        middleware = SpecPrefillMiddleware(compressor=by_characters, budget=Budget(max_tokens=60))
        message = answer(middleware, read)
        assert stamp(message)["original_tokens"] == len(LONG)
        assert stamp(message)["kept_tokens"] == len(message.content) <= 60

    def test_a_counter_never_sees_what_no_tokenizer_takes(self, scorer) -> None:
        by_bytes = ContextCompressor(
            scorer, count_tokens=lambda text: len(text.encode()), on_error="raise"
        )
        middleware = SpecPrefillMiddleware(compressor=by_bytes, budget=Budget(max_tokens=90))
        odd = LONG.replace(EVIDENCE, f"{EVIDENCE[:-1]} at \ud83d.")
        message = answer(middleware, returning(odd))
        assert "\ud83d" in message.content
        assert stamp(message)["kept_tokens"] <= 90

    def test_it_has_its_own_default_of_small(self, compressor) -> None:
        middleware = SpecPrefillMiddleware(compressor=compressor, budget=BUDGET)
        assert middleware.settings.min_tokens == 500
        assert stamp(answer(middleware, read))["skipped_because"] == "too_small"

    def test_options_go_by_keyword_and_a_budget_is_required(self, compressor) -> None:
        with pytest.raises(TypeError, match="positional"):
            SpecPrefillMiddleware(compressor, BUDGET)
        with pytest.raises(TypeError, match="budget"):
            SpecPrefillMiddleware(compressor=compressor)
        with pytest.raises(TypeError, match=r"exclude_tools must be a sequence .* \['re\*'\]"):
            SpecPrefillMiddleware(compressor=compressor, budget=BUDGET, exclude_tools="re*")


class TestBlocks:
    def test_text_blocks_shrink_and_the_rest_stays_put(self, middleware) -> None:
        text = {"type": "text", "text": LONG, "id": "t1"}
        message = answer(middleware, returning([IMAGE, text, IMAGE, {"type": "text"}]))
        image, shrunk, other_image, no_text = message.content
        assert image == other_image == IMAGE
        assert shrunk == {"type": "text", "text": f"[...] {EVIDENCE} [...]", "id": "t1"}
        assert no_text == {"type": "text"}

    def test_all_blocks_share_one_budget_and_cuts_show(self, middleware, scorer) -> None:
        blocks = [{"type": "text", "text": text} for text in (LONG, "It snowed all day.", "No.")]
        message = answer(middleware, returning([*blocks, IMAGE]))
        # The last marker stands for the other texts, too.
        assert message.content == [{"type": "text", "text": f"[...] {EVIDENCE} [...]"}, IMAGE]
        assert len(scorer.calls) == 1
        assert stamp(message)["kept_tokens"] == 16

    def test_each_run_of_texts_between_images_has_a_mark(self, compressor) -> None:
        def block(text: str, **more: object) -> dict:
            return {"type": "text", "text": text, **more}

        fish = [block(f"Fish number {n} swims in the deep blue sea.") for n in range(6)]
        dog, cited = block(EVIDENCE), block("Cited.", citations=[{"type": "page"}])
        given = [*fish[:2], IMAGE, dog, fish[2], cited, *fish[3:5], IMAGE, block(""), fish[5]]
        budget = Budget(max_tokens=28)
        middleware = SpecPrefillMiddleware(compressor=compressor, budget=budget, min_tokens=0)
        message = answer(middleware, returning(given))
        mark = block("[...]")
        assert message.content == [mark, IMAGE, dog, mark, cited, mark, IMAGE, block(""), mark]

    def test_a_row_a_block_is_what_mcp_makes_of_a_list(self, compressor) -> None:
        rows = [
            {"type": "text", "text": json.dumps({"id": n, "note": "bark" if n == 77 else "calm"})}
            for n in range(150)
        ]
        given = [*rows[:50], IMAGE, *rows[50:]]
        originals = InMemoryOriginals()
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(max_tokens=300), originals=originals
        )
        message = answer(middleware, returning(given))
        texts = [block["text"] for block in message.content if block != IMAGE]
        assert stamp(message)["kept_tokens"] == sum(KeywordScorer().count_tokens(texts)) <= 300
        assert rows[77]["text"] in texts
        assert message.content.count(IMAGE) == 1
        kept = [given.index(block) for block in message.content if block in given]
        assert kept == sorted(kept)
        markers = [text for text in texts if text.startswith("[...]")]
        assert len(markers) + len(kept) == len(message.content)
        [reference] = stamp(message)["references"]
        assert [reference in text for text in markers] == [True, *[False] * (len(markers) - 1)]
        assert originals.get(reference) == "\n".join(row["text"] for row in rows)

    def test_strings_in_a_list_are_texts(self, middleware) -> None:
        given = ToolMessage([LONG, "", IMAGE], tool_call_id="1")
        # A tool's own strings in a list become JSON; another middleware may answer with them.
        instead = wrap_tool_call(lambda request, handler: given)
        agent = create_agent(scripted(calls("read")), [read], middleware=[middleware, instead])
        [message] = tool_messages(agent.invoke({"messages": [HumanMessage(QUESTION)]}))
        assert message.content == [f"[...] {EVIDENCE} [...]", "", IMAGE]

    @pytest.mark.parametrize("key", ["annotations", "citations"])
    def test_texts_with_citations_stay_as_they_were_cited(self, middleware, key) -> None:
        place = {"type": "citation", "start_index": 0, "end_index": 4, "cited_text": LONG[:4]}
        cited = {"type": "text", "text": LONG, key: [place]}
        uncited = {"type": "text", "text": LONG, key: []}
        first, second = answer(middleware, returning([cited, uncited])).content
        assert first == cited
        assert second == {**uncited, "text": f"[...] {EVIDENCE} [...]"}
        alone = answer(middleware, returning([cited]))
        assert alone.content == [cited]
        assert stamp(alone)["skipped_because"] == "no_text"

    @pytest.mark.parametrize("content", [[IMAGE], [], [{"type": "text", "text": " \n"}], ""])
    def test_without_text_there_is_nothing_to_do(self, middleware, content) -> None:
        message = answer(middleware, returning(ToolMessage(content, tool_call_id="1")))
        assert message.content == content
        assert stamp(message)["skipped_because"] == "no_text"


class TestSkips:
    def reason(self, middleware: Any, one_tool: Any, content: Any = LONG) -> str:
        message = answer(middleware, one_tool)
        assert message.content == content
        assert middleware.metrics.totals().compressed == 0
        [(reason, count)] = middleware.metrics.totals().skips.items()
        assert (reason, count) == (stamp(message)["skipped_because"], 1)
        return reason

    def test_errors(self, middleware) -> None:
        failed = ToolMessage(LONG, tool_call_id="1", status="error")
        assert self.reason(middleware, returning(failed)) == "tool_error"

    def test_long_errors_are_compressed_and_stay_errors(self, middleware) -> None:
        text = LONG * 12
        failed = ToolMessage(text, tool_call_id="1", status="error")
        message = answer(middleware, returning(failed))
        assert EVIDENCE in message.text
        assert (message.status, stamp(message)["kept_tokens"]) == ("error", 16)

    def test_return_direct(self, middleware) -> None:
        assert self.reason(middleware, returning(LONG, return_direct=True)) == "return_direct"

    def test_small_results(self, middleware, scorer) -> None:
        assert self.reason(middleware, returning("Rain. " * 24), "Rain. " * 24) == "too_small"
        assert scorer.calls == []

    def test_results_within_the_budget(self, compressor) -> None:
        roomy = SpecPrefillMiddleware(
            compressor=compressor,
            budget=Budget(max_tokens=999),
            min_tokens=9,
            metrics=CompressionMetrics(),
        )
        assert self.reason(roomy, read) == "within_budget"

    @pytest.mark.parametrize("glob", ["read", "re*", "*"])
    def test_excluded_tools(self, compressor, glob) -> None:
        middleware = SpecPrefillMiddleware(
            compressor=compressor,
            budget=BUDGET,
            exclude_tools=["x", glob],
            metrics=CompressionMetrics(),
        )
        assert self.reason(middleware, read) == "excluded_tool"

    def test_already_compressed(self, middleware) -> None:
        done = {"specprefill": metadata_of()}
        given = ToolMessage(LONG, tool_call_id="1", response_metadata=done)
        assert self.reason(middleware, returning(given)) == "already_compressed"

    def test_what_another_one_left_whole_is_not_compressed_yet(self, middleware) -> None:
        done = {"specprefill": metadata_of(skipped_because="excluded_tool")}
        given = ToolMessage(LONG, tool_call_id="1", response_metadata=done)
        assert stamp(answer(middleware, returning(given)))["skipped_because"] is None

    def test_originals_that_were_fetched_back_by_whatever_tool(self, middleware) -> None:
        recalled = (LONG, {"specprefill": metadata_of(skipped_because="recalled")})
        one = returning(recalled, response_format="content_and_artifact")
        assert self.reason(middleware, one) == "recalled"

    @pytest.mark.parametrize("mine", ["mine", {"skipped_because": None}, {"recalled": "3f9a"}])
    def test_what_an_app_keeps_under_our_key_changes_nothing(self, middleware, mine) -> None:
        metadata = {"specprefill": mine}
        given = ToolMessage(LONG, tool_call_id="1", response_metadata=metadata, artifact=metadata)
        message = answer(middleware, returning(given))
        assert EVIDENCE in message.content
        assert len(message.content) < len(LONG)
        assert message.response_metadata["specprefill"] == mine
        assert message.response_metadata["specprefill_"]["skipped_because"] is None
        again = answer(middleware, returning(message))
        assert stamp(again) == mine
        assert again.response_metadata["specprefill_"]["skipped_because"] == "already_compressed"

    def test_nothing_is_never_shown(self, compressor) -> None:
        strict = SpecPrefillMiddleware(
            compressor=compressor,
            budget=Budget(max_tokens=1),
            min_tokens=9,
            metrics=CompressionMetrics(),
        )
        assert self.reason(strict, read) == "nothing_kept"

    def test_marks_never_make_it_longer(self) -> None:
        class ThreeOfFour(KeywordScorer):
            def score_spans(self, query: Any, texts: Any, spans: Any) -> list[list[float]]:
                return [[float(n % 4 > 0) for n, _ in enumerate(own)] for own in spans]

        lines = "\n".join(f"door{n}" for n in range(80))
        half = ContextCompressor(ThreeOfFour(), fraction_of="units", on_error="raise")
        middleware = SpecPrefillMiddleware(
            compressor=half, budget=Budget(keep_fraction=0.75), min_tokens=50
        )
        message = answer(middleware, returning(lines))
        assert message.content == lines
        assert stamp(message)["skipped_because"] == "not_shorter"

    def test_structured_output_is_left_alone(self, middleware) -> None:
        class Report(BaseModel):
            """A report."""

            text: str

        model = scripted(calls("read:1"), calls("Report:2", text=LONG))
        agent = create_agent(
            model, [read], middleware=[middleware], response_format=ToolStrategy(Report)
        )
        state = agent.invoke({"messages": [HumanMessage(QUESTION)]})
        assert state["structured_response"].text == LONG
        first, last = tool_messages(state)
        assert len(first.content) < len(LONG) < len(last.content)
        assert middleware.metrics.totals().calls == 1


class TestPolicies:
    @pytest.fixture
    def middleware(self, compressor) -> SpecPrefillMiddleware:
        return SpecPrefillMiddleware(
            compressor=compressor,
            budget=BUDGET,
            min_tokens=50,
            tool_policies={
                "read": ToolPolicy(budget=Budget(max_tokens=40)),
                "re*": ToolPolicy(min_tokens=10_000),
                "csv_*": ToolPolicy(kind="csv", budget=Budget(max_tokens=30)),
            },
        )

    def test_the_first_that_fits_counts(self, middleware) -> None:
        kept = stamp(answer(middleware, read))["kept_tokens"]
        assert 16 < kept <= 40
        refused = answer(middleware, returning(LONG, "recent"), calls("recent"))
        assert stamp(refused)["skipped_because"] == "too_small"

    def test_others_are_as_always(self, middleware) -> None:
        other = answer(middleware, returning(LONG, "Read"), calls("Read"))
        assert stamp(other)["kept_tokens"] == 16

    def test_a_kind_is_not_doubted(self, middleware) -> None:
        rows = "\n".join(["animal;noon", *(f"cat;{n}" for n in range(40)), "dog;bark"])
        message = answer(middleware, returning(rows, "csv_read"), calls("csv_read"))
        first, *_, last = message.content.splitlines()
        assert (first, last) == ("animal;noon", "dog;bark")  # a table's header is kept


class NotingSplitter(SplitByKind):
    """Notes what is known of each text."""

    hints: ClassVar[list[TextHint | None]] = []

    def kind(self, text: str, hint: TextHint | None = None) -> Any:
        self.hints.append(hint)
        return super().kind(text, hint)


class TestHints:
    @pytest.mark.parametrize(
        ("call", "name"),
        [
            (calls("read", path="lib/a.py"), "lib/a.py"),
            (calls("read", path="lib/a.py", pattern="bark"), None),  # hits in a file are not it
            (calls("read", depth=3), None),
        ],
    )
    def test_a_tool_and_the_file_that_it_reads(self, scorer, call, name) -> None:
        NotingSplitter.hints.clear()
        middleware = SpecPrefillMiddleware(
            compressor=ContextCompressor(scorer, splitter=NotingSplitter(), on_error="raise"),
            budget=BUDGET,
            min_tokens=50,
            tool_policies={"read": ToolPolicy(kind="prose")},
        )
        answer(middleware, returning(LONG), call)
        assert NotingSplitter.hints == [TextHint(kind="prose", name=name, tool="read")]


class TestReversible:
    def test_marks_name_what_the_recall_tool_fetches(self, compressor) -> None:
        originals = InMemoryOriginals()
        middleware = SpecPrefillMiddleware(
            compressor=compressor,
            budget=Budget(max_tokens=40),
            min_tokens=50,
            originals=originals,
            metrics=CompressionMetrics(),
        )
        reference = originals.reference_of(LONG)
        model = scripted(calls("read:1"), calls("recall_original:2", reference=reference))
        agent = create_agent(model, [read], middleware=[middleware])
        state = agent.invoke({"messages": [HumanMessage(QUESTION)]})
        shrunk, recalled = tool_messages(state)
        assert f"[reference {reference}]" in shrunk.content
        assert recalled.content == LONG == originals.get(reference)
        assert stamp(recalled)["skipped_because"] == "recalled"
        assert model.tools[0] == ["recall_original", "read"]

    def test_without_a_store_there_is_no_tool_and_no_reference(self, middleware) -> None:
        assert list(middleware.tools) == []
        assert "reference" not in answer(middleware, read).content

    def test_an_empty_store_is_one(self, compressor) -> None:
        class Counted(InMemoryOriginals):
            def __len__(self) -> int:
                return 0

        middleware = SpecPrefillMiddleware(
            compressor=compressor,
            budget=Budget(max_tokens=40),
            min_tokens=50,
            originals=Counted(),
        )
        assert "[reference " in answer(middleware, read).content

    def test_what_cannot_be_kept_is_not_named(self, compressor) -> None:
        full = InMemoryOriginals(max_chars=5)
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=BUDGET, min_tokens=50, originals=full
        )
        assert answer(middleware, read).content == f"[...] {EVIDENCE} [...]"

    def test_only_what_was_cut_is_put(self, compressor) -> None:
        originals = InMemoryOriginals()
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=BUDGET, min_tokens=50, originals=originals
        )
        answer(middleware, returning("It rained."))
        assert originals.get(originals.reference_of("It rained.")) is None

    def test_what_the_compressor_leaves_whole_pushes_nothing_out(self, scorer) -> None:
        originals = InMemoryOriginals(max_chars=len(LONG) + 100)
        earlier = originals.put("What an earlier marker names.")
        middleware = SpecPrefillMiddleware(
            compressor=ContextCompressor(scorer, leave_whole=lambda *_: True),
            budget=Budget(keep_fraction=0.2),
            min_tokens=50,
            originals=originals,
        )
        for number in range(3):
            other = f"{number}. {LONG}"[: len(LONG)]
            assert answer(middleware, returning(other)).content == other
        assert originals.get(earlier) is not None

    def test_a_store_may_have_names_of_its_own(self, compressor) -> None:
        class Named(InMemoryOriginals):
            def put(self, text: str) -> str | None:
                super().put(text)
                return "lighthouse-7"

            def reference_of(self, text: str) -> str | None:
                return "lighthouse-7"

        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(max_tokens=40), min_tokens=50, originals=Named()
        )
        assert "[reference lighthouse-7]" in answer(middleware, read).content

    def test_one_reference_leads_to_all_blocks(self, compressor) -> None:
        originals = InMemoryOriginals()
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(max_tokens=40), min_tokens=50, originals=originals
        )
        texts = [f"{EVIDENCE} {LONG}", "It snowed all day long. " * 8]
        blocks = [{"type": "text", "text": text} for text in texts]
        message = answer(middleware, returning(blocks))
        shown = "\n".join(block["text"] for block in message.content)
        assert EVIDENCE in shown
        whole = "\n".join(texts)
        assert stamp(message)["references"] == [originals.reference_of(whole)]
        assert shown.count("[reference ") == 1
        assert originals.get(originals.reference_of(whole)) == whole

    def test_the_tool_counts_by_the_same_compressor(self, compressor) -> None:
        originals = InMemoryOriginals()
        [recall] = SpecPrefillMiddleware(
            compressor=compressor, budget=BUDGET, originals=originals
        ).tools
        assert isinstance(recall, RecallTool)
        assert recall.originals is originals
        assert recall.compressor is compressor


class TestFailures:
    """No failure of ours reaches an agent, unless it was asked to."""

    @pytest.fixture
    def forgiving(self, scorer) -> ContextCompressor:
        return ContextCompressor(scorer)

    def left_whole(self, middleware: Any) -> str:
        message = answer(middleware, read)
        assert message.content == LONG
        return stamp(message)["skipped_because"]

    def test_a_failing_draft(self, scorer, forgiving) -> None:
        scorer.error = RuntimeError("out of memory")
        middleware = SpecPrefillMiddleware(compressor=forgiving, budget=BUDGET, min_tokens=9)
        assert self.left_whole(middleware) == "scorer_failed"

    def test_a_deadline(self, scorer, forgiving) -> None:
        scorer.error = DeadlineExceededError()
        metrics = CompressionMetrics()
        middleware = SpecPrefillMiddleware(
            compressor=forgiving, budget=BUDGET, min_tokens=9, metrics=metrics
        )
        assert self.left_whole(middleware) == "deadline_exceeded"
        assert metrics.totals().deadline_misses == 1

    def test_a_failing_counter(self, scorer, caplog) -> None:
        def fail(_: str) -> int:
            raise ZeroDivisionError

        middleware = SpecPrefillMiddleware(
            compressor=ContextCompressor(scorer, count_tokens=fail), budget=BUDGET, min_tokens=9
        )
        assert self.left_whole(middleware) == "failed"
        assert "Passed the result of read through unchanged: failed (ZeroDiv" in caplog.text

    def test_a_failing_question(self, forgiving) -> None:
        middleware = SpecPrefillMiddleware(
            compressor=forgiving, budget=BUDGET, min_tokens=9, query=lambda _: 1 / 0
        )
        assert self.left_whole(middleware) == "failed"

    def test_a_failing_store(self, monkeypatch, forgiving) -> None:
        originals = InMemoryOriginals()
        monkeypatch.setattr(originals, "put", lambda _: 1 / 0)
        middleware = SpecPrefillMiddleware(
            compressor=forgiving, budget=BUDGET, min_tokens=9, originals=originals
        )
        assert self.left_whole(middleware) == "failed"

    def test_no_draft_at_all(self, monkeypatch) -> None:
        def refuse() -> None:
            msg = "There is no draft."
            raise ImportError(msg)

        monkeypatch.setattr(SHARED, refuse)
        assert self.left_whole(SpecPrefillMiddleware(budget=BUDGET, min_tokens=9)) == "failed"

    @pytest.mark.parametrize("where", ["scorer", "query"])
    def test_an_error_asked_for_is_raised(self, scorer, compressor, where) -> None:
        def query(_: object) -> str:
            return str(1 / 0) if where == "query" else QUESTION

        scorer.error = ZeroDivisionError() if where == "scorer" else None
        middleware = SpecPrefillMiddleware(
            compressor=compressor, budget=BUDGET, min_tokens=9, query=query
        )
        with pytest.raises(ZeroDivisionError):
            answer(middleware, read)

    @pytest.mark.parametrize("is_awaited", [False, True])
    async def test_a_conversation_that_cannot_be_counted(
        self, compressor, forgiving, is_awaited
    ) -> None:
        uncountable = HumanMessage([{"type": "text", "text": None}])

        async def run(one: ContextCompressor) -> str:
            metrics = CompressionMetrics()
            waiting = SpecPrefillMiddleware(
                compressor=one, budget=BUDGET, trigger=("tokens", 1), metrics=metrics
            )
            agent = create_agent(scripted(calls("read")), [read], middleware=[waiting])
            conversation = {"messages": [uncountable]}
            await agent.ainvoke(conversation) if is_awaited else agent.invoke(conversation)
            [reason] = metrics.totals().skips
            return reason

        assert await run(forgiving) == "counter_failed"
        with pytest.raises(TypeError):
            await run(compressor)

    def test_what_the_tool_raises_goes_on_its_way(self, middleware) -> None:
        @tool("read")
        def broken() -> str:
            """Fail."""
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            answer(middleware, broken)
        assert middleware.metrics.totals().calls == 0


class TestSharedDefaults:
    def test_the_shared_compressor_waits_for_a_long_result(self, monkeypatch, compressor) -> None:
        asked = []
        monkeypatch.setattr(
            SHARED,
            lambda: asked.append(1) or compressor,
        )
        middleware = SpecPrefillMiddleware(budget=BUDGET, min_tokens=50)
        answer(middleware, returning("It rained."))
        assert asked == []
        assert EVIDENCE in answer(middleware, read).content
        assert asked == [1]

    def test_the_ledger_is_the_one_of_the_process(self, compressor) -> None:
        middleware = SpecPrefillMiddleware(compressor=compressor, budget=BUDGET)
        assert middleware.metrics is process_metrics()


class TestLog:
    def test_it_says_why_and_shows_no_text(self, middleware, caplog) -> None:
        with caplog.at_level(logging.DEBUG, logger="specprefill_integrations"):
            answer(middleware, read)
            answer(middleware, returning("Rain. Barks."))
        assert "'skipped_because': None" in caplog.text
        assert "'skipped_because': 'too_small'" in caplog.text
        assert "noon" not in caplog.text
        assert "Barks" not in caplog.text


class TestWithoutLangChain:
    """The rest of the folder needs `langchain-core` alone."""

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        code = f"import sys; sys.modules['langchain'] = None\n{code}"
        return subprocess.run(  # noqa: S603 - Python itself
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )

    def test_the_folder_is_there(self) -> None:
        done = self.run(
            "from specprefill_integrations.langchain import compress_messages, RecallTool\n"
            "from specprefill_integrations.langchain import SpecPrefillContextEdit"
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_error_holds_the_pip_line(self) -> None:
        done = self.run("from specprefill_integrations.langchain import SpecPrefillMiddleware")
        assert "MissingDependencyError" in done.stderr
        assert "pip install 'specprefill-integrations[agents]'" in done.stderr

    def test_a_broken_installation_does_not_look_like_a_missing_one(self) -> None:
        done = self.run(
            "del sys.modules['langchain']; sys.modules['langsmith'] = None\n"
            "from specprefill_integrations.langchain import SpecPrefillMiddleware"
        )
        assert "langsmith" in done.stderr
        assert "pip install" not in done.stderr

    def test_no_other_name_is_there(self) -> None:
        with pytest.raises(AttributeError, match="'Middleware'"):
            _ = doors.Middleware
