"""Deep agents: the main agent and its subagents, with the real package."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import (
    RecallTool,
    SpecPrefillMiddleware,
    deep_agent_options,
)
from specprefill_integrations.langchain._deep_agents import _OWN_MIDDLEWARE
from specprefill_integrations.observability._metrics import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals
from tests.unit_tests.langchain.agents import (
    LONG,
    QUESTION,
    ScriptedModel,
    calls,
    read,
    scripted,
    stamp,
    tool_messages,
)

pytest.importorskip("deepagents", reason="needs deepagents (pip install --no-deps deepagents)")

from deepagents import create_deep_agent
from deepagents.backends import StateBackend
from deepagents.middleware.filesystem import FilesystemMiddleware
from deepagents.middleware.skills import SkillsMiddleware
from deepagents.middleware.subagents import SubAgentMiddleware

ASK = {"messages": [HumanMessage(QUESTION)]}
LOG = "\n".join(f"2024-05-01 12:00:{n % 60:02} INFO gate {n} is open" for n in range(1290))
ERROR = "2024-05-01 12:06:00 ERROR lost gate 7"
FILES = {"/a.txt": {"content": LONG, "encoding": "utf-8"}}


@tool
def read_log(name: str = "gates.log") -> str:
    """Read a log."""
    return f"{LOG}\n{ERROR}"


@pytest.fixture
def middleware(compressor: ContextCompressor) -> SpecPrefillMiddleware:
    return SpecPrefillMiddleware(
        compressor=compressor,
        budget=Budget(max_tokens=40),
        min_tokens=50,
        originals=InMemoryOriginals(),
        metrics=CompressionMetrics(),
    )


def task(name: str, description: str = "Was any gate lost?") -> AIMessage:
    return calls("task:t", subagent_type=name, description=description)


def read_by(model: ScriptedModel) -> list[ToolMessage]:
    """The tool results that the model read last in each conversation, in order."""
    last = [messages[-1] for messages in model.requests]
    return [message for message in last if isinstance(message, ToolMessage)]


class TestSubagents:
    async def test_the_general_purpose_one_reads_short_results(self, middleware) -> None:
        def model() -> ScriptedModel:
            return scripted(task("general-purpose"), calls("read_log"), AIMessage("Gate 7."))

        plain, one, other = model(), model(), model()
        create_deep_agent(plain, [read_log]).invoke(ASK)
        options = deep_agent_options(middleware, tools=[read_log])
        create_deep_agent(one, **options).invoke(ASK)
        await create_deep_agent(other, **options).ainvoke(ASK)
        assert len(read_by(plain)[0].text) == len(LOG) + len(ERROR) + 1 > 50_000
        for compressed in (one, other):
            [result, report] = read_by(compressed)
            assert ERROR in result.text
            assert stamp(result)["kept_tokens"] <= 40
            assert (report.text, stamp(report)["skipped_because"]) == ("Gate 7.", "excluded_tool")

    def test_it_stays_what_deep_agents_make_of_it(self, middleware) -> None:
        """Its tools, its prompt, its skills and what it inherits; one tool is added."""

        def run(**options: Any) -> ScriptedModel:
            model = scripted(task("general-purpose"), AIMessage("Done."))
            create_deep_agent(model, **options).invoke({**ASK, "files": {}})
            return model

        reading = FilesystemMiddleware(backend=StateBackend(), tools=["read_file", "ls"])
        skills = SkillsMiddleware(backend=StateBackend(), sources=["/skills/"])
        for options in (
            {"tools": [read], "middleware": [reading]},
            {"tools": [read], "skills": ["/skills/"]},
            {"middleware": [skills]},
        ):
            plain, compressed = run(**options), run(**deep_agent_options(middleware, **options))
            assert compressed.requests[1][:1] == plain.requests[1][:1]  # its system message
            assert [set(names) for names in compressed.tools] == [
                {*names, "recall_original"} for names in plain.tools
            ]

    def test_all_middleware_of_deep_agents_is_known(self, monkeypatch) -> None:
        """Their general-purpose subagent takes over what replaces its own, by name."""
        made: list[Any] = []

        class Noting(SubAgentMiddleware):
            def __init__(self, **options: Any) -> None:
                made.extend(options["subagents"])
                super().__init__(**options)

        monkeypatch.setattr("deepagents.graph.SubAgentMiddleware", Noting)
        create_deep_agent(scripted(), skills=["/skills/"])
        [subagent] = made
        assert {one.name for one in subagent["middleware"]} <= _OWN_MIDDLEWARE

    def test_dictionaries_get_it_and_keep_their_own_middleware(self, middleware) -> None:
        class Noting(AgentMiddleware):
            seen = 0

            def wrap_tool_call(self, request: Any, handler: Any) -> Any:
                self.seen += 1
                return handler(request)

        noting = Noting()
        subagent = {
            "name": "reader",
            "description": "Reads.",
            "tools": [read_log],
            "middleware": [noting],
        }
        model = scripted(task("reader"), calls("read_log"), AIMessage("Gate 7."))
        options = deep_agent_options(middleware, subagents=[subagent])
        create_deep_agent(model, **options).invoke(ASK)
        assert stamp(read_by(model)[0])["skipped_because"] is None
        assert noting.seen == 1
        assert subagent["middleware"] == [noting]

    def test_one_with_such_a_middleware_keeps_it(self, middleware, compressor) -> None:
        mine = SpecPrefillMiddleware(compressor=compressor, budget=Budget(max_tokens=30))
        subagent = {"name": "reader", "description": "Reads.", "middleware": [mine]}
        [_, same] = deep_agent_options(middleware, subagents=[subagent])["subagents"]
        assert same["middleware"] == [mine]

    def test_compiled_and_remote_ones_stay(self, middleware) -> None:
        compiled = {
            "name": "compiled",
            "description": "Reads.",
            "runnable": create_agent(scripted(calls("read_log")), [read_log]),
        }
        remote = {"name": "remote", "description": "Reads.", "graph_id": "x", "url": "http://x"}
        options = deep_agent_options(middleware, subagents=[compiled, remote])
        assert options["subagents"][1:] == [compiled, remote]
        own = {"name": "general-purpose", "description": "Mine.", "runnable": compiled["runnable"]}
        assert deep_agent_options(middleware, subagents=[own])["subagents"] == [own]

    def test_without_the_general_purpose_one(self, middleware) -> None:
        options = deep_agent_options(middleware, general_purpose=False)
        assert options["subagents"] == []

    def test_forks_have_it_once(self, middleware) -> None:
        fork = {"name": "fork", "description": "Goes on.", "mode": "fork"}
        model = scripted(task("fork"), calls("read_log"), AIMessage("Gate 7."))
        options = deep_agent_options(middleware, tools=[read_log], subagents=[fork])
        with pytest.warns(match="forked subagents"):
            agent = create_deep_agent(model, **options)
        agent.invoke(ASK)
        assert stamp(read_by(model)[0])["skipped_because"] is None

    def test_what_one_agent_was_shown_another_recalls(self, middleware) -> None:
        model = scripted(task("general-purpose"), calls("read_log"), AIMessage("Gate 7."))
        options = deep_agent_options(middleware, tools=[read_log])
        create_deep_agent(model, **options).invoke(ASK)
        [reference] = stamp(read_by(model)[0])["references"]
        later = scripted(calls("recall_original", reference=reference, around="gate 700 "))
        [message] = tool_messages(create_deep_agent(later, **options).invoke(ASK))
        assert "gate 700 is open" in message.text
        [recall] = middleware.tools
        assert isinstance(recall, RecallTool)


class TestWhatIsNotCut:
    def test_files_are_read_word_for_word_and_edited(self, middleware) -> None:
        model = scripted(
            calls("read_file:1", file_path="/a.txt"),
            calls("edit_file:2", file_path="/a.txt", old_string="at noon", new_string="at one"),
        )
        agent = create_deep_agent(model, **deep_agent_options(middleware))
        state = agent.invoke({**ASK, "files": FILES})
        done, edited = tool_messages(state)
        assert LONG in done.text
        assert {stamp(one)["skipped_because"] for one in (done, edited)} == {"excluded_tool"}
        assert "The dog barked at one." in state["files"]["/a.txt"]["content"]

    def test_an_agent_that_only_reads_may_cut_them(self, middleware) -> None:
        model = scripted(calls("read_file", file_path="/a.txt"))
        options = deep_agent_options(middleware, exclude_tools=["write_*"])
        state = create_deep_agent(model, **options).invoke({**ASK, "files": FILES})
        assert stamp(tool_messages(state)[0])["skipped_because"] is None

    def test_those_of_the_middleware_remain_excluded(self, compressor) -> None:
        mine = SpecPrefillMiddleware(
            compressor=compressor, budget=Budget(max_tokens=40), exclude_tools=["read_log"]
        )
        model = scripted(calls("read_log"))
        agent = create_deep_agent(model, **deep_agent_options(mine, tools=[read_log]))
        assert ERROR in tool_messages(agent.invoke(ASK))[0].text
        assert mine.settings.exclude_tools == ("read_log",)

    def test_a_note_that_a_result_is_in_a_file(self, middleware) -> None:
        """As where deep agents move it before the middleware sees it."""
        model = scripted(calls("read_log"))
        files = FilesystemMiddleware(backend=StateBackend(), tool_token_limit_before_evict=1000)
        agent = create_agent(model, [read_log], middleware=[middleware, files])
        state = agent.invoke(ASK)
        [message] = tool_messages(state)
        assert message.text.startswith("Tool result too large")
        assert "/large_tool_results/1" in message.text
        assert stamp(message)["skipped_because"] == "offloaded"

    def test_what_is_compressed_fits_the_conversation(self, middleware) -> None:
        """In deep agents, results are compressed before they would go to a file."""
        model = scripted(calls("read_log"))
        files = FilesystemMiddleware(backend=StateBackend(), tool_token_limit_before_evict=1000)
        options = deep_agent_options(middleware, tools=[read_log], middleware=[files])
        state = create_deep_agent(model, **options).invoke(ASK)
        [message] = tool_messages(state)
        assert stamp(message)["skipped_because"] is None
        assert state.get("files", {}) == {}


def test_arguments_are_checked(middleware) -> None:
    with pytest.raises(TypeError, match="middleware"):
        deep_agent_options(None)
    with pytest.raises(TypeError, match="exclude_tools"):
        deep_agent_options(middleware, exclude_tools="write_*")
