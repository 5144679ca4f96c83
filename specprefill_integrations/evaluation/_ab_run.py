"""An A/B measurement: every case is asked about with every arm, one after the other.

What is found goes to a run log, from which a later run goes on. Judges nothing; knows no command
line.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from specprefill_integrations.evaluation._ab_compression import ArmPrompt, PromptMaker
from specprefill_integrations.evaluation._ab_limits import (
    AbLimits,
    InputTokenGuard,
    StopReason,
    StopSwitch,
    may_pass,
    wait_seconds,
)
from specprefill_integrations.evaluation._ab_variants import Arm, in_turn
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._run_log import RunLog
from specprefill_integrations.evaluation._targets import Answer, ChatTarget


class AbRun:
    """Asks what the log does not know yet."""

    def __init__(
        self,
        target: ChatTarget,
        prompts: PromptMaker,
        arms: Sequence[Arm],
        log: RunLog,
        limits: AbLimits | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            target: The model that is asked.
            prompts: Makes the prompts of a case.
            arms: The ways to ask.
            log: Keeps what is found. What an earlier run found is not asked again; where a call
                failed, it is.
            limits: How far the run may go.
        """
        self.target = target
        self.prompts = prompts
        self.arms = tuple(arms)
        self.limits = limits or AbLimits()
        # A log also says what it was asked, which is no record of a call.
        self.records = [record for record in log.records if "case" in record]
        """What is known: one record a call, in the order of the log."""
        self._log = log
        self._answered = {
            (record["case"], record["arm"]) for record in self.records if "error" not in record
        }
        self._guard = InputTokenGuard(
            self.limits.max_input_tokens, sum(record["sent_tokens"] for record in self.records)
        )
        self._switch = StopSwitch(self.limits.max_failures)

    @property
    def sent_tokens(self) -> int:
        """Tokens sent to the model so far, earlier runs of the log included."""
        return self._guard.spent

    def run(
        self, cases: Sequence[EvaluationCase], on_case: Callable[[], None] = lambda: None
    ) -> StopReason | None:
        """Ask about every case; return why it ended early, if it did.

        Args:
            cases: No two with the same `case_key`.
            on_case: Called after each.
        """

        def work(turn: int, case: EvaluationCase) -> None:
            if self._switch.reason is None:
                self._ask_about(case, in_turn(self.arms, turn))
                on_case()

        with ThreadPoolExecutor(self.limits.concurrency) as pool:
            futures = [pool.submit(work, turn, case) for turn, case in enumerate(cases)]
            try:
                for future in futures:
                    future.result()
            except BaseException:  # such as Ctrl-C: what is not begun never will be
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._switch.reason

    def _ask_about(self, case: EvaluationCase, arms: Sequence[Arm]) -> None:
        key = case_key(case)
        missing = [arm for arm in arms if (key, arm.name) not in self._answered]
        if not missing:
            return
        prompts = self.prompts.prompts(case, missing)
        if not self._guard.reserve(sum(map(_tokens_of, prompts.values()))):
            # A later case might be small enough; but then those that count would be the small ones.
            self._switch.stop("max_input_tokens")
            return
        for arm in missing:
            if self._switch.reason == "target_fails":
                self._guard.correct(_tokens_of(prompts[arm]), 0)
                continue
            found = self._call(prompts[arm])
            self._note({"case": key, "id": case.id, "arm": arm.name, **found})

    def _call(self, prompt: ArmPrompt | Exception) -> dict[str, Any]:
        """What to write down about one arm of one case."""
        if isinstance(prompt, Exception):
            return {"error": f"compression: {_in_words(prompt)}", "sent_tokens": 0}
        answer, failures = self._answer(prompt)
        self._switch.note(failed=isinstance(answer, Exception))
        if isinstance(answer, Exception):
            sent = failures * prompt.prompt_tokens
            return {"error": _in_words(answer), "sent_tokens": sent}
        sent = prompt.prompt_tokens if answer.input_tokens is None else answer.input_tokens
        self._guard.correct(prompt.prompt_tokens, sent)
        return {
            "reply": answer.text,
            "context_tokens": prompt.context_tokens,
            "kept_tokens": prompt.kept_tokens,
            "draft_seconds": prompt.draft_seconds,
            "first_token_seconds": answer.first_token_seconds,
            "total_seconds": answer.total_seconds,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "failures": failures,
            "sent_tokens": sent + failures * prompt.prompt_tokens,
        }

    def _answer(self, prompt: ArmPrompt) -> tuple[Answer | Exception, int]:
        """The model's answer, or its last failure; and how many calls failed."""
        failures = 0
        while True:
            try:
                return self.target.answer(prompt.text), failures
            except Exception as error:  # noqa: BLE001 - whatever a model raises is counted
                failures += 1
                again = failures <= self.limits.retries and may_pass(error)
                if not (again and self._guard.reserve(prompt.prompt_tokens)):
                    return error, failures
            time.sleep(wait_seconds(self.limits.first_wait_seconds, failures))

    def _note(self, record: Mapping[str, Any]) -> None:
        self._log.append(record)
        self.records.append(dict(record))


def case_key(case: EvaluationCase) -> str:
    """Names what is asked about a case: its answers may be corrected, and it stays the same."""
    asked = json.dumps([case.id, case.query, case.texts, case.metric])
    return hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()


def _tokens_of(prompt: ArmPrompt | Exception) -> int:
    return 0 if isinstance(prompt, Exception) else prompt.prompt_tokens


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.300}"
