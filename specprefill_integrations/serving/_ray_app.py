"""The service on Ray Serve: each replica is a whole service with one draft and one engine.

So a call needs no further hop within the cluster, where it would make some ten of them to count
tokens. Another draft is another application, under another path.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig, HTTPOptions
from typing_extensions import Self

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.serving._api_keys import KEYS, given_keys
from specprefill_integrations.serving._app import build_app
from specprefill_integrations.serving._engine_health import EngineHealth
from specprefill_integrations.serving._limits import ServiceLimits, limits_of
from specprefill_integrations.serving._tenant_originals import TenantOriginals
from specprefill_integrations.types import Span

_NAME = "specprefill"
_DRAIN_SECONDS = 30.0
_DOWNSCALE_SECONDS = 120.0


class RaySettings(BaseModel):
    """`args` of the application in a config file of Ray Serve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    draft: str | None = Field(default=None, description="See `ContextCompressor.from_draft_model`.")
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None
    keys_file: Path | None = Field(default=None, description="A TENANT:KEY per line.")
    needs_keys: bool = Field(
        default=True, description="Fail without keys, in place of admitting everybody."
    )
    originals: Path | None = Field(
        default=None, description="Folder for originals, on one machine; null keeps none."
    )
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    calls_per_replica: int = Field(
        default=8, ge=1, description="Calls at once of a replica beyond which others are started."
    )
    max_calls_per_replica: int = Field(default=64, ge=1)
    max_queued_calls: int = Field(
        default=256, ge=-1, description="Calls that wait for a replica; further ones get a 503."
    )
    limits: dict[str, float] = Field(default={}, description="Limits of `ServiceLimits`, by name.")
    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0, description="GPUs of a replica, such as 0.5.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.service_limits()
        return self

    def service_limits(self) -> ServiceLimits:
        """Return the limits; those of calls at once are the replica's unless they are given.

        Raises:
            ValueError: There is none of that name, or one is out of range.
        """
        most = self.max_calls_per_replica
        return limits_of({"max_calls": most, "max_calls_per_tenant": most, **self.limits})


class ServiceReplica:
    """A process with a draft."""

    def __init__(
        self, settings: RaySettings, make_compressor: Callable[[], ContextCompressor] | None = None
    ) -> None:
        """Load the draft.

        Args:
            settings: The settings.
            make_compressor: Makes the compressor; None loads the draft of the settings.

        Raises:
            Exception: The draft cannot be loaded, or there are no keys.
        """
        keys = given_keys(settings.keys_file)
        if keys is None and settings.needs_keys:
            msg = f"There are no keys: set keys_file or {KEYS}, or needs_keys to false."
            raise ValueError(msg)
        compressor = make_compressor() if make_compressor else _compressor(settings)
        scorer = compressor.scorer
        self._engine = scorer if isinstance(scorer, ScoringEngine) else ScoringEngine(scorer)
        self._health = EngineHealth(self._engine)
        self._engine.score_spans("Loaded?", ["Loaded."], [[Span(0, len("Loaded."))]])
        originals = settings.originals
        self._app = build_app(
            compressor.replace(scorer=self._engine),
            api_keys=keys,
            limits=settings.service_limits(),
            originals=None if originals is None else TenantOriginals(originals),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application."""
        return self._app

    async def check_health(self) -> None:
        """Ask the engine; one that is busy and gets on is healthy.

        Raises:
            Exception: It does not answer.
        """
        await self._health.check()


def ray_app(args: Mapping[str, Any]) -> Application:
    """Build the application; Ray calls this for `import_path` in a config file.

    Args:
        args: The `args` in the file. Ray does not make `RaySettings` of them: it does not resolve
            annotations, which are strings here.

    Raises:
        ValueError: They are not those of `RaySettings`.
    """
    return application(RaySettings.model_validate(args))


def application(
    settings: RaySettings, make_compressor: Callable[[], ContextCompressor] | None = None
) -> Application:
    """Build the application.

    Args:
        settings: The settings.
        make_compressor: See `ServiceReplica`.
    """
    deployment = serve.deployment(
        name="SpecPrefill",
        ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
        max_ongoing_requests=settings.max_calls_per_replica,
        max_queued_requests=settings.max_queued_calls,
        backpressure_config=BackpressureConfig(
            retry_after_s=settings.service_limits().retry_after_seconds
        ),
        autoscaling_config={
            "min_replicas": settings.min_replicas,
            "max_replicas": max(settings.min_replicas, settings.max_replicas),
            "target_ongoing_requests": settings.calls_per_replica,
            "downscale_delay_s": _DOWNSCALE_SECONDS,
        },
        graceful_shutdown_timeout_s=_DRAIN_SECONDS,
    )
    bound: Application = deployment(serve.ingress()(ServiceReplica)).bind(settings, make_compressor)
    return bound


def run_on_ray(
    settings: RaySettings, *, host: str, port: int, on_ready: Callable[[], object] = lambda: None
) -> None:
    """Start Ray on this machine, and serve until the process is asked to end.

    Args:
        settings: The settings.
        host: The address to listen on.
        port: The port.
        on_ready: Called when it serves.
    """
    import ray  # noqa: PLC0415 - after its settings

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # "local": otherwise a cluster that runs already, or that RAY_ADDRESS names, would be joined.
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    seconds = settings.service_limits().deadline_seconds + 5
    options = HTTPOptions(host=host, port=port, request_timeout_s=seconds)
    serve.start(http_options=options)
    serve.run(application(settings), name=_NAME, route_prefix="/")
    on_ready()
    while not stopped.wait(1):  # with a limit, so that signals get through
        pass
    serve.delete(_NAME)  # replicas finish their calls
    ray.shutdown()


def _compressor(settings: RaySettings) -> ContextCompressor:
    return ContextCompressor.from_draft_model(
        settings.draft,
        revision=settings.revision,
        device=settings.device,
        dtype=settings.dtype,
    )
