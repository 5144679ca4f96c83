"""Target models of a measurement behind one protocol: prompt in, answer out.

LangChain and LlamaIndex are imported only if needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from specprefill_integrations._arguments import check, checked
from specprefill_integrations.errors import MissingDependencyError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from llama_index.core.llms import LLM

    from specprefill_integrations.evaluation._likelihood import LikelihoodTarget

_LLAMA_INDEX = "llama_index."

# Placeholder for a local server that needs no key.
_NO_KEY = "none"


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A chat model's answer to a prompt."""

    text: str
    """The whole text."""

    first_token_seconds: float | None
    """Time to the first piece of text; None if there was no text."""

    total_seconds: float
    """Time to the last piece."""

    input_tokens: int | None
    """Tokens of the prompt as the model counts them; None if it does not report them."""

    output_tokens: int | None
    """Tokens of the answer, likewise."""


@runtime_checkable
class ChatTarget(Protocol):
    """A chat model; thread-safe."""

    def answer(self, prompt: str) -> Answer:
        """Answer one user message; raise whatever the model raises."""
        ...


@dataclass(frozen=True, slots=True)
class LangChainTarget:
    """A chat model of LangChain."""

    model: BaseChatModel
    """Called by `stream`, which reveals the first token."""

    def __post_init__(self) -> None:
        """Check the model."""
        from langchain_core.language_models import BaseChatModel  # noqa: PLC0415 - slow to import

        check("model", self.model, BaseChatModel)

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
    """A language model of LlamaIndex, which does not report tokens."""

    model: LLM
    """Called by `stream_complete`, which reveals the first token."""

    def __post_init__(self) -> None:
        """Check the model."""
        from llama_index.core.llms import LLM  # noqa: PLC0415 - slow to import

        check("model", self.model, LLM)

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


@checked
def named_target(
    model: str, *, base_url: str | None = None, options: Mapping[str, Any] | None = None
) -> ChatTarget:
    """Make a target from a model's name.

    Args:
        model: An argument of LangChain's `init_chat_model`, such as `openai:gpt-4.1-mini`; with
            `base_url`, the server's name of the model; or a class of LlamaIndex, such as
            `llama_index.llms.ollama:Ollama`, which is configured by `options`.
        base_url: A server with OpenAI's protocol. Its key is read from the environment variable
            `OPENAI_API_KEY`; a placeholder is sent if it is not set.
        options: Further arguments of the model's class, such as `temperature`.

    Raises:
        ImportError: The class of LlamaIndex is not installed.
        MissingDependencyError: The extra `evaluate` is not installed.
        ValueError: There is no such class of LlamaIndex, or it was given a `base_url`.
    """
    # The run repeats failed calls itself and counts their tokens.
    given = {"max_retries": 0, **(options or {})}
    if model.startswith(_LLAMA_INDEX):
        if base_url is not None:
            msg = f"{model!r} takes its server's address in `options`."
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


@checked
def named_likelihood_target(
    model: str, *, base_url: str | None = None, options: Mapping[str, Any] | None = None
) -> LikelihoodTarget:
    """Make a target of likelihoods from a model's name.

    Args:
        model: With `base_url`, the server's name of the model; else a folder, a GGUF file or a hub
            id of a causal model, which runs in this process.
        base_url: A server that returns the log-probabilities of a prompt, such as vLLM.
        options: With `base_url`, those of `ServedTarget`; else `device`, `dtype`, `revision`, and
            `chat_template`, which is true by default.

    Raises:
        MissingDependencyError: The extra `evaluate` is not installed.
        SpecPrefillError: There is no such model here.
        TypeError: There is no such option.
        ValueError: The model is a hosted one, or an option has a wrong value.
    """
    given = dict(options or {})
    if base_url is not None:
        from specprefill_integrations.evaluation._served_likelihood import (  # noqa: PLC0415 - lazy
            ServedTarget,
        )

        endpoint = given.pop("endpoint", "completions")
        return ServedTarget(model, base_url, endpoint=endpoint, options=given)
    if ":" in model and not Path(model).exists():
        msg = (
            f"{model!r} does not tell how probable a given answer is. answer_likelihood needs a "
            "server that does, with base_url, or a model in this process: a folder, a GGUF file or "
            "a hub id."
        )
        raise ValueError(msg)
    from specprefill_integrations.evaluation._transformers_target import (  # noqa: PLC0415 - torch
        TransformersTarget,
    )
    from specprefill_integrations.scoring._draft_model import DraftModel  # noqa: PLC0415 - torch

    chat_template = given.pop("chat_template", True)
    return TransformersTarget(DraftModel.from_source(model, **given), chat_template=chat_template)


def _llama_index_model(place: str, options: Mapping[str, Any]) -> LLM:
    from llama_index.core.llms import LLM  # noqa: PLC0415 - lazy

    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):  # something else is missing
            raise
        package = module.replace(".", "-").replace("_", "-")
        msg = f"{module!r} is not installed; the package is probably {package}"
        raise ImportError(msg, name=error.name) from error
    if not (isinstance(found, type) and issubclass(found, LLM)):
        msg = f"{place!r} is not a LlamaIndex LLM class such as llama_index.llms.ollama:Ollama."
        raise ValueError(msg)  # noqa: TRY004 - the name is wrong
    known = {name: value for name, value in options.items() if name != "max_retries"}
    return found(**(options if "max_retries" in found.model_fields else known))


def _served_model(model: str, base_url: str, options: Mapping[str, Any]) -> BaseChatModel:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - slow to import
    from pydantic import SecretStr  # noqa: PLC0415 - comes with it

    given = {
        "api_key": SecretStr(os.environ.get("OPENAI_API_KEY") or _NO_KEY),
        "stream_usage": True,  # or it would report no tokens
        **options,
    }
    return ChatOpenAI(model=model, base_url=base_url, **given)


class _StreamClock:
    """The pieces of one streamed answer, and the times of the first and the last."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._first: float | None = None
        self._pieces: list[str] = []

    def note(self, piece: str) -> None:
        """Add a piece; one without text, such as a stream's first, is not the first token."""
        if piece and self._first is None:
            self._first = time.perf_counter() - self._started
        self._pieces.append(piece)

    def answer(self, input_tokens: int | None, output_tokens: int | None) -> Answer:
        """The complete answer."""
        return Answer(
            text="".join(self._pieces),
            first_token_seconds=self._first,
            total_seconds=time.perf_counter() - self._started,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
