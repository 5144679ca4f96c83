"""Runs a draft over a batch of prompts and hands rows of its attention to a readout.

Contexts first, keeping their keys; then short passes on these keys: the questions, a few generated
tokens, a question without content. Knows token ids, not texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from specprefill_integrations.errors import DraftModelUnsupportedError
from specprefill_integrations.scoring._attention_capture import OnLayer, capture_attention
from specprefill_integrations.scoring._context_cache import context_cache
from specprefill_integrations.scoring._context_reading import ContextReader, PromptBatch, forward
from specprefill_integrations.scoring._draft_layers import draft_layers
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._prompts import Prompt, PromptInputs, QuestionTokens
from specprefill_integrations.scoring._transfers import Received
from specprefill_integrations.scoring.readouts import (
    PromptLayout,
    ReadingPass,
    Readout,
    Reduction,
    ValueReduction,
)


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighboring rows of a batch with equally long questions, read in the same layers."""

    rows: slice
    """The rows of the batch."""

    layers: frozenset[int]
    """The layers to read."""

    padding: int
    """Padding tokens after their questions, up to the longest question of the batch."""

    question_rows: int
    """Last rows of the questions to read."""

    reduction: Reduction
    """Receives what is read."""

    def take(self, source: ReadingPass, layer: int, weights: Tensor) -> None:
        """Hand on the attention of this group, as if it had been read alone.

        Args:
            source: The pass.
            layer: The layer.
            weights: Last rows of the pass. Shape: (batch, heads, rows, keys).
        """
        if layer not in self.layers:
            return
        own = weights[self.rows]  # (group, heads, rows, keys)
        if source == "question" and self.padding:
            # Padding comes last, both as rows and as keys.
            own = own[:, :, : -self.padding, : -self.padding]
            own = own[:, :, -self.question_rows :]  # (group, heads, question_rows, keys)
        self.reduction.add(source, layer, own)

    def take_values(self, batch: PromptBatch) -> None:
        """Hand on the values that this group needs, if it needs any.

        Args:
            batch: Contexts and questions.
        """
        found = self.reduction
        if isinstance(found, ValueReduction) and found.value_layer is not None:
            found.add_values(batch.values(found.value_layer)[self.rows])


class PromptReader:
    """Reads prompts with a draft model for one readout."""

    def __init__(self, draft: DraftModel, readout: Readout, cache_bytes: int = 0) -> None:
        """Take a draft, which is loaded at the first `read`.

        Args:
            draft: The draft.
            readout: The readout.
            cache_bytes: Memory for what is kept of contexts, which all readers of the draft share.
                0: nothing is kept or looked for.
        """
        self._draft = draft
        self._readout = readout
        self._contexts = ContextReader(draft, cache_bytes)

    def read(self, prompts: Sequence[Prompt], null_question: QuestionTokens | None) -> RangeSums:
        """Read prompts together, each as if it were alone; on CUDA, do not wait for the device.

        Padding precedes the context and follows the question, so it changes no distance within
        a prompt and no token attends to it. If tokens are generated after the question, or the
        draft has no positions for the padding, only prompts with equally long questions are read
        together.

        Args:
            prompts: The prompts; without padding if all are equally long.
            null_question: The question without content, if the readout wants one.

        Returns:
            The readout's features, summed over the ranges of each prompt.

        Raises:
            DraftModelUnsupportedError: No attention could be read, the draft cannot generate, or it
                does not keep the values that the readout wants.
            ReadoutProfileError: The readout is fitted to another number of values.
        """
        order = sorted(range(len(prompts)), key=lambda row: self._kind(prompts[row]))
        together = [order]
        if self._readout.lookahead_tokens or not self._has_room(prompts):
            by_length = groupby(order, key=lambda row: len(prompts[row].question.ids))
            together = [list(rows) for _, rows in by_length]
        with self._draft.lock, torch.inference_mode():
            sums = [self._read([prompts[row] for row in rows], null_question) for rows in together]
            return RangeSums(torch.cat(sums), {row: len(prompts[row].ranges) for row in order})

    def release(self) -> bool:
        """Drop what is kept of the draft's contexts; return False if there was nothing."""
        with self._draft.lock:
            return context_cache(self._draft).clear()

    def _has_room(self, prompts: Sequence[Prompt]) -> bool:
        """Return True if the longest question fits after the longest context, of any prompts."""
        positions = self._draft.max_positions
        context_tokens = max(len(prompt.context) for prompt in prompts)
        question_tokens = max(len(prompt.question.ids) for prompt in prompts)
        return positions is None or context_tokens + question_tokens <= positions

    def _kind(self, prompt: Prompt) -> tuple[int, int, int, list[int]]:
        """Return what prompts must have in common to share a reduction."""
        words = prompt.question.words
        layers = self._readout.layers(draft_layers(self._draft.config, prompt.longest_tokens))
        return len(prompt.question.ids), words.start, words.stop, sorted(layers)

    def _read(self, prompts: Sequence[Prompt], null_question: QuestionTokens | None) -> Tensor:
        """Read prompts, sorted by kind, as one batch. Shape: (ranges of all, features)."""
        generates = self._readout.lookahead_tokens > 0
        inputs = PromptInputs.of(
            prompts,
            null_question.ids if null_question else (),
            self._draft.end_token_ids if generates else (),
            self._draft.device,
        )
        return _range_sums(self.features(prompts, null_question, inputs), inputs.range_edges)

    def features(
        self,
        prompts: Sequence[Prompt],
        null_question: QuestionTokens | None,
        inputs: PromptInputs,
    ) -> Tensor:
        """Read prompts, sorted by kind, as one batch.

        Args:
            prompts: The prompts.
            null_question: The question without content, if the readout wants one.
            inputs: Prompts and question on the draft's device.

        Returns:
            The readout's features of each context's tokens, padding first.
            Shape: (batch, context, features).
        """
        contexts = [prompt.context for prompt in prompts]
        batch = self._contexts.read(contexts, inputs.context_ids, inputs.context_lengths)
        groups = self._groups(prompts, null_question, inputs)
        self._read_questions(batch, inputs, groups)
        if null_question is not None:
            self._read_null_question(batch, contexts, null_question.ids, inputs, groups)
        return torch.cat([group.reduction.features() for group in groups])

    def _groups(
        self,
        prompts: Sequence[Prompt],
        null_question: QuestionTokens | None,
        inputs: PromptInputs,
    ) -> list[_Group]:
        """Group prompts, sorted by kind, by their kind."""
        context_tokens = max(len(prompt.context) for prompt in prompts)
        question_tokens = max(len(prompt.question.ids) for prompt in prompts)
        groups = []
        start = 0
        for (own_tokens, first, end, layers), found in groupby(prompts, key=self._kind):
            alike = len(list(found))
            rows = slice(start, start + alike)
            layout = PromptLayout(
                context_tokens=context_tokens,
                prompt_tokens=context_tokens + own_tokens,
                question_words=slice(first, end),
                null_words=null_question.words if null_question else slice(0),
                is_text=inputs.is_text[rows],  # (group, context)
            )
            groups.append(
                _Group(
                    rows=rows,
                    layers=frozenset(layers),
                    padding=question_tokens - own_tokens,
                    question_rows=self._readout.question_rows or own_tokens,
                    reduction=self._readout.begin(layout),
                )
            )
            start += alike
        return groups

    def _read_questions(
        self, batch: PromptBatch, inputs: PromptInputs, groups: Sequence[_Group]
    ) -> None:
        """Read the questions' rows, then those of the tokens generated after them."""
        ids = inputs.question_ids  # (batch, question)
        batch, output = self._pass(batch.branch(), ids, "question", groups)
        for group in groups:
            group.take_values(batch)
        finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)  # (batch,)
        _end_step(groups, finished)
        for _ in range(self._readout.lookahead_tokens):
            ids = output.logits[:, -1:].argmax(dim=-1)  # greedy, (batch, 1)
            # Rows after an end-of-sequence token are dropped; its own row still counts.
            ended_now = (ids == inputs.end_ids).any(dim=1)  # (batch,)
            batch, output = self._pass(batch, ids, "lookahead", groups)
            _end_step(groups, finished)
            finished = finished | ended_now

    def _read_null_question(
        self,
        batch: PromptBatch,
        contexts: Sequence[Sequence[int]],
        question: Sequence[int],
        inputs: PromptInputs,
        groups: Sequence[_Group],
    ) -> None:
        """Read the rows of the question without content, or find those that are kept."""
        layers = frozenset(layer for group in groups for layer in group.layers)
        kept = self._contexts.kept_rows(batch, question, layers)
        for layer, weights in kept.items():  # (batch, heads, rows, keys)
            for group in groups:
                group.take("null_question", layer, weights)
        if kept:
            return
        ids = inputs.null_question_ids.expand(len(contexts), -1)  # (batch, null question)
        read: dict[int, Tensor] = {}
        keep = read.__setitem__ if batch.keys else None
        self._pass(batch.branch(), ids, "null_question", groups, keep)
        if batch.keys:
            self._contexts.keep_rows(batch, contexts, question, read)

    def _pass(
        self,
        batch: PromptBatch,
        ids: Tensor,
        source: ReadingPass,
        groups: Sequence[_Group],
        keep: OnLayer | None = None,
    ) -> tuple[PromptBatch, Any]:
        """Read tokens after the prompts and hand on rows of attention.

        Args:
            batch: What was read before; its cache grows in place.
            ids: The tokens. Shape: (batch, ids).
            source: The pass.
            groups: Receive the rows.
            keep: Receives the rows of each layer as well.

        Returns:
            The batch with these tokens, and the model's output.
        """
        layers_read = 0

        def take(layer: int, weights: Tensor) -> None:  # (batch, heads, rows, keys)
            nonlocal layers_read
            layers_read += 1
            for group in groups:
                group.take(source, layer, weights)
            if keep is not None:
                keep(layer, weights)

        rows = ids.shape[1]
        if source == "question":
            rows = max(group.question_rows + group.padding for group in groups)
        generates = source != "null_question" and self._readout.lookahead_tokens > 0
        model = self._draft.model if generates else self._draft.model.base_model
        has_head = model is not self._draft.model.base_model
        options = {"logits_to_keep": 1} if has_head else {}
        mask = torch.cat([batch.mask, torch.ones_like(ids, dtype=torch.bool)], dim=1)
        longer = PromptBatch(mask, batch.cache, batch.is_padded)  # mask: (batch, length + ids)
        layers = frozenset(layer for group in groups for layer in group.layers)
        with capture_attention(self._draft.model, rows=rows, on_layer=take, layers=layers):
            output = forward(model, longer, ids, **options)
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


class RangeSums:
    """Sums of features over the ranges of prompts, on their way to the host."""

    def __init__(self, sums: Tensor, counts: Mapping[int, int]) -> None:
        """Send the sums.

        Args:
            sums: The sums. Shape: (ranges of all prompts, features).
            counts: For each prompt, in the order of the sums, its number of ranges.
        """
        self._received = Received(sums)
        self._counts = counts

    def wait(self) -> list[NDArray[np.float64]]:
        """Return the sums of each prompt, once they have come. Shapes: (ranges, features)."""
        edges = np.cumsum(list(self._counts.values()))[:-1]
        parts = np.split(self._received.wait(), edges)
        found = dict(zip(self._counts, parts, strict=True))
        return [found[prompt] for prompt in sorted(found)]


def _end_step(groups: Sequence[_Group], finished: Tensor) -> None:  # finished: (batch,)
    for group in groups:
        group.reduction.end_step(finished[group.rows])


def _range_sums(features: Tensor, edges: Tensor) -> Tensor:
    """Sum features over ranges of tokens.

    Args:
        features: Shape: (batch, context, features).
        edges: See `PromptInputs.range_edges`. Shape: (2, ranges).

    Returns:
        Shape: (ranges, features).
    """
    # In double precision, so that differences of running sums are as exact as direct sums. Apple's
    # GPUs know no double.
    wide = torch.float32 if features.device.type == "mps" else torch.float64
    batch, context, columns = features.shape
    running = features.new_zeros((batch, context + 1, columns), dtype=wide)
    torch.cumsum(features, dim=1, dtype=wide, out=running[:, 1:])
    running = running.flatten(0, 1)  # (batch * (context + 1), features)
    return running.index_select(0, edges[1]) - running.index_select(0, edges[0])
