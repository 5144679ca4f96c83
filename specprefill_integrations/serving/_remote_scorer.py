"""A scorer whose draft runs in a service.

Texts are split, selected and written here; the service sees them and keeps none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cachetools import LRUCache

from specprefill_integrations._arguments import (
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    checked,
)
from specprefill_integrations._concurrency import ForkSafeLock
from specprefill_integrations.errors import ScoringServiceError
from specprefill_integrations.scoring._score_calibration import ScoreCalibration
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.serving._contract import (
    ScoreAnswer,
    ScorerAnswer,
    ScoreRequest,
    TokensAnswer,
    TokensRequest,
)
from specprefill_integrations.serving._service_client import ServiceClient
from specprefill_integrations.types import Span

_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*", re.IGNORECASE)

# Texts whose tokens are remembered: gap markers and the units of the latest calls.
_MAX_REMEMBERED = 20_000
_MAX_REMEMBERED_CHARS = 1_000


class RemoteScorer(SpanScorer):
    """Scores as the draft of a service does, with the same numbers.

    A call that fails raises, and a `ContextCompressor` then passes its texts through unchanged:
    with the reasons `service_unavailable`, `deadline_exceeded` or `queue_full`. After several
    failures in a row, calls fail at once for a while.

    A deadline of the compressor holds for the calls of the service, too. Languages are not
    compared, and tokens of a text are counted but have no places: `language_warnings` are empty,
    and `token_spans` are not available.
    """

    @checked
    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        deadline_seconds: PositiveFloat | None = 30.0,
        max_retries: NonNegativeInt = 2,
        max_connections: PositiveInt = 64,
    ) -> None:
        """Connect at the first call.

        Args:
            url: The service, such as `https://compress.example.com`.
            api_key: The key.
            deadline_seconds: Maximum duration of a call of the service, retries included; None for
                no limit.
            max_retries: Further tries of a call that did not reach the service, or that it asks to
                be made again.
            max_connections: Connections at once of all threads together, and of each event loop.

        Raises:
            TypeError: An argument has another type.
            ValueError: The URL is none of HTTP, or a number is out of range.
        """
        if not _URL.fullmatch(url):
            msg = f"url must be the http or https address of a service; got {url!r:.99}."
            raise ValueError(msg)
        self.url = url
        """The service."""
        self.deadline_seconds = deadline_seconds
        """Maximum duration of a call."""
        self._options: Mapping[str, Any] = {
            "api_key": api_key,
            "deadline_seconds": deadline_seconds,
            "max_retries": max_retries,
            "max_connections": max_connections,
        }
        self._client = ServiceClient(
            url, api_key=api_key, max_retries=max_retries, max_connections=max_connections
        )
        self._description: ScorerAnswer | None = None
        self._lock = ForkSafeLock(self._forget)
        self._forget()

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Score in the service. See `SpanScorer.score_spans`.

        Raises:
            DeadlineExceededError: The call took too long.
            EngineBusyError: The service has too much to do.
            ScoringServiceError: The service cannot be reached, refused the call, or answered
                something else.
        """
        request = _score_request(query, texts, spans)
        answer = self._client.call("v1/score", request, ScoreAnswer, self.deadline_seconds)
        return _checked_scores(answer, spans)

    async def ascore_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """Do the same as `score_spans` without blocking; no thread waits."""
        request = _score_request(query, texts, spans)
        answer = await self._client.acall("v1/score", request, ScoreAnswer, self.deadline_seconds)
        return _checked_scores(answer, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count in the service, as its draft does; the tokens of short texts are remembered."""
        with self._lock:
            known = {text: self._tokens[text] for text in set(texts) if text in self._tokens}
        unknown = list(dict.fromkeys(text for text in texts if text not in known))
        if unknown:
            counted = self._count(unknown)
            known |= counted
            short = {t: n for t, n in counted.items() if len(t) <= _MAX_REMEMBERED_CHARS}
            with self._lock:
                self._tokens.update(short)
        return [known[text] for text in texts]

    @property
    def scores_are_logarithms(self) -> bool:
        """The same as of the service's scorer; asks the service once."""
        return self._described.scores_are_logarithms

    @property
    def score_calibration(self) -> ScoreCalibration | None:
        """The same as of the service's scorer; asks the service once."""
        return self._described.score_calibration

    @property
    def may_be_calibrated(self) -> bool:
        """True until the service has said otherwise; asks nothing."""
        return self._description is None or self._description.score_calibration is not None

    def close(self) -> None:
        """Close the connections of synchronous calls; later ones open new connections."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop; later calls open new ones."""
        await self._client.aclose()

    @property
    def _described(self) -> ScorerAnswer:
        if self._description is None:
            answer = self._client.call("v1/scorer", None, ScorerAnswer, self.deadline_seconds)
            self._description = answer
        return self._description

    def _count(self, texts: Sequence[str]) -> dict[str, int]:
        request = TokensRequest.model_construct(texts=list(texts))
        answer = self._client.call("v1/tokens", request, TokensAnswer, self.deadline_seconds)
        if len(answer.tokens) != len(texts):
            msg = f"The scoring service counted {len(answer.tokens)} of {len(texts)} texts."
            raise ScoringServiceError(msg)
        return dict(zip(texts, answer.tokens, strict=True))

    def _forget(self) -> None:
        self._tokens: LRUCache[str, int] = LRUCache(_MAX_REMEMBERED)

    def __repr__(self) -> str:
        """Show the service, without the key."""
        return f"{type(self).__name__}({self.url!r}, deadline_seconds={self.deadline_seconds!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Take along the arguments, the key included, and no connections."""
        return _remote_scorer, (self.url, self._options)

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteScorer:
        """Return the same object: copies share the connections."""
        return self

    def __copy__(self) -> RemoteScorer:
        """Return the same object."""
        return self


def _remote_scorer(url: str, options: Mapping[str, Any]) -> RemoteScorer:
    return RemoteScorer(url, **options)


def _score_request(
    query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
) -> ScoreRequest:
    """Write a request; it is the service that checks it."""
    places = [[(start, end) for start, end in of_text] for of_text in spans]
    return ScoreRequest.model_construct(query=query, texts=list(texts), spans=places)


def _checked_scores(answer: ScoreAnswer, spans: Sequence[Sequence[Span]]) -> list[list[float]]:
    """Return the scores.

    Raises:
        ScoringServiceError: There are more or fewer than spans.
    """
    if list(map(len, answer.scores)) != list(map(len, spans)):
        msg = "The scoring service gave other scores than one for each span."
        raise ScoringServiceError(msg)
    return [list(of_text) for of_text in answer.scores]
