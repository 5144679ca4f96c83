"""Compression as a service over HTTP: its contract, the application, and a client.

Needs the extra `serve`; importing this package imports none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specprefill_integrations._lazy_names import lazy_names
from specprefill_integrations.errors import MissingDependencyError

if TYPE_CHECKING:
    from specprefill_integrations.serving._api_keys import ApiKeys
    from specprefill_integrations.serving._app import build_app
    from specprefill_integrations.serving._limits import ServiceLimits
    from specprefill_integrations.serving._ray_data import Compress
    from specprefill_integrations.serving._remote_scorer import RemoteScorer
    from specprefill_integrations.serving._tenant_originals import TenantOriginals

_HOMES = {
    "ApiKeys": "_api_keys",
    "Compress": "_ray_data",
    "RemoteScorer": "_remote_scorer",
    "ServiceLimits": "_limits",
    "TenantOriginals": "_tenant_originals",
    "build_app": "_app",
}

__all__ = ["ApiKeys", "Compress", "RemoteScorer", "ServiceLimits", "TenantOriginals", "build_app"]

# LiteLLM's proxy and Ray Serve find these by their names; importing one needs litellm or ray.
_OF_OTHERS = {"SpecPrefillGuardrail": "_litellm_guardrail", "ray_app": "_ray_app"}

_PACKAGES = frozenset({"fastapi", "httpx", "prometheus_client", "pydantic", "starlette", "uvicorn"})

_find = lazy_names(__name__, {**_HOMES, **_OF_OTHERS})


def __getattr__(name: str) -> object:
    """Import a public name at its first use.

    Raises:
        MissingDependencyError: The extra `serve` is not installed.
    """
    try:
        return _find(name)
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise MissingDependencyError(error.name, "serve") from error


def __dir__() -> list[str]:
    return __all__
