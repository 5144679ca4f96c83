"""`goal_argument=True` in LlamaIndex: the model says what it looks for; the tool never gets it."""

# No annotations from the future: LlamaIndex looks for `Context` itself among a tool's parameters.

import copy
import json
import pickle

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import FunctionTool, QueryEngineTool, ToolMetadata
from llama_index.core.workflow import Context

from specprefill_integrations import Budget
from specprefill_integrations.llama_index import compress_tool, compress_tools, recall_tool
from specprefill_integrations.llama_index._goal_argument import with_goal_argument
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.llama_index.scripted import Recorder, Script, calls, handling, says

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

QUESTION = "Was all calm?"
GOAL = "When did the dog bark?"
NEEDED = "The dog barked at night."
LOG = "\n".join([*(f"{n:03} Nothing of note." for n in range(50)), NEEDED, *(["Calm."] * 50)])


class Strict(BaseModel):
    """Refuses arguments that it does not know."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The name.")
    lines: list[int] = Field(default_factory=list)


def read_log(name: str) -> str:
    """Read a log."""
    return LOG


async def aread_log(name: str) -> str:
    """Read a log."""
    return LOG


async def read_for(name: str, ctx: Context) -> str:
    """Read a log for a user."""
    assert await ctx.store.get("user_msg_str") == QUESTION
    return LOG


def read_strictly(**arguments: object) -> str:
    """Read lines of a log."""
    Strict.model_validate(arguments)
    return LOG


def plan(goal: str) -> str:
    """Plan."""
    return f"{LOG}\n{goal}"


class Pages(CustomQueryEngine):
    def custom_query(self, query_str: str) -> str:
        assert query_str == "dogs"
        return LOG


def query_engine_tool() -> QueryEngineTool:
    return QueryEngineTool.from_defaults(Pages(), name="pages", description="Pages.")


def strict_tool() -> FunctionTool:
    return FunctionTool.from_defaults(read_strictly, fn_schema=Strict)


TOOLS = [
    (lambda: FunctionTool.from_defaults(read_log), {"name": "a"}),
    (lambda: FunctionTool.from_defaults(async_fn=aread_log), {"name": "a"}),
    (lambda: FunctionTool.from_defaults(async_fn=read_for), {"name": "a"}),
    (strict_tool, {"name": "a", "lines": [1]}),
    (query_engine_tool, {"input": "dogs"}),
]
IDS = ["read_log", "aread_log", "read_for", "strict", "query_engine"]


@pytest.fixture
def wrap(compressor):
    def wrapped(tool, **settings):
        given = {"budget": Budget(max_tokens=40), "min_tokens": 50, "goal_argument": True}
        return compress_tool(tool, compressor=compressor, **{**given, **settings})

    return wrapped


def properties_of(tool) -> list[str]:
    return list(tool.metadata.get_parameters_dict()["properties"])


class TestOffer:
    @pytest.mark.parametrize("make", [make for make, _ in TOOLS], ids=IDS)
    def test_the_schema_has_one_more_argument_and_no_other_change(self, wrap, make) -> None:
        tool = make()
        before = copy.deepcopy(tool.metadata.get_parameters_dict())
        wrapped = wrap(tool)
        after = wrapped.metadata.get_parameters_dict()
        goal = after["properties"].pop("goal")
        assert goal["type"] == "string"
        assert "shortened" in goal["description"]
        assert after == before == tool.metadata.get_parameters_dict()
        assert "goal" in json.loads(wrapped.metadata.fn_schema_str)["properties"]
        offered = wrapped.metadata.to_openai_tool()["function"]
        assert "goal" in offered["parameters"]["properties"]
        assert offered["description"] == tool.metadata.to_openai_tool()["function"]["description"]

    def test_tools_that_are_left_alone(self, wrap) -> None:
        class Named(BaseModel):
            aim: str = Field(alias="goal")

        class Closed(BaseModel):
            def goal(self) -> None:
                """No field."""

        def of(function=read_log, **settings):
            return FunctionTool.from_defaults(function, **settings)

        bare = ToolMetadata("Reads.", name="bare", fn_schema=None)
        left = [
            of(plan),
            of(plan, fn_schema=Strict, partial_params={"goal": "b"}),
            of(fn_schema=Named),
            of(fn_schema=Closed),
            of(return_direct=True),
            of(name="handoff"),
            FunctionTool(read_log, metadata=bare),
            recall_tool(InMemoryOriginals()),
        ]
        for tool in left:
            assert with_goal_argument(tool) is None, tool.metadata
            assert wrap(tool).metadata is tool.metadata
        tool = of()
        assert wrap(tool, exclude_tools=["read_*"]).metadata is tool.metadata
        assert wrap(tool, goal_argument=False).metadata is tool.metadata

    def test_all_tools_of_an_agent(self, compressor) -> None:
        tools = compress_tools(
            [strict_tool(), FunctionTool.from_defaults(plan)],
            compressor=compressor,
            budget=Budget(max_tokens=40),
            originals=InMemoryOriginals(),
            goal_argument=True,
        )
        assert [properties_of(tool) for tool in tools] == [
            ["name", "lines", "goal"],
            ["goal"],
            ["reference", "around"],
        ]
        [again, *_] = compress_tools(tools, budget=Budget(max_tokens=40), goal_argument=True)
        assert properties_of(again) == ["name", "lines", "goal"]
        [without, *_] = compress_tools(tools, budget=Budget(max_tokens=40))
        assert properties_of(without) == ["name", "lines"]

    def test_copies_offer_it_too(self, compressor) -> None:
        tool = compress_tool(
            FunctionTool.from_defaults(read_log), budget=Budget(max_tokens=40), goal_argument=True
        )
        for other in (copy.deepcopy(tool), pickle.loads(pickle.dumps(tool))):  # noqa: S301
            assert properties_of(other) == ["name", "goal"]


class TestCall:
    @pytest.mark.parametrize(("make", "arguments"), TOOLS, ids=IDS)
    async def test_the_goal_is_the_question_and_the_tool_never_gets_it(
        self, wrap, scorer, make, arguments
    ) -> None:
        tool = wrap(make())
        asked = {**arguments, "goal": GOAL}
        script = Script(calls(tool.metadata.name, **asked), says("Done."))
        agent = FunctionAgent(tools=[tool], llm=script.llm)
        with handling(Recorder()) as events:
            assert str(await agent.run(QUESTION)) == "Done."
        [message] = script.tool_messages
        assert NEEDED in message.content
        assert len(message.content) < len(LOG) / 3
        assert [query for query, _ in scorer.calls] == [GOAL]
        assert {event.query_sources for event in events.events} == {("goal",)}

    async def test_history_keeps_the_call_as_the_model_wrote_it(self, wrap) -> None:
        tool = wrap(strict_tool())
        script = Script(calls("read_strictly", name="a", goal=GOAL), says("Done."))
        await FunctionAgent(tools=[tool], llm=script.llm).run(QUESTION)
        said = [m for m in script.prompts[-1] if m.role == "assistant"]
        assert [block.tool_kwargs for m in said for block in m.blocks] == [
            {"name": "a", "goal": GOAL}
        ]

    async def test_a_react_agent_reads_the_schema_and_uses_it(self, wrap, scorer) -> None:
        tool = wrap(strict_tool())
        asked = json.dumps({"name": "a", "goal": GOAL})
        script = Script(
            says(f"Thought: I look.\nAction: read_strictly\nAction Input: {asked}"),
            says("Thought: I know.\nAnswer: At night."),
        )
        assert str(await ReActAgent(tools=[tool], llm=script.llm).run(QUESTION)) == "At night."
        assert '"goal"' in "".join(str(message.content) for message in script.prompts[0])
        assert [query for query, _ in scorer.calls] == [GOAL]

    @pytest.mark.parametrize("goal", [None, " \n", 5, ["a"], {"question": "b"}])
    async def test_a_goal_that_says_nothing_is_none(self, wrap, scorer, goal) -> None:
        tool = wrap(strict_tool())
        given = {"name": "a"} if goal is None else {"name": "a", "goal": goal}
        output = tool.call(**given)
        other = await tool.acall(**given)
        assert not output.is_error
        assert output.raw_input == other.raw_input == {"args": (), "kwargs": {"name": "a"}}
        assert {query for query, _ in scorer.calls} == {'tool call: read_strictly {"name": "a"}'}

    async def test_both_ways_to_call_it_give_the_same(self, wrap) -> None:
        tool = wrap(strict_tool())
        one, other = tool.call(name="a", goal=GOAL), await tool.acall(name="a", goal=GOAL)
        assert one.content == other.content
        assert NEEDED in one.content
        assert one.raw_output == LOG

    def test_an_argument_of_the_tool_itself_reaches_it(self, wrap) -> None:
        output = wrap(FunctionTool.from_defaults(plan)).call(goal="Bark at the moon.")
        assert output.raw_output.endswith("Bark at the moon.")

    def test_it_comes_before_a_setting(self, wrap, scorer) -> None:
        tool = wrap(strict_tool(), query="Which log?")
        tool.call(name="a", goal=GOAL)
        tool.call(name="a")
        assert [query for query, _ in scorer.calls] == [GOAL, "Which log?"]

    def test_a_goal_may_quote_a_gap_marker(self, wrap) -> None:
        tool = wrap(strict_tool(), on_marker_in_arguments="refuse")
        assert not tool.call(name="a", goal="What was at [...] at night?").is_error
        assert tool.call(name="a [...]", goal=GOAL).is_error

    async def test_the_text_of_a_long_error_is_compressed_for_it(self, wrap, scorer) -> None:
        def fail(name: str) -> str:
            """Fail."""
            raise RuntimeError(LOG)

        tool = wrap(FunctionTool.from_defaults(fail), error_min_tokens=50)
        script = Script(calls("fail", name="a", goal=GOAL), says("Done."))
        await FunctionAgent(tools=[tool], llm=script.llm).run(ChatMessage(QUESTION).content)
        assert [query for query, _ in scorer.calls] == [GOAL]
        assert NEEDED in script.tool_messages[0].content
