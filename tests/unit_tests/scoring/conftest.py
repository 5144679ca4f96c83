"""Tiny models run fastest on one thread, and transformers has no advice for us."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_advice(no_advice_of_transformers: None) -> None:
    """Fail where transformers logs a warning."""
