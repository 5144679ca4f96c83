"""Law of masking: a secret in a usual place is in no written file; all else is unchanged."""

from __future__ import annotations

import json
import shlex
import string
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations.evaluation import open_run_log
from specprefill_integrations.observability._case_file import CaseFile
from specprefill_integrations.observability._masking import (
    masked,
    masked_command,
    masked_text,
    masked_texts,
)
from tests.laws.texts import texts

ROOT = Path(__file__).parents[2]

LETTERS = string.ascii_letters + string.digits
random_parts = st.text(LETTERS, min_size=16, max_size=40).filter(
    lambda text: any(map(str.isdigit, text)) and any(map(str.isalpha, text))
)

SHAPES = {
    "openai": "sk-proj-{}",
    "of many servers": "sk-a1{}",
    "anthropic": "sk-ant-api03-{}",
    "github": "ghp_{0}{0}",
    "slack": "xoxb-{}",
    "hugging face": "hf_a1{0}{0}",
    "jwt": "eyJ{0}.eyJ{0}.{0}",
    "private key": "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
}

TEXTS = [
    "Authorization: Bearer {}",
    "authorization: Token {}",
    "Cookie: theme=dark; session={}; a=b",
    "X-Api-Key: {}",
    'curl -H "Authorization: Bearer {}" https://host/',
    "curl -H 'Cookie: id={}'",
    "a call with --token {} or --api-key={}",
    "API_KEY={} OTHER=1 python app.py",
    "export HF_TOKEN='{}'",
    '{{"apiKey": "{}", "note": 1}}',
    "client_secret: {}",
    "see https://me:{}@host/a and https://{}@host",
    "postgres://app:{}@db:5432/app",
    "https://host/a?sig={}&se=2",
    "https://host/a?X-Amz-Credential=a&X-Amz-Signature={}#top",
    "https://host/#access_token={}&state=1",
    "[a page](https://host/a?api%5Fkey={})",
    "GET /a?v=1&access_token={} 200",
    "failed: bearer {} is expired",
    "curl -u bob:{} https://host/",
    "/usr/bin/curl -sS \\\n  --user 'bob:{} and more' https://host/",
    "curl --proxy-user=bob:{}",
    "run(['curl', '-U', 'bob:{}', 'https://host/'])",
    '{{"command": "curl -ubob:{} https://host/"}}',
    '{{"command": "curl -u \\"bob:{}\\" https://host/"}}',
    "mysql -h host -u root -p{} app < dump.sql",
    "mysqldump --all -p '{}' app; ls",
    "sshpass -p {} ssh -p 2222 host",
    "call(['mysql', '-p{}'])",
    "[('x-api-key','{}')]",
    "[(b'X-Auth-Token', b'{}')]",
    '"x-api-key": "{}"',
    "{{'Authorization': 'Basic {}'}}",
    "('Authorization', 'Token {}')",
]

SETTINGS: list[Any] = [
    {"api_key": "{}"},
    {"openai_api_key": ["{}", "{}"]},
    {"default_headers": {"Authorization": "Bearer {}", "X-Api-Key": "{}", "Cookie": "a={}"}},
    {"headers": [["Authorization", "{}"], ["Accept", "json"]]},
    {"headers": [{"name": "X-Auth-Token", "value": "{}"}]},
    {"headers": ["X-Api-Key: {}"]},
    {"a": [{"b": {"clientSecret": {"value": "{}"}}}]},
    {"base_url": "https://host/v1?sig={}"},
    {"tuple": ("https://{}@host", {"password": "{}"})},
]

COMMANDS = [
    ["--token", "{}"],
    ["--api-key={}"],
    ["-H", "Authorization: {}"],
    ["API_KEY={}"],
    ["--model-options", '{{"api_key": "{}"}}'],
    ["--base-url=https://host/v1?key={}"],
    ["curl", "-u", "bob:{}"],
    ["/usr/bin/curl", "-sSu", "bob:{}"],
    ["curl", "--user=bob:{} and more"],
    ["curl", "--proxy-user", "bob:{}"],
    ["mysql", "-p{}"],
    ["mysqldump", "-u", "root", "-p", "{}"],
    ["sshpass", "-p", "{}", "ssh", "-p", "22"],
    ["bash", "-c", "curl -u bob:{} https://host/"],
]


def filled(value: Any, secret: str) -> Any:
    """Return a value with the secret in every text."""
    if isinstance(value, dict):
        return {name: filled(inner, secret) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(inner, secret) for inner in value)
    return value.replace("{}", secret).replace("{{", "{").replace("}}", "}")


@settings(max_examples=30)
@given(secret=random_parts, before=texts, after=texts)
@pytest.mark.parametrize("place", TEXTS)
def test_no_text_tells_a_secret(place, secret, before, after) -> None:
    assert secret not in masked_text(filled(place, secret))
    around = f"{before}\n{place}\n{after}".replace(secret, "")
    assert secret not in masked_text(filled(around, secret))


@settings(max_examples=30)
@given(secret=random_parts, before=st.sampled_from(["", "key ", "(", '"', "The answer is: "]))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_text_tells_a_key_of_known_shape(shape, secret, before) -> None:
    assert secret not in masked_text(f"{before}{shape.format(secret)}. The end.")
    assert masked_text(f"{before}{shape.format(secret)}, the end").endswith(", the end")


@settings(max_examples=30)
@given(secret=st.text(LETTERS, min_size=6, max_size=30).map(lambda text: f"7{text}7"))
@pytest.mark.parametrize("place", SETTINGS, ids=str)
def test_no_setting_tells_a_secret(place, secret) -> None:
    assert secret not in json.dumps(masked(filled(place, secret)))


@settings(max_examples=30)
@given(secret=random_parts)
@pytest.mark.parametrize("words", COMMANDS, ids=str)
def test_no_command_tells_a_secret(words, secret) -> None:
    shown = masked_command(["specprefill", *filled(words, secret), "--keep", "0.1", "a.jsonl"])
    assert secret not in shlex.join(shown)
    assert shown[0] == "specprefill"
    assert shown[-3:] == ["--keep", "0.1", "a.jsonl"]


@settings(max_examples=20, deadline=None)
@given(secret=random_parts, place=st.sampled_from(TEXTS))
def test_no_log_and_no_recorded_case_tells_a_secret(tmp_path_factory, secret, place) -> None:
    folder = tmp_path_factory.mktemp("written")
    text = filled(place, secret)
    with open_run_log(folder / "log.jsonl", {"model": "m", "a": masked(text)}) as log:
        log.append({"key": "0f" * 20, "reply": text, "errors": [text], "tokens": 5})
    cases = CaseFile(folder / "cases.jsonl", None)
    assert cases.add({"id": "1", "query": "q", "texts": [text], "reply": text})
    for file in folder.iterdir():
        assert secret not in file.read_text()
        assert "***" in file.read_text()
    assert json.loads((folder / "log.jsonl").read_text().splitlines()[1])["key"] == "0f" * 20


plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "max_tokens", "id", "stop_token"]), inner)
    ),
    max_leaves=8,
)


@given(plain_values)
def test_all_else_is_unchanged(value) -> None:
    assert masked(value) == masked_texts(value) == value


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "specprefill_integrations").rglob("*.py")),
    ],
    ids=lambda path: path.name,
)
def test_prose_and_code_are_unchanged(path: Path) -> None:
    text = path.read_text("utf-8")
    assert masked_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "The password: it must have 8 characters.",
        "Authorization: required for everyone.",
        "token = tokens[i + 10]; key = base64[7]",
        "secret = get_secret_v2(name)",
        "scikit-learn and sk-learn-compatible-estimators",
        "Basic instructions, bearer certificates",
        'stop_token = "<|endoftext|>"',
        "a@b.example and https://host/a?page=2&sort=key#x",
        "commit 0fb1c2d3e4f5a6978899aabbccddeeff00112233",
        "docker run -u 1000:1000 -p 8080:80 image1234",
        "mkdir -p build2024/Output && ssh -p 2222 host",
        "psql -p 5432 -U app; mysql -P 3306 -u root && mkdir -p Build1",
        "Call mysql -p and type the password, or mysql -u root -p app.",
        'curl -u "$NAME:$PASSWORD" https://host/; curl -u name: https://host/',
        "curl --user <name>:<password> -H 'Accept: text/plain'",
        "sort -u one:two; libcurl -u one:two",
        'pairs = [("token", "text"), ("password", "a long word")]',
    ],
)
def test_ordinary_words_are_unchanged(text: str) -> None:
    assert masked_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("curl -u bob:hunter2pass https://host/", "curl -u *** https://host/"),
        ("mysql -pSecretPw123 app", "mysql -p*** app"),
        ("mysqldump -p SECRET app", "mysqldump -p *** app"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "{'Authorization': '***'}"),
        ("[('x-api-key','abcdef1234567890XYZ')]", "[('x-api-key','***')]"),
    ],
)
def test_only_the_secret_is_masked(text: str, shown: str) -> None:
    assert masked_text(text) == shown


def test_only_the_secret_of_a_command_is_masked() -> None:
    assert masked_command(["curl", "-u", "bob:letmein", "-o", "a:b"]) == [
        *("curl", "-u", "***", "-o", "a:b"),
    ]
    assert masked_command(["mysql", "-pletmein", "app"]) == ["mysql", "-p***", "app"]
    plain = ["docker", "run", "-u", "1000:1000", "-p", "80:80", "curl", "-u", "bob", "-s"]
    assert masked_command(plain) == plain


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ-",
        "a=",
        "--a ",
        "://",
        "sk-",
        "token=",
        "-----BEGIN PRIVATE KEY-----",
        "Cookie: a ",
        "?a",
        "curl -u ",
        "curl '",
        'curl "; ',
        "mysql -p",
        "mysql-",
        "curl -u a:b\\\n",
        "'token', '",
    ],
)
def test_time_grows_with_the_text(piece: str) -> None:
    def seconds(chars: int) -> float:
        text = piece * (chars // len(piece))
        started = time.process_time()
        for _ in range(3):
            masked_text(text)
        return time.process_time() - started

    seconds(1_000)
    assert seconds(100_000) < 8 * seconds(25_000) + 0.1
