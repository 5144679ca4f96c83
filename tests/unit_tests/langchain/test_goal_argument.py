"""`goal_argument=True`: the model says what it looks for, and the tool never gets it."""

# No annotations from the future: LangChain looks for injected arguments among a tool's parameters.

import asyncio
import copy
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, Tool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.prebuilt import InjectedState
from pydantic import BaseModel, ConfigDict, Field

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import RecallTool, SpecPrefillMiddleware
from specprefill_integrations.langchain._goal_argument import with_goal_argument
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.langchain.agents import (
    EVIDENCE,
    LONG,
    RAIN,
    ScriptedModel,
    calls,
    read,
    stamp,
    tool_messages,
)

GOAL = "When did the dog bark?"
ASK = {"messages": [HumanMessage("What fell on the hills?")]}


class Strict(BaseModel):
    """Refuses arguments that it does not know."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="The path.")
    lines: list[int] | None = None


@tool(args_schema=Strict)
def read_strictly(path: str, lines: list[int] | None = None) -> str:
    """Read lines of a file."""
    return LONG


@tool
def read_for(
    path: str, state: Annotated[dict[str, Any], InjectedState], runtime: ToolRuntime
) -> str:
    """Read a file for somebody."""
    assert runtime.tool_call_id
    return f"{LONG} {len(state['messages'])} messages."


@tool
def read_nothing() -> str:
    """Read what there is."""
    return LONG


@tool(parse_docstring=True)
def read_described(path: str, depth: int = 3) -> str:
    """Read a tree.

    Args:
        path: The path of the tree.
        depth: Its depth.
    """
    return LONG


def take(**arguments: Any) -> str:
    assert arguments == {"path": "a.txt", "title": "b"}
    return LONG


MCP_SCHEMA = {
    "type": "object",
    "properties": {"path": {"$ref": "#/$defs/path"}, "title": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
    "$defs": {"path": {"type": "string", "description": "The path."}},
}
of_mcp = StructuredTool(name="of_mcp", description="Reads.", args_schema=MCP_SCHEMA, func=take)
simple = Tool(name="simple", description="Reads.", func=lambda path: LONG)

ARGUMENTS: list[tuple[BaseTool, dict[str, Any]]] = [
    (read, {"path": "a.txt"}),
    (read_strictly, {"path": "a.txt", "lines": [1]}),
    (read_for, {"path": "a.txt"}),
    (read_nothing, {}),
    (read_described, {"path": "a.txt", "depth": 2}),
    (of_mcp, {"path": "a.txt", "title": "b"}),
    (simple, {"__arg1": "a.txt"}),
]
NAMES = [one.name for one, _ in ARGUMENTS]


def parameters_of(one: Any) -> dict[str, Any]:
    return convert_to_openai_tool(one)["function"]["parameters"]


def properties_of(one: Any) -> list[str]:
    return list(parameters_of(one)["properties"])


class Offered(ScriptedModel):
    """Notes the tools that it is offered."""

    def bind_tools(self, tools: Any, **_: Any) -> ScriptedModel:
        self.tools.append(list(tools))
        return self

    @property
    def offered(self) -> dict[str, Any]:
        """The last ones by name."""
        return {convert_to_openai_tool(one)["function"]["name"]: one for one in self.tools[-1]}


def model_of(*messages: AIMessage) -> Offered:
    return Offered(script=[*messages, AIMessage("Done.")])


@pytest.fixture
def make(compressor: ContextCompressor) -> Callable[..., SpecPrefillMiddleware]:
    def make(**options: Any) -> SpecPrefillMiddleware:
        given = {"budget": Budget(max_tokens=16), "min_tokens": 50, "goal_argument": True}
        return SpecPrefillMiddleware(
            compressor=compressor, metrics=CompressionMetrics(), **{**given, **options}
        )

    return make


class TestOffer:
    @pytest.mark.parametrize("one", [one for one, _ in ARGUMENTS], ids=NAMES)
    def test_the_schema_has_one_more_argument_and_no_other_change(self, one: BaseTool) -> None:
        before = copy.deepcopy(parameters_of(one))
        if one is simple:  # LangChain writes this title for no other tool
            before["properties"]["__arg1"].pop("title")
        schema = copy.deepcopy(one.args_schema) if isinstance(one.args_schema, dict) else None
        offered = with_goal_argument(one)
        after = parameters_of(offered)
        goal = after["properties"].pop("goal")
        assert goal["type"] == "string"
        assert "shortened" in goal["description"]
        assert after == before
        assert schema is None or one.args_schema == schema
        assert properties_of(one) == list(before["properties"])
        assert type(offered) is type(one)
        assert (offered.name, offered.description) == (one.name, one.description)

    @pytest.mark.parametrize("one", [one for one, _ in ARGUMENTS], ids=NAMES)
    def test_a_strict_schema_takes_it(self, one: BaseTool) -> None:
        offered = with_goal_argument(one)
        strict = convert_to_openai_tool(offered, strict=True)["function"]["parameters"]
        assert strict["required"] == list(strict["properties"])
        assert parameters_of(offered).get("required", []) == parameters_of(one).get("required", [])

    def test_tools_that_are_left_alone(self) -> None:
        @tool
        def plan(goal: str) -> str:
            """Plan."""
            return goal

        @tool
        def plan_for(task: str, goal: Annotated[str, InjectedToolArg]) -> str:
            """Plan for an app that fills in the goal."""
            return task + goal

        @tool(return_direct=True)
        def answer(path: str) -> str:
            """Answer."""
            return path

        union = {"type": "object", "oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
        free = Tool(name="free", description="", func=str, metadata={"type": "custom_tool"})
        either = StructuredTool(name="either", description="", args_schema=union, func=take)
        recall = RecallTool(originals=InMemoryOriginals())
        for one in (plan, plan_for, answer, either, free, recall):
            assert with_goal_argument(one) is None, one.name

    def test_the_model_is_offered_it(self, make) -> None:
        @tool
        def plan(goal: str) -> str:
            """Plan."""
            return goal

        model = model_of()
        search = {"type": "web_search"}
        middleware = make(exclude_tools=["read_noth*"], originals=InMemoryOriginals())

        class Answer(BaseModel):
            """The answer."""

            hour: int

        class Sees(AgentMiddleware):
            def wrap_model_call(self, request: ModelRequest, handler: Any) -> Any:
                assert all(isinstance(one, BaseTool) for one in request.tools if one != search)
                return handler(request)

        agent = create_agent(
            model,
            [read, read_nothing, plan, search],
            middleware=[middleware, Sees()],
            response_format=ToolStrategy(Answer),
        )
        agent.invoke(ASK)
        assert search in model.tools[-1]
        found = {one.name: properties_of(one) for one in model.tools[-1] if one != search}
        assert found == {
            "read": ["path", "goal"],
            "read_nothing": [],
            "plan": ["goal"],
            "recall_original": ["reference", "around"],
            "Answer": ["hour"],
        }
        assert properties_of(read) == ["path"]

    def test_without_the_setting_tools_are_the_same_objects(self, make) -> None:
        model = model_of()
        create_agent(model, [read], middleware=[make(goal_argument=False)]).invoke(ASK)
        assert model.tools[-1] == [read]

    def test_each_turn_offers_the_same_bytes(self, make) -> None:
        model = model_of(calls("read", path="a", goal=GOAL), calls("read:2", path="b"))
        create_agent(model, [read], middleware=[make()]).invoke(ASK)
        shown = [str([convert_to_openai_tool(one) for one in tools]) for tools in model.tools]
        assert len(shown) == 3
        assert len(set(shown)) == 1

    def test_a_schema_that_cannot_be_written_is_left_alone(self, make, caplog) -> None:
        class Broken(BaseTool):
            name: str = "broken"
            description: str = "Is broken."

            @property
            def tool_call_schema(self) -> Any:
                msg = "no schema"
                raise RuntimeError(msg)

            def _run(self, goal: str = "") -> str:
                return LONG + goal

        model = model_of(calls("broken", goal=GOAL))
        middleware = make()
        broken = Broken()
        state = create_agent(model, [broken], middleware=[middleware]).invoke(ASK)
        assert model.tools[-1] == [broken]
        assert tool_messages(state)[0].status == "success"
        assert "could not be extended" in caplog.text


class TestCall:
    @pytest.mark.parametrize(("one", "arguments"), ARGUMENTS, ids=NAMES)
    async def test_the_goal_is_the_question_and_the_tool_never_gets_it(
        self, make, scorer, one: BaseTool, arguments: dict[str, Any]
    ) -> None:
        call = calls(one.name, goal=GOAL, **arguments)
        agents = [create_agent(model_of(call), [one], middleware=[make()]) for _ in "12"]
        states = [agents[0].invoke(ASK), await agents[1].ainvoke(ASK)]
        for state in states:
            [message] = tool_messages(state)
            assert message.status == "success"
            assert EVIDENCE in message.text
            assert len(message.text) < 100
            assert stamp(message)["query_sources"] == ["goal"]
        assert {query for query, _ in scorer.calls} == {GOAL}

    def test_history_keeps_the_call_as_the_model_wrote_it(self, make) -> None:
        model = model_of(calls("read", path="a", goal=GOAL))
        state = create_agent(model, [read], middleware=[make()]).invoke(ASK)
        expected = {"path": "a", "goal": GOAL}
        for messages in (state["messages"], model.requests[-1]):
            [said] = [one for one in messages if isinstance(one, AIMessage) and one.tool_calls]
            assert said.tool_calls[0]["args"] == expected

    @pytest.mark.parametrize("goal", [None, " \n", 5, ["a"], {"question": "b"}])
    def test_a_goal_that_says_nothing_is_none(self, make, scorer, goal: object) -> None:
        given = {} if goal is None else {"goal": goal}
        model = model_of(calls("read_strictly", path="a.txt", **given))
        state = create_agent(model, [read_strictly], middleware=[make()]).invoke(ASK)
        [message] = tool_messages(state)
        assert message.status == "success"
        [(query, _)] = scorer.calls
        assert query == 'What fell on the hills? | tool call: read_strictly {"path": "a.txt"}'
        assert stamp(message)["query_sources"] == ["user_message", "tool_call"]

    def test_it_comes_before_a_setting(self, make, scorer) -> None:
        model = model_of(calls("read", goal=GOAL), calls("read:2"))
        middleware = make(query=lambda request: f"{request.tool_name}? {request.goal}")
        create_agent(model, [read], middleware=[middleware]).invoke(ASK)
        assert [query for query, _ in scorer.calls] == [GOAL, "read? None"]

    def test_parallel_calls_have_a_goal_each(self, make, scorer) -> None:
        said = AIMessage(
            "",
            tool_calls=[
                {"name": "read", "args": {"path": "a", "goal": goal}, "id": goal}
                for goal in (GOAL, "Which hills?")
            ],
        )
        state = create_agent(model_of(said), [read], middleware=[make()]).invoke(ASK)
        assert {query for query, _ in scorer.calls} == {GOAL, "Which hills?"}
        found = {message.tool_call_id: message.text for message in tool_messages(state)}
        assert EVIDENCE in found[GOAL]
        assert EVIDENCE not in found["Which hills?"]

    def test_an_argument_of_the_tool_itself_reaches_it(self, make) -> None:
        @tool
        def plan(goal: str) -> str:
            """Plan."""
            return f"{RAIN}{goal} {RAIN}"

        state = create_agent(
            model_of(calls("plan", goal=EVIDENCE)), [plan], middleware=[make()]
        ).invoke(ASK)
        [message] = tool_messages(state)
        assert EVIDENCE in message.text
        assert stamp(message)["query_sources"] == ["user_message", "tool_call"]

    def test_a_tool_that_is_excluded_keeps_what_the_model_made_up(self, make) -> None:
        model = model_of(calls("read_strictly", path="a.txt", goal=GOAL))
        middleware = make(exclude_tools=["read*"])
        [message] = tool_messages(
            create_agent(model, [read_strictly], middleware=[middleware]).invoke(ASK)
        )
        assert message.status == "error"
        assert "goal" in message.text

    def test_a_goal_may_quote_a_gap_marker(self, make) -> None:
        model = model_of(calls("read", path="a", goal="What was at [...] after noon?"))
        middleware = make(on_marker_in_arguments="refuse")
        [message] = tool_messages(create_agent(model, [read], middleware=[middleware]).invoke(ASK))
        assert message.status == "success"

    def test_the_kind_of_a_file_is_still_read_from_its_name(self, make) -> None:
        rows = "\n".join(f"{n},calm" for n in range(200))

        @tool
        def load(path: str) -> str:
            """Load a file."""
            return f"hour,event\n{rows}\n12,dog barked\n"

        model = model_of(calls("load", path="day.csv", goal="dog barked"))
        middleware = make(budget=Budget(max_tokens=40))
        [message] = tool_messages(create_agent(model, [load], middleware=[middleware]).invoke(ASK))
        assert message.text.startswith("hour,event\n")
        assert "12,dog barked" in message.text

    def test_of_two_middlewares_each_offers_it_for_its_own_tools(self, make, scorer) -> None:
        model = model_of(
            calls("read", goal=GOAL), calls("read_strictly:2", path="a.txt", goal="Which hills?")
        )
        first = make(name="first", exclude_tools=["read_strictly"])
        second = make(name="second", exclude_tools=["read"])
        agent = create_agent(model, [read, read_strictly], middleware=[first, second])
        state = agent.invoke(ASK)
        assert {m.status for m in tool_messages(state)} == {"success"}
        assert [query for query, _ in scorer.calls] == [GOAL, "Which hills?"]
        assert all(properties_of(one).count("goal") == 1 for one in model.tools[-1])

    def test_two_middlewares_for_one_tool(self, make) -> None:
        model = model_of(calls("read_strictly", path="a.txt", goal=GOAL))
        agent = create_agent(
            model, [read_strictly], middleware=[make(name="outer"), make(name="inner")]
        )
        [message] = tool_messages(agent.invoke(ASK))
        assert message.status == "success"
        assert stamp(message)["skipped_because"] == "already_compressed"
        assert properties_of(model.tools[-1][0]) == ["path", "lines", "goal"]

    async def test_many_at_once(self, make, scorer) -> None:
        goals = [f"{GOAL} {n}" for n in range(8)]
        middleware = make()

        async def ask(goal: str) -> None:
            agent = create_agent(
                model_of(calls("read", goal=goal)), [read], middleware=[middleware]
            )
            await agent.ainvoke(ASK)

        await asyncio.gather(*map(ask, goals))
        assert sorted(query for query, _ in scorer.calls) == goals
