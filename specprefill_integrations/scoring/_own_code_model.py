"""Loads a model whose code comes with its weights: for evaluating peers, never for a draft."""

from __future__ import annotations

from typing import Any

from transformers import AutoModel


def load_own_code_model(place: str, *, device: str | None, trust_remote_code: bool) -> Any:  # noqa: ANN401 - its own class
    """Load a model that transformers does not know.

    Args:
        place: A folder or a hub id.
        device: Where it runs; the CPU by default.
        trust_remote_code: Whether its code may run, without which nothing can be loaded.

    Raises:
        OSError: There is no such model.
        ValueError: Its code may not run.
    """
    model = AutoModel.from_pretrained(place, trust_remote_code=trust_remote_code)
    return model.to(device or "cpu").eval()
