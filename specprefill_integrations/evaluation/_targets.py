"""The chat model that a measurement is about, behind one small Protocol: prompt in, answer out.

Knows no cases and no prompts. LangChain and LlamaIndex are imported only where one is asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from specprefill_integrations.errors import MissingDependencyError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from llama_index.core.llms import LLM

_LLAMA_INDEX = "llama_index."

# What a server of one's own, which asks for no key, is given instead of one.
_NO_KEY = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a chat model made of a prompt."""

    text: str
    """All of it."""

    first_token_seconds: float | None
    """Until the first piece of text arrived; None where there was no text."""

    total_seconds: float
    """Until the last piece arrived."""

    input_tokens: int | None
    """Tokens of the prompt, as the model counts; None where it does not say."""

    output_tokens: int | None
    """Tokens of the answer, likewise."""


class ChatTarget(Protocol):
    """A chat model that many threads may ask at a time."""

    def answer(self, prompt: str) -> Answer:
        """Answer one message of a user; raises whatever the model raises."""
        ...


@dataclass(frozen=True, slots=True)
class LangChainTarget:
    """A chat model of LangChain."""

    model: BaseChatModel
    """Asked by `stream`, so that the first token is seen when it comes."""

    def answer(self, prompt: str) -> Answer:
        """See `ChatTarget.answer`."""
        clock = _StreamClock()
        input_tokens: int | None = None
        output_tokens: int | None = None
        for chunk in self.model.stream(prompt):
            clock.note(chunk.text)
            usage = getattr(chunk, "usage_metadata", None)
            if usage:  # the chunks of one stream add up
                input_tokens = (input_tokens or 0) + usage["input_tokens"]
                output_tokens = (output_tokens or 0) + usage["output_tokens"]
        return clock.answer(input_tokens, output_tokens)


@dataclass(frozen=True, slots=True)
class LlamaIndexTarget:
    """A language model of LlamaIndex; it does not say how many tokens it read."""

    model: LLM
    """Asked by `stream_complete`, so that the first token is seen when it comes."""

    def answer(self, prompt: str) -> Answer:
        """See `ChatTarget.answer`."""
        clock = _StreamClock()
        seen = ""
        for response in self.model.stream_complete(prompt):
            # Some models give each piece alone, some only the text so far.
            piece = response.delta
            clock.note(response.text[len(seen) :] if piece is None else piece)
            seen = response.text
        return clock.answer(None, None)


def named_target(
    model: str, *, base_url: str | None = None, options: Mapping[str, Any] | None = None
) -> ChatTarget:
    """The chat model of a name.

    Args:
        model: What `init_chat_model` of LangChain takes, such as `openai:gpt-5-mini`; with
            `base_url`, the name that the server knows it by; or a class of LlamaIndex, such as
            `llama_index.llms.ollama:Ollama`, which finds its server by itself.
        base_url: Where a server speaks OpenAI's protocol. Its key is read from the environment
            variable `OPENAI_API_KEY`; a server that needs none gets a placeholder.
        options: What the model's class takes besides, such as `temperature`.

    Raises:
        ImportError: The class of LlamaIndex is not installed.
        MissingDependencyError: The extra `evaluate` is not installed.
        ValueError: The name is of no class of LlamaIndex, or has a `base_url` with it.
    """
    # Failed calls are tried again by the run, which counts what they cost.
    given = {"max_retries": 0, **(options or {})}
    if model.startswith(_LLAMA_INDEX):
        if base_url is not None:
            msg = f"{model!r} takes its server as one of its own options."
            raise ValueError(msg)
        return LlamaIndexTarget(_llama_index_model(model, given))
    try:
        if base_url is not None:
            return LangChainTarget(_served_model(model, base_url, given))
        from langchain.chat_models import init_chat_model  # noqa: PLC0415 - slow to import
    except ModuleNotFoundError as error:
        if error.name not in {"langchain", "langchain_openai"}:  # something else is broken
            raise
        raise MissingDependencyError(error.name, "evaluate") from error
    return LangChainTarget(init_chat_model(model, **given))


def _llama_index_model(place: str, options: Mapping[str, Any]) -> LLM:
    from llama_index.core.llms import LLM  # noqa: PLC0415 - lazy

    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):  # something else is missing
            raise
        package = module.replace(".", "-").replace("_", "-")
        msg = f"{module!r} is not installed; the package is mostly called {package}"
        raise ImportError(msg, name=error.name) from error
    if not (isinstance(found, type) and issubclass(found, LLM)):
        msg = f"{place!r} is no language model's class, as llama_index.llms.ollama:Ollama is one."
        raise ValueError(msg)  # noqa: TRY004 - it is the name that is wrong
    known = {name: value for name, value in options.items() if name != "max_retries"}
    return found(**(options if "max_retries" in found.model_fields else known))


def _served_model(model: str, base_url: str, options: Mapping[str, Any]) -> BaseChatModel:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - slow to import
    from pydantic import SecretStr  # noqa: PLC0415 - comes with it

    given = {
        "api_key": SecretStr(os.environ.get("OPENAI_API_KEY") or _NO_KEY),
        "stream_usage": True,  # or it would not say how many tokens it read
        **options,
    }
    return ChatOpenAI(model=model, base_url=base_url, **given)


class _StreamClock:
    """Puts the pieces of one answer together and knows when they came."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first: float | None = None
        self._pieces: list[str] = []

    def note(self, piece: str) -> None:
        """Take a piece; those without text, such as a stream's first, are no tokens."""
        if piece and self._first is None:
            self._first = time.perf_counter() - self._started
        self._pieces.append(piece)

    def answer(self, input_tokens: int | None, output_tokens: int | None) -> Answer:
        """What came, now that nothing more does."""
        return Answer(
            text="".join(self._pieces),
            first_token_seconds=self._first,
            total_seconds=time.perf_counter() - self._started,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
