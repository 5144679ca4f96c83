"""Calls of an A/B measurement: every case with every variant, one after the other.

Results go to a run log, from which a later run continues. Replies are judged elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from specprefill_integrations.evaluation._ab_limits import (
    AbLimits,
    InputTokenGuard,
    StopReason,
    StopSwitch,
)
from specprefill_integrations.evaluation._ab_prompts import PromptMaker, VariantPrompt
from specprefill_integrations.evaluation._ab_variants import Variant, in_turn
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._run_log import RunLog
from specprefill_integrations.evaluation._targets import Answer, ChatTarget


class AbRun:
    """Asks whatever is missing in the log."""

    def __init__(
        self,
        target: ChatTarget,
        prompts: PromptMaker,
        variants: Sequence[Variant],
        log: RunLog,
        limits: AbLimits | None = None,
    ) -> None:
        """Read the log.

        Args:
            target: The model.
            prompts: Makes the prompts of a case.
            variants: The variants to ask.
            log: Receives the results. Replies that it holds are reused; failed calls are repeated.
            limits: Limits of the run.
        """
        self.target = target
        self.prompts = prompts
        self.variants = tuple(variants)
        self.limits = limits or AbLimits()
        # A log also holds a record per invocation.
        self.records = [record for record in log.records if "case" in record]
        """One record per call, in the order of the log."""
        self._log = log
        self._answered = {
            (record["case"], record["variant"]) for record in self.records if "error" not in record
        }
        self._guard = InputTokenGuard(
            self.limits.max_input_tokens, sum(record["sent_tokens"] for record in self.records)
        )
        self._switch = StopSwitch(self.limits.max_failures)

    @property
    def sent_tokens(self) -> int:
        """Tokens sent to the model, earlier runs of the log included."""
        return self._guard.spent

    def run(
        self, cases: Sequence[EvaluationCase], on_case: Callable[[], object] = lambda: None
    ) -> StopReason | None:
        """Ask about every case; return the reason if the run ended early.

        Args:
            cases: The cases, each with another `case_key`.
            on_case: Called after each case.
        """

        def work(turn: int, case: EvaluationCase) -> None:
            if self._switch.reason is None:
                self._ask_about(case, in_turn(self.variants, turn))
                on_case()

        pool = ThreadPoolExecutor(self.limits.concurrency)
        futures = [pool.submit(work, turn, case) for turn, case in enumerate(cases)]
        try:
            for future in futures:
                future.result()
        except BaseException as error:
            # Start no further case; after Ctrl-C, do not wait for a model that may never answer.
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        pool.shutdown()
        return self._switch.reason

    def _ask_about(self, case: EvaluationCase, variants: Sequence[Variant]) -> None:
        key = case_key(case)
        missing = [one for one in variants if (key, one.name) not in self._answered]
        if not missing:
            return
        prompts = self.prompts.prompts(case, missing)
        if not self._guard.reserve(sum(map(_tokens_of, prompts.values()))):
            # Skipping to smaller cases would bias the result towards them.
            self._switch.stop("max_input_tokens")
            return
        for variant in missing:
            if self._switch.reason == "target_fails":
                self._guard.correct(_tokens_of(prompts[variant]), 0)
                continue
            found = self._call(prompts[variant])
            self._note({"case": key, "id": case.id, "variant": variant.name, **found})

    def _call(self, prompt: VariantPrompt | Exception) -> dict[str, Any]:
        """The log's record of one variant of one case."""
        if isinstance(prompt, Exception):
            return {"error": f"compression: {_format_error(prompt)}", "sent_tokens": 0}
        answer, failures = self._answer(prompt)
        self._switch.note(failed=isinstance(answer, Exception))
        if isinstance(answer, Exception):
            sent = failures * prompt.prompt_tokens
            return {"error": _format_error(answer), "sent_tokens": sent}
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

    def _answer(self, prompt: VariantPrompt) -> tuple[Answer | Exception, int]:
        """The model's answer or its last error, and the number of failed calls."""
        retrying = self.limits.retrying(lambda: self._guard.reserve(prompt.prompt_tokens))
        try:
            answer = retrying(self.target.answer, prompt.text)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is counted
            return error, retrying.statistics["attempt_number"]
        return answer, retrying.statistics["attempt_number"] - 1

    def _note(self, record: Mapping[str, Any]) -> None:
        self._log.append(record)
        self.records.append(dict(record))


def case_key(case: EvaluationCase) -> str:
    """A name for what is asked about a case, independent of its answers, which may be corrected."""
    asked = json.dumps([case.id, case.query, case.texts, case.metric])
    return hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()


def _tokens_of(prompt: VariantPrompt | Exception) -> int:
    return 0 if isinstance(prompt, Exception) else prompt.prompt_tokens


def _format_error(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.300}"
