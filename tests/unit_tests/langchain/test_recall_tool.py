"""What an agent gets that fetches an original back."""

from __future__ import annotations

import copy
import json
import logging
import threading

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError

from specprefill_integrations._metadata import metadata_of
from specprefill_integrations.errors import TokenCounterError
from specprefill_integrations.langchain import RecallTool
from specprefill_integrations.originals import InMemoryOriginals, reference_of

LINES = [f"{n:03} all is well\n" for n in range(1, 301)]
LINES[99] = "100 Disk FAILURE on shard seven\n"
LINES[199] = "200 disk\tfailure on shard eight\n"
LOG = "".join(LINES)
UNKNOWN = "ffffffffffff"


def count_words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def originals() -> InMemoryOriginals:
    store = InMemoryOriginals()
    store._key = b""  # so that the tests know the references
    for text in (LOG, "A short text.\r\nIn two lines."):
        store.put(text)
    return store


@pytest.fixture
def tool(originals) -> RecallTool:
    return RecallTool(originals=originals, count_tokens=count_words, max_tokens=80)


def recall(tool: RecallTool, around: object = "", reference: str = reference_of(LOG)) -> str:
    return tool.invoke({"reference": reference, "around": around})


class TestWhatModelsSee:
    def test_two_texts_to_fill_in_and_only_one_of_them_has_to_be(self, tool) -> None:
        schema = convert_to_openai_tool(tool)["function"]
        assert isinstance(tool, BaseTool)
        assert schema["name"] == "recall_original"
        assert "[reference 3f9a0c1b2d4e]" in schema["description"]
        parameters = schema["parameters"]
        assert parameters["required"] == ["reference"]
        assert {name: one["type"] for name, one in parameters["properties"].items()} == {
            "reference": "string",
            "around": "string",
        }
        assert all(one["description"] for one in parameters["properties"].values())


class TestWhole:
    def test_what_fits_comes_byte_for_byte(self, tool) -> None:
        text = "A short text.\r\nIn two lines."
        assert recall(tool, reference=reference_of(text)) == text
        assert tool.invoke({"reference": reference_of(text)}) == text
        assert tool.invoke(reference_of(text)) == text

    def test_what_is_too_long_begins_and_says_how_to_get_more(self, tool) -> None:
        first_line, _, shown = recall(tool).partition("\n")
        assert first_line.startswith("[lines 1-14 of 300; for more, call again with")
        assert shown == "".join(LINES[:14])

    @pytest.mark.parametrize("nothing", [None, "", " \xa0\n", '""', "' '"])
    def test_nothing_means_the_beginning(self, tool, nothing) -> None:
        assert recall(tool, nothing) == recall(tool)

    def test_a_line_too_long_to_show_comes_in_part(self, tool, originals) -> None:
        text = json.dumps([{"name": f"record {n}", "value": n} for n in range(500)])
        reference = originals.put(text)
        first_line, _, shown = recall(tool, reference=reference).partition("\n")
        assert first_line.startswith("[part of line 1 of 1; for more")
        assert "line number" not in first_line
        assert shown
        assert text.startswith(shown)
        first_line, _, shown = recall(tool, '"record 333"', reference).partition("\n")
        assert first_line == "[part of line 1 of 1]"
        assert '"record 333"' in shown
        assert shown in text


class TestAround:
    @pytest.mark.parametrize("line", [150, "150", "line 150", "Lines 150", " 150 ", "150-150"])
    def test_a_line_is_shown_with_its_neighbors(self, tool, line) -> None:
        first_line, _, shown = recall(tool, line).partition("\n")
        assert first_line == "[lines 141-159 of 300]"
        assert shown == "".join(LINES[140:159])

    def test_lines_from_one_to_another(self, tool) -> None:
        assert recall(tool, "lines 100-110").startswith("[lines 96-113 of 300]\n")
        assert recall(tool, "100\u2013299") == "[lines 100-117 of 300]\n" + "".join(LINES[99:117])
        assert recall(tool, "295-400") == "[lines 282-300 of 300]\n" + "".join(LINES[281:])

    def test_words_are_found_in_any_case_and_over_any_white_space(self, tool) -> None:
        answer = recall(tool, "disk failure")
        assert answer == (
            "[lines 96-104, lines 197-203 of 300]\n"
            + "".join(LINES[95:104])
            + "[... lines 105-196 ...]\n"
            + "".join(LINES[196:203])
        )

    def test_places_that_do_not_fit_are_named(self, tool) -> None:
        first_line, _, shown = recall(tool, "well").partition("\n")
        listed = ", ".join(map(str, range(15, 25)))
        assert first_line == f'[lines 1-14 of 300; "well" also on lines {listed} and 274 more]'
        assert shown == "".join(LINES[:14])
        narrow = RecallTool(originals=tool.originals, count_tokens=count_words, max_tokens=20)
        assert recall(narrow, "disk").startswith('[line 100 of 300; "disk" also on line 200]\n')

    def test_words_that_a_pattern_would_read_otherwise(self, tool, originals) -> None:
        reference = originals.put(LOG + "f(x) [a-z]* \\d+\n")
        assert "f(x) [a-z]* \\d+" in recall(tool, "(X) [a-z]* \\d", reference)
        assert "is not in this original" in recall(tool, "[a-z]+", reference)

    def test_a_number_that_is_no_line_is_looked_for(self, tool, originals) -> None:
        reference = originals.put(LOG + "error 4711\n")
        assert recall(tool, 4711, reference).endswith("300 all is well\nerror 4711\n")

    @pytest.mark.parametrize("missing", ["rain", 301, "-1", "20-10", "line 1000"])
    def test_what_is_not_there_is_said(self, tool, missing) -> None:
        answer = recall(tool, missing)
        assert answer.startswith(f'"{missing}" is not in this original, which has lines 1 to 300.')

    def test_long_words_are_not_repeated_in_full(self, tool) -> None:
        assert len(recall(tool, "rain " * 500)) < 300


class TestNothingToGive:
    def test_an_unknown_reference(self, tool) -> None:
        answer = recall(tool, reference=UNKNOWN)
        assert answer.startswith(f"The original {UNKNOWN} is not kept here, or no longer.")

    def test_an_old_one(self) -> None:
        now = [0.0]
        store = InMemoryOriginals(max_age_seconds=10, clock=lambda: now[0])
        tool = RecallTool(originals=store, count_tokens=count_words)
        reference = store.put("text")
        assert recall(tool, reference=reference) == "text"
        now[0] = 10.0
        assert "no longer" in recall(tool, reference=reference)

    @pytest.mark.parametrize("reference", ["", "the second one", "12345", None, "0" * 13])
    def test_what_is_no_reference(self, tool, reference) -> None:
        assert recall(tool, reference=reference).startswith("There is no reference in ")

    def test_of_several_references_none_passes_for_all(self, tool, originals) -> None:
        one, other = reference_of(LOG), originals.put("Another text.")
        answer = recall(tool, reference=f"{one}, {other}")
        assert answer == "These are 2 references. Call once for each of them."
        assert recall(tool, reference=f"{one} [reference {one}]") == recall(tool, reference=one)

    @pytest.mark.parametrize(
        "written", ["[... 3 lines omitted ...] [reference {}]", '"{}"', "ref:{}.", "{}\n"]
    )
    def test_a_reference_may_come_with_its_mark(self, tool, written) -> None:
        assert recall(tool, reference=written.format(reference_of(LOG))) == recall(tool)
        assert recall(tool, reference=written.format(reference_of(LOG)).upper()) == recall(tool)

    def test_a_call_without_a_reference(self, tool) -> None:
        message = tool.invoke({"name": tool.name, "args": {}, "id": "1", "type": "tool_call"})
        assert "Give the reference" in message.content


class TestTokens:
    def test_the_compressor_counts_by_default(self, originals, compressor) -> None:
        tool = RecallTool(originals=originals, compressor=compressor, max_tokens=80)
        [tokens] = compressor.count_tokens([recall(tool)])
        assert 70 < tokens <= 80

    def test_without_one_the_shared_one_counts(self, monkeypatch, originals, compressor) -> None:
        asked = []
        monkeypatch.setattr(
            "specprefill_integrations.tool_results._recaller.shared_compressor",
            lambda: asked.append(threading.current_thread()) or compressor,
        )
        tool = RecallTool(originals=originals, max_tokens=80)
        assert not asked
        expected = RecallTool(originals=originals, compressor=compressor, max_tokens=80)
        assert recall(tool) == recall(expected)
        assert asked

    def test_the_callers_counter_comes_first(self, originals, compressor, tool) -> None:
        both = RecallTool(
            originals=originals, compressor=compressor, count_tokens=count_words, max_tokens=80
        )
        assert recall(both) == recall(tool)

    @pytest.mark.parametrize("count", [0, -1, 1.5, OSError("no tokenizer")])
    def test_where_counting_fails_bytes_count(self, originals, caplog, count) -> None:
        def counter(text: str) -> int:
            if isinstance(count, OSError):
                raise count
            return count

        tool = RecallTool(originals=originals, count_tokens=counter, max_tokens=300)
        for _ in range(3):
            answer = recall(tool)
            assert answer.startswith("[lines 1-")
            assert 250 < len(answer.encode()) <= 300
        [record] = caplog.records
        assert (record.levelno, record.exc_info) == (logging.WARNING, None)
        assert "its bytes are counted instead: counter_failed (" in record.message

    async def test_a_store_that_fails_is_heard_once_of_each_kind(self, caplog) -> None:
        errors = [OSError("disk"), OSError("disk"), ValueError("key"), OSError("network")] * 2

        class Lost(InMemoryOriginals):
            def get(self, reference: str) -> str | None:
                raise errors.pop()

            async def aget(self, reference: str) -> str | None:
                raise errors.pop()

        tool = RecallTool(originals=Lost(), count_tokens=count_words)
        while errors:
            assert "not kept here" in recall(tool)
            assert "not kept here" in await tool.ainvoke({"reference": UNKNOWN})
        assert [record.message for record in caplog.records] == [
            f"The store of an original could not be asked: failed ({error}). "
            "Further ones are logged as DEBUG."
            for error in ("OSError: network", "ValueError: key")
        ]
        assert not any(record.exc_info for record in caplog.records)
        caplog.clear()
        errors.append(OSError("disk"))
        recall(copy.deepcopy(tool))  # a copy starts anew
        assert len(caplog.records) == 1

    def test_a_tiny_limit_is_kept_all_the_same(self, originals) -> None:
        for max_tokens in (1, 5, 20):
            tool = RecallTool(originals=originals, count_tokens=count_words, max_tokens=max_tokens)
            for reference in (reference_of(LOG), UNKNOWN):
                assert 0 < count_words(recall(tool, reference=reference)) <= max_tokens

    def test_limits_and_counters_are_checked_at_construction(self, originals) -> None:
        with pytest.raises(ValidationError, match="max_tokens"):
            RecallTool(originals=originals, max_tokens=0)
        with pytest.raises(TokenCounterError):
            RecallTool(originals=originals, count_tokens="gpt")
        for wrong in ({}, InMemoryOriginals):
            with pytest.raises(TypeError, match="originals"):
                RecallTool(originals=wrong)
        with pytest.raises(ValidationError, match="max_token"):
            RecallTool(originals=originals, max_token=5)


class TestDoors:
    CALLS = (
        {"reference": reference_of(LOG)},
        {"reference": reference_of(LOG), "around": 150},
        {"reference": reference_of(LOG), "around": "disk failure"},
        {"reference": UNKNOWN},
    )

    @pytest.mark.parametrize("arguments", CALLS)
    async def test_sync_and_async_say_the_same(self, tool, arguments) -> None:
        call = {"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"}
        assert await tool.ainvoke(call) == tool.invoke(call) == tool.invoke(call)

    async def test_the_event_loop_is_never_held_up(self, originals) -> None:
        threads = []

        def count(text: str) -> int:
            threads.append(threading.current_thread())
            return count_words(text)

        tool = RecallTool(originals=originals, count_tokens=count, max_tokens=80)
        with blockbuster_ctx():
            await tool.ainvoke({"reference": reference_of(LOG)})
        assert threads
        assert threading.main_thread() not in threads

    @pytest.mark.parametrize("name", ["recall_original", "fetch"])
    def test_the_message_says_that_it_is_a_recall(self, originals, name) -> None:
        tool = RecallTool(originals=originals, count_tokens=count_words, name=name)
        call = {"name": name, "args": self.CALLS[0], "id": "1", "type": "tool_call"}
        message = tool.invoke(call)
        assert isinstance(message, ToolMessage)
        assert message.status == "success"
        recalled = metadata_of(skipped_because="recalled", references=[reference_of(LOG)])
        assert message.artifact == {"specprefill": recalled}

    def test_deep_copies_share_the_store(self, tool, originals) -> None:
        copied = copy.deepcopy(tool)
        assert copied.originals is originals
        assert recall(copied) == recall(tool)


class CallingModel(GenericFakeChatModel):
    """Says what it was told to say, whatever tools there are."""

    def bind_tools(self, tools, **kwargs):
        return self


async def test_an_agent_goes_on_whatever_it_asks_for(tool) -> None:
    agents = pytest.importorskip("langchain.agents")
    asked = [
        {},
        {"reference": UNKNOWN},
        {"reference": reference_of(LOG), "around": ["no", "words"]},
        {"reference": reference_of(LOG), "around": 100, "limit": 5},
    ]
    calls = [
        {"name": "recall_original", "args": arguments, "id": str(n), "type": "tool_call"}
        for n, arguments in enumerate(asked)
    ]

    def said():
        return iter([AIMessage("", tool_calls=[call]) for call in calls] + [AIMessage("Done.")])

    sync = agents.create_agent(CallingModel(messages=said()), [tool]).invoke({"messages": []})
    found = await agents.create_agent(CallingModel(messages=said()), [tool]).ainvoke(
        {"messages": []}
    )
    answers = [one.content for one in found["messages"] if isinstance(one, ToolMessage)]
    assert answers == [one.content for one in sync["messages"] if isinstance(one, ToolMessage)]
    assert found["messages"][-1].content == "Done."
    assert ["Give the reference" in answers[0], "not kept here" in answers[1]] == [True, True]
    assert "is not in this original" in answers[2]
    assert LINES[99] in answers[3]
