#!/usr/bin/env python3
"""LangChain: ten questions to an agent whose tool results are compressed.

The tools and their results are real: Python's library, the installed packages, a log. The chat
model is scripted, so no key and no network are needed: it calls the tool of each turn, and answers
with the line that was asked for if it can see it. Otherwise it fetches the original.

    python examples/langchain_agent.py
    python examples/langchain_agent.py --max-tokens 200
    python examples/langchain_agent.py --scorer keyword
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import logging
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field
from rich.console import Console
from rich.table import Table

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import SpecPrefillMiddleware
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
FAILING_ORDER = 7211
REFERENCE = re.compile(r"\[reference (\w+)\]")

console = Console(highlight=False)


# The tools ----------------------------------------------------------------------------------------


@tool
def list_library(folder: str = "") -> str:
    """List the Python files of the standard library, or of one of its folders, with their sizes."""
    root = LIBRARY / folder
    files = (path for path in sorted(root.rglob("*.py")) if is_library(path))
    return "\n".join(f"{path.stat().st_size:>8} {path.relative_to(LIBRARY)}" for path in files)


@tool
def search_library(pattern: str, folder: str) -> str:
    """Find a regular expression in the sources of one folder of the standard library."""
    wanted = re.compile(pattern)
    return "\n".join(
        f"{path.relative_to(LIBRARY)}:{number}: {line.rstrip()}"
        for path in sorted((LIBRARY / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if wanted.search(line)
    )


@tool
def read_module(module: str) -> str:
    """Read the source of a module."""
    return inspect.getsource(importlib.import_module(module))


@tool
def installed_packages() -> str:
    """List the packages that are installed, as JSON."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "list",
        "--format",
        "json",
        "--disable-pip-version-check",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout or done.stderr


@tool
def read_log() -> str:
    """Read the log of the order service."""
    return write_log()


def is_library(path: Path) -> bool:
    """True for files of the library, without tests and other packages."""
    apart = {"test", "tests", "idle_test", "site-packages", "lib2to3", "idlelib", "turtledemo"}
    return not apart.intersection(path.relative_to(LIBRARY).parts)


def write_log() -> str:
    """Write the log of an invented service with Python's `logging`."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.Logger("orders")  # noqa: LOG001 - used here only
    log.addHandler(handler)
    stock = {"nails": 100}
    for order in range(7000, 7300):
        log.info("order %d accepted, %d items", order, order % 7 + 1)
        if order % 40 == 0:
            log.warning("slow answer of the stock service: %d ms", order - 6100)
        if order == FAILING_ORDER:
            try:
                stock["screws"] -= 1
            except KeyError:
                log.exception("order %d could not be packed", order)
    return written.getvalue()


# The questions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question, and the steps of the scripted model."""

    question: str
    """The question."""

    tool: str
    """The tool to call."""

    looks_for: str
    """A regular expression for the answer."""

    around: str
    """The part of the original to fetch if the answer was cut."""

    arguments: dict[str, str] = field(default_factory=dict)
    """Arguments of the tool."""


TURNS = (
    Turn(
        question="How large is the file asyncio/queues.py?",
        tool="list_library",
        looks_for=r"\d+ asyncio/queues\.py",
        around="asyncio/queues.py",
    ),
    Turn(
        question="Which order could not be packed?",
        tool="read_log",
        looks_for=r"order \d+ could not be packed",
        around="could not be packed",
    ),
    Turn(
        question="Which version of langgraph is installed?",
        tool="installed_packages",
        looks_for=r'"name": ?"langgraph", ?"version": ?"[^"]+"',
        around='"langgraph"',
    ),
    Turn(
        question="What does heapq.heappushpop return when the heap is empty?",
        tool="read_module",
        arguments={"module": "heapq"},
        looks_for=r"def heappushpop",
        around="def heappushpop",
    ),
    Turn(
        question="Where does json define the error that a decoder raises?",
        tool="search_library",
        arguments={"pattern": r"class |raise ", "folder": "json"},
        looks_for=r"class JSONDecodeError",
        around="class JSONDecodeError",
    ),
    Turn(
        question="How does textwrap.dedent find the common margin of lines?",
        tool="read_module",
        arguments={"module": "textwrap"},
        looks_for=r"def dedent",
        around="def dedent",
    ),
    Turn(
        question="Which exception does asyncio's Queue.put_nowait raise when the queue is full?",
        tool="read_module",
        arguments={"module": "asyncio.queues"},
        looks_for=r"raise QueueFull",
        around="raise",
    ),
    Turn(
        question="Which answer of the stock service was the slowest?",
        tool="read_log",
        looks_for=r"1180 ms",
        around="slow answer",
    ),
    Turn(
        question="Where does the email package decode a header?",
        tool="search_library",
        arguments={"pattern": r"^def ", "folder": "email"},
        looks_for=r"def decode_header",
        around="decode",
    ),
    # A later question may need what was cut: this one is about a log that was compressed before.
    Turn(
        question="How many items had order 7123?",
        tool="recall_original",
        looks_for=r"7123 .*\d items",
        around="order 7123",
    ),
)


class ScriptedModel(BaseChatModel):
    """Follows the turns and keeps every prompt."""

    prompts: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[Any],  # noqa: ARG002
        **_: Any,  # noqa: ANN401
    ) -> Runnable[Any, AIMessage]:
        """Ignore the tools: the script knows their names."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **_: Any,  # noqa: ANN401
    ) -> ChatResult:
        self.prompts.append([message.model_copy(deep=True) for message in messages])
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])

    def reply(self, messages: list[BaseMessage]) -> AIMessage:
        """Call the turn's tool, fetch what cannot be seen, then answer."""
        turn = TURNS[sum(isinstance(message, HumanMessage) for message in messages) - 1]
        last = messages[-1]
        if not isinstance(last, ToolMessage):
            if turn.tool == "recall_original":
                return self.recall(messages, turn, of="read_log")
            return self.call(turn.tool, turn.arguments)
        found = re.search(f".{{0,60}}{turn.looks_for}.{{0,30}}", str(last.text))
        if found:
            return AIMessage(found[0].strip())
        if last.name == "recall_original" or not REFERENCE.search(str(last.text)):
            return AIMessage("I cannot see it.")
        return self.recall(messages, turn, of=str(last.name))

    def recall(self, messages: list[BaseMessage], turn: Turn, of: str) -> AIMessage:
        """Fetch the original of a tool's result by the reference in its gap marker."""
        shown = [str(message.text) for message in messages if message.name == of]
        references = [found[1] for text in shown if (found := REFERENCE.search(text))]
        if not references:
            return AIMessage("There is no reference to recall.")
        return self.call("recall_original", {"reference": references[-1], "around": turn.around})

    def call(self, name: str, arguments: dict[str, str]) -> AIMessage:
        """Return a message that calls one tool."""
        call = {"name": name, "args": arguments, "id": f"call_{len(self.prompts)}"}
        return AIMessage("", tool_calls=[call])


# The output ---------------------------------------------------------------------------------------


def main() -> None:
    """Ask all questions and print what was done to each tool result."""
    options = parse_options()
    middleware = SpecPrefillMiddleware(
        compressor=build_compressor(options.scorer),
        budget=Budget(max_tokens=options.max_tokens),
        originals=InMemoryOriginals(),
    )
    model = ScriptedModel()
    agent = create_agent(
        model,
        [list_library, search_library, read_module, installed_packages, read_log],
        middleware=[middleware],
        checkpointer=InMemorySaver(),
    )
    messages: list[BaseMessage] = []
    for number, turn in enumerate(TURNS, 1):
        state = agent.invoke(
            {"messages": [HumanMessage(turn.question)]}, {"configurable": {"thread_id": "1"}}
        )
        new, messages = state["messages"][len(messages) :], state["messages"]
        show_turn(number, new)
    show_totals(model, middleware)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="An agent whose tool results are compressed.")
    parser.add_argument("--max-tokens", type=int, default=400, help="kept of each tool result")
    parser.add_argument(
        "--scorer",
        choices=["draft", "keyword"],
        default="draft",
        help="the embedded draft model, or a count of common words that needs no model",
    )
    return parser.parse_args()


def build_compressor(scorer: str) -> ContextCompressor:
    """Return a compressor with the embedded draft, or with the scorer for tests."""
    if scorer == "keyword":
        return ContextCompressor(KeywordScorer(), on_error="raise")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    return ContextCompressor.from_draft_model(on_error="raise")


def show_turn(number: int, messages: Sequence[BaseMessage]) -> None:
    """Print the question, the tool results and the answer."""
    console.print(f"[bold]{number}. {messages[0].text}[/]")
    for message in messages:
        if isinstance(message, ToolMessage):
            console.print(f"   {message.name}: {outcome(message)}")
    console.print(f"   [green]{str(messages[-1].text)!r}[/]\n", soft_wrap=True)


def outcome(message: ToolMessage) -> str:
    """Describe what was done to a tool result, from its metadata."""
    what = message.response_metadata["specprefill"]
    if what["skipped_because"]:
        return f"unchanged, {what['skipped_because']}"
    sources = " + ".join(what["query_sources"])
    return f"{what['original_tokens']:,} -> {what['kept_tokens']:,} tokens, by {sources}"


def show_totals(model: ScriptedModel, middleware: SpecPrefillMiddleware) -> None:
    """Print the tokens saved over all prompts, and that no prompt changed its beginning."""
    totals = middleware.metrics.totals()
    table = Table(title="tokens of compressed results", title_justify="left")
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    table.add_row("each once", f"{totals.tokens_before:,}", f"{totals.tokens_after:,}")
    before, after = (sum(tokens) for tokens in zip(*prompt_tokens(model.prompts), strict=True))
    table.add_row(f"in all {len(model.prompts)} prompts", f"{before:,}", f"{after:,}")
    console.print(table)
    same = all(after[: len(before)] == before for before, after in pairwise(model.prompts))
    console.print(f"Every prompt begins with the one before: {'yes' if same else 'no'}.")
    console.print(f"Compression took {totals.draft_seconds:.1f} s in total.")


def prompt_tokens(prompts: Sequence[Sequence[BaseMessage]]) -> Iterator[tuple[int, int]]:
    """Yield the tokens of each prompt's compressed results, before and after."""
    for prompt in prompts:
        counts = [message.response_metadata.get("specprefill", {}) for message in prompt]
        yield (
            sum(count.get("original_tokens") or 0 for count in counts),
            sum(count.get("kept_tokens") or 0 for count in counts),
        )


if __name__ == "__main__":
    main()
