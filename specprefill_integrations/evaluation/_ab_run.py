"""Calls of an A/B measurement: every case with every variant, one after the other.

Results go to a run log, from which a later run continues. They are judged elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from specprefill_integrations._progress_line import counted
from specprefill_integrations.evaluation._ab_limits import (
    AbLimits,
    InputTokenGuard,
    StopReason,
    StopSwitch,
)
from specprefill_integrations.evaluation._ab_prompts import PromptMaker, VariantPrompt
from specprefill_integrations.evaluation._ab_variants import Variant, in_turn
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._judging import is_answered
from specprefill_integrations.evaluation._likelihood import (
    LIKELIHOODS,
    LikelihoodTarget,
    likelihoods_record,
)
from specprefill_integrations.evaluation._run_log import RunLog
from specprefill_integrations.evaluation._targets import ChatTarget

Target = ChatTarget | LikelihoodTarget
"""A model that replies, or one that tells how probable right answers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Called:
    """Result of one call."""

    fields: Mapping[str, Any]
    """Fields of its record in the log."""

    sent_tokens: int | None
    """Tokens that the model read, as it counts them; None if it does not report them."""


class AbRun:
    """Asks whatever is missing in the log."""

    def __init__(
        self,
        target: Target,
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
            log: Receives the results. Those that it holds are reused; failed calls are repeated.
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
            (record["case"], record["variant"]): record
            for record in self.records
            if "error" not in record
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
            with counted(futures, "Asking the model") as each:
                for future in each:
                    future.result()
        except BaseException as error:
            # Start no further case; after Ctrl-C, do not wait for a model that may never answer.
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        pool.shutdown()
        return self._switch.reason

    def _ask_about(self, case: EvaluationCase, variants: Sequence[Variant]) -> None:
        key = case_key(case)
        missing = [
            one
            for one in variants
            if not is_answered(case, self._answered.get((key, one.name), {}))
        ]
        if not missing:
            return
        prompts = {
            variant: self._sent(case, prompt)
            for variant, prompt in self.prompts.prompts(case, missing).items()
        }
        if not self._guard.reserve(sum(map(_tokens_of, prompts.values()))):
            # Skipping to smaller cases would bias the result towards them.
            self._switch.stop("max_input_tokens")
            return
        for variant in missing:
            if self._switch.reason == "target_fails":
                self._guard.correct(_tokens_of(prompts[variant]), 0)
                continue
            found = self._call(case, prompts[variant])
            self._note({"case": key, "id": case.id, "variant": variant.name, **found})

    def _sent(
        self, case: EvaluationCase, prompt: VariantPrompt | Exception
    ) -> VariantPrompt | Exception:
        """A prompt with the tokens that one call sends: it is read once for each answer."""
        if isinstance(prompt, Exception) or not isinstance(self.target, LikelihoodTarget):
            return prompt
        return replace(prompt, prompt_tokens=prompt.prompt_tokens * len(case.answers))

    def _call(self, case: EvaluationCase, prompt: VariantPrompt | Exception) -> dict[str, Any]:
        """The log's record of one variant of one case."""
        if isinstance(prompt, Exception):
            return {"error": f"compression: {_format_error(prompt)}", "sent_tokens": 0}
        called, failures = self._answer(case, prompt)
        self._switch.note(failed=isinstance(called, Exception))
        if isinstance(called, Exception):
            sent = failures * prompt.prompt_tokens
            return {"error": _format_error(called), "sent_tokens": sent}
        sent = prompt.prompt_tokens if called.sent_tokens is None else called.sent_tokens
        self._guard.correct(prompt.prompt_tokens, sent)
        return {
            **called.fields,
            "context_tokens": prompt.context_tokens,
            "kept_tokens": prompt.kept_tokens,
            "draft_seconds": prompt.draft_seconds,
            "failures": failures,
            "sent_tokens": sent + failures * prompt.prompt_tokens,
        }

    def _answer(
        self, case: EvaluationCase, prompt: VariantPrompt
    ) -> tuple[_Called | Exception, int]:
        """The result of a call or its last error, and the number of failed calls."""
        retrying = self.limits.retrying(lambda: self._guard.reserve(prompt.prompt_tokens))
        try:
            called = retrying(_call_model, self.target, case, prompt.text)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is counted
            return error, retrying.statistics["attempt_number"]
        return called, retrying.statistics["attempt_number"] - 1

    def _note(self, record: Mapping[str, Any]) -> None:
        self._log.append(record)
        self.records.append(dict(record))


def _call_model(target: Target, case: EvaluationCase, prompt: str) -> _Called:
    if isinstance(target, LikelihoodTarget):
        return _call_for_likelihoods(target, case, prompt)
    answer = target.answer(prompt)
    return _Called(
        fields={
            "reply": answer.text,
            "first_token_seconds": answer.first_token_seconds,
            "total_seconds": answer.total_seconds,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
        },
        sent_tokens=answer.input_tokens,
    )


def _call_for_likelihoods(target: LikelihoodTarget, case: EvaluationCase, prompt: str) -> _Called:
    started = time.perf_counter()
    found = target.answer_likelihoods(prompt, case.answers)
    seconds = time.perf_counter() - started
    counts = [one.input_tokens for one in found if one.input_tokens is not None]
    fields = {
        LIKELIHOODS: likelihoods_record(case.answers, found),
        "first_token_seconds": None,  # there is no reply
        "total_seconds": seconds,
        "input_tokens": max(counts, default=None),
        "output_tokens": None,
    }
    return _Called(fields=fields, sent_tokens=sum(counts) if len(counts) == len(found) else None)


def case_key(case: EvaluationCase) -> str:
    """A name for what is asked about a case, independent of its answers, which may be corrected."""
    asked = json.dumps([case.id, case.query, case.texts, case.metric])
    return hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()


def _tokens_of(prompt: VariantPrompt | Exception) -> int:
    return 0 if isinstance(prompt, Exception) else prompt.prompt_tokens


def _format_error(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.300}"
