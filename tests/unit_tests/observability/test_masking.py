"""What logs and pages do not tell: keys, and nothing else."""

from __future__ import annotations

import pytest

from specprefill_integrations.observability._masking import masked, masked_command, masked_text


def test_only_keys_are_masked() -> None:
    plain = {"temperature": 0, "max_tokens": 5, "stop": ["token"], "prompt_cache_key": "a"}
    assert masked(plain) == plain
    secret = {
        "api_key": "sk",
        "openai_api_key": "sk",
        "default_headers": {"Authorization": "Bearer sk", "X-Api-Key": "sk", "X-Title": "mine"},
        "servers": [{"password": "sk", "url": "https://me:sk@host"}],
        "token": None,
    }
    assert masked({**plain, **secret}) == {
        **plain,
        "api_key": "***",
        "openai_api_key": "***",
        "default_headers": {"Authorization": "***", "X-Api-Key": "***", "X-Title": "mine"},
        "servers": [{"password": "***", "url": "https://***@host"}],
        "token": None,
    }


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("https://me:sk@host:1/a@b?c=d", "https://***@host:1/a@b?c=d"),
        (
            "https://host/v1?api-key=sk&version=2&KEY=sk#x",
            "https://host/v1?api-key=***&version=2&KEY=***#x",
        ),
        ("me@host?key=1", "me@host?key=1"),
        (
            "https://host/a?sig=sk&v=1#access_token=sk",
            "https://host/a?sig=***&v=1#access_token=***",
        ),
        ("https://host/?X-Amz-Signature=ab", "https://host/?X-Amz-Signature=***"),
        ("https://bücher.example/?q=1", "https://bücher.example/?q=1"),
    ],
)
def test_addresses(address: str, told: str) -> None:
    assert masked_text(address) == told


def test_words_of_a_command_stay_as_they_were_typed_but_for_keys() -> None:
    typed = [
        "specprefill",
        "C:\\data\\a b.jsonl",
        "--keep=.1",
        '{"a":  1}',
        "{x",
        "--field",
        "query=a.b",
    ]
    assert masked_command(typed) == typed
    secret = [
        '--model-options={"a":  1, "api_key": "sk"}',
        "--base-url=https://sk@host",
        "https://sk@host",
    ]
    assert masked_command(secret) == [
        '--model-options={"a": 1, "api_key": "***"}',
        "--base-url=https://***@host",
        "https://***@host",
    ]
