"""The laws of `compress_tool`, in LlamaIndex's own agents."""

# No annotations from the future: LlamaIndex looks for `Context` itself among a tool's parameters.

import asyncio
import copy
import inspect
import json
import logging
import threading
import time
from enum import Enum, IntEnum
from typing import NamedTuple

import pytest
from blockbuster import blockbuster_ctx
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import (
    AgentInput,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import (
    FunctionTool,
    QueryEngineTool,
    RetrieverTool,
    ToolMetadata,
    ToolOutput,
)
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.core.tools.types import BaseTool
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import (
    SpecPrefillNodePostprocessor,
    ToolPolicy,
    compress_tool,
    compress_tools,
    recall_tool,
)
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.llama_index.scripted import Recorder, Script, calls, handling, says

# Workflows and agents ask each other for what is deprecated, some of it by pydantic.
# LlamaIndex imports langchain-community by itself where it is installed.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

SHARED = "specprefill_integrations.tool_results._tool_result_compressor.shared_compressor"
QUESTION = "Who barked?"
NEEDED = "The dog barked at night."
LOG = "\n".join(
    [*(f"{n:03} Nothing of note." for n in range(50)), NEEDED, *(["All was calm."] * 50)]
)
LITTLE = Budget(max_tokens=40)


def read_log(name: str) -> str:
    """Read a log."""
    return LOG


async def aread_log(name: str) -> str:
    """Read a log."""
    return LOG


async def read_for(name: str, ctx: Context) -> str:
    """Read a log for a user."""
    asked = await ctx.store.get("user_msg_str")
    return f"{LOG}\nRead for: {asked}"


def has_begun(scorer) -> None:
    while not scorer.calls:
        time.sleep(0.01)


class Door(NamedTuple):
    number: int
    state: str


class Mood(IntEnum):
    CALM = 1


class Word(str, Enum):
    SHUT = "shut"


def count_words(text: str) -> int:
    return KeywordScorer().count_tokens([text])[0]


@pytest.fixture
def wrap(compressor):
    """Wraps a function or a tool with what most tests want."""

    def wrapped(tool, **settings):
        if not isinstance(tool, BaseTool):
            tool = FunctionTool.from_defaults(tool)
        given = {"compressor": compressor, "budget": LITTLE, "min_tokens": 50, **settings}
        return compress_tool(tool, **given)

    return wrapped


def function_agent(tools, *turns) -> tuple[FunctionAgent, Script]:
    script = Script(*turns)
    return FunctionAgent(tools=tools, llm=script.llm), script


def acts(tool: str, **arguments: object):
    return says(f"Thought: I look.\nAction: {tool}\nAction Input: {json.dumps(arguments)}")


FINISHED = says("Thought: I know.\nAnswer: The dog.")


class TestAgents:
    @pytest.mark.parametrize("function", [read_log, aread_log, read_for])
    async def test_a_function_agent_reads_what_it_asked_for(self, wrap, function) -> None:
        tool = wrap(function)
        agent, script = function_agent([tool], calls(tool.metadata.name, name="a"), says("Done."))
        assert str(await agent.run(QUESTION)) == "Done."
        [message] = script.tool_messages
        assert NEEDED in message.content
        assert "[... " in message.content or "[...]" in message.content
        assert len(message.content) < len(LOG) / 3
        assert message.additional_kwargs == {"tool_call_id": f"call-{tool.metadata.name}"}

    @pytest.mark.parametrize("function", [read_log, read_for])
    async def test_a_react_agent_reads_what_it_asked_for(self, wrap, function) -> None:
        tool = wrap(function)
        script = Script(acts(tool.metadata.name, name="a"), FINISHED)
        agent = ReActAgent(tools=[tool], llm=script.llm)
        assert str(await agent.run(QUESTION)) == "The dog."
        observed = script.last_prompt.rpartition("Observation: ")[2]
        assert NEEDED in observed
        assert len(observed) < len(LOG) / 3

    async def test_a_workflow_of_agents_hands_off_untouched(self, wrap) -> None:
        tool = wrap(read_log, min_tokens=1)
        script = Script(
            calls("handoff", to_agent="reader", reason="It reads logs. " * 100),
            calls("read_log", name="a"),
            says("Done."),
        )
        boss = FunctionAgent(name="boss", description="Hands off.", llm=script.llm, tools=[])
        reader = FunctionAgent(name="reader", description="Reads.", llm=script.llm, tools=[tool])
        workflow = AgentWorkflow(agents=[boss, reader], root_agent="boss")
        with handling(Recorder()) as heard:
            assert str(await workflow.run(user_msg=QUESTION)) == "Done."
        handed, read = script.tool_messages
        assert "It reads logs. " * 99 in handed.content
        assert NEEDED in read.content
        assert len(read.content) < len(LOG) / 3
        assert heard.names == ["Start", "End"]
        assert heard.events[0].query_sources == ("user_message", "tool_call")

    async def test_what_was_streamed_and_counted_is_the_same_output(self, wrap) -> None:
        agent, script = function_agent([wrap(read_log)], calls("read_log", name="a"), says("Done."))
        handler = agent.run(QUESTION)
        seen = [event async for event in handler.stream_events()]
        [result] = [event for event in seen if isinstance(event, ToolCallResult)]
        assert result.tool_output.content == script.tool_messages[0].content
        assert result.tool_output.raw_output == LOG
        assert (await handler).tool_calls[0].tool_output == result.tool_output

    @pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key")
    async def test_the_context_can_be_written_down_during_a_run(self, wrap) -> None:
        agent, _ = function_agent([wrap(read_for)], calls("read_for", name="a"), says("Done."))
        handler = agent.run(QUESTION)
        written = ""
        async for event in handler.stream_events():
            if isinstance(event, AgentInput):
                written = json.dumps(handler.ctx.to_dict())
        await handler
        assert "raw_output" in written
        assert "specprefill_context" not in written

    async def test_tools_may_wait_for_people(self, wrap) -> None:
        async def ask_first(ctx: Context) -> str:
            """Read a log, if somebody allows it."""
            answer = await ctx.wait_for_event(
                HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="May I?")
            )
            return f"{answer.response}\n{LOG}"

        agent, script = function_agent([wrap(ask_first)], calls("ask_first"), says("Done."))
        handler = agent.run(QUESTION)
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                handler.ctx.send_event(HumanResponseEvent(response="barked: yes"))
        await handler
        assert "barked: yes" in script.last_prompt
        assert len(script.last_prompt) < len(LOG) / 3

    async def test_tools_may_answer_at_once_and_in_any_order(self, wrap) -> None:
        both = calls("read_log", name="a")
        both.blocks += [
            block.model_copy(update={"tool_call_id": "second", "tool_name": "aread_log"})
            for block in both.blocks
        ]
        agent, script = function_agent([wrap(read_log), wrap(aread_log)], both, says("Done."))
        await agent.run(QUESTION)
        ids = [message.additional_kwargs["tool_call_id"] for message in script.tool_messages]
        assert sorted(ids) == ["call-read_log", "second"]
        assert all(NEEDED in message.content for message in script.tool_messages)

    def test_an_agent_that_runs_code_says_that_it_cannot_use_it(self, wrap) -> None:
        agent = CodeActAgent(
            code_execute_fn=lambda code: code, llm=Script().llm, tools=[wrap(read_log)]
        )
        with pytest.raises(ValueError, match="requires context"):
            agent._get_tool_fns(agent.tools)


class TestWrapper:
    def test_it_is_a_function_tool_that_takes_the_context(self, wrap) -> None:
        for function, name in [(read_log, "specprefill_context"), (read_for, "ctx")]:
            tool = wrap(function)
            assert isinstance(tool, FunctionTool)
            assert (tool.requires_context, tool.ctx_param_name) == (True, name)

    def test_models_see_the_tool_as_it_was(self, wrap) -> None:
        for function in (read_log, read_for):
            plain = FunctionTool.from_defaults(function)
            tool = wrap(plain)
            assert tool.metadata is plain.metadata
            assert list(tool.metadata.get_parameters_dict()["properties"]) == ["name"]
            assert tool.real_fn is function

    async def test_without_an_agent(self, wrap) -> None:
        for tool in (wrap(read_log), wrap(aread_log)):
            for arguments in ({"name": "barked"}, {"name": "barked", "specprefill_context": None}):
                output = await tool.acall(**arguments)
                assert NEEDED in output.content
                assert await asyncio.to_thread(tool.call, **arguments) == output
                assert await asyncio.to_thread(tool, **arguments) == output
                assert output.raw_input == {"args": (), "kwargs": {"name": "barked"}}
                assert output.raw_output == LOG

    async def test_llamaindex_calls_it_with_one_argument(self, wrap) -> None:
        tool = wrap(read_log)
        assert NEEDED in call_tool(tool, {"name": "barked"}).content
        assert NEEDED in (await acall_tool(tool, {"name": "barked"})).content
        assert NEEDED in tool("barked").content
        assert NEEDED in (await tool.acall("barked")).content

    async def test_a_tool_that_needs_its_context_still_does(self, wrap) -> None:
        with pytest.raises(ValueError, match="Context is required"):
            await wrap(read_for).acall(name="a")

    async def test_defaults_and_partial_parameters_are_the_tools(self, wrap) -> None:
        def search(word: str, key: str, times: int = 3) -> str:
            return f"{word} {key} {times}\n{LOG}"

        tool = wrap(FunctionTool.from_defaults(search, partial_params={"key": "secret"}))
        output = await tool.acall(word="secret barked")
        assert output.raw_output.startswith("secret barked secret 3\n")

    async def test_what_the_tool_raises_is_raised(self, wrap) -> None:
        def fail() -> str:
            msg = "no such log"
            raise OSError(msg)

        with pytest.raises(OSError, match="no such log"):
            await wrap(fail).acall()
        agent, script = function_agent([wrap(fail)], calls("fail"), says("Done."))
        await agent.run(QUESTION)
        assert script.tool_messages[0].content == "no such log"

    async def test_long_errors_are_raised_outside_of_agents_and_compressed_in_them(
        self, wrap
    ) -> None:
        def fail() -> str:
            raise OSError(LOG * 5)

        tool = wrap(fail, originals=(originals := InMemoryOriginals()))
        with pytest.raises(OSError, match="barked"):
            await tool.acall()
        agent, script = function_agent([tool], calls("fail"), says("Done."))
        handler = agent.run(QUESTION)
        seen = [event async for event in handler.stream_events()]
        [called] = [event for event in seen if isinstance(event, ToolCallResult)]
        assert called.tool_output.is_error
        assert isinstance(called.tool_output.exception, OSError)
        assert called.tool_output.raw_output == LOG * 5
        read = script.tool_messages[0].content
        assert NEEDED in read
        assert count_words(read) <= 40
        reference = read.partition("[reference ")[2].partition("]")[0]
        assert originals.get(reference) == LOG * 5

    async def test_wrapping_again_gives_it_other_settings(self, wrap, compressor) -> None:
        once = wrap(read_log, budget=Budget(max_tokens=400))
        twice = compress_tool(once, compressor=compressor, budget=LITTLE, min_tokens=1)
        assert await twice.acall(name="barked") == await wrap(read_log).acall(name="barked")
        assert len((await once.acall(name="barked")).content) > len(LOG) / 3

    async def test_copies_share_the_compressor(self, wrap, compressor) -> None:
        tool = wrap(read_log)
        for copied in (copy.copy(tool), copy.deepcopy(tool)):
            assert await copied.acall(name="barked") == await tool.acall(name="barked")
            assert copied.settings.compressor is compressor

    def test_it_shows_up_in_signatures_and_schemas_of_nobody(self, wrap) -> None:
        tool = wrap(read_log)
        assert "specprefill_context" not in str(inspect.signature(tool.real_fn))
        assert "specprefill_context" not in json.dumps(tool.metadata.to_openai_tool())


class TestResults:
    async def test_other_blocks_stay_where_they_are(self, wrap) -> None:
        image = ImageBlock(url="http://localhost/a.png")

        def look() -> list:
            return [image, TextBlock(text=LOG), TextBlock(text=" "), image]

        output = await wrap(look, query="barked").acall()
        first, text, blank, last = output.blocks
        assert (first, last, blank.text) == (image, image, " ")
        assert NEEDED in text.text
        assert len(text.text) < len(LOG) / 3
        assert output.raw_output[1].text == LOG

    async def test_a_text_that_goes_leaves_a_mark(self, wrap) -> None:
        def look() -> list:
            return [TextBlock(text="Fish swim " * 30), TextBlock(text="The dog barked.")]

        originals = InMemoryOriginals()
        budget = Budget(max_tokens=14)
        plain = await wrap(look, query="dog barked", budget=budget).acall()
        assert [block.text for block in plain.blocks] == ["[...]", "The dog barked."]
        stored = await wrap(look, query="dog barked", budget=budget, originals=originals).acall()
        [_, reference] = stored.blocks[0].text.removesuffix("]").split("[reference ")
        assert originals.get(reference) == f"{'Fish swim ' * 30}\nThe dog barked."

    async def test_marks_are_counted_and_never_longer_than_their_texts(self, wrap) -> None:
        def look() -> list:
            texts = ("Fish swim " * 30, NEEDED, "No.", "The dog barked.")
            return [TextBlock(text=text) for text in texts]

        with handling(Recorder()) as heard:
            output = await wrap(
                look,
                query="dog barked",
                budget=Budget(max_tokens=24),
                originals=InMemoryOriginals(),
            ).acall()
        texts = [block.text for block in output.blocks]
        assert texts[0].startswith("[...] [reference ")
        assert texts[1:] == [NEEDED, "No.", "The dog barked."]
        assert heard.events[-1].kept_tokens == sum(map(count_words, texts))

    async def test_a_block_a_row_within_one_budget(self, wrap) -> None:
        """As MCP gives a list: one reference, one marker a run, an image between stays."""
        image = ImageBlock(url="http://localhost/a.png")
        rows = [
            json.dumps({"id": n, "note": "barked" if n == 77 else "calm"}, indent=2)
            for n in range(150)
        ]
        blocks = [TextBlock(text=row) for row in rows]

        def look() -> list:
            return [*blocks[:90], image, *blocks[90:]]

        for originals in (None, InMemoryOriginals()):
            tool = wrap(look, query=QUESTION, budget=Budget(max_tokens=300), originals=originals)
            with handling(Recorder()) as heard:
                output = await tool.acall()
                assert (await asyncio.to_thread(tool.call)).blocks == output.blocks
            texts = [block.text for block in output.blocks if block != image]
            assert heard.events[-1].kept_tokens == sum(map(count_words, texts)) <= 300
            assert rows[77] in texts
            assert output.blocks.count(image) == 1
            markers = [text for text in texts if text.startswith("[...]")]
            assert len(markers) + len(set(texts) & set(rows)) == len(texts)
            if originals:
                [text] = [text for text in texts if "[reference " in text]
                reference = text.partition("[reference ")[2].removesuffix("]")
                assert originals.get(reference) == "\n".join(rows)

    async def test_each_run_of_texts_between_images_has_a_mark(self, wrap) -> None:
        image = ImageBlock(url="http://localhost/a.png")
        fish = [TextBlock(text=f"Fish number {n} swims in the deep blue sea.") for n in range(6)]
        dog = TextBlock(text="The dog barked.")

        def look() -> list:
            return [
                *fish[:2],
                image,
                fish[2],
                image,
                fish[3],
                dog,
                TextBlock(text=" "),
                image,
                *fish[4:],
            ]

        budget = Budget(max_tokens=26)
        output = await wrap(look, query="dog barked", budget=budget, min_tokens=0).acall()
        shown = ["image" if block == image else block.text for block in output.blocks]
        mark = "[...]"
        assert shown == [mark, "image", mark, "image", mark, dog.text, " ", "image", mark]

    async def test_texts_share_one_budget(self, wrap) -> None:
        def look() -> list:
            return [TextBlock(text=LOG), TextBlock(text=LOG)]

        output = await wrap(look, query="barked").acall()
        assert sum(count_words(block.text) for block in output.blocks) <= 40

    async def test_the_tools_output_is_not_changed(self, wrap) -> None:
        given = ToolOutput(tool_name="look", content=LOG, raw_input={}, raw_output=None)
        before = given.model_dump()

        class Look(BaseTool):
            metadata = ToolMetadata("Look.", name="look")

            def __call__(self, input: str) -> ToolOutput:  # noqa: A002
                return given

        tool = wrap(Look(), query="barked")
        for output in (tool.call("a"), await tool.acall("a"), await tool.acall(input="a")):
            assert NEEDED in output.content
            assert len(output.content) < len(LOG) / 3
        assert given.model_dump() == before

    async def test_records_stay_whole(self, wrap) -> None:
        rows = [{"id": n, "note": NEEDED if n == 20 else "Ruhe über allem."} for n in range(40)]

        def look_up() -> list:
            return rows

        output = await wrap(look_up, query="barked", budget=Budget(max_tokens=60)).acall()
        assert {"id": 20, "note": NEEDED} in json.loads(output.content)
        assert len(output.content) < len(str(rows)) / 3
        assert output.raw_output is rows
        whole = await wrap(look_up, min_tokens=10_000).acall()
        assert whole.content == str(rows)

    @pytest.mark.parametrize("odd", [object, float("nan"), {1}])
    async def test_what_json_has_no_words_for_stays_as_python_wrote_it(self, wrap, odd) -> None:
        tool = wrap(lambda: {"log": LOG.split("\n"), "odd": odd}, query="barked")
        output = await tool.acall()
        assert f"'{NEEDED}'" in output.content
        assert f'"{NEEDED}"' not in output.content

    @pytest.mark.parametrize("odd", [Door(7, "shut"), Mood.CALM, {7: "shut", "7": "open"}])
    async def test_what_json_would_say_less_of_does_too(self, wrap, odd) -> None:
        tool = wrap(lambda: {"log": LOG.split("\n"), "odd": [odd]}, query="barked")
        output = await tool.acall()
        assert f"'{NEEDED}'" in output.content
        assert f'"{NEEDED}"' not in output.content

    async def test_what_lies_too_deep_or_in_itself_is_cut_as_python_wrote_it(self, wrap) -> None:
        deep: list = []
        for _ in range(900):
            deep = [deep]
        endless: list = []
        endless.append(endless)
        for odd in (deep, endless):
            rows = [*LOG.split("\n"), odd]
            output = await wrap(lambda rows=rows: rows, query="barked").acall()
            # As JSON from Python 3.12 on, whose encoder nests deeper.
            assert f"'{NEEDED}'" in output.content or (odd is deep and NEEDED in output.content)
            assert len(output.content) < len(LOG) / 3

    @pytest.mark.parametrize("plain", [("shut",), Word.SHUT, {7: "shut"}])
    async def test_what_json_says_as_well_is_json(self, wrap, plain) -> None:
        tool = wrap(lambda: {"log": LOG.split("\n"), "plain": plain}, query="barked")
        assert NEEDED in json.loads((await tool.acall()).content)["log"]

    async def test_the_kind_can_be_told(self, wrap) -> None:
        prose, lines = ({"*": ToolPolicy(kind=kind)} for kind in ("prose", "lines"))
        output = await wrap(read_log, tool_policies=prose, query="barked").acall(name="a")
        assert "omitted" not in output.content
        lined = await wrap(read_log, tool_policies=lines, query="barked").acall(name="a")
        assert "lines omitted" in lined.content


class Silent(CustomQueryEngine):
    """A query engine that answers with a long text."""

    def custom_query(self, query_str: str) -> str:
        return LOG


class TestMarkersInArguments:
    """Agents that write shortened texts back."""

    @pytest.fixture
    def files(self) -> dict[str, str]:
        return {}

    @pytest.fixture
    def tools(self, compressor, files):
        def write(edits: list[dict[str, str]]) -> str:
            """Write files."""
            files.update({edit["path"]: edit["text"] for edit in edits})
            return "Written."

        def made(**settings) -> list[BaseTool]:
            plain = [FunctionTool.from_defaults(one) for one in (read_log, write)]
            given = {"compressor": compressor, "budget": LITTLE, "min_tokens": 50}
            return compress_tools(plain, **{**given, **settings})

        return made

    def write_back(self, text: str) -> dict[str, object]:
        return {"edits": [{"path": "a.log", "text": text}]}

    async def test_it_is_refused_and_the_original_recalled(self, tools, files, caplog) -> None:
        originals = InMemoryOriginals()
        read, write, recall = tools(originals=originals, on_marker_in_arguments="refuse")
        shortened = (await read.acall(name="barked")).content
        reference = originals.reference_of(LOG)
        agent, script = function_agent(
            [read, write, recall],
            calls("write", **self.write_back(shortened)),
            calls("recall_original", reference=f"[...] [reference {reference}]"),
            calls("write", **self.write_back(LOG)),
            says("Done."),
        )
        handler = agent.run(QUESTION)
        seen = [event async for event in handler.stream_events()]
        assert str(await handler) == "Done."
        outputs = [event.tool_output for event in seen if isinstance(event, ToolCallResult)]
        assert [output.is_error for output in outputs] == [True, False, False]
        assert f"by its reference {reference}." in outputs[0].content
        assert '"edits[0].text"' in outputs[0].content
        assert files == {"a.log": LOG}
        assert script.tool_messages[0].content == outputs[0].content
        assert [record.message for record in caplog.records] == [
            'Refused a call of write with a gap marker in its argument "edits[0].text".'
        ]

    @pytest.mark.parametrize("action", ["ignore", "warn", "refuse"])
    async def test_both_ways_do_the_same(self, tools, files, caplog, action) -> None:
        read, write = tools(on_marker_in_arguments=action)
        shortened = read.call(name="barked").content
        for call in (write.acall, lambda **given: asyncio.to_thread(write.call, **given)):
            files.clear()
            caplog.clear()
            output = await call(**self.write_back(shortened))
            is_refused = action == "refuse"
            assert output.is_error == is_refused
            assert files == ({} if is_refused else {"a.log": shortened})
            assert len(caplog.records) == (action != "ignore")
            if is_refused:
                assert "Read the complete text first" in output.content
                assert "ecall" not in output.content

    async def test_a_react_agent_goes_on(self, tools, files) -> None:
        read, write = tools(on_marker_in_arguments="refuse")
        shortened = read.call(name="barked").content
        script = Script(acts("write", **self.write_back(shortened)), FINISHED)
        agent = ReActAgent(tools=[read, write], llm=script.llm)
        assert str(await agent.run(QUESTION)) == "The dog."
        assert "The tool was not called" in script.last_prompt
        assert files == {}

    @pytest.mark.parametrize("is_react", [False, True])
    async def test_a_refusal_is_never_the_answer_of_the_agent(self, tools, files, is_react) -> None:
        """The agent ends after a tool that returns directly, but not after a refused call of it."""
        read, write = tools(on_marker_in_arguments="refuse")
        write.metadata.return_direct = True
        arguments = [self.write_back(read.call(name="barked").content), self.write_back(LOG)]
        if is_react:
            script = Script(*(acts("write", **one) for one in arguments))
            agent = ReActAgent(tools=[read, write], llm=script.llm)
        else:
            agent, script = function_agent(
                [read, write], *(calls("write", **one) for one in arguments)
            )
        assert str(await agent.run(QUESTION)) == "Written."
        assert files == {"a.log": LOG}


class TestSkips:
    """What stays whole, and that the event says why."""

    async def whole(self, tool, reason: str, **arguments: object) -> ToolOutput:
        """The output, which both doors leave as the tool itself gives it."""
        with handling(Recorder()) as heard:
            output = await tool.acall(**arguments)
            assert (await asyncio.to_thread(tool.call, **arguments)).blocks == output.blocks
        assert heard.reasons == [reason, reason]
        assert output.blocks == (await tool.tool.acall(**arguments)).blocks
        return output

    async def test_errors(self, wrap) -> None:
        class Broken(BaseTool):
            metadata = ToolMetadata("Break.", name="broken")

            def __call__(self, input: str) -> ToolOutput:  # noqa: A002
                return ToolOutput("broken", LOG, raw_input={}, raw_output=LOG, is_error=True)

        output = await self.whole(wrap(Broken()), "tool_error", input="barked")
        assert output.is_error

    async def test_long_errors_are_compressed_and_stay_errors(self, wrap) -> None:
        class Broken(BaseTool):
            metadata = ToolMetadata("Break.", name="broken")

            def __call__(self, input: str) -> ToolOutput:  # noqa: A002
                text = LOG * 5
                return ToolOutput("broken", text, raw_input={}, raw_output=text, is_error=True)

        output = await wrap(Broken()).acall(input="barked")
        assert output.is_error
        assert NEEDED in output.content
        assert count_words(output.content) <= 40

    async def test_tools_that_return_directly(self, wrap) -> None:
        tool = wrap(FunctionTool.from_defaults(read_log, return_direct=True))
        await self.whole(tool, "return_direct", name="barked")
        agent, _ = function_agent([tool], calls("read_log", name="barked"))
        assert str(await agent.run(QUESTION)) == LOG

    async def test_handoffs(self, wrap) -> None:
        tool = wrap(FunctionTool.from_defaults(read_log, name="handoff"))
        await self.whole(tool, "return_direct", name="barked")

    async def test_little_text(self, wrap, scorer) -> None:
        many = count_words(LOG)
        await self.whole(wrap(read_log, min_tokens=many + 1), "too_small", name="barked")
        assert not scorer.calls
        assert NEEDED in (await wrap(read_log, min_tokens=many).acall(name="barked")).content
        assert scorer.calls

    async def test_no_text(self, wrap) -> None:
        def look() -> list:
            return [ImageBlock(url="http://localhost/a.png"), TextBlock(text=" \n")]

        await self.whole(wrap(look), "no_text")
        await self.whole(wrap(lambda: ""), "no_text")

    async def test_what_fits(self, wrap) -> None:
        tool = wrap(read_log, budget=Budget(keep_fraction=1))
        await self.whole(tool, "within_budget", name="barked")

    async def test_what_nothing_would_be_kept_of(self, wrap) -> None:
        tool = wrap(read_log, budget=Budget(max_tokens=1))
        await self.whole(tool, "nothing_kept", name="barked")

    async def test_what_would_be_no_shorter_with_its_marks(self, wrap) -> None:
        class ThreeOfFour(KeywordScorer):
            def score_spans(self, query, texts, spans) -> list[list[float]]:
                return [[float(n % 4 > 0) for n, _ in enumerate(own)] for own in spans]

        half = ContextCompressor(ThreeOfFour(), fraction_of="units", on_error="raise")
        lines = "\n".join(f"door{n}" for n in range(80))
        tool = wrap(lambda: lines, query="dog", compressor=half, budget=Budget(keep_fraction=0.75))
        await self.whole(tool, "not_shorter")

    async def test_what_is_left_whole_is_not_put(self, wrap) -> None:
        originals = InMemoryOriginals()
        tool = wrap(read_log, budget=Budget(max_tokens=1), originals=originals)
        await self.whole(tool, "nothing_kept", name="barked")
        assert originals.get(originals.reference_of(LOG)) is None

    async def test_recalled_originals(self, wrap, compressor) -> None:
        originals = InMemoryOriginals()
        reference = originals.put(LOG)
        tool = wrap(recall_tool(originals, compressor=compressor), min_tokens=1)
        output = await self.whole(tool, "recalled", reference=reference)
        assert output.content == LOG

    async def test_nodes_that_their_retriever_compressed(self, wrap, compressor, nodes) -> None:
        plain = [found.node.model_copy(update={"embedding": None}) for found in nodes]
        index = VectorStoreIndex(plain, embed_model=MockEmbedding(embed_dim=4))
        door = SpecPrefillNodePostprocessor(compressor=compressor, budget=Budget(max_tokens=20))
        retriever = index.as_retriever(similarity_top_k=3)
        searching = RetrieverTool.from_defaults(retriever, node_postprocessors=[door])
        tool = wrap(searching, min_tokens=1)
        with handling(Recorder()) as heard:
            output = await tool.acall(input="dog barked")
        assert heard.reasons == ["already_compressed"]
        assert "[...] The dog barked at night. [...]" in output.content
        fresh = wrap(RetrieverTool.from_defaults(retriever), min_tokens=1)
        with handling(Recorder()) as heard:
            output = await fresh.acall(input="dog barked")
        assert heard.names == ["Start", "End"]
        assert output.raw_input == {"input": "\ninput is dog barked\n"}
        assert all(found.node.node_id in "abc" for found in output.raw_output)

    async def test_query_engines_are_asked_as_before(self, wrap) -> None:
        tool = wrap(QueryEngineTool.from_defaults(Silent(), name="ask"))
        agent, script = function_agent([tool], calls("ask", input="barked"), says("Done."))
        await agent.run(QUESTION)
        assert NEEDED in script.last_prompt
        assert len(script.last_prompt) < len(LOG) / 3


class TestFailures:
    @pytest.fixture
    def forgiving(self, scorer) -> ContextCompressor:
        return ContextCompressor(scorer)

    async def test_a_failing_draft_costs_nothing(self, wrap, scorer, forgiving) -> None:
        scorer.error = RuntimeError("out of memory")
        with handling(Recorder()) as heard:
            output = await wrap(read_log, compressor=forgiving).acall(name="barked")
        assert output.content == LOG
        assert (heard.names, heard.reasons) == (["Start", "Skipped"], ["scorer_failed"])

    async def test_a_context_that_cannot_be_read_costs_the_users_question(
        self, wrap, caplog
    ) -> None:
        class Lost:
            @property
            def store(self) -> None:
                msg = "no connection"
                raise ConnectionError(msg)

        tool = wrap(read_log)
        for _ in range(3):
            output = await tool.acall(name="barked", **{tool.ctx_param_name: Lost()})
            assert NEEDED in output.content
            assert len(output.content) < len(LOG) / 3
        [record] = caplog.records
        told = "The user's message could not be read: failed (ConnectionError: no connection). "
        assert record.message == told + "Further ones are logged as DEBUG."

    async def test_an_error_asked_for_reaches_the_agent(self, wrap, scorer) -> None:
        scorer.error = RuntimeError("out of memory")
        tool = wrap(read_log)
        with pytest.raises(RuntimeError, match="out of memory"):
            tool.call(name="barked")
        agent, script = function_agent([tool], calls("read_log", name="a"), says("Done."))
        await agent.run(QUESTION)
        assert script.tool_messages[0].content == "out of memory"

    @pytest.mark.parametrize("part", ["query", "originals", "count", "draft"])
    async def test_whatever_else_fails_costs_nothing_but_a_warning(  # noqa: PLR0913, PLR0917
        self, wrap, scorer, forgiving, caplog, monkeypatch, part
    ) -> None:
        def fail(*_: object) -> None:
            msg = "no luck"
            raise RuntimeError(msg)

        settings: dict = {"compressor": forgiving}
        if part == "query":
            settings["query"] = fail
        elif part == "originals":
            settings["originals"] = originals = InMemoryOriginals()
            monkeypatch.setattr(originals, "put", fail)
        elif part == "count":
            settings["compressor"] = forgiving.replace(count_tokens=fail)
        else:
            settings["compressor"] = None
            monkeypatch.setattr(SHARED, fail)
        tool = wrap(read_log, **settings)
        with caplog.at_level(logging.WARNING), handling(Recorder()) as heard:
            assert (await tool.acall(name="barked")).content == LOG
            assert (await asyncio.to_thread(tool.call, name="barked")).content == LOG
        assert heard.reasons == ["failed", "failed"]
        [record] = caplog.records
        told = "Passed the result of read_log through unchanged: failed (RuntimeError: no luck)"
        assert record.message.startswith(told)

    async def test_a_cancelled_agent_is_cancelled(self, wrap, scorer, forgiving) -> None:
        scorer.wait_for = threading.Event()
        running = asyncio.create_task(wrap(read_log, compressor=forgiving).acall(name="a"))
        await asyncio.to_thread(has_begun, scorer)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        scorer.wait_for.set()


class TestQuestions:
    async def test_the_users_words_and_the_call(self, wrap, scorer) -> None:
        agent, _ = function_agent([wrap(read_log)], calls("read_log", name="ä"), says("Done."))
        with handling(Recorder()) as heard:
            await agent.run(QUESTION)
        assert scorer.calls[0][0] == 'Who barked? | tool call: read_log {"name": "ä"}'
        sources = {event.query_sources for event in heard.events}
        assert sources == {("user_message", "tool_call")}

    async def test_what_the_users_words_refer_to(self, wrap, scorer) -> None:
        turns = [
            *(calls("read_log", name="a"), says("Rex and Bella."), says("Rain.")),
            *(calls("read_log", name="b"), says("At noon.")),
        ]
        agent, _ = function_agent([wrap(read_log)], *turns)
        memory = ChatMemoryBuffer.from_defaults(token_limit=10**6)
        for asked in ("Which dogs barked?", "Was Monday wet at noon?", "And at night?"):
            await agent.run(asked, memory=memory)
        assert [query for query, _ in scorer.calls] == [
            'Which dogs barked? | tool call: read_log {"name": "a"}',
            'Was Monday wet at noon? | Rain. | And at night? | tool call: read_log {"name": "b"}',
        ]

    async def test_a_memory_that_fails_leaves_the_users_words(self, wrap, scorer, caplog) -> None:
        class Failing(ChatMemoryBuffer):
            async def aget_all(self) -> list[ChatMessage]:
                raise OSError

        agent, _ = function_agent([wrap(read_log)], calls("read_log", name="a"), says("Done."))
        memory = Failing.from_defaults(token_limit=10**6)
        await agent.run("And Rex?", memory=memory)
        assert scorer.calls[0][0] == 'And Rex? | tool call: read_log {"name": "a"}'
        assert "The conversation could not be read" in caplog.text

    async def test_the_call_alone_outside_of_an_agent(self, wrap, scorer) -> None:
        with handling(Recorder()) as heard:
            await wrap(read_log).acall(name="a")
            await wrap(read_log).acall("a")
        assert [query for query, _ in scorer.calls] == [
            'tool call: read_log {"name": "a"}',
            'tool call: read_log {"0": "a"}',
        ]
        assert {event.query_sources for event in heard.events} == {("tool_call",)}

    async def test_the_users_words_alone_where_nothing_is_filled_in(self, wrap, scorer) -> None:
        agent, _ = function_agent([wrap(lambda: LOG)], calls("<lambda>"), says("Done."))
        with handling(Recorder()) as heard:
            await agent.run(QUESTION)
        assert scorer.calls[0][0] == QUESTION
        assert heard.events[0].query_sources == ("user_message",)

    async def test_no_question(self, wrap, scorer) -> None:
        with handling(Recorder()) as heard:
            await wrap(lambda: LOG).acall()
        assert [query for query, _ in scorer.calls] == [None]
        assert {event.query_sources for event in heard.events} == {()}

    async def test_a_blank_setting_leaves_it_to_the_call(self, wrap, scorer) -> None:
        for nothing in (" ", lambda _: None):
            await wrap(read_log, query=nothing).acall(name="a")
        assert [query for query, _ in scorer.calls] == ['tool call: read_log {"name": "a"}'] * 2

    async def test_a_setting_comes_first(self, wrap, scorer) -> None:
        def make(request) -> str:
            return f"{request.user_message} {request.tool_name} {request.arguments['name']}"

        for query, asked in [("night", "night"), (make, f"{QUESTION} read_for a")]:
            scorer.calls.clear()
            agent, _ = function_agent(
                [wrap(read_for, query=query)], calls("read_for", name="a"), says("Done.")
            )
            with handling(Recorder()) as heard:
                await agent.run(QUESTION)
            assert scorer.calls[0][0] == asked
            assert heard.events[0].query_sources == ("setting",)

    async def test_long_words_lose_their_middle(self, wrap, scorer) -> None:
        await wrap(read_log).acall(name=f"first {'x' * 5000} last")
        asked = scorer.calls[0][0]
        assert len(asked) < 1100
        assert "first" in asked
        assert "last" in asked


class TestOriginals:
    async def test_an_agent_gets_back_what_was_cut(self, wrap, compressor) -> None:
        originals = InMemoryOriginals()
        tools = [wrap(read_log, originals=originals), recall_tool(originals, compressor=compressor)]
        agent, script = function_agent(tools, calls("read_log", name="a"), says("Done."))
        await agent.run(QUESTION)
        shown = script.tool_messages[0].content
        assert "017 Nothing of note." not in shown
        reference = shown.partition("[reference ")[2][:12]
        assert originals.get(reference) == LOG
        agent, script = function_agent(
            tools, calls("recall_original", reference=f"[{reference}]", around="017"), says("Done.")
        )
        await agent.run(QUESTION)
        assert "017 Nothing of note." in script.tool_messages[0].content

    async def test_no_reference_to_what_is_not_kept(self, wrap) -> None:
        tiny = InMemoryOriginals(max_chars=10)
        output = await wrap(read_log, originals=tiny).acall(name="barked")
        assert NEEDED in output.content
        assert "reference" not in output.content

    async def test_no_reference_without_a_store(self, wrap) -> None:
        assert "reference" not in (await wrap(read_log).acall(name="barked")).content

    async def test_copies_of_the_tool_share_the_store(self, compressor) -> None:
        originals = InMemoryOriginals()
        tool = recall_tool(originals, compressor=compressor, name="fetch")
        tool.metadata.description = "Fetch."
        copied = copy.deepcopy(tool)
        reference = originals.put(LOG)
        assert (await copied.acall(reference=reference)).content == LOG
        assert copied.call(reference=reference) == tool.call(reference=reference)
        assert (copied.metadata.name, copied.metadata.description) == ("fetch", "Fetch.")

    async def test_recalls(self, compressor) -> None:
        originals = InMemoryOriginals()
        reference = originals.put(LOG)
        tool = recall_tool(originals, compressor=compressor)
        assert set(tool.metadata.get_parameters_dict()["properties"]) == {"reference", "around"}
        assert tool.metadata.get_parameters_dict()["required"] == ["reference"]
        assert tool.metadata.name == "recall_original"
        assert len(tool.metadata.to_openai_tool()["function"]["description"]) < 1024
        assert (await tool.acall(reference=reference)).content == LOG
        for around in (51, "51", "dog BARKED"):
            few = recall_tool(originals, count_tokens=count_words, max_tokens=40)
            output = await few.acall(reference=reference, around=around)
            assert NEEDED in output.content
            assert few.call(reference=reference, around=around) == output
        assert "There is no reference" in (await tool.acall(reference=None)).content
        assert "not kept here" in (await tool.acall(reference="0" * 12)).content


class TestAllTools:
    def tools(self, *more: BaseTool, **settings) -> list[BaseTool]:
        plain = [FunctionTool.from_defaults(one) for one in (read_log, aread_log)]
        return compress_tools(
            [*plain, *more], budget=LITTLE, min_tokens=50, query="barked", **settings
        )

    async def test_each_is_wrapped(self, compressor) -> None:
        tools = self.tools(compressor=compressor)
        assert [tool.metadata.name for tool in tools] == ["read_log", "aread_log"]
        for tool in tools:
            assert len((await tool.acall(name="a")).content) < len(LOG) / 3

    async def test_the_recall_tool_comes_with_the_store(self, compressor) -> None:
        originals = InMemoryOriginals()
        first, _, recall = self.tools(compressor=compressor, originals=originals)
        shown = (await first.acall(name="a")).content
        reference = shown.partition("[reference ")[2][:12]
        assert (await recall.acall(reference=reference)).content == LOG

    def test_it_does_not_come_twice(self, compressor) -> None:
        originals = InMemoryOriginals()
        settings = {"compressor": compressor, "originals": originals}
        for one in (
            recall_tool(originals, name="fetch"),
            compress_tool(recall_tool(originals, name="fetch"), budget=LITTLE),
        ):
            assert len(self.tools(one, **settings)) == 3
        with pytest.raises(ValueError, match="recall_tool\\(originals, name="):
            self.tools(FunctionTool.from_defaults(read_log, name="recall_original"), **settings)
        assert len(self.tools(recall_tool(InMemoryOriginals(), name="fetch"), **settings)) == 4

    async def test_excluded_tools_and_policies(self, compressor) -> None:
        metrics = CompressionMetrics()
        first, second = self.tools(
            compressor=compressor,
            metrics=metrics,
            exclude_tools=["a*"],
            tool_policies={"read_*": ToolPolicy(budget=Budget(max_tokens=400))},
        )
        with handling(Recorder()) as heard:
            assert len((await first.acall(name="a")).content) > len(LOG) / 3
            assert (await second.acall(name="a")).content == LOG
        assert heard.reasons == ["excluded_tool"]
        assert metrics.totals().skips == {"excluded_tool": 1}

    def test_one_text_is_no_list_of_tools(self) -> None:
        with pytest.raises(TypeError, match=r"\['read_\*'\]"):
            self.tools(exclude_tools="read_*")


class TestEventLoop:
    async def test_no_blocking_call_on_the_loop(self, wrap, scorer) -> None:
        scorer.seconds = 0.01
        with blockbuster_ctx():
            output = await wrap(aread_log, originals=InMemoryOriginals()).acall(name="barked")
        assert NEEDED in output.content

    async def test_other_tasks_go_on_while_the_draft_reads(self, wrap, scorer) -> None:
        scorer.wait_for = threading.Event()

        async def other_task() -> None:
            await asyncio.sleep(0.01)
            scorer.wait_for.set()

        output, _ = await asyncio.gather(wrap(read_log).acall(name="barked"), other_task())
        assert NEEDED in output.content

    async def test_the_shared_compressor_is_built_at_first_use_off_the_loop(
        self, monkeypatch, wrap, compressor
    ) -> None:
        builders = []
        monkeypatch.setattr(
            SHARED, lambda: builders.append(threading.current_thread()) or compressor
        )
        tool = wrap(read_log, compressor=None)
        small = wrap(lambda: "Nothing.", compressor=None)
        await small.acall()
        assert not builders
        output = await tool.acall(name="barked")
        assert tool.call(name="barked") == output
        assert [thread is threading.main_thread() for thread in builders] == [False, True]
