"""The contract of the service: answers, limits, malformed input, keys, deadlines."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.observability import CompressionMetrics
from specprefill_integrations.originals import InMemoryOriginals, OriginalStore
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.serving import ApiKeys, ServiceLimits, TenantOriginals, build_app
from specprefill_integrations.serving._server import TimedProtocol
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.serving.running import serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

SENTENCES = [
    "The cat sat on the mat.",
    "A dog barked at the moon.",
    "Rain fell on the hills all night.",
    "The treasury holds four hundred ducats.",
]
TEXT = " ".join(SENTENCES * 3)
QUERY = "How many ducats are in the treasury?"
BUDGET = {"max_tokens": 24}
LIMITS = ServiceLimits(
    max_body_bytes=20_000,
    max_documents=3,
    max_tokens=400,
    max_rows=20,
    max_spans=100,
    max_query_chars=100,
    body_seconds=0.5,
)


@dataclass
class Waiting(SpanScorer):
    """Scores once the test allows it."""

    may_go_on: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        self.entered.set()
        assert self.may_go_on.wait(20)
        return KeywordScorer().score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return KeywordScorer().count_tokens(texts)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        serving(
            ContextCompressor(KeywordScorer()), limits=LIMITS, originals=TenantOriginals()
        ) as url,
        httpx.Client(base_url=url, timeout=10) as found,
    ):
        yield found


def asked_for(**fields: Any) -> dict[str, Any]:
    return {"documents": [{"text": TEXT}], "query": QUERY, "budget": BUDGET, **fields}


def error_of(reply: httpx.Response) -> tuple[int, str]:
    error = reply.json()["error"]
    assert error["request_id"] == reply.headers["X-Request-ID"]
    return reply.status_code, error["code"]


class TestDocuments:
    def test_the_answer_is_the_compressors(self, client: httpx.Client) -> None:
        documents = [{"text": TEXT}, {"text": "Nothing of use. " * 8}]
        reply = client.post("/v1/compress", json=asked_for(documents=documents))
        assert reply.status_code == 200
        expected = ContextCompressor(KeywordScorer()).compress_documents(
            [one["text"] for one in documents], QUERY, budget=Budget(max_tokens=24)
        )
        answer = reply.json()
        for found, one in zip(answer["documents"], expected, strict=True):
            assert found["text"] == one.text
            assert found["kept"] == [list(span) for span in one.kept]
            assert (found["original_tokens"], found["kept_tokens"]) == (
                one.original_tokens,
                one.kept_tokens,
            )
            assert found["skipped_because"] == one.skipped_because
            assert found["is_left_out"] == one.is_left_out
            assert found["is_widened"] == one.is_widened
        assert answer["kept_tokens"] == sum(one.kept_tokens for one in expected) <= 24
        assert "four hundred ducats" in answer["documents"][0]["text"]

    def test_a_fraction_that_gave_way_is_told(self, client: httpx.Client) -> None:
        for fraction, is_widened in ((0.01, True), (0.5, False)):
            asked = asked_for(budget={"keep_fraction": fraction})
            [found] = client.post("/v1/compress", json=asked).json()["documents"]
            limit = fraction * found["original_tokens"]
            assert found["is_widened"] == is_widened == (found["kept_tokens"] > limit)

    def test_a_text_that_fits_has_its_reason(self, client: httpx.Client) -> None:
        reply = client.post("/v1/compress", json=asked_for(documents=[{"text": SENTENCES[0]}]))
        [found] = reply.json()["documents"]
        assert (found["text"], found["skipped_because"]) == (SENTENCES[0], "within_budget")

    def test_no_documents_are_an_empty_answer(self, client: httpx.Client) -> None:
        reply = client.post("/v1/compress", json=asked_for(documents=[]))
        assert (reply.status_code, reply.json()["documents"]) == (200, [])


class TestOriginals:
    def test_the_marker_names_what_can_be_fetched(self, client: httpx.Client) -> None:
        asked = asked_for(keep_originals=True, documents=[{"text": TEXT}])
        [found] = client.post("/v1/compress", json=asked).json()["documents"]
        assert found["reference"] in found["text"]
        reply = client.get(f"/v1/originals/{found['reference']}")
        assert reply.json() == {"reference": found["reference"], "text": TEXT}

    @pytest.mark.parametrize("reference", ["0123456789ab", "x", "..%2f..%2fetc", "%00"])
    def test_an_unknown_one_is_not_found(self, client: httpx.Client, reference: str) -> None:
        assert error_of(client.get(f"/v1/originals/{reference}")) == (404, "not_found")

    @pytest.mark.parametrize("on_disk", [False, True])
    def test_each_tenant_sees_its_own(self, *, on_disk: bool, tmp_path: Path) -> None:
        keys = ApiKeys(["a:key-of-a-1", "a:key-of-a-2", "b:key-of-b-1"])
        originals = TenantOriginals(tmp_path if on_disk else None)
        compressor = ContextCompressor(KeywordScorer())
        with serving(compressor, api_keys=keys, originals=originals) as url:
            asked = asked_for(keep_originals=True)
            reply = httpx.post(f"{url}/v1/compress", json=asked, headers=bearer("key-of-a-1"))
            address = f"{url}/v1/originals/{reply.json()['documents'][0]['reference']}"
            statuses = {
                key: httpx.get(address, headers=bearer(key)).status_code
                for key in ("key-of-a-1", "key-of-a-2", "key-of-b-1")
            }
        assert statuses == {"key-of-a-1": 200, "key-of-a-2": 200, "key-of-b-1": 404}

    @pytest.mark.parametrize("fails_to", ["open", "put"])
    def test_a_store_that_fails_leaves_texts_whole(self, fails_to: str) -> None:
        class Failing(InMemoryOriginals):
            def put(self, text: str) -> str:
                raise OSError(text)

        def store(tenant: str) -> OriginalStore:
            if fails_to == "open":
                raise OSError(tenant)
            return Failing()

        with serving(ContextCompressor(KeywordScorer()), originals=store) as url:
            reply = httpx.post(f"{url}/v1/compress", json=asked_for(keep_originals=True))
        assert reply.status_code == 200
        [found] = reply.json()["documents"]
        assert (found["text"], found["skipped_because"]) == (TEXT, "failed")
        assert (found["reference"], found["kept"]) == (None, [[0, len(TEXT)]])

    def test_a_service_without_a_store_says_so(self) -> None:
        with serving(ContextCompressor(KeywordScorer())) as url:
            reply = httpx.post(f"{url}/v1/compress", json=asked_for(keep_originals=True))
        assert error_of(reply) == (422, "originals_not_kept")


class TestMessages:
    ROWS: tuple[dict[str, Any], ...] = (
        {"role": "system", "content": "Be brief.", "x_unknown": {"a": [1, None]}},
        {"role": "user", "content": [{"type": "text", "text": QUERY}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "read", "arguments": '{"path": "a.txt"}'},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}],
        },
    )

    def compressed(self, client: httpx.Client, rows: Sequence[Any], **more: Any) -> dict[str, Any]:
        asked = {"messages": list(rows), "budget": BUDGET, "min_tokens": 0, **more}
        reply = client.post("/v1/compress", json=asked)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def test_only_tool_results_change(self, client: httpx.Client) -> None:
        found = self.compressed(client, self.ROWS)
        assert found["messages"][:3] == list(self.ROWS[:3])
        row = found["messages"][3]
        [block] = row["content"]
        assert "four hundred ducats" in block["text"]
        assert len(block["text"]) < len(TEXT)
        assert block["cache_control"] == {"type": "ephemeral"}
        assert row["tool_call_id"] == "c1"
        [counts] = found["results"]
        assert counts["index"] == 3
        assert counts["query_sources"] == ["user_message", "tool_call"]
        assert counts["kept_tokens"] <= 24 < counts["original_tokens"]

    def test_a_later_turn_shows_the_same(self, client: httpx.Client) -> None:
        later = [*self.ROWS, {"role": "assistant", "content": "400."}, {"role": "user"}]
        later[-1] = {"role": "user", "content": "What did the dog bark at?"}
        now, then = (self.compressed(client, rows) for rows in (self.ROWS, later))
        assert then["messages"][:4] == now["messages"]

    def test_excluded_and_short_results_stay(self, client: httpx.Client) -> None:
        for more, reason in (
            ({"exclude_tools": ["re*"]}, "excluded_tool"),
            ({"min_tokens": 500}, "too_small"),
        ):
            found = self.compressed(client, self.ROWS, **more)
            assert found["messages"] == list(self.ROWS)
            assert found["results"][0]["skipped_because"] == reason

    def test_the_agent_gets_a_tool_for_originals(self, client: httpx.Client) -> None:
        tools = [{"type": "function", "function": {"name": "read"}}]
        found = self.compressed(client, self.ROWS, tools=tools, keep_originals=True)
        assert found["tools"][0] == tools[0]
        assert found["tools"][1]["function"]["name"] == "recall_original"
        [reference] = found["results"][0]["references"]
        assert reference in found["messages"][3]["content"][0]["text"]
        assert client.get(f"/v1/originals/{reference}").json()["text"] == TEXT
        again = self.compressed(client, self.ROWS, tools=found["tools"], keep_originals=True)
        assert again["tools"] == found["tools"]
        without = self.compressed(client, self.ROWS, tools=tools)
        assert without["tools"] == tools
        assert without["results"][0]["references"] == []


class TestScore:
    def test_scores_are_the_scorers(self, client: httpx.Client) -> None:
        spans = [[[0, 23], [24, 49]], []]
        asked = {"query": QUERY, "texts": [TEXT, "x"], "spans": spans}
        reply = client.post("/v1/score", json=asked)
        own = [[Span(*one) for one in of_text] for of_text in spans]
        expected = KeywordScorer().score_spans(QUERY, [TEXT, "x"], own)
        assert reply.json() == {"scores": expected}

    @pytest.mark.parametrize(
        "spans", [[], [[[0, 9_999]]], [[[3, 2]]], [[[-1, 2]]], [[[4, 5], [1, 2]]], [[[0]]]]
    )
    def test_wrong_spans_are_refused(self, client: httpx.Client, spans: Any) -> None:
        reply = client.post("/v1/score", json={"texts": [TEXT], "spans": spans})
        assert error_of(reply) == (422, "invalid_request")

    def test_tokens_are_the_scorers(self, client: httpx.Client) -> None:
        reply = client.post("/v1/tokens", json={"texts": [*SENTENCES, ""]})
        assert reply.json() == {"tokens": [*KeywordScorer().count_tokens(SENTENCES), 0]}


QUOTED = "a secret of the caller"
MALFORMED: list[tuple[bytes, int]] = [
    (b"", 422),
    (b"{", 400),
    (b'{"documents": ' + b"[" * 9_000, 400),
    (b'{"documents": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", 400),
    (b"\xff\xfe\x00", 400),
    (b"null", 422),
    (b"[1, 2]", 422),
    (b'"text"', 422),
    (b'{"a": 1' + b"0" * 5_000 + b"}", 400),
    (b'{"budget": {"keep_fraction": NaN}, "documents": []}', 400),
    (b'{"budget": {"keep_fraction": 1e999}, "documents": []}', 422),
    (b'{"budget": {"keep_fraction": Infinity}, "documents": []}', 400),
    (b'{"budget": {"max_tokens": 5}, "messages": [{"role": "user", "x": NaN}]}', 400),
    (b'{"budget": {"max_tokens": 5}, "messages": [{"role": "user", "x": -Infinity}]}', 400),
    (b'{"budget": {"max_tokens": 5}, "documents": [{"text": "\xed\xa0\x80"}]}', 400),
    (b'{"budget": {"max_tokens": 5}, "documents": [{"text": "\xff"}]}', 400),
    ('{"budget": {"max_tokens": 5}, "documents": []}'.encode("utf-16"), 400),
    ('{"budget": {"max_tokens": 5}, "documents": []}'.encode("utf-32-le"), 400),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "a secret of the caller": 1}', 422),
    (b'{"budget": {"max_tokens": 5, "a secret of the caller": 1}, "documents": []}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "query_from": "tool_call"}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "min_tokens": 500}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "exclude_tools": []}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "tools": null}', 422),
    (b'{"budget": {"keep_fraction": 2}, "documents": []}', 422),
    (b'{"budget": {}, "documents": []}', 422),
    (b'{"budget": {"max_tokens": 5}}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "messages": []}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [{"text": "\\ud800"}]}', 400),
    (b'{"budget": {"max_tokens": 5}, "documents": [{"text": 7}]}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [{"text": "a", "kind": "x"}]}', 422),
    (b'{"budget": {"target_recall": 0.9}, "documents": []}', 422),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "\\ud800": "a secret of the caller"}', 400),
    (b'{"budget": {"max_tokens": 5}, "documents": [], "\\ud83d\\ude00": "a"}', 422),
    (b'{"budget": {"max_tokens": "a secret of the caller"}, "documents": []}', 422),
]


class TestBadInput:
    @pytest.mark.parametrize(("body", "status"), MALFORMED, ids=range(len(MALFORMED)))
    def test_malformed_input_is_refused_and_not_repeated(
        self, client: httpx.Client, body: bytes, status: int
    ) -> None:
        headers = {"Content-Type": "application/json"}
        reply = client.post("/v1/compress", content=body, headers=headers)
        found, code = error_of(reply)
        assert found == status
        assert code == {400: "malformed_request", 422: "invalid_request"}[status]
        assert QUOTED not in reply.text
        assert client.get("/healthz").status_code == 200

    def test_a_wrong_field_is_named(self, client: httpx.Client) -> None:
        reply = client.post("/v1/compress", json=asked_for(documents=[{"text": 7}]))
        [detail] = reply.json()["error"]["details"]
        assert detail["field"] == "documents.0.text"

    @pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "application/jsonx"])
    def test_another_content_type_is_refused(self, client: httpx.Client, kind: str) -> None:
        reply = client.post("/v1/compress", content=b"{}", headers={"Content-Type": kind})
        assert error_of(reply) == (415, "unsupported_media_type")

    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            ("/v1/compress", asked_for(documents=[{"text": "a"}] * 4)),
            ("/v1/compress", asked_for(query="a" * 101)),
            ("/v1/compress", asked_for(documents=[{"text": TEXT * 10}])),
            (
                "/v1/compress",
                {"messages": [{"role": "tool", "content": "a"}] * 21, "budget": BUDGET},
            ),
            ("/v1/compress", {"messages": [], "tools": [{}] * 21, "budget": BUDGET}),
            ("/v1/tokens", {"texts": ["a"] * 101}),
            ("/v1/score", {"texts": [TEXT], "spans": [[[0, 1]] * 101]}),
            ("/v1/tokens", {"texts": ["a" * 20_001]}),
        ],
    )
    def test_what_exceeds_a_limit_is_refused(
        self, client: httpx.Client, path: str, asked: dict[str, Any]
    ) -> None:
        assert error_of(client.post(path, json=asked)) == (413, "limit_exceeded")

    @pytest.mark.parametrize("limit", fields(ServiceLimits), ids=lambda limit: limit.name)
    def test_the_page_has_each_limit_with_its_default(self, limit: Any) -> None:
        page = (Path(__file__).parents[3] / "docs" / "serving.md").read_text("utf-8")
        assert re.search(rf"^\| `{limit.name}`[^|]* \| {limit.default:,.0f} \|", page, re.MULTILINE)

    def test_a_body_without_a_length_is_limited_too(self, client: httpx.Client) -> None:
        parts = (b" " * 1_000 for _ in range(21))
        headers = {"Content-Type": "application/json"}
        reply = client.post("/v1/compress", content=parts, headers=headers)
        assert error_of(reply) == (413, "limit_exceeded")

    def test_a_body_that_does_not_arrive_is_given_up(self, client: httpx.Client) -> None:
        with closing(socket.create_connection((client.base_url.host, client.base_url.port))) as one:
            one.settimeout(10)
            one.sendall(
                b"POST /v1/compress HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            assert one.recv(12) == b"HTTP/1.1 408"

    @pytest.mark.parametrize(
        "sent",
        [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow", b"GET /healthz HTTP/1.1\r\n\r\nG"],
    )
    def test_headers_that_do_not_arrive_are_given_up(
        self, client: httpx.Client, sent: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(TimedProtocol, "header_seconds", 0.3)
        with closing(socket.create_connection((client.base_url.host, client.base_url.port))) as one:
            one.settimeout(10)
            one.sendall(sent)
            while one.recv(4096):
                pass

    def test_connections_that_ask_nothing_are_in_nobodys_way(self, client: httpx.Client) -> None:
        address = client.base_url.host, client.base_url.port
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(closing(socket.create_connection(address)))
            assert client.post("/v1/compress", json=asked_for()).status_code == 200

    def test_other_paths_and_methods(self, client: httpx.Client) -> None:
        assert error_of(client.get("/nothing")) == (404, "not_found")
        assert error_of(client.get("/v1/compress")) == (405, "method_not_allowed")

    @pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", ""])
    def test_a_deadline_is_a_number_above_zero(self, client: httpx.Client, seconds: str) -> None:
        headers = {"X-Deadline-Seconds": seconds}
        reply = client.post("/v1/compress", json=asked_for(), headers=headers)
        assert error_of(reply) == (400, "malformed_request")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestKeys:
    def test_a_call_needs_a_valid_key(self) -> None:
        compressor = ContextCompressor(KeywordScorer())
        with serving(compressor, api_keys=ApiKeys(["a-valid-key"])) as url:
            for headers in ({}, bearer("another-key"), {"Authorization": "Basic a-valid-key"}):
                reply = httpx.post(f"{url}/v1/compress", content=b"{", headers=headers)
                assert error_of(reply) == (401, "unauthorized")  # before the body is looked at
            good = httpx.post(f"{url}/v1/compress", json=asked_for(), headers=bearer("a-valid-key"))
            assert good.status_code == 200
            for path in ("healthz", "readyz", "metrics"):
                assert httpx.get(f"{url}/{path}").status_code == 200

    def test_keys_change_without_a_restart(self, tmp_path: Path) -> None:
        now = [0.0]
        file = tmp_path / "keys"
        file.write_text("# keys\na:former-key\n")
        keys = ApiKeys(["b:a-fixed-key"], file=file, clock=lambda: now[0])
        assert keys.tenant_of("former-key") == "a"
        file.write_text("a:newer-key # the new one\n")
        now[0] = 2
        found = [keys.tenant_of(key) for key in ("former-key", "newer-key", "a-fixed-key")]
        assert found == [None, "a", "b"]
        for number, bad in enumerate(("", "short", "# nothing")):
            file.write_text(bad)
            now[0] += 2 + number
            assert keys.tenant_of("newer-key") == "a"

    def test_a_key_is_what_stands_there(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text("# keys\n  # more\na : key-#1-with # a comment\nb:second-key#\t# x\n")
        keys = ApiKeys([" c : third-key "], file=file)
        found = [keys.tenant_of(key) for key in ("key-#1-with", "second-key#", "third-key")]
        assert found == ["a", "b", "c"]

    def test_a_key_belongs_to_one_tenant(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text("a:a-valid-key\nb:a-valid-key\n")
        for given, path in ((["a:a-valid-key", "a-valid-key"], None), ([], file)):
            with pytest.raises(ValueError, match="twice"):
                ApiKeys(given, file=path)
        file.write_text("a:a-valid-key\n")
        with pytest.raises(ValueError, match="twice"):
            ApiKeys(["b:a-valid-key"], file=file)

    @pytest.mark.parametrize("prefix", ["/larger", "/a/b"])
    @pytest.mark.parametrize("is_mounted", [True, False])
    def test_open_paths_are_open_under_a_prefix(self, prefix: str, *, is_mounted: bool) -> None:
        app = build_app(ContextCompressor(KeywordScorer()), api_keys=ApiKeys(["a-valid-key"]))
        if is_mounted:
            outer = FastAPI()
            outer.mount(prefix, app)
            client = TestClient(outer)
        else:
            client = TestClient(app, root_path=prefix)
        at = prefix if is_mounted else ""
        for path in ("healthz", "readyz", "metrics"):
            assert client.get(f"{at}/{path}").status_code == 200
        assert client.post(f"{at}/v1/tokens", json={"texts": []}).status_code == 401
        assert client.get(f"{at}/healthz/metrics").status_code == 401

    @pytest.mark.parametrize("keys", [[], ["short"], ["tenant:short"], ["tenant:  short  "]])
    def test_unsafe_keys_are_refused(self, keys: list[str]) -> None:
        with pytest.raises(ValueError, match="key"):
            ApiKeys(keys)


class TestLoad:
    def test_a_deadline_passes_the_text_through(self) -> None:
        scorer = Waiting()
        with serving(ContextCompressor(scorer)) as url:
            headers = {"X-Deadline-Seconds": "0.2"}
            reply = httpx.post(f"{url}/v1/compress", json=asked_for(), headers=headers)
            asked = {"texts": [TEXT], "spans": [[[0, 9]]]}
            late = httpx.post(f"{url}/v1/score", json=asked, headers=headers)
            scorer.may_go_on.set()
        [found] = reply.json()["documents"]
        assert (found["text"], found["skipped_because"]) == (TEXT, "deadline_exceeded")
        assert error_of(late) == (504, "deadline_exceeded")

    @pytest.mark.parametrize(
        ("limits", "status", "code"),
        [
            (ServiceLimits(max_calls=1), 503, "overloaded"),
            (ServiceLimits(max_calls_per_tenant=1), 429, "too_many_calls"),
        ],
    )
    def test_too_many_calls_are_asked_to_come_back(
        self, limits: ServiceLimits, status: int, code: str
    ) -> None:
        scorer = Waiting()
        with serving(ContextCompressor(scorer), limits=limits) as url:
            replies: list[httpx.Response] = []

            def call() -> None:
                replies.append(httpx.post(f"{url}/v1/compress", json=asked_for(), timeout=20))

            first = threading.Thread(target=call)
            first.start()
            assert scorer.entered.wait(10)
            refused = httpx.post(f"{url}/v1/compress", json=asked_for())
            assert httpx.get(f"{url}/healthz").status_code == 200
            scorer.may_go_on.set()
            first.join()
            again = httpx.post(f"{url}/v1/compress", json=asked_for())
        assert error_of(refused) == (status, code)
        assert refused.headers["Retry-After"] == "1"
        assert [one.status_code for one in (*replies, again)] == [200, 200]

    def test_bytes_of_all_calls_are_limited(self) -> None:
        scorer = Waiting()
        limits = ServiceLimits(max_body_bytes=4_000, max_bytes_in_flight=4_000)
        asked = asked_for(documents=[{"text": TEXT}], query="a" * 2_000)
        with serving(ContextCompressor(scorer), limits=limits) as url, ThreadPoolExecutor() as pool:
            first = pool.submit(httpx.post, f"{url}/v1/compress", json=asked, timeout=20)
            assert scorer.entered.wait(10)
            refused = httpx.post(f"{url}/v1/compress", json=asked)
            scorer.may_go_on.set()
            assert first.result().status_code == 200
            again = httpx.post(f"{url}/v1/compress", json=asked)
        assert error_of(refused) == (503, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        assert again.status_code == 200

    def test_the_call_of_a_caller_who_is_gone_ends(self) -> None:
        scorer = Waiting()
        with serving(ContextCompressor(scorer), limits=ServiceLimits(max_calls=1)) as url:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}/v1/compress", json=asked_for(), timeout=0.3)
            ends_at = time.monotonic() + 10
            while True:
                reply = httpx.get(f"{url}/v1/scorer")
                if reply.status_code == 200 or time.monotonic() > ends_at:
                    break
                time.sleep(0.02)
            scorer.may_go_on.set()
        assert reply.status_code == 200


class TestOperation:
    def test_readiness_asks_the_engine(self) -> None:
        class Broken(Waiting):
            def score_spans(self, *_: object) -> list[list[float]]:
                raise OSError(QUOTED)

        with serving(ContextCompressor(Broken())) as url:
            ready = httpx.get(f"{url}/readyz")
            score = httpx.post(f"{url}/v1/score", json={"texts": ["a"], "spans": [[[0, 1]]]})
        assert ready.status_code == 503
        assert ready.json() == {"status": "not ready", "reason": "OSError"}
        assert error_of(score) == (500, "internal_error")
        assert QUOTED not in ready.text + score.text

    def test_metrics_count_what_was_done(self) -> None:
        with serving(ContextCompressor(KeywordScorer())) as url:
            httpx.post(f"{url}/v1/compress", json=asked_for())
            httpx.get(f"{url}/{QUOTED}")
            shown = httpx.get(f"{url}/metrics").text
        lines = shown.splitlines()
        assert "specprefill_calls_total 1.0" in lines
        assert "specprefill_compressed_total 1.0" in lines
        assert 'specprefill_http_calls_total{route="/v1/compress",status="200"} 1.0' in lines
        assert 'specprefill_http_calls_total{route="unmatched",status="404"} 1.0' in lines
        assert "specprefill_engine_calls_total 1.0" in lines
        assert "specprefill_engine_waiting 0.0" in lines

    def test_prometheus_reads_what_the_metrics_count(self) -> None:
        counted = CompressionMetrics()
        counted.record(tokens_before=100, tokens_after=20, draft_seconds=0.5)
        counted.record(tokens_before=7, tokens_after=7, skipped_because="too_small")
        counted.record(skipped_because="deadline_exceeded")
        counted.record(language_warnings=["text_unknown_to_draft"])
        with serving(ContextCompressor(KeywordScorer()), metrics=counted) as url:
            shown = httpx.get(f"{url}/metrics").text
        lines = [line for line in shown.splitlines() if "http" not in line and "engine" not in line]
        assert [line for line in lines if line.startswith("specprefill_")] == [
            "specprefill_calls_total 4.0",
            "specprefill_compressed_total 2.0",
            "specprefill_tokens_before_total 107.0",
            "specprefill_tokens_after_total 27.0",
            "specprefill_draft_seconds_total 0.5",
            "specprefill_failures_total 1.0",
            "specprefill_deadline_misses_total 1.0",
            'specprefill_skips_total{reason="deadline_exceeded"} 1.0',
            'specprefill_skips_total{reason="too_small"} 1.0',
            'specprefill_language_warnings_total{warning="text_unknown_to_draft"} 1.0',
        ]

    def test_refused_calls_are_counted_under_their_route(self) -> None:
        keys = ApiKeys(["a-valid-key"])
        limits = ServiceLimits(max_body_bytes=9)
        with serving(ContextCompressor(KeywordScorer()), api_keys=keys, limits=limits) as url:
            httpx.post(f"{url}/v1/compress", json=asked_for())
            httpx.post(f"{url}/v1/score", json=asked_for(), headers=bearer("a-valid-key"))
            httpx.get(f"{url}/v1/originals/{QUOTED}")
            shown = httpx.get(f"{url}/metrics").text
        for route, status in (
            ("/v1/compress", 401),
            ("/v1/score", 413),
            ("/v1/originals/{reference}", 401),
        ):
            assert f'http_calls_total{{route="{route}",status="{status}"}} 1.0' in shown
        assert "unmatched" not in shown

    def test_a_request_id_is_taken_over_if_it_is_harmless(self, client: httpx.Client) -> None:
        for given, is_taken in (("abc-1.2_3", True), ("a b", False), ("a" * 65, False)):
            reply = client.get("/healthz", headers={"X-Request-ID": given})
            assert (reply.headers["X-Request-ID"] == given) == is_taken

    def test_no_text_is_logged(
        self, client: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "specprefill_integrations")
        asked = asked_for(query=QUOTED, documents=[{"text": f"{QUOTED}. {TEXT}"}])
        for wrong in ({}, {"budget": QUOTED}):
            client.post("/v1/compress", json={**asked, **wrong})
            client.get(f"/v1/originals/{QUOTED}")
        assert "/v1/compress 200" in caplog.text
        assert "/v1/compress 422" in caplog.text
        assert QUOTED not in caplog.text

    @pytest.mark.parametrize("path", ["v1/compress", "v1/score"])
    @pytest.mark.parametrize("is_document", [True, False])
    def test_no_message_of_an_error_is_logged(
        self, caplog: pytest.LogCaptureFixture, path: str, *, is_document: bool
    ) -> None:
        class Quoting(Waiting):
            def score_spans(self, query: str | None, texts: Sequence[str], *_: Any) -> Any:
                raise OSError(query, *texts)

        caplog.set_level(logging.DEBUG, "specprefill_integrations")
        text = f"{QUOTED}. {TEXT}"
        content = {"documents": [{"text": text}]}
        if not is_document:
            content = {"messages": [{"role": "tool", "content": text}], "min_tokens": 0}
        asked = {**content, "query": QUOTED, "budget": BUDGET}
        if path == "v1/score":
            asked = {"texts": [text], "spans": [[[0, 1]]]}
        with serving(ContextCompressor(Quoting())) as url:
            httpx.post(f"{url}/{path}", json=asked)
        assert "OSError" in caplog.text
        assert QUOTED not in caplog.text

    def test_the_contract_is_published(self, client: httpx.Client) -> None:
        described = client.get("/openapi.json").json()
        assert set(described["paths"]) >= {
            "/v1/compress",
            "/v1/originals/{reference}",
            "/v1/score",
            "/v1/scorer",
            "/v1/tokens",
        }
        assert json.dumps(described).count("ProblemAnswer") > 5


class TestUnits:
    def test_they_are_given_with_their_scores_if_asked_for(self, client: httpx.Client) -> None:
        text = " ".join(SENTENCES)
        asked = {"documents": [{"text": text}], "query": QUERY, "budget": BUDGET}
        [plain] = client.post("/v1/compress", json=asked).json()["documents"]
        [found] = client.post("/v1/compress", json=asked | {"with_units": True}).json()["documents"]
        units = found.pop("units")
        assert found == plain
        assert [text[start:end].strip() for start, end, _ in units] == SENTENCES
        spans = [[Span(start, end) for start, end, _ in units]]
        [scores] = KeywordScorer().score_spans(QUERY, [text], spans)
        assert [score for _, _, score in units] == scores

    def test_a_text_that_fits_has_none(self, client: httpx.Client) -> None:
        asked = {"documents": [{"text": "Short."}], "budget": BUDGET, "with_units": True}
        [found] = client.post("/v1/compress", json=asked).json()["documents"]
        assert (found["skipped_because"], found["units"]) == ("within_budget", [])

    def test_calls_with_units_are_counted_as_others(self) -> None:
        compressor, metrics = ContextCompressor(KeywordScorer()), CompressionMetrics()
        asked = {"documents": [{"text": "Short."}], "budget": BUDGET}
        with serving(compressor, metrics=metrics) as url:
            for with_units in (False, True):
                httpx.post(f"{url}/v1/compress", json=asked | {"with_units": with_units})
        assert metrics.totals().skips == {"within_budget": 2}
        assert compressor.skip_counts == {}

    def test_they_belong_to_documents(self, client: httpx.Client) -> None:
        asked = {"messages": [], "budget": BUDGET, "with_units": True}
        assert client.post("/v1/compress", json=asked).status_code == 422
