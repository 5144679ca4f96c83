"""Chat models of both frameworks as targets: LangChain's over real HTTP, on this machine alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from llama_index.core.llms.mock import MockLLM

from specprefill_integrations.evaluation._targets import (
    LangChainTarget,
    LlamaIndexTarget,
    named_target,
)
from tests.unit_tests.evaluation.chat_server import ChatServer, serve_chat

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serve_chat(lambda prompt: f"You said {prompt}") as chat:
        yield chat


class TestServed:
    def test_it_streams_and_counts(
        self, server: ChatServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        target = named_target("tiny", base_url=server.url, options={"temperature": 0.5})
        answer = target.answer("one two")
        assert answer.text == "You said one two"
        assert (answer.input_tokens, answer.output_tokens) == (2, 4)
        assert answer.first_token_seconds is not None
        assert answer.first_token_seconds <= answer.total_seconds
        [asked] = server.requests
        assert (asked["model"], asked["temperature"], asked["stream"]) == ("tiny", 0.5, True)
        assert server.keys == ["Bearer none"]

    def test_the_key_is_the_environments(
        self, server: ChatServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        named_target("tiny", base_url=server.url).answer("one")
        assert server.keys == ["Bearer secret"]

    def test_what_is_set_by_default_can_be_set_otherwise(self, server: ChatServer) -> None:
        options = {"api_key": "mine", "stream_usage": False}
        answer = named_target("tiny", base_url=server.url, options=options).answer("one")
        assert answer.text == "You said one"
        assert server.keys == ["Bearer mine"]
        assert "stream_options" not in server.requests[0]

    def test_failures_are_raised_at_once(self, server: ChatServer) -> None:
        server.failures = [500]
        with pytest.raises(Exception, match="500") as raised:
            named_target("tiny", base_url=server.url).answer("one")
        assert raised.value.status_code == 500
        assert len(server.requests) == 1


def test_a_name_with_a_provider(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert named_target("openai:tiny").answer("one").text == "You said one"
    with pytest.raises(ValueError, match="provider"):
        named_target("nobody:knows")


def test_a_langchain_model_that_does_not_count() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("It is Ada.")]))
    answer = LangChainTarget(model).answer("Who?")
    assert answer.text == "It is Ada."
    assert (answer.input_tokens, answer.output_tokens) == (None, None)


def test_no_text_has_no_first_token() -> None:
    with serve_chat(lambda _: "") as server:
        answer = named_target("tiny", base_url=server.url).answer("Who?")
    assert (answer.text, answer.first_token_seconds) == ("", None)


def test_a_class_of_llama_index() -> None:
    target = named_target("llama_index.core.llms:MockLLM", options={"max_tokens": 3})
    answer = target.answer("one two")
    assert (answer.text, answer.input_tokens) == (
        MockLLM(max_tokens=3).complete("one two").text,
        None,
    )


def test_a_class_of_llama_index_that_retries_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class RetryingLLM(MockLLM):
        max_retries: int = 3

        def __init__(self, *, max_retries: int, max_tokens: int) -> None:
            super().__init__(max_tokens=max_tokens)
            self.max_retries = max_retries

    module = SimpleNamespace(RetryingLLM=RetryingLLM)
    monkeypatch.setitem(sys.modules, "llama_index.llms.retrying", module)
    target = named_target("llama_index.llms.retrying:RetryingLLM", options={"max_tokens": 3})
    assert isinstance(target, LlamaIndexTarget)
    assert isinstance(target.model, RetryingLLM)
    assert (target.model.max_retries, target.model.max_tokens) == (0, 3)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        (
            "llama_index.llms.nobody:LLM",
            ImportError,
            "the package is probably llama-index-llms-nobody",
        ),
        ("llama_index.core.llms", ValueError, "is not a LlamaIndex LLM class"),
        ("llama_index.core.llms:Nobody", ValueError, "is not a LlamaIndex LLM class"),
        ("llama_index.core.llms:ChatMessage", ValueError, "is not a LlamaIndex LLM class"),
    ],
)
def test_what_is_no_class_of_llama_index(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        named_target(name)


def test_a_class_of_llama_index_finds_its_server_by_itself() -> None:
    with pytest.raises(ValueError, match="address in `options`"):
        named_target("llama_index.core.llms:MockLLM", base_url="http://127.0.0.1:1/v1")


@pytest.mark.parametrize("max_tokens", [None, 2])
def test_a_llama_index_model(max_tokens: int | None) -> None:
    answer = LlamaIndexTarget(MockLLM(max_tokens=max_tokens)).answer("one two")
    expected = MockLLM(max_tokens=max_tokens).complete("one two").text
    assert answer.text == expected
    assert answer.first_token_seconds is not None
    assert answer.input_tokens is None
