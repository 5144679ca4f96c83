"""A causal model of transformers in this process as a target of likelihoods."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from specprefill_integrations.evaluation._likelihood import AnswerLikelihood, completion_of
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._transformers_versions import cache_name


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Tokens of a prompt and an answer."""

    ids: list[int]
    """All tokens."""

    first: int
    """Index of the first token that lies wholly in the answer, at least 1."""

    last: int
    """Index of the last one."""


class TransformersTarget:
    """Reads prompt and answer in this process, one forward pass at a time.

    The prompt is one user message in the model's chat template, if it has one; else the answer
    follows the prompt after a space.
    """

    def __init__(self, model: DraftModel, *, chat_template: bool = True) -> None:
        """Wrap a model.

        Args:
            model: Any causal model; loaded at the first call.
            chat_template: Use the chat template, if there is one.
        """
        self._source = model
        self._chat_template = chat_template

    def answer_likelihoods(self, prompt: str, answers: Sequence[str]) -> list[AnswerLikelihood]:
        """See `LikelihoodTarget.answer_likelihoods`.

        Raises:
            ValueError: Prompt and answer have more tokens than the model has positions, or
                no token lies wholly in an answer.
        """
        model, tokenizer = self._source.load()
        encoded = [self._encode(tokenizer, prompt, answer) for answer in answers]
        longest = max(len(one.ids) for one in encoded)
        limit = self._source.max_positions
        if limit is not None and longest > limit:
            msg = f"prompt and answer have {longest:,} tokens; the model's context has {limit:,}"
            raise ValueError(msg)
        with self._source.lock, torch.inference_mode():
            return _score(model, encoded)

    def _encode(self, tokenizer: Any, prompt: str, answer: str) -> _Encoded:  # noqa: ANN401
        start, continuation = completion_of(prompt, answer)
        has_template = self._chat_template and bool(getattr(tokenizer, "chat_template", None))
        if has_template:
            messages = [{"role": "user", "content": prompt}]
            # A template that knows no such switch ignores it.
            start = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
            continuation = answer.strip()

        def tokens_of(text: str) -> tuple[list[int], list[int]]:
            found = tokenizer(
                text, add_special_tokens=not has_template, return_offsets_mapping=True
            )
            return found["input_ids"], [end for _, end in found["offset_mapping"]]

        ids, ends = tokens_of(start + continuation)
        before, _ = tokens_of(start)
        # Tokens end where the next one starts, but some tokenizers leave blanks out of the offsets.
        # So if tokens merge at the border, the first one counts whose predecessor ends behind it.
        first = len(before)
        if ids[:first] != before:
            behind = [place for place, end in enumerate(ends) if end >= len(start)]
            first = behind[0] + 1 if behind else len(ids)
        # Special tokens that a tokenizer appends have no place in the text.
        last = max((place for place, end in enumerate(ends) if end > len(start)), default=-1)
        if not 1 <= first <= last:
            msg = f"no token lies wholly in the answer {answer!r:.60}"
            raise ValueError(msg)
        return _Encoded(ids=ids, first=first, last=last)


def _score(model: Any, encoded: Sequence[_Encoded]) -> list[AnswerLikelihood]:  # noqa: ANN401
    """Read what all answers have in common once, then the rest of each."""
    common = min(one.first for one in encoded) - 1
    while any(one.ids[:common] != encoded[0].ids[:common] for one in encoded):
        common -= 1
    name, cache = cache_name(model), None
    if common:
        ids = torch.tensor([encoded[0].ids[:common]], device=model.device)  # (1, common)
        # The logits of a long prompt would take more memory than the model.
        cache = getattr(model(ids, use_cache=True, logits_to_keep=1), name)
    found = []
    for one in encoded:
        ids = torch.tensor([one.ids[common : one.last + 1]], device=model.device)  # (1, rest)
        # A cache grows in place, so each answer needs a copy, and the last one the cache itself.
        past = cache if one is encoded[-1] else copy.deepcopy(cache)
        logits = model(ids[:, :-1], **{name: past}, use_cache=True).logits  # (1, rest - 1, words)
        scored = slice(one.first - common - 1, None)  # logits at a token are about the next one
        log_probabilities = logits[0, scored].float().log_softmax(dim=-1)  # (answer, words)
        wanted = ids[0, 1:][scored, None]  # (answer, 1)
        total = log_probabilities.gather(1, wanted).double().sum()
        found.append(
            AnswerLikelihood(
                log_likelihood=min(0.0, float(total)),
                tokens=len(wanted),
                input_tokens=len(one.ids),
            )
        )
    return found
