"""Settings for all tests: the same examples every run, and no clock in the verdict."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")
