"""Settings for all tests: the same examples every run, and no clock in the verdict.

`make nightly` looks longer, and elsewhere every time; what it prints of a failure reproduces it.
"""

import os

from hypothesis import HealthCheck, settings

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
