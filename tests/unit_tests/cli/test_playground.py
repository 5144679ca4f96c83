"""`specprefill playground`: what it serves, and where."""

from __future__ import annotations

import socket
import webbrowser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import uvicorn
from starlette.testclient import TestClient

from specprefill_integrations import cli
from tests.tiny_models import save_tiny_draft

pytestmark = pytest.mark.enable_socket  # a port is taken, and nobody calls


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str, int]]:
    """The application and the address that uvicorn was asked to serve."""
    found: list[tuple[Any, str, int]] = []

    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        found.append((self.config.app, *sockets[0].getsockname()))

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return found


def run(*words: object) -> Any:
    return CliRunner().invoke(cli.build_app(), ["playground", *map(str, words)])


def test_scorers_share_the_tokens_of_the_draft(served: list[Any], tmp_path: Path) -> None:
    draft = save_tiny_draft(tmp_path / "draft")
    scorers = ["readout", "published", "words", "bm25", "random"]
    result = run("--port", 0, "--draft", draft, *(f"--scorer={name}" for name in scorers))
    assert result.exit_code == 0, result.output
    [(app, host, port)] = served
    assert f"http://127.0.0.1:{port}/" in result.stderr
    assert host == "127.0.0.1"
    asked = {"documents": [{"text": "The cat sat. " * 40}], "budget": {"max_tokens": 60}}
    with TestClient(app, "http://127.0.0.1") as client:
        answers = [client.post(f"/{name}/v1/compress", json=asked).json() for name in scorers]
    assert len({answer["original_tokens"] for answer in answers}) == 1
    assert all(0 < answer["kept_tokens"] <= 60 for answer in answers)


def test_the_page_is_opened_only_if_asked_for(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    draft = save_tiny_draft(tmp_path / "draft")
    run("--port", 0, "--draft", draft)
    assert opened == []
    run("--port", 0, "--draft", draft, "--open")
    assert opened == [f"http://127.0.0.1:{served[1][2]}/"]


def test_a_taken_port_and_an_unknown_scorer_are_usage_errors(served: list[Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("--port", taken.getsockname()[1])
    assert result.exit_code == 2
    assert "--port" in result.stderr
    assert run("--scorer", "nope").exit_code == 2
    assert served == []
