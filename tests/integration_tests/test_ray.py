"""The service on Ray, in an environment of its own.

python3 -m venv .ray
.ray/bin/pip install '.[ray]' 'ray[data]' pytest pytest-asyncio pytest-socket hypothesis pyyaml
RAY_AUTH_MODE=disabled .ray/bin/python -m pytest tests/integration_tests/test_ray.py
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed")

import httpx
import yaml

with warnings.catch_warnings(action="ignore"):  # Ray's own
    import ray
    import ray.data
    from ray import serve
    from ray._common.utils import import_attr
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
    from ray.serve.config import HTTPOptions
    from ray.serve.schema import ServeDeploySchema

    from specprefill_integrations.serving._ray_app import (
        RaySettings,
        ServiceReplica,
        application,
        ray_app,
        run_on_ray,
    )

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.serving import Compress, RemoteScorer
from specprefill_integrations.testing import KeywordScorer

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings("default"),  # Ray's own
]

FACT = "The treasury holds four hundred ducats."
TEXT = " ".join(["The cat sat on the mat.", "A dog barked at the moon.", FACT] * 8)
ASKED = {
    "documents": [{"text": TEXT}],
    "query": "How many ducats are in the treasury?",
    "budget": {"max_tokens": 40},
}
OPEN = RaySettings(needs_keys=False)
PORT = 8127


class Broken(KeywordScorer):
    def score_spans(self, *_: Any) -> list[list[float]]:
        raise OSError


class TestReplica:
    @pytest.fixture(autouse=True)
    def _no_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SPECPREFILL_API_KEYS", raising=False)

    def test_ray_asks_the_engine_for_its_health(self) -> None:
        app = application(OPEN, lambda: ContextCompressor(KeywordScorer()))
        handle = serve.run(app, _local_testing_mode=True)
        assert handle.check_health.remote().result(timeout_s=10) is None

    async def test_a_closed_engine_is_not_healthy(self) -> None:
        replica = ServiceReplica(OPEN, lambda: ContextCompressor(KeywordScorer()))
        await replica.check_health()
        replica._engine.close()
        with pytest.raises(Exception, match="closed"):
            await replica.check_health()

    def test_a_draft_that_fails_does_not_start(self) -> None:
        with pytest.raises(OSError):  # noqa: PT011
            ServiceReplica(OPEN, lambda: ContextCompressor(Broken()))

    def test_it_needs_keys_unless_it_is_told_otherwise(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="keys"):
            ServiceReplica(RaySettings(), lambda: ContextCompressor(KeywordScorer()))
        keys = tmp_path / "keys"
        keys.write_text("a:a-valid-key")
        ServiceReplica(RaySettings(keys_file=keys), lambda: ContextCompressor(KeywordScorer()))

    @pytest.mark.parametrize("wrong", [{"min_replicas": -1}, {"gpus": -1}, {"replicas": 2}])
    def test_wrong_settings_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="validation"):
            RaySettings(**wrong)


def test_limits_of_calls_are_those_of_a_replica() -> None:
    limits = RaySettings(max_calls_per_replica=9).service_limits()
    assert (limits.max_calls, limits.max_calls_per_tenant) == (9, 9)
    given = RaySettings(max_calls_per_replica=9, limits={"max_calls_per_tenant": 3})
    assert given.service_limits().max_calls_per_tenant == 3


def test_refused_calls_are_told_when_to_come_back() -> None:
    app = application(RaySettings(needs_keys=False, limits={"retry_after_seconds": 7}))
    assert app._bound_deployment.backpressure_config.retry_after_s == 7


def test_a_cluster_that_runs_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, Any]] = []

    def run(*_: Any, **options: Any) -> None:
        done.append(("run", options["name"]))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ray, "init", lambda **options: done.append(("init", options["address"])))
    monkeypatch.setattr(ray, "shutdown", lambda: done.append(("disconnect", None)))
    monkeypatch.setattr(serve, "start", lambda **_: None)
    monkeypatch.setattr(serve, "run", run)
    monkeypatch.setattr(serve, "delete", lambda name: done.append(("delete", name)))
    monkeypatch.setattr(serve, "shutdown", lambda: done.append(("delete all", None)))
    monkeypatch.setenv("RAY_ADDRESS", "ray.example.com:6379")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        run_on_ray(OPEN, host="127.0.0.1", port=PORT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done == [
        ("init", "local"),
        ("run", "specprefill"),
        ("delete", "specprefill"),
        ("disconnect", None),
    ]


DEPLOY = Path(__file__).parents[2] / "deploy"


class TestConfig:
    @pytest.mark.parametrize("name", ["ray-serve.yaml", "ray-service.yaml"])
    def test_the_config_files_are_rays(self, name: str) -> None:
        config = yaml.safe_load((DEPLOY / name).read_text("utf-8"))
        if name == "ray-service.yaml":
            config = yaml.safe_load(config["spec"]["serveConfigV2"])
        parsed = ServeDeploySchema.model_validate(config)
        for app in parsed.applications:
            assert import_attr(app.import_path) is ray_app
            built = call_user_app_builder_with_args_if_necessary(ray_app, app.args)
            settings = RaySettings.model_validate(app.args)
            assert built._bound_deployment.init_args[0] == settings
            with pytest.raises(ValueError, match="replicas"):
                call_user_app_builder_with_args_if_necessary(ray_app, {**app.args, "replicas": 2})


def mortal_compressor(kill: str) -> Callable[[], ContextCompressor]:
    """A compressor that kills its process in mid-call, once, where a file of this name exists."""

    class Mortal(KeywordScorer):
        def score_spans(self, *asked: Any) -> list[list[float]]:
            with suppress(FileNotFoundError):
                Path(kill).unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().score_spans(*asked)

    return lambda: ContextCompressor(Mortal())


@pytest.fixture(scope="module")
def kill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that makes a replica kill itself."""
    return tmp_path_factory.mktemp("ray") / "kill"


@pytest.fixture(scope="module")
def cluster(kill: Path) -> Iterator[str]:
    """A real cluster on this machine with two replicas; its address."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=PORT, request_timeout_s=30))
    settings = RaySettings(needs_keys=False, min_replicas=2, max_replicas=2, cpus=0.5)
    serve.run(
        application(settings, mortal_compressor(str(kill))),
        name="specprefill",
        route_prefix="/",
    )
    yield f"http://127.0.0.1:{PORT}"
    serve.shutdown()
    ray.shutdown()


class TestCluster:
    def test_calls_are_answered(self, cluster: str) -> None:
        reply = httpx.post(f"{cluster}/v1/compress", json=ASKED, timeout=20)
        assert reply.status_code == 200
        expected = ContextCompressor(KeywordScorer()).compress(
            TEXT, ASKED["query"], budget=Budget(max_tokens=40)
        )
        assert reply.json()["documents"][0]["text"] == expected.text
        assert httpx.get(f"{cluster}/readyz", timeout=20).json() == {"status": "ready"}
        wrong = httpx.post(f"{cluster}/v1/compress", content=b"{", timeout=20)
        assert wrong.status_code == 415
        assert wrong.json()["error"]["request_id"] in wrong.headers["X-Request-ID"]

    def test_the_client_gets_the_same_texts(self, cluster: str) -> None:
        compressor = ContextCompressor.from_service(cluster)
        result = compressor.compress(TEXT, ASKED["query"], budget=Budget(max_tokens=40))
        compressor.scorer.close()
        assert result.skipped_because is None
        assert FACT in result.text

    def test_a_replica_that_is_killed_loses_no_call(self, cluster: str, kill: Path) -> None:
        compressor = ContextCompressor.from_service(cluster, deadline_seconds=60)

        def call(number: int) -> tuple[str, str | None]:
            text = f"{TEXT} Number {number}."
            result = compressor.compress(text, f"Number {number}", budget=Budget(max_tokens=40))
            return result.text, result.skipped_because

        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(call, number) for number in range(30)]
            kill.touch()
            calls += [pool.submit(call, number) for number in range(30, 60)]
            found = [one.result() for one in calls]
        compressor.scorer.close()
        assert not kill.exists()
        for number, (text, reason) in enumerate(found):
            assert reason is None or FACT in text  # cut, or whole
            assert f"Number {number}." in text, "no answer is another call's"
        assert sum(reason is None for _, reason in found) > 30


def test_spans_are_scored_alike(cluster: str) -> None:
    scorer = RemoteScorer(cluster)
    spans = [[Span(0, 23), Span(24, 49)]]
    assert scorer.score_spans("ducats", [TEXT], spans) == KeywordScorer().score_spans(
        "ducats", [TEXT], spans
    )
    scorer.close()


def test_a_data_set_of_two_thousand_texts(cluster: str, tmp_path: Path) -> None:
    del cluster  # Ray runs
    texts = [f"{TEXT} Number {number}." for number in range(2_000)]
    with warnings.catch_warnings(action="ignore"):
        done = (
            ray.data.from_items([{"text": text} for text in texts])
            .map_batches(
                Compress,
                fn_constructor_kwargs={
                    "budget": Budget(max_tokens=40),
                    "query": ASKED["query"],
                    "folder": str(tmp_path),
                    "make_compressor": lambda: ContextCompressor(KeywordScorer()),
                },
                batch_size=100,
                compute=ray.data.ActorPoolStrategy(size=2),
                num_cpus=0.25,
            )
            .take_all()
        )
    assert sorted(row["text"] for row in done) == sorted(texts)
    for row in done:
        assert row["kept_tokens"] <= 40
        assert FACT in row["compressed"]
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 2_000
