"""A model behind a server as a target of likelihoods, by the log-probabilities of its prompt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from specprefill_integrations._arguments import checked
from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._likelihood import AnswerLikelihood, completion_of

if TYPE_CHECKING:
    from openai import OpenAI

Endpoint = Literal["completions", "chat"]
"""Way to ask: OpenAI's `/completions` with `echo`, which knows no chat template; or vLLM's
`/chat/completions` with `prompt_logprobs`."""

_OF_THE_CLIENT = ("api_key", "default_headers", "timeout")

# Placeholder for a local server that needs no key.
_NO_KEY = "none"

_UNKNOWN_CHARACTER = "\ufffd"


class ServedTarget:
    """A served model, asked over HTTP: one request per answer, with one generated token."""

    @checked
    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        endpoint: Endpoint = "completions",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a client.

        Args:
            model: The server's name of the model.
            base_url: The server's address, up to `/v1`. Its key is read from the environment
                variable `OPENAI_API_KEY`; a placeholder is sent if it is not set.
            endpoint: Way to ask.
            options: `api_key`, `default_headers`, `timeout`, and further fields of each request.

        Raises:
            MissingDependencyError: The extra `evaluate` is not installed.
        """
        given = dict(options or {})
        of_client = {name: given.pop(name) for name in _OF_THE_CLIENT if name in given}
        of_client.setdefault("api_key", os.environ.get("OPENAI_API_KEY") or _NO_KEY)
        self._client = _client(base_url, of_client)
        self._model = model
        self._endpoint = endpoint
        self._fields = given

    def answer_likelihoods(self, prompt: str, answers: Sequence[str]) -> list[AnswerLikelihood]:
        """See `LikelihoodTarget.answer_likelihoods`.

        Raises:
            ValueError: The server does not return the log-probabilities of its prompt, or
                its tokens are not those of the text.
        """
        ask = self._by_completion if self._endpoint == "completions" else self._by_chat
        return [ask(prompt, answer) for answer in answers]

    def _by_completion(self, prompt: str, answer: str) -> AnswerLikelihood:
        start, continuation = completion_of(prompt, answer)
        response = self._client.completions.create(
            model=self._model,
            prompt=start + continuation,
            echo=True,
            logprobs=1,
            max_tokens=1,  # many servers refuse 0, and some take it as no limit
            temperature=0,
            extra_body=self._fields,
        )
        choice = response.choices[0]
        held = choice.logprobs
        if held is None or not choice.text.startswith(start + continuation):
            raise _no_prompt_log_probabilities()
        generated = 1 if response.usage is None else response.usage.completion_tokens
        log_probabilities = list(held.token_logprobs or ())
        end = len(log_probabilities) - generated
        return _likelihood(
            (held.tokens or [])[:end],
            log_probabilities[:end],
            continuation,
            None if response.usage is None else response.usage.prompt_tokens,
        )

    def _by_chat(self, prompt: str, answer: str) -> AnswerLikelihood:
        continuation = answer.strip()
        response = self._client.chat.completions.create(
            model=self._model,
            messages=[
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": continuation},
            ],
            max_tokens=1,
            temperature=0,
            extra_body={
                "add_generation_prompt": False,
                "continue_final_message": True,
                "prompt_logprobs": 0,  # only those of the prompt's own tokens
                **self._fields,
            },
        )
        held = getattr(response, "prompt_logprobs", None)
        if not held:
            raise _no_prompt_log_probabilities()
        # The first token has no predecessor, and so no probability.
        own = [next(iter(token.values())) if token else {} for token in held]
        return _likelihood(
            [token.get("decoded_token") or "" for token in own],
            [token.get("logprob") for token in own],
            continuation,
            None if response.usage is None else response.usage.prompt_tokens,
        )


def first_token_within(tokens: Sequence[str], continuation: str) -> int:
    """Index of the first token that lies wholly in the text that the tokens end with.

    Args:
        tokens: Texts of the tokens. Some servers leave out blanks at their start, and show a token
            that is part of a character as nothing or as the replacement character.
        continuation: The text at the end.

    Raises:
        ValueError: The tokens end with another text.
    """
    place, end = len(tokens), len(continuation)
    while place and end:
        piece = _shown(tokens[place - 1])
        start = continuation.rfind(piece, 0, end)
        if start < 0 or not _may_be_hidden(continuation[start + len(piece) : end]):
            break
        end = start if piece else end
        place -= 1
    rest = continuation[:end]
    if not _may_be_hidden(rest) and not (place and _shown(tokens[place - 1]).endswith(rest)):
        msg = f"the server's tokens are not those of the answer {continuation!r:.60}"
        raise ValueError(msg)
    if continuation and not continuation[0].isascii():
        while place and not rest and not _shown(tokens[place - 1]):
            place -= 1  # parts of the first character, which stands at its last part
    return place


def _shown(token: str) -> str:
    return "" if token.startswith("bytes:") else token.replace(_UNKNOWN_CHARACTER, "")


def _may_be_hidden(text: str) -> bool:
    return all(not char.isascii() or char.isspace() for char in text)


def _likelihood(
    tokens: Sequence[str],
    log_probabilities: Sequence[float | None],
    continuation: str,
    input_tokens: int | None,
) -> AnswerLikelihood:
    first = first_token_within(tokens, continuation)
    scored = _numbers(log_probabilities[first:])
    if not scored:
        msg = f"no token lies wholly in the answer {continuation!r:.60}"
        raise ValueError(msg)
    return AnswerLikelihood(
        log_likelihood=min(0.0, sum(scored)), tokens=len(scored), input_tokens=input_tokens
    )


def _numbers(log_probabilities: Iterable[float | None]) -> list[float]:
    found = list(log_probabilities)
    if None in found:
        raise _no_prompt_log_probabilities()
    return [float(one) for one in found if one is not None]


def _no_prompt_log_probabilities() -> ValueError:
    msg = "the server does not return the log-probabilities of its prompt's tokens"
    return ValueError(msg)


def _client(base_url: str, options: Mapping[str, Any]) -> OpenAI:
    try:
        from openai import OpenAI  # noqa: PLC0415 - slow to import
    except ModuleNotFoundError as error:
        if error.name != "openai":  # something else is broken
            raise
        raise MissingDependencyError(error.name, "evaluate") from error
    # The run repeats failed calls itself and counts their tokens.
    return OpenAI(base_url=base_url, max_retries=0, **options)
