"""Documents for the LangChain doors."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document


@pytest.fixture
def documents() -> list[Document]:
    """Three documents; the question of the tests is about the dog of the first and second."""
    return [
        Document(
            "Cats sleep for most of the day. The dog barked at night. Rain fell on the hills.",
            id="a",
            metadata={"source": "a.txt", "start_index": 40, "tags": ["x"]},
        ),
        Document("The dog slept.", id="b", metadata={"source": "b.txt"}),
        Document("Prices rose again in spring. Nobody knew why.", id="c", metadata={"page": 3}),
    ]
