"""A service that is killed again and again while clients call it."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import httpx

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.serving import RemoteScorer

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

CALLS = int(os.environ.get("SPECPREFILL_KILL_CALLS", "200"))
KILLS = max(3, CALLS // 500)
CLIENTS = 8
FACT = "Vault {number} holds four hundred ducats."

SERVICE = """
import sys
from specprefill_integrations import ContextCompressor
from specprefill_integrations.serving import TenantOriginals, build_app
from specprefill_integrations.serving._server import server_of
from specprefill_integrations.testing import KeywordScorer
originals = TenantOriginals(sys.argv[1])
app = build_app(ContextCompressor(KeywordScorer()), api_keys=None, originals=originals)
server_of(app, host="127.0.0.1", port=int(sys.argv[2])).run()
"""


class Service:
    """A service in a process, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVICE, str(self.folder), str(self.port)]
        self.process = subprocess.Popen(command)  # noqa: S603 - Python itself
        ends_at = time.monotonic() + 30
        while not self.is_alive():
            assert time.monotonic() < ends_at, "the service did not start"
            time.sleep(0.05)

    def is_alive(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path)
    yield found
    found.kill()


@contextmanager
def being_killed(service: Service, times: int, done: threading.Event) -> Iterator[list[float]]:
    """Kill the service within the block, now and then."""
    killed: list[float] = []

    def kill() -> None:
        rng = random.Random(7)  # noqa: S311 - no secret
        while len(killed) < times and not done.wait(rng.uniform(1, 3)):
            service.kill()
            killed.append(time.monotonic())
            service.start()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def text_of(number: int) -> str:
    others = " ".join(f"Vault {number} has a door number {line}." for line in range(30))
    return f"{others} {FACT.format(number=number)}"


def test_no_call_is_lost_or_crossed(service: Service) -> None:
    compressor = ContextCompressor.from_service(service.url, deadline_seconds=30)
    done = threading.Event()

    def call(number: int) -> tuple[str, str | None]:
        result = compressor.compress(
            text_of(number), "four hundred ducats", budget=Budget(max_tokens=60)
        )
        if result.skipped_because is not None:
            time.sleep(1)  # with the service away, calls end at once
        return result.text, result.skipped_because

    with being_killed(service, KILLS, done) as killed, ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(call, range(CALLS)))
        done.set()
    assert killed
    reasons = [reason for _, reason in found]
    assert set(reasons) <= {None, "service_unavailable", "deadline_exceeded"}
    for number, (text, reason) in enumerate(found):
        assert FACT.format(number=number) in text
        assert {int(one) for one in re.findall(r"Vault (\d+)", text)} == {number}
        assert (text == text_of(number)) == (reason is not None)
    assert reasons.count(None) > CALLS / 4
    sys.stdout.write(f"\n{CALLS} calls, {len(killed)} kills, {reasons.count(None)} compressed\n")
    assert isinstance(compressor.scorer, RemoteScorer)
    compressor.scorer.close()


def test_originals_survive(service: Service) -> None:
    asked = {
        "documents": [{"text": text_of(7)}],
        "budget": {"max_tokens": 60},
        "keep_originals": True,
    }
    reply = httpx.post(f"{service.url}/v1/compress", json=asked)
    reference = reply.json()["documents"][0]["reference"]
    service.kill()
    service.start()
    found = httpx.get(f"{service.url}/v1/originals/{reference}").json()
    assert found["text"] == text_of(7)
