"""Runs the draft over a batch of prompts, and hands the rows to a readout.

Contexts first, with their keys kept; then, on those keys, the questions, a few generated tokens and
a question without content: each is a short pass. Knows token ids, not texts.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from specprefill_integrations.errors import DraftModelUnsupportedError
from specprefill_integrations.scoring._attention_capture import capture_attention
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring.readouts import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    Readout,
    Reduction,
)

_SOFTMAX = {"full_attention", "sliding_attention", "chunked_attention"}


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """What the draft reads after the context."""

    ids: Sequence[int]
    """Token ids."""

    words: slice
    """Which of them are the question's own words."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A context and what is asked about it."""

    context: Sequence[int]
    """Token ids of the context."""

    is_text: Sequence[bool]
    """Which of them belong to the texts, and not to what stands before and between them."""

    question: QuestionTokens
    """What follows the context."""

    longest_tokens: int
    """Tokens of the longest prompt that this one is compared with: all of them are read in the
    layers that are right for that one."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch of prompts of which the first `length` tokens have been read."""

    mask: Tensor
    """Which tokens are real. Shape: (batch, length)."""

    cache: Any
    """Their keys and values."""

    is_padded: bool
    """Whether `mask` hides anything; known without asking the device."""

    @property
    def length(self) -> int:
        """Tokens read so far, padding included."""
        return self.mask.shape[1]


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighboring rows of a batch whose questions are as long, read in the same layers."""

    rows: slice
    """Which rows."""

    layers: frozenset[int]
    """Which layers are read."""

    padding: int
    """Tokens behind their questions, up to the longest question of the batch."""

    question_rows: int
    """How many of the questions' last rows are read."""

    reduction: Reduction
    """Takes what is read."""

    def take(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Hand on what was read of these rows, as if they had been read alone.

        Args:
            source: Which pass.
            layer: Which layer.
            weights: The last rows of the pass. Shape: (batch, heads, rows, keys).
        """
        if layer not in self.layers:
            return
        own = weights[self.rows]
        if source == "question" and self.padding:
            own = own[:, :, : -self.padding, : -self.padding][:, :, -self.question_rows :]
        self.reduction.add(source, layer, own)


class PromptReader:
    """Reads prompts with a draft model for one readout."""

    def __init__(self, draft: DraftModel, readout: Readout) -> None:
        """Take the draft as it is; it is loaded at the first `read`."""
        self._draft = draft
        self._readout = readout

    def read(self, prompts: Sequence[Prompt], null_question: QuestionTokens | None) -> list[Tensor]:
        """Read prompts together, each as if alone.

        Nothing that pads changes a distance within a prompt, or is seen from it: it stands before
        the context and behind the question. Where tokens are generated there, or the draft has no
        positions for it, only prompts whose questions are as long are read together.

        Args:
            prompts: What is read; where all are as long, nothing is padded.
            null_question: The question without content, where the readout wants one.

        Returns:
            What the readout made of the tokens of each context, padding included, which comes
            first. Shape of each: (tokens, features).

        Raises:
            DraftModelUnsupportedError: No attention could be read, or the draft cannot generate.
        """
        order = sorted(range(len(prompts)), key=lambda row: self._kind(prompts[row]))
        together = [order]
        if self._readout.lookahead_tokens or not self._has_room(prompts):
            by_length = groupby(order, key=lambda row: len(prompts[row].question.ids))
            together = [list(rows) for _, rows in by_length]
        found: dict[int, Tensor] = {}
        with self._draft.lock, torch.inference_mode():
            for rows in together:
                features = self._read([prompts[row] for row in rows], null_question)
                found.update(zip(rows, features, strict=True))
        return [found[row] for row in range(len(prompts))]

    def _has_room(self, prompts: Sequence[Prompt]) -> bool:
        """Whether the longest question fits behind the longest context, though not asked of it."""
        positions = self._draft.max_positions
        context_tokens = max(len(prompt.context) for prompt in prompts)
        question_tokens = max(len(prompt.question.ids) for prompt in prompts)
        return positions is None or context_tokens + question_tokens <= positions

    def _kind(self, prompt: Prompt) -> tuple[int, int, int, list[int]]:
        """What prompts have in common that one reduction can take."""
        words = prompt.question.words
        layers = self._readout.layers(draft_layers(self._draft.config, prompt.longest_tokens))
        return len(prompt.question.ids), words.start, words.stop, sorted(layers)

    def _read(
        self, prompts: Sequence[Prompt], null_question: QuestionTokens | None
    ) -> list[Tensor]:
        """Read prompts, sorted by kind, as one batch."""
        batch = self._read_contexts([prompt.context for prompt in prompts])
        groups = self._groups(prompts, null_question)
        self._read_questions(batch, [prompt.question.ids for prompt in prompts], groups)
        if null_question is not None:
            ids = self._padded([null_question.ids] * len(prompts))
            self._pass(_branch(batch), ids, "null_question", groups)
        return [row for group in groups for row in group.reduction.features()]

    def _groups(
        self, prompts: Sequence[Prompt], null_question: QuestionTokens | None
    ) -> list[_Group]:
        """The prompts of a batch, sorted by kind, in groups of one kind."""
        context_tokens = max(len(prompt.context) for prompt in prompts)
        question_tokens = max(len(prompt.question.ids) for prompt in prompts)
        groups = []
        start = 0
        for (own_tokens, first, end, layers), found in groupby(prompts, key=self._kind):
            alike = list(found)
            padding = [[False] * (context_tokens - len(prompt.context)) for prompt in alike]
            is_text = [pad + list(p.is_text) for pad, p in zip(padding, alike, strict=True)]
            layout = PromptLayout(
                context_tokens=context_tokens,
                prompt_tokens=context_tokens + own_tokens,
                question_words=slice(first, end),
                null_words=null_question.words if null_question else slice(0),
                is_text=torch.tensor(is_text, device=self._draft.device),
            )
            groups.append(
                _Group(
                    rows=slice(start, start + len(alike)),
                    layers=frozenset(layers),
                    padding=question_tokens - own_tokens,
                    question_rows=self._readout.question_rows or own_tokens,
                    reduction=self._readout.begin(layout),
                )
            )
            start += len(alike)
        return groups

    def _read_contexts(self, contexts: Sequence[Sequence[int]]) -> _Batch:
        """The contexts' keys and values, padded on the left; no attention is read."""
        longest = max(map(len, contexts))
        pads = [longest - len(context) for context in contexts]
        ids = [[0] * pad + list(context) for pad, context in zip(pads, contexts, strict=True)]
        real = [[False] * pad + [True] * (longest - pad) for pad in pads]
        device = self._draft.device
        batch = _Batch(
            torch.tensor(real, device=device),
            _empty_cache(self._draft.model),
            is_padded=any(pads),
        )
        self._forward(batch, torch.tensor(ids, device=device), self._draft.model.base_model)
        return batch

    def _read_questions(
        self, batch: _Batch, questions: Sequence[Sequence[int]], groups: Sequence[_Group]
    ) -> None:
        """The questions' rows, then those of the tokens that the draft generates after them."""
        ids = self._padded(questions)
        batch, output = self._pass(_branch(batch), ids, "question", groups)
        finished = torch.zeros(len(questions), dtype=torch.bool, device=ids.device)
        _end_step(groups, finished)
        ends = torch.tensor(self._draft.end_token_ids, device=ids.device)
        for _ in range(self._readout.lookahead_tokens):
            ids = output.logits[:, -1:].argmax(dim=-1)  # greedy, (batch, 1)
            # Rows after an end-of-sequence token are dropped; its own row still counts.
            ended_now = torch.isin(ids[:, 0], ends)
            batch, output = self._pass(batch, ids, "lookahead", groups)
            _end_step(groups, finished)
            finished = finished | ended_now

    def _pass(
        self, batch: _Batch, ids: Tensor, source: ReadingPass, groups: Sequence[_Group]
    ) -> tuple[_Batch, Any]:
        """Read `ids` after the prompts and hand rows of attention on."""
        layers_read = 0

        def take(layer: int, weights: Tensor) -> None:
            nonlocal layers_read
            layers_read += 1
            for group in groups:
                group.take(source, layer, weights)

        rows = ids.shape[1]
        if source == "question":
            rows = max(group.question_rows + group.padding for group in groups)
        generates = source != "null_question" and self._readout.lookahead_tokens > 0
        model = self._draft.model if generates else self._draft.model.base_model
        mask = torch.cat([batch.mask, torch.ones_like(ids, dtype=torch.bool)], dim=1)
        longer = _Batch(mask, batch.cache, batch.is_padded)
        layers = frozenset(layer for group in groups for layer in group.layers)
        with capture_attention(self._draft.model, rows=rows, on_layer=take, layers=layers):
            output = self._forward(longer, ids, model)
        if not layers_read:
            msg = (
                f"No attention of {self._draft.name!r} could be read: "
                f"{type(self._draft.model).__name__} does not use transformers' attention "
                f"interface."
            )
            raise DraftModelUnsupportedError(msg)
        if generates and not hasattr(output, "logits"):
            msg = f"{type(self._draft.model).__name__} cannot generate: it has no output head."
            raise DraftModelUnsupportedError(msg)
        return longer, output

    def _forward(self, batch: _Batch, ids: Tensor, model: Any) -> Any:  # noqa: ANN401
        """Run the draft over the last tokens of the prompts; its cache grows in place."""
        # Without padding no mask is needed, and attention may take its fastest path.
        options: dict[str, Any] = {}
        if batch.is_padded:
            options["attention_mask"] = batch.mask.long()
            positions = batch.mask.long().cumsum(dim=1) - 1
            options["position_ids"] = positions.clamp_min(0)[:, -ids.shape[1] :]
        if model is self._draft.model and model is not model.base_model:
            options["logits_to_keep"] = 1
        return model(input_ids=ids, past_key_values=batch.cache, use_cache=True, **options)

    def _padded(self, questions: Sequence[Sequence[int]]) -> Tensor:
        """Questions, padded on the right: nothing sees what comes after it. Shape: (batch, ids)."""
        longest = max(map(len, questions))
        ids = [[*question, *[0] * (longest - len(question))] for question in questions]
        return torch.tensor(ids, device=self._draft.device)


def _empty_cache(model: Any) -> Any:  # noqa: ANN401
    """A cache that keeps all keys, so that rows of sliding-window layers line up with the others.

    Layers without attention (state-space, linear) need the cache that their config asks for.
    """
    if {kind for kind, _ in _layer_kinds(model.config.get_text_config())} <= _SOFTMAX:
        return DynamicCache()
    return DynamicCache(config=model.config)


def draft_layers(config: Any, prompt_tokens: int) -> DraftLayers:  # noqa: ANN401
    """What the layers of a model with this config see of a prompt."""
    kinds = _layer_kinds(config)
    reaches = enumerate(reach or prompt_tokens for _, reach in kinds)
    return DraftLayers(
        depth=len(kinds),
        attention=frozenset(i for i, (kind, _) in enumerate(kinds) if kind in _SOFTMAX),
        local=frozenset(i for i, reach in reaches if reach < prompt_tokens),
    )


def layers_needed(readout: Readout, config: Any, prompt_tokens: int) -> int:  # noqa: ANN401
    """How many of a model's layers have to run for a readout, for prompts of any such length."""
    read = readout.layers(draft_layers(config, 1)) | readout.layers(
        draft_layers(config, prompt_tokens)
    )
    return max(read, default=0) + 1


def _layer_kinds(config: Any) -> list[tuple[str, int | None]]:  # noqa: ANN401
    """What each layer of a model is by its config, and how far back it sees; None for all."""
    kinds = getattr(config, "layer_types", None)
    sliding = getattr(config, "sliding_window", None)
    if not kinds:  # then all layers are of one kind
        kinds = ["sliding_attention" if sliding else "full_attention"] * config.num_hidden_layers
    reach = {
        "sliding_attention": sliding,
        "chunked_attention": getattr(config, "attention_chunk_size", None),
    }
    return [(kind, reach.get(kind)) for kind in kinds]


def _end_step(groups: Sequence[_Group], finished: Tensor) -> None:
    for group in groups:
        group.reduction.end_step(finished[group.rows])


def _branch(batch: _Batch) -> _Batch:
    """The same prompts with a cache of their own: what is read next leaves the first one as it is.

    Growing a layer makes new tensors, so the old ones are shared; other layers work in place.
    """
    cache = copy.copy(batch.cache)
    cache.layers = [
        copy.copy(layer) if type(layer) is DynamicLayer else copy.deepcopy(layer)
        for layer in batch.cache.layers
    ]
    return _Batch(batch.mask, cache, batch.is_padded)
