"""The playground's application: its page, its scorers, and whom it answers."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from starlette.testclient import TestClient

from specprefill_integrations import ContextCompressor
from specprefill_integrations.heat_map._page import csp_hash
from specprefill_integrations.scoring._engine import ScoringEngine
from specprefill_integrations.serving._playground import (
    REASONS,
    PlaygroundScorer,
    build_playground,
)
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import SkipReason

HOST = "http://127.0.0.1:8010"
TEXT = "The cat sat on the mat. " * 10 + "The treasury holds four hundred ducats."


def scorer(name: str, **options: Any) -> PlaygroundScorer:
    compressor = ContextCompressor(ScoringEngine(KeywordScorer()))
    return PlaygroundScorer(name=name, about=f"<b>{name}</b>", compressor=compressor, **options)


def test_the_page_is_one_file_without_outside_resources() -> None:
    with TestClient(build_playground([scorer("one")], draft="<i>tiny"), HOST) as client:
        reply = client.get("/")
    page, policy = reply.text, reply.headers["Content-Security-Policy"]
    assert "<b>one" not in page
    assert "<i>tiny" not in page
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)|@import|url\(""", page)
    assert "innerHTML" not in page
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        [shown] = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert f"{kind}-src '{csp_hash(shown)}'" in policy


def test_each_scorer_is_a_service_under_its_name() -> None:
    asked = {"documents": [{"text": TEXT}], "query": "ducats?", "budget": {"max_tokens": 20}}
    app = build_playground([scorer("one"), scorer("two", is_chosen=True)], draft="tiny")
    with TestClient(app, HOST) as client:
        for name in ("one", "two"):
            reply = client.post(f"/{name}/v1/compress", json=asked)
            assert "ducats" in reply.json()["documents"][0]["text"]
        assert client.post("/v1/compress", json=asked).status_code == 404
        boxes = re.findall(
            r'<input type="checkbox" value="(\w+)"( checked)?>', client.get("/").text
        )
    assert boxes == [("one", ""), ("two", " checked")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_another_host_name_is_refused(host: str) -> None:
    with TestClient(build_playground([scorer("one")], draft="tiny"), HOST) as client:
        for path in ("/", "/one/v1/scorer"):
            assert client.get(path, headers={"Host": host}).status_code == 400
        assert client.get("/", headers={"Host": "localhost:8010"}).status_code == 200


def test_a_page_of_elsewhere_cannot_send_a_text() -> None:
    with TestClient(build_playground([scorer("one")], draft="tiny"), HOST) as client:
        asked = {"documents": [{"text": TEXT}], "budget": {"max_tokens": 20}}
        headers = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
        path = "/one/v1/compress"
        assert client.post(path, content=json.dumps(asked), headers=headers).status_code == 415
        answer = client.options(path, headers={**headers, "Access-Control-Request-Method": "POST"})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_engines_are_closed_at_the_end() -> None:
    one = scorer("one")
    with TestClient(build_playground([one], draft="tiny"), HOST) as client:
        client.get("/")
        assert not one.compressor.scorer.is_closed  # type: ignore[attr-defined]
    assert one.compressor.scorer.is_closed  # type: ignore[attr-defined]


def test_each_reason_of_the_compressor_has_plain_words() -> None:
    reasons = get_args(SkipReason)
    of_compressor = reasons[: reasons.index("not_calibrated") + 1]
    assert set(of_compressor) <= set(REASONS) <= set(reasons)
    assert all("_" not in words and words.endswith(".") for words in REASONS.values())
