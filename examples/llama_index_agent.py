#!/usr/bin/env python3
"""LlamaIndex: ten turns of an agent with large tool results, with and without compression.

Tools and results are real: Python's library as files, source and tests, and the installed packages.
The embedded SmolLM2 is the draft. A scripted chat model, which needs no key, calls the tool of each
turn and counts the tokens that it is sent.

    python examples/llama_index_agent.py
    python examples/llama_index_agent.py --turns 2
    python examples/llama_index_agent.py --scorer keyword
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import BaseTool, FunctionTool
from rich.console import Console
from rich.table import Table

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import (
    ContextCompressionEndEvent,
    compress_tools,
    recall_tool,
)
from specprefill_integrations.originals import InMemoryOriginals
from specprefill_integrations.testing import KeywordScorer

LIBRARY = Path(sysconfig.get_path("stdlib"))

# The user's questions, and the tool that the script calls for each.
TURNS: Sequence[tuple[str, str, dict[str, str]]] = [
    ("Which encodings are for Japanese?", "walk_library", {"folder": "encodings"}),
    ("Which version of llama-index-core is installed?", "list_packages", {}),
    ("How does a queue say that it is full?", "read_source", {"module": "queue"}),
    ("Did a test of the median fail?", "run_doctests", {"module": "statistics"}),
    ("Which packages are about tokenizers?", "list_packages", {}),
    ("What is raised where a graph has a cycle?", "read_source", {"module": "graphlib"}),
    ("What does get_close_matches find for appel?", "run_doctests", {"module": "difflib"}),
    ("Which encodings did Macs use?", "walk_library", {"folder": "encodings"}),
    ("How is an event canceled before its time?", "read_source", {"module": "sched"}),
    ("And what does a scheduler say when it is empty?", "recall_original", {"around": "def empty"}),
]

# Lines of each result that are printed.
SHOWN_LINES = 12


def walk_library(folder: str) -> str:
    """List all files below a folder of Python's library with their sizes."""
    paths = sorted(LIBRARY.joinpath(folder).rglob("*.py"))
    return "\n".join(f"{path.stat().st_size:>8} {path.relative_to(LIBRARY)}" for path in paths)


def list_packages() -> str:
    """List the packages that are installed, as JSON."""
    return run("-m", "pip", "--disable-pip-version-check", "list", "--format", "json")


def read_source(module: str) -> str:
    """Read the source of a module of Python's library."""
    return LIBRARY.joinpath(f"{module}.py").read_text("utf-8")


def run_doctests(module: str) -> str:
    """Run the tests in the documentation of a module of Python's library and return their log."""
    return run("-m", "doctest", "-v", str(LIBRARY / f"{module}.py"))


def run(*arguments: str) -> str:
    """Run Python and return its output."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout


class Script:
    """A scripted chat model: it calls one tool a turn, then answers."""

    def __init__(self, count_tokens: Callable[[Sequence[str]], list[int]]) -> None:
        """Start before the first turn."""
        self.count_tokens = count_tokens
        self.tool = ""
        self.arguments: dict[str, str] = {}
        self.sent_tokens = 0
        """Tokens sent to it so far."""
        self.llm = MockFunctionCallingLLM(response_generator=self.reply)

    def reply(self, messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:  # noqa: ANN401
        """Call the tool of this turn; after its result, answer the user."""
        self.sent_tokens += sum(self.count_tokens([message.content or "" for message in messages]))
        if messages[-1].role == "tool":
            return ChatMessage(role="assistant", content="I have read the result.")
        arguments = dict(self.arguments)
        if self.tool == "recall_original":
            said = "\n".join(message.content or "" for message in messages)
            references = re.findall(r"reference\W+([0-9a-f]{12})", said)
            if not references:  # nothing was cut
                return ChatMessage(role="assistant", content="I have read it already.")
            arguments["reference"] = references[-1]
        call = ToolCallBlock(tool_call_id=self.tool, tool_name=self.tool, tool_kwargs=arguments)
        return ChatMessage(role="assistant", blocks=[call])


class Rows(BaseEventHandler):
    """Collects the events of compression."""

    ends: list[ContextCompressionEndEvent] = []  # noqa: RUF012 - pydantic copies it

    def handle(self, event: BaseEvent, **_: Any) -> None:  # noqa: ANN401
        """Keep an event of ours."""
        if isinstance(event, ContextCompressionEndEvent):
            self.ends.append(event)


async def converse(tools: Sequence[BaseTool], turns: int, *, shows: bool) -> int:
    """Run an agent through the turns; return the tokens sent to its model."""
    script = Script(compressor.count_tokens)
    agent = FunctionAgent(tools=list(tools), llm=script.llm)
    memory = ChatMemoryBuffer.from_defaults(token_limit=1_000_000)
    for question, script.tool, script.arguments in TURNS[-turns:]:
        done: Any = await agent.run(question, memory=memory)
        if shows:
            console.print(f"\n[bold]{question}[/]  {script.tool}")
            for call in done.tool_calls:
                console.print(shortened(call.tool_output.content), style="dim", markup=False)
    return script.sent_tokens


def shortened(text: str) -> str:
    """Return the first lines of a text."""
    lines = text.splitlines()
    more = len(lines) - SHOWN_LINES
    return "\n".join([*lines[:SHOWN_LINES], *([f"({more} more lines)"] if more > 0 else [])])


parser = argparse.ArgumentParser()
parser.add_argument("--turns", type=int, default=len(TURNS), help="how many, counted from the last")
parser.add_argument("--scorer", choices=["draft", "keyword"], default="draft")
parser.add_argument("--keep", type=float, default=0.2, help="of a result")
parser.add_argument("--max-tokens", type=int, default=600, help="of a result")
options = parser.parse_args()
console = Console(highlight=False)
budget = Budget(keep_fraction=options.keep, max_tokens=options.max_tokens)
compressor = (
    ContextCompressor(KeywordScorer())
    if options.scorer == "keyword"
    else ContextCompressor.from_draft_model()
)

functions = (walk_library, list_packages, read_source, run_doctests)
plain = [FunctionTool.from_defaults(function) for function in functions]

# Compression: wrap all tools. `originals` brings a recall tool unless there is one, as here.
originals = InMemoryOriginals()
recall = recall_tool(originals, compressor=compressor, max_tokens=300)
compressed = compress_tools(
    [*plain, recall], compressor=compressor, budget=budget, originals=originals
)

rows = Rows()
get_dispatcher("root").add_event_handler(rows)
before = asyncio.run(converse(plain, options.turns, shows=False))
after = asyncio.run(converse(compressed, options.turns, shows=True))

table = Table("tool", title="tokens of results")
for heading in ("before", "after", "seconds"):
    table.add_column(heading, justify="right")
for end in rows.ends:
    counts = f"{end.original_tokens:,}", f"{end.kept_tokens:,}", f"{end.elapsed_seconds:.1f}"
    table.add_row(end.tool_name, *counts)
console.print()
console.print(table)
console.print(
    f"tokens sent in {options.turns} turns: "
    f"{before:,} without compression, {after:,} with it ({after / before:.0%})"
)
