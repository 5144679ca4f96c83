"""Answers of HTTP servers: headers, and a body of its own kind."""

from __future__ import annotations

import json

import pytest

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.splitting._by_kind import SplitByKind
from specprefill_integrations.splitting._output._http import body_start
from specprefill_integrations.testing import KeywordScorer

PLAIN = (
    "HTTP/1.1 301 Moved Permanently\r\nLocation: /x\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 28 Nov 2026\r\n\r\n"
)
VERBOSE = (
    "*   Trying 10.0.0.1:443...\n* Connected to example.org (10.0.0.1) port 443\n"
    "> GET /x HTTP/1.1\n> Host: example.org\n> \n< HTTP/1.1 200 OK\n< Server: x\n< \n"
)
ITEMS = json.dumps({"items": [{"id": i, "name": f"door {i}"} for i in range(40)]}, indent=1)
PAGE = (
    "<html><body><h1>Doors</h1>"
    + "".join(f"<h2>Hall {i}</h2><p>Door {i} is open. It is {i} high.</p>\n" for i in range(20))
    + "</body></html>"
)
COMPRESSOR = ContextCompressor(KeywordScorer(), on_error="raise")


@pytest.mark.parametrize("head", [PLAIN, VERBOSE])
@pytest.mark.parametrize("body", [ITEMS, PAGE, "door 1\n\ndoor 2", ""])
def test_the_body_starts_after_the_last_headers(head: str, body: str) -> None:
    assert body_start(head + body) == len(head)
    assert SplitByKind().kind(head + body) == "lines"


@pytest.mark.parametrize("head", [PLAIN, VERBOSE])
def test_a_body_of_json_stays_valid(head: str) -> None:
    kept = COMPRESSOR.compress(head + ITEMS, "Which is door 17?", budget=Budget(keep_fraction=0.5))
    assert kept.text.startswith(head[:6]) or "omitted" in kept.text.partition("{")[0]
    items = json.loads(kept.text[kept.text.index("{\n") :])["items"]
    assert {"id": 17, "name": "door 17"} in items
    assert len(items) < 40
    assert "200 OK" in kept.text


@pytest.mark.parametrize("head", [PLAIN, VERBOSE])
def test_a_body_of_html_brings_its_headings(head: str) -> None:
    text = head + PAGE
    units = SplitByKind().for_text(text).splitter.split(text)
    [door] = [i for i, part in enumerate(units.parts) if "Door 17 is open" in part]
    needs = units.splitter.links(text, units.units, units.parsed)[door]
    assert any("Hall 17" in units.parts[index] for index in needs)


def test_parts_are_the_bytes_of_the_text() -> None:
    text = PLAIN + PAGE
    result = COMPRESSOR.compress(text, "How high is door 3?", budget=Budget(max_tokens=90))
    assert result.kept_tokens <= 90
    for start, end in result.kept:
        assert text[start:end].strip() in result.text
