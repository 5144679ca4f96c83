#!/usr/bin/env python3
"""LangChain: a retriever with compressed documents."""

from __future__ import annotations

import sys
from pydoc_data.topics import topics

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_community.retrievers import BM25Retriever

from specprefill_integrations import Budget
from specprefill_integrations.langchain import SpecPrefillDocumentCompressor

question = "What is a coroutine function?"
max_tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 300

# Any retriever works; this one searches Python's help about the language.
names = ["async", "await", "function", "return", "try", "while", "yield"]
search = BM25Retriever.from_texts(
    [topics[name] for name in names], metadatas=[{"topic": name} for name in names], k=2
)
retriever = ContextualCompressionRetriever(
    base_retriever=search,
    base_compressor=SpecPrefillDocumentCompressor(budget=Budget(max_tokens=max_tokens)),
)
for document in retriever.invoke(question):
    what = document.metadata.get("specprefill")
    counts = f"{what['kept_tokens']} of {what['original_tokens']} tokens" if what else "unchanged"
    print(f"--- {document.metadata['topic']}: {counts} ---\n{document.page_content}\n")  # noqa: T201
