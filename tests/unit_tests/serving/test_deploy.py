"""The files of `deploy/`: what they name is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import httpx

from specprefill_integrations import ContextCompressor
from specprefill_integrations.serving import TenantOriginals
from specprefill_integrations.serving._guardrail import GuardrailOptions
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.serving.running import serving

DEPLOY = Path(__file__).parents[3] / "deploy"


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_dashboard_shows_metrics_that_exist() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = set(re.findall(r"\bspecprefill_\w+", " ".join(asked)))
    with serving(ContextCompressor(KeywordScorer()), originals=TenantOriginals()) as url:
        document = {"text": "The cat sat. " * 9}
        for tokens in (10, 1_000):
            body = {"documents": [document], "budget": {"max_tokens": tokens}}
            assert httpx.post(f"{url}/v1/compress", json=body).status_code == 200
        shown = httpx.get(f"{url}/metrics").text
    exported = set(re.findall(r"^specprefill_\w+", shown, re.MULTILINE))
    assert named - exported == set()
    assert len(named) > 8
    assert all(expression.count("(") == expression.count(")") for expression in asked)


def test_compose_mounts_files_that_exist() -> None:
    services = load("compose.yaml")["services"]
    mounted = [
        volume.split(":")[0] for service in services.values() for volume in service["volumes"]
    ]
    for path in mounted:
        assert not path.startswith(".") or (DEPLOY / path).is_file()
    assert (DEPLOY / "Dockerfile").is_file()
    upstreams = {
        job["static_configs"][0]["targets"][0] for job in load("prometheus.yaml")["scrape_configs"]
    }
    assert {target.split(":")[0] for target in upstreams} <= services.keys()


def test_the_gateway_fails_open() -> None:
    [guardrail] = load("litellm.yaml")["guardrails"]
    settings = guardrail["litellm_params"]
    assert (settings["unreachable_fallback"], settings["fail_on_error"]) == ("fail_open", False)
    GuardrailOptions.model_validate(settings["additional_provider_specific_params"])


def test_replicas_on_one_machine_fit_its_gpu() -> None:
    apps = load("ray-serve.yaml")["applications"]
    assert sum(one["args"]["max_replicas"] * one["args"]["gpus"] for one in apps) <= 1


def test_a_cluster_grows_to_all_replicas() -> None:
    spec = load("ray-service.yaml")["spec"]
    cluster = spec["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] is True
    [group] = cluster["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    gpus = group["maxReplicas"] * int(container["resources"]["limits"]["nvidia.com/gpu"])
    [app] = yaml.safe_load(spec["serveConfigV2"])["applications"]
    assert app["args"]["max_replicas"] * app["args"]["gpus"] <= gpus


def test_images_and_packages_are_pinned() -> None:
    images = [one["image"] for one in load("compose.yaml")["services"].values() if "image" in one]
    tags = [image.rpartition(":")[2] for image in images]
    assert all(re.search(r"\d", tag) and tag != "latest" for tag in tags), tags
    root = DEPLOY.parent
    for path in ("Makefile", "docs/gateways.md"):
        assert "'litellm[proxy]==1.108.7'" in (root / path).read_text("utf-8")
