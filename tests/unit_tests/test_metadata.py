"""The metadata of compressed texts: one shape, told from what an app keeps under the same key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specprefill_integrations import Compression, Span
from specprefill_integrations._metadata import key_in, metadata_of, own_metadata
from specprefill_integrations.tool_results import Outcome

OURS = metadata_of(original_tokens=9, kept_tokens=3, kept=[Span(0, 4)])
FOREIGN: list[Any] = [
    None,
    7,
    "mine",
    "{not JSON",
    "{}",
    {},
    {"kept": [[0, 4]]},
    [OURS],
    "{" * 9999,
]


def test_it_has_one_shape() -> None:
    compression = Compression(
        text="a", kept=(Span(0, 4),), original_tokens=9, kept_tokens=3, elapsed_seconds=0
    )
    assert compression.as_metadata() == OURS
    assert Outcome(original_tokens=9).as_metadata().keys() == OURS.keys()
    assert json.loads(json.dumps(OURS)) == OURS


@pytest.mark.parametrize("value", [OURS, json.dumps(OURS)])
def test_ours_is_found_and_written_over(value: object) -> None:
    assert own_metadata({"source": "a", "specprefill": value}) == OURS
    assert key_in({"specprefill": value}) == "specprefill"


@pytest.mark.parametrize("foreign", FOREIGN, ids=range(len(FOREIGN)))
def test_what_an_app_keeps_under_our_key_stays(foreign: object) -> None:
    metadata = {"specprefill": foreign}
    assert own_metadata(metadata) is None
    metadata[key_in(metadata)] = OURS
    assert metadata == {"specprefill": foreign, "specprefill_": OURS}
    assert own_metadata(metadata) == OURS
    assert key_in(metadata) == "specprefill_"
