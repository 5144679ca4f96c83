"""The client of the service: the same numbers as the local scorer, and whole texts without it."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from specprefill_integrations import Budget, ContextCompressor, Span
from specprefill_integrations.errors import (
    DeadlineExceededError,
    EngineBusyError,
    ScoringServiceError,
)
from specprefill_integrations.serving import ApiKeys, RemoteScorer, _service_client
from specprefill_integrations.serving._circuit_breaker import CircuitBreaker
from specprefill_integrations.testing import KeywordScorer
from tests.tiny_models import tiny_model, tiny_tokenizer
from tests.unit_tests.serving.running import serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

torch.set_num_threads(1)

TEXTS = [
    "The cat sat on the mat. The dog sat on the cat. What is the answer? The mat is in Zürich.",
    "# Title\n\nThe dog sat. The 東京 cat 🐈 sat on the mat.\n\n- one mat\n- two cats\n",
]
QUERY = "Where is the mat?"
BUDGET = Budget(max_tokens=40)


@pytest.fixture(scope="module")
def local() -> ContextCompressor:
    """A compressor with a tiny seeded draft; it has no calibrated profile and may not cut well."""
    return ContextCompressor.from_draft_model(
        (tiny_model("llama"), tiny_tokenizer()), scorer="published", deadline_seconds=60
    )


@pytest.fixture(scope="module")
def url(local: ContextCompressor) -> Iterator[str]:
    with serving(local, api_keys=ApiKeys(["a-valid-key"])) as found:
        yield found


@pytest.fixture
def remote(url: str) -> Iterator[RemoteScorer]:
    scorer = RemoteScorer(url, api_key="a-valid-key")
    yield scorer
    scorer.close()


class TestEquality:
    SPANS = ([Span(0, 23), Span(24, 47), Span(24, 30)], [Span(9, 21), Span(22, 50)])

    def test_scores_and_counts_are_those_of_the_local_scorer(
        self, local: ContextCompressor, remote: RemoteScorer
    ) -> None:
        for query in (QUERY, None):
            expected = local.scorer.score_spans(query, TEXTS, self.SPANS)
            assert remote.score_spans(query, TEXTS, self.SPANS) == expected
        assert remote.count_tokens([*TEXTS, ""]) == local.scorer.count_tokens([*TEXTS, ""])
        assert remote.scores_are_logarithms == local.scorer.scores_are_logarithms
        assert remote.score_calibration == local.scorer.score_calibration
        assert remote.may_be_calibrated == local.scorer.may_be_calibrated

    async def test_so_are_those_of_asynchronous_calls(
        self, local: ContextCompressor, remote: RemoteScorer
    ) -> None:
        expected = local.scorer.score_spans(QUERY, TEXTS, self.SPANS)
        calls = [remote.ascore_spans(QUERY, TEXTS, self.SPANS) for _ in range(20)]
        assert await asyncio.gather(*calls) == [expected] * 20
        await remote.aclose()

    async def test_a_compressor_gives_the_same_texts(
        self, local: ContextCompressor, url: str
    ) -> None:
        here = ContextCompressor(local.scorer)
        there = ContextCompressor.from_service(url, api_key="a-valid-key")
        expected = here.compress_documents(TEXTS, QUERY, budget=BUDGET)
        assert expected[0].skipped_because is None
        for found in (
            there.compress_documents(TEXTS, QUERY, budget=BUDGET),
            await there.acompress_documents(TEXTS, QUERY, budget=BUDGET),
        ):
            for one, other in zip(found, expected, strict=True):
                assert (one.text, one.kept, one.kept_tokens) == (
                    other.text,
                    other.kept,
                    other.kept_tokens,
                )
        scorer = there.scorer
        assert isinstance(scorer, RemoteScorer)
        scorer.close()
        await scorer.aclose()

    def test_copies_call_the_same_service(self, remote: RemoteScorer) -> None:
        assert copy.deepcopy(remote) is copy.copy(remote) is remote
        other = pickle.loads(pickle.dumps(remote))  # noqa: S301 - our own
        assert other.count_tokens(TEXTS) == remote.count_tokens(TEXTS)
        other.close()
        assert "a-valid-key" not in repr(remote)


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answer: Callable[[int], Answer]) -> Iterator[tuple[str, list[str]]]:
    """Serve prepared answers by the number of the call; the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            status, headers, body = answer(len(asked))
            if not status:  # hangs up
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def calling(url: str, **options: float) -> Iterator[RemoteScorer]:
    scorer = RemoteScorer(url, **{"deadline_seconds": 5.0, **options})
    try:
        yield scorer
    finally:
        scorer.close()


ONE_SPAN = ("a", ["b"], [[Span(0, 1)]])
GOOD: Answer = (200, {}, b'{"scores": [[0.5]]}')


def problem(code: str) -> bytes:
    return b'{"error": {"code": "%s", "message": "m", "request_id": "r"}}' % code.encode()


class TestFailures:
    @pytest.mark.parametrize(
        "first",
        [(0, {}, b""), (503, {}, b"proxy"), (429, {"Retry-After": "0"}, b""), (502, {}, b"")],
    )
    def test_another_try_is_made_where_it_may_help(self, first: Answer) -> None:
        with answering(lambda n: first if n == 1 else GOOD) as (url, asked), calling(url) as scorer:
            assert scorer.score_spans(*ONE_SPAN) == [[0.5]]
        assert len(asked) == 2

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((400, {}, problem("malformed_request")), ScoringServiceError),
            ((401, {}, problem("unauthorized")), ScoringServiceError),
            ((500, {}, problem("internal_error")), ScoringServiceError),
            ((404, {}, b"<html>"), ScoringServiceError),
            ((302, {"Location": "/x"}, b""), ScoringServiceError),
            ((200, {}, b"<html>"), ScoringServiceError),
            ((200, {}, b'{"scores": []}'), ScoringServiceError),
            ((200, {}, b'{"scores": [[0.5, 0.5]]}'), ScoringServiceError),
            ((200, {}, b'{"scores": [[null]]}'), ScoringServiceError),
            ((429, {"Retry-After": "60"}, problem("too_many_calls")), EngineBusyError),
            ((503, {"Retry-After": "60"}, problem("queue_full")), EngineBusyError),
            ((503, {"Retry-After": "60"}, b"proxy"), ScoringServiceError),
            ((504, {"Retry-After": "60"}, problem("deadline_exceeded")), DeadlineExceededError),
        ],
    )
    def test_other_answers_are_errors_at_once(self, answer: Answer, error: type[Exception]) -> None:
        with (
            answering(lambda _: answer) as (url, asked),
            calling(url) as scorer,
            pytest.raises(error),
        ):
            scorer.score_spans(*ONE_SPAN)
        assert len(asked) == 1

    def test_a_service_that_keeps_failing_is_left_alone(self) -> None:
        with answering(lambda _: (500, {}, b"")) as (url, asked), calling(url) as scorer:
            for _ in range(9):
                with pytest.raises(ScoringServiceError):
                    scorer.score_spans(*ONE_SPAN)
        assert len(asked) == 5

    @pytest.mark.parametrize(
        "answer",
        [
            (503, {"Retry-After": "60"}, problem("overloaded")),
            (503, {"Retry-After": "60"}, b"Ray's proxy"),
            (503, {}, problem("queue_full")),
            (504, {}, problem("deadline_exceeded")),
        ],
    )
    def test_a_service_that_is_busy_is_asked_again(self, answer: Answer) -> None:
        with (
            answering(lambda n: answer if n < 9 else GOOD) as (url, asked),
            calling(url, max_retries=0) as scorer,
        ):
            for _ in range(8):
                with pytest.raises((EngineBusyError, DeadlineExceededError, ScoringServiceError)):
                    scorer.score_spans(*ONE_SPAN)
            assert scorer.score_spans(*ONE_SPAN) == [[0.5]]
        assert len(asked) == 9

    @pytest.mark.parametrize("seconds", ["9" * 400, "9" * 5_000, "86400"])
    def test_a_service_cannot_ask_for_an_endless_wait(
        self, seconds: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_service_client, "_MAX_WAIT_SECONDS", 0.01)
        first = (503, {"Retry-After": seconds}, b"")
        with answering(lambda n: first if n == 1 else GOOD) as (url, asked):
            scorer = RemoteScorer(url, deadline_seconds=None)
            assert scorer.score_spans(*ONE_SPAN) == [[0.5]]
            scorer.close()
        assert len(asked) == 2

    @pytest.mark.parametrize("part", ["headers", "body"])
    def test_a_service_that_drips_meets_the_deadline(self, part: str) -> None:
        stopped = threading.Event()

        def drip(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                if part == "body":
                    connection.sendall(b"Content-Length: 9999\r\n\r\n")
                while not stopped.wait(0.05):
                    connection.sendall(b"a")

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=drip, args=(listener,), daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with calling(url, deadline_seconds=0.4, max_retries=0) as scorer:
                started = time.monotonic()
                with pytest.raises(DeadlineExceededError):
                    scorer.score_spans(*ONE_SPAN)
                assert time.monotonic() - started < 3
            stopped.set()
            thread.join()

    def test_an_answer_that_cannot_be_decoded_is_a_failure(self) -> None:
        answer = (200, {"Content-Encoding": "gzip"}, b"not gzip")
        with (
            answering(lambda _: answer) as (url, _),
            calling(url, max_retries=0) as scorer,
            pytest.raises(ScoringServiceError),
        ):
            scorer.score_spans(*ONE_SPAN)

    def test_a_text_that_json_cannot_hold_is_passed_through(self, url: str) -> None:
        with calling(url) as scorer:
            with pytest.raises(ScoringServiceError):
                scorer.score_spans("a", ["\ud800"], [[Span(0, 1)]])
            text = "\ud800 " + TEXTS[0]
            result = ContextCompressor(scorer).compress(text, QUERY, budget=BUDGET)
        assert (result.text, result.skipped_because) == (text, "service_unavailable")

    async def test_a_service_that_is_down_leaves_the_text_whole(self) -> None:
        with socket.socket() as bound:  # nobody listens
            bound.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            compressor = ContextCompressor.from_service(url, deadline_seconds=5.0)
            for result in (
                compressor.compress(TEXTS[0], QUERY, budget=BUDGET),
                await compressor.acompress(TEXTS[0], QUERY, budget=BUDGET),
            ):
                assert (result.text, result.skipped_because) == (TEXTS[0], "service_unavailable")
        assert compressor.skip_counts == {"service_unavailable": 2}

    async def test_a_service_that_does_not_answer_meets_the_deadline(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            compressor = ContextCompressor.from_service(url, deadline_seconds=0.3)
            started = time.monotonic()
            for result in (
                compressor.compress(TEXTS[0], QUERY, budget=BUDGET),
                await compressor.acompress(TEXTS[0], QUERY, budget=BUDGET),
            ):
                assert (result.text, result.skipped_because) == (TEXTS[0], "deadline_exceeded")
            assert time.monotonic() - started < 5
            scorer = RemoteScorer(url, deadline_seconds=0.2)
            with pytest.raises(DeadlineExceededError):
                await scorer.ascore_spans(*ONE_SPAN)
            with pytest.raises(DeadlineExceededError):
                scorer.score_spans(*ONE_SPAN)
            for one in (scorer, compressor.scorer):
                assert isinstance(one, RemoteScorer)
                one.close()
                await one.aclose()

    @pytest.mark.parametrize("wrong", ["", "example.com", "ftp://a", "http://", "file:///etc/x"])
    def test_an_address_is_one_of_http(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="url"):
            RemoteScorer(wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_calls_too(remote: RemoteScorer) -> None:
    asked = ("a", ["b"], [[Span(0, 1)]])
    expected = remote.score_spans(*asked)
    child = os.fork()
    if not child:
        try:
            os._exit(0 if remote.score_spans(*asked) == expected else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert remote.score_spans(*asked) == expected


def test_tokens_of_short_texts_are_asked_for_once() -> None:
    def answer(number: int) -> Answer:
        return 200, {}, b'{"tokens": [1, 2]}' if number == 1 else b'{"tokens": [3]}'

    with answering(answer) as (url, asked), calling(url) as scorer:
        assert scorer.count_tokens(["a", "b", "a"]) == [1, 2, 1]
        assert scorer.count_tokens(["b", "c", "a"]) == [2, 3, 1]
        assert scorer.count_tokens(["c"]) == [3]
    assert len(asked) == 2


def test_a_compressor_may_count_here() -> None:
    with serving(ContextCompressor(KeywordScorer())) as url:
        compressor = ContextCompressor.from_service(url, count_tokens=len)
        result = compressor.compress(TEXTS[0], QUERY, budget=Budget(max_tokens=50))
        assert result.skipped_because is None
        assert result.original_tokens == len(TEXTS[0])
        assert result.kept_tokens == len(result.text) <= 50
        assert isinstance(compressor.scorer, RemoteScorer)
        compressor.scorer.close()


class TestCircuitBreaker:
    def test_it_opens_and_closes(self) -> None:
        now = [0.0]
        breaker = CircuitBreaker(max_failures=2, open_seconds=10, clock=lambda: now[0])
        breaker.note(succeeded=False)
        breaker.note(succeeded=True)
        breaker.note(succeeded=False)
        assert breaker.admits()
        breaker.note(succeeded=False)
        assert not breaker.admits()
        now[0] = 10
        assert [breaker.admits(), breaker.admits()] == [True, False]  # one at a time
        breaker.note(succeeded=False)
        assert not breaker.admits()
        now[0] = 29  # the time doubles
        assert not breaker.admits()
        now[0] = 30
        assert breaker.admits()
        breaker.note(succeeded=True)
        assert breaker.admits()
        breaker.note(succeeded=False)
        breaker.note(succeeded=False)
        now[0] = 40  # and starts anew
        assert breaker.admits()
