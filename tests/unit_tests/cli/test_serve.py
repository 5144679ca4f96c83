"""`specprefill serve`: the application that it serves, and whom it lets in."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import httpx
import uvicorn

from specprefill_integrations import cli
from tests.tiny_models import save_tiny_draft

KEYS = "SPECPREFILL_API_KEYS"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[uvicorn.Config]:
    """What uvicorn was asked to serve."""
    found: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self: found.append(self.config))
    monkeypatch.delenv(KEYS, raising=False)
    return found


def run(*words: object) -> Any:
    return CliRunner().invoke(cli.build_app(), ["serve", *map(str, words)])


async def test_the_service_compresses_for_its_keys(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KEYS, "a-valid-key, b:another-key")
    draft = save_tiny_draft(tmp_path / "draft")
    result = run("--local", "--port", 8123, "--draft", draft, "--originals", tmp_path / "originals")
    assert result.exit_code == 0, result.output
    [config] = served
    assert (config.host, config.port) == ("127.0.0.1", 8123)
    asked = {
        "documents": [{"text": "The cat sat. " * 30}],
        "budget": {"max_tokens": 60},
        "keep_originals": True,
    }
    transport = httpx.ASGITransport(config.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        for key, status in (("a-valid-key", 200), ("another-key", 200), ("none-of-these", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            reply = await client.post("/v1/compress", json=asked, headers=headers)
            assert reply.status_code == status
            if status == 200:
                assert reply.json()["documents"][0]["kept_tokens"] <= 60


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
@pytest.mark.parametrize("port", [0, 8123])
@pytest.mark.enable_socket
def test_the_address_is_shown(
    served: list[uvicorn.Config], tmp_path: Path, host: str, shown: str, port: int
) -> None:
    draft = save_tiny_draft(tmp_path / "draft")
    result = run("--local", "--host", host, "--port", port, "--draft", draft)
    assert result.exit_code == 0, result.output
    [config] = served
    assert (config.host, config.port > 0) == (host, True)
    assert not port or config.port == port
    assert f"http://{shown}:{config.port}\n" in result.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "10.0.0.1"])  # noqa: S104
def test_without_keys_only_this_machine_is_served(served: list[Any], host: str) -> None:
    result = run("--host", host)
    assert result.exit_code == 2
    assert KEYS in result.stderr
    assert served == []


def test_keys_that_cannot_be_used_are_a_usage_error(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("--keys-file", tmp_path / "none").exit_code == 2
    monkeypatch.setenv(KEYS, "short")
    assert run().exit_code == 2
    assert served == []


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS, raising=False)
    result = run("--max-replicas", 2)
    assert result.exit_code == 1
    assert "ray" in result.stderr
    assert "--local" in result.stderr


@pytest.mark.parametrize("quiet", [False, True])
def test_the_start_of_ray_is_shown_until_it_serves(
    monkeypatch: pytest.MonkeyPatch, *, quiet: bool
) -> None:
    """A timer waits to print the line outside a terminal."""
    monkeypatch.delenv(KEYS, raising=False)
    waiting: list[bool] = []

    def is_waiting() -> bool:
        timers = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
        return any(not one.finished.is_set() for one in timers)

    def run_on_ray(*_: object, on_ready: Callable[[], object], **__: object) -> None:
        waiting.append(is_waiting())
        on_ready()
        waiting.append(is_waiting())

    settings = SimpleNamespace(model_validate=dict)
    module = SimpleNamespace(RaySettings=settings, run_on_ray=run_on_ray)
    monkeypatch.setitem(sys.modules, "specprefill_integrations.serving._ray_app", module)
    result = run("--port", 8123, *(["--quiet"] if quiet else []))
    assert result.exit_code == 0, result.output
    assert waiting == [not quiet, False]


async def test_limits_are_given_by_name(served: list[uvicorn.Config], tmp_path: Path) -> None:
    draft = save_tiny_draft(tmp_path / "draft")
    result = run(
        "--local", "--draft", draft, "--limit", "max_documents=1", "--limit", "body_seconds=.5"
    )
    assert result.exit_code == 0, result.output
    transport = httpx.ASGITransport(served[0].app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        asked = {"documents": [{"text": "a"}] * 2, "budget": {"max_tokens": 5}}
        assert (await client.post("/v1/compress", json=asked)).status_code == 413


@pytest.mark.parametrize(
    "wrong",
    ["", "max_documents", "max_documents=", "max_documents=0", "max_documents=1.5", "max=1"],
)
def test_wrong_limits_are_a_usage_error(served: list[uvicorn.Config], wrong: str) -> None:
    result = run("--local", "--limit", wrong)
    assert result.exit_code == 2
    assert "--limit" in result.stderr
    assert served == []
