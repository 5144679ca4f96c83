"""Settings for all tests: the same examples every run, and no clock in the verdict.

`make nightly` looks longer, and elsewhere every time; what it prints of a failure reproduces it.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from specprefill_integrations.scoring import _draft_device

settings.register_profile(
    "laws",
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly",
    parent=settings.get_profile("laws"),
    derandomize=False,
    max_examples=int(os.environ.get("NIGHTLY_EXAMPLES", "20000")),
    print_blob=True,
)
settings.load_profile("laws")

# What transformers says of some tiny models, whoever calls them.
_OF_MODELS = (
    "RoPE scaling factor",
    "falling back to its reference PyTorch",
    "fast path is not available",
)


@pytest.fixture(autouse=True, scope="module")
def same_dtype_on_all_processors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute in float32 where no dtype is asked for; the integration tests use what users get."""
    with pytest.MonkeyPatch.context() as patch:
        if "integration_tests" not in request.path.parts:
            patch.setattr(_draft_device, "_cpu_is_faster_in_bfloat16", lambda: False)
        yield


@pytest.fixture
def no_advice_of_transformers() -> Iterator[None]:
    """Fail where transformers logs a warning: its deprecations do not all come as warnings."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert [advice for advice in heard if not any(word in advice for word in _OF_MODELS)] == []
