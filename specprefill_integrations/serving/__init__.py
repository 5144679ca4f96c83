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
    from specprefill_integrations.serving._remote_scorer import RemoteScorer
    from specprefill_integrations.serving._tenant_originals import TenantOriginals

_HOMES = {
    "ApiKeys": "_api_keys",
    "RemoteScorer": "_remote_scorer",
    "ServiceLimits": "_limits",
    "TenantOriginals": "_tenant_originals",
    "build_app": "_app",
}

__all__ = ["ApiKeys", "RemoteScorer", "ServiceLimits", "TenantOriginals", "build_app"]

# A guardrail for LiteLLM's proxy, which finds it by its name; importing it needs litellm.
_OF_LITELLM = {"SpecPrefillGuardrail": "_litellm_guardrail"}

_PACKAGES = frozenset({"fastapi", "httpx", "prometheus_client", "pydantic", "starlette", "uvicorn"})

_find = lazy_names(__name__, {**_HOMES, **_OF_LITELLM})


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
