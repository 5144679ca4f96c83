"""Nodes for the LlamaIndex doors."""

from __future__ import annotations

import pytest
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode


@pytest.fixture
def nodes() -> list[NodeWithScore]:
    """Three nodes; the question of the tests is about the dog of the first and second."""
    texts = [
        "Cats sleep for most of the day. The dog barked at night. Rain fell on the hills.",
        "The dog slept.",
        "Prices rose again in spring. Nobody knew why.",
    ]
    return [
        NodeWithScore(
            node=TextNode(
                text=text,
                id_=name,
                metadata={"file_name": f"{name}.txt"},
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc-{name}")},
                start_char_idx=100,
                end_char_idx=100 + len(text),
                embedding=[0.5, 0.5],
            ),
            score=score,
        )
        for name, text, score in zip("abc", texts, (0.9, 0.5, None), strict=True)
    ]
