"""Locks: mutual exclusion, copies, forks."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading

import pytest

from specprefill_integrations._concurrency import ForkSafeLock

PATIENCE = 30
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def test_one_thread_at_a_time_holds_it():
    lock = ForkSafeLock()
    entered, inside = threading.Event(), threading.Event()

    def wait_and_enter():
        inside.set()
        with lock:
            entered.set()

    with lock:
        other = threading.Thread(target=wait_and_enter)
        other.start()
        assert inside.wait(PATIENCE)
        assert not entered.wait(0.1)
        with lock:  # the holder may take it again
            pass
        assert not entered.wait(0.1)
    assert entered.wait(PATIENCE)
    other.join()


def test_it_is_open_again_after_an_error():
    lock = ForkSafeLock()
    with pytest.raises(ValueError, match="inside"), lock:
        raise ValueError("inside")  # noqa: EM101 - an error of a test
    took = threading.Event()

    def take():
        with lock:
            took.set()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(PATIENCE)
    assert took.is_set()


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))],  # noqa: S301
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_is_a_new_open_lock(copied):
    lock, took = ForkSafeLock(), threading.Event()

    def take(other):
        with other:
            took.set()

    with lock:
        other = copied(lock)
        assert other is not lock
        thread = threading.Thread(target=take, args=(other,))
        thread.start()
        assert took.wait(PATIENCE)
    thread.join()


HELD_ELSEWHERE = """
import os, threading
from specprefill_integrations._concurrency import ForkSafeLock

lock, held, done = ForkSafeLock(), threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        done.wait(60)

threading.Thread(target=hold).start()
held.wait(60)
child = os.fork()
if not child:
    with lock:
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
"""

RESET = (
    HELD_ELSEWHERE.replace("lock, held", "words = ['half']\nlock, held")
    .replace("ForkSafeLock(),", "ForkSafeLock(words.clear),", 1)
    .replace("os._exit(7)", "os._exit(len(words))")
)

HELD_HERE = """
import os, threading
from specprefill_integrations._concurrency import ForkSafeLock

lock, took = ForkSafeLock(), threading.Event()

def take():
    with lock:
        took.set()

with lock:
    child = os.fork()
    if not child:
        other = threading.Thread(target=take, daemon=True)
        other.start()
        was_held = not took.wait(0.1)
if not child:
    os._exit(7 if was_held and took.wait(30) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

CAPTURED_ELSEWHERE = """
import os, threading
import torch
torch.set_num_threads(1)
from specprefill_integrations import Span
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from tests.tiny_models import tiny_model, tiny_tokenizer

draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
scorer = AttentionScorer(draft)
text = "The cat slept. The dog barked at noon. Rain fell on the road."
spans = [[Span(0, 14), Span(15, 38), Span(39, 61)]]
expected = scorer.score_spans("When did the dog bark?", [text], spans)

inside, done = threading.Event(), threading.Event()
model, _ = scorer.reading_draft.load()
layer = next(m for m in model.modules() if type(m).__name__.endswith("Attention"))
def stop_here(*_):
    if threading.current_thread() is not threading.main_thread():
        inside.set()
        done.wait(60)
layer.register_forward_pre_hook(stop_here)
threading.Thread(target=scorer.score_spans, args=("Who?", [text], spans)).start()
assert inside.wait(60)  # in the middle of a forward pass, all of its locks held
child = os.fork()
if not child:
    same = scorer.score_spans("When did the dog bark?", [text], spans) == expected
    os._exit(7 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
"""


def run(script: str) -> str:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    done = subprocess.run(  # noqa: S603 - our own script
        command, capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@needs_fork
def test_a_forked_process_finds_it_open():
    assert run(HELD_ELSEWHERE) == "7"


@needs_fork
def test_a_forked_process_resets_what_was_being_changed():
    assert run(RESET) == "0"


def test_who_holds_it_may_fork_and_holds_it_there_too():
    assert run(HELD_HERE) == "7"


@needs_fork
def test_a_process_that_is_forked_within_a_forward_pass_scores_as_ever():
    assert run(CAPTURED_ELSEWHERE) == "7"


def test_copies_and_pickles_are_open() -> None:
    lock = ForkSafeLock()
    with lock:
        copies = [copy.deepcopy(lock), pickle.loads(pickle.dumps(lock))]  # noqa: S301
    for copied in copies:
        assert copied is not lock
        thread = threading.Thread(target=copied.__enter__)
        thread.start()
        thread.join(timeout=5)
        assert not thread.is_alive()
