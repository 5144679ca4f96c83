#!/usr/bin/env python3
"""LlamaIndex: a query engine with compressed nodes.

It searches Python's help with BM25. The embedded SmolLM2 is the draft and, so that no server is
needed, also the model that answers.
"""

from __future__ import annotations

import argparse
from pydoc_data.topics import topics
from typing import Any

from llama_index.core import Document
from llama_index.core.llms import (
    CompletionResponse,
    CompletionResponseGen,
    CustomLLM,
    LLMMetadata,
)
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.retrievers.bm25 import BM25Retriever  # type: ignore[import-untyped]
from rich.console import Console

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.llama_index import SpecPrefillNodePostprocessor
from specprefill_integrations.scoring import DraftModel


class LocalLLM(CustomLLM):
    """The model that answers: here the draft's own model; any LLM of LlamaIndex works."""

    draft: Any
    answer_tokens: int

    @property
    def metadata(self) -> LLMMetadata:
        """Return the sizes of prompt and answer."""
        return LLMMetadata(context_window=self.draft.max_positions, num_output=self.answer_tokens)

    @llm_completion_callback()
    def complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: Any,  # noqa: ANN401
    ) -> CompletionResponse:
        """Answer a prompt."""
        del formatted, kwargs
        model, tokenizer = self.draft.load()
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt"
        )["input_ids"].to(model.device)
        written = model.generate(ids, max_new_tokens=self.answer_tokens, do_sample=False)
        text = tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
        return CompletionResponse(text=text)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,  # noqa: ANN401
    ) -> CompletionResponseGen:
        """Answer a prompt in one piece."""
        yield self.complete(prompt, formatted, **kwargs)


parser = argparse.ArgumentParser()
parser.add_argument("--question", default="What is a coroutine function?")
parser.add_argument("--nodes", type=int, default=5, help="how many nodes are retrieved")
parser.add_argument("--answer-tokens", type=int, default=40)
options = parser.parse_args()
console = Console(highlight=False)

# The documents.
documents = [Document(text=text, metadata={"topic": topic}) for topic, text in topics.items()]
nodes = SentenceSplitter(chunk_size=300, chunk_overlap=0).get_nodes_from_documents(documents)
retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=options.nodes)

with console.status("loading the draft ..."):
    draft = DraftModel.from_source()
    draft.load()

# Compression: one postprocessor.
compress = SpecPrefillNodePostprocessor(
    compressor=ContextCompressor.from_draft_model(draft), budget=Budget(keep_fraction=0.3)
)
llm = LocalLLM(draft=draft, answer_tokens=options.answer_tokens)
engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[compress])
with console.status("asking ..."):
    response = engine.query(options.question)

for source in response.source_nodes:
    what = source.metadata.get("specprefill")
    counts = f"{what['kept_tokens']} of {what['original_tokens']} tokens" if what else "unchanged"
    console.print(f"[bold]{source.metadata['topic']}[/]: {counts}")
    console.print(source.text, style="dim", markup=False)
console.print(f"\n[bold]{options.question}[/]\n{str(response).strip()}")
