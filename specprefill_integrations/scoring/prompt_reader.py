"""Runs the draft over a batch of contexts and a question, and hands the rows to a readout.

Context first, with its keys kept; then, on those keys, the question, a few generated tokens and a
question without content: each is a short pass. Knows token ids, not texts.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from specprefill_integrations.errors import DraftModelUnsupportedError
from specprefill_integrations.scoring.attention_capture import capture_attention
from specprefill_integrations.scoring.draft_model import DraftModel
from specprefill_integrations.scoring.readouts import (
    DraftLayers,
    PromptLayout,
    ReadingPass,
    Readout,
    Reduction,
)

_SOFTMAX = {"full_attention", "sliding_attention", "chunked_attention"}


@dataclass(frozen=True, slots=True)
class ContextTokens:
    """What the draft reads before the question."""

    ids: Sequence[int]
    """Token ids."""

    is_text: Sequence[bool]
    """Which of them belong to the texts, and not to what stands before and between them."""


@dataclass(frozen=True, slots=True)
class QuestionTokens:
    """What the draft reads after the context."""

    ids: Sequence[int]
    """Token ids."""

    words: slice
    """Which of them are the question's own words."""


@dataclass(frozen=True, slots=True)
class _Prompts:
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


class PromptReader:
    """Reads prompts with a draft model for one readout."""

    def __init__(self, draft: DraftModel, readout: Readout) -> None:
        """Take the draft as it is; it is loaded at the first `read`."""
        self._draft = draft
        self._readout = readout

    def read(
        self,
        contexts: Sequence[ContextTokens],
        question: QuestionTokens,
        null_question: QuestionTokens | None,
    ) -> Reduction:
        """Read a question over each of several contexts.

        Args:
            contexts: The tokens of each context; where all are as long, nothing is padded.
            question: What follows each context.
            null_question: The question without content, where the readout wants one.

        Returns:
            What the readout made of it.

        Raises:
            DraftModelUnsupportedError: No attention could be read, or the draft cannot generate.
        """
        with self._draft.lock, torch.inference_mode():
            prompts = self._read_contexts(contexts)
            layout = self._layout(contexts, question, null_question)
            layers = self._readout.layers(draft_layers(self._draft.config, layout.prompt_tokens))
            reduction = self._readout.begin(layout)
            self._read_question(prompts, question.ids, reduction, layers)
            if null_question is not None:
                ids = self._repeated(null_question.ids, len(contexts))
                self._pass(_branch(prompts), ids, "null_question", reduction, layers)
            return reduction

    def _layout(
        self,
        contexts: Sequence[ContextTokens],
        question: QuestionTokens,
        null_question: QuestionTokens | None,
    ) -> PromptLayout:
        """Where things stand in a batch."""
        longest = max(len(context.ids) for context in contexts)
        is_text = [[False] * (longest - len(c.ids)) + list(c.is_text) for c in contexts]
        return PromptLayout(
            context_tokens=longest,
            prompt_tokens=longest + len(question.ids),
            question_words=question.words,
            null_words=null_question.words if null_question else slice(0),
            is_text=torch.tensor(is_text, device=self._draft.device),
        )

    def _read_contexts(self, contexts: Sequence[ContextTokens]) -> _Prompts:
        """The contexts' keys and values, padded on the left; no attention is read."""
        longest = max(len(context.ids) for context in contexts)
        pads = [longest - len(context.ids) for context in contexts]
        ids = [[0] * pad + list(context.ids) for pad, context in zip(pads, contexts, strict=True)]
        real = [[False] * pad + [True] * (longest - pad) for pad in pads]
        device = self._draft.device
        prompts = _Prompts(
            torch.tensor(real, device=device),
            _empty_cache(self._draft.model),
            is_padded=any(pads),
        )
        self._forward(prompts, torch.tensor(ids, device=device), self._draft.model.base_model)
        return prompts

    def _read_question(
        self,
        prompts: _Prompts,
        question: Sequence[int],
        reduction: Reduction,
        layers: frozenset[int],
    ) -> None:
        """The question's rows, then those of the tokens that the draft generates after it."""
        batch = prompts.mask.shape[0]
        ids = self._repeated(question, batch)
        prompts, output = self._pass(_branch(prompts), ids, "question", reduction, layers)
        finished = torch.zeros(batch, dtype=torch.bool, device=ids.device)
        reduction.end_step(finished)
        ends = torch.tensor(self._draft.end_token_ids, device=ids.device)
        for _ in range(self._readout.lookahead_tokens):
            ids = output.logits[:, -1:].argmax(dim=-1)  # greedy, (batch, 1)
            # Rows after an end-of-sequence token are dropped; its own row still counts.
            ended_now = torch.isin(ids[:, 0], ends)
            prompts, output = self._pass(prompts, ids, "lookahead", reduction, layers)
            reduction.end_step(finished)
            finished = finished | ended_now

    def _pass(
        self,
        prompts: _Prompts,
        ids: Tensor,
        source: ReadingPass,
        reduction: Reduction,
        layers: frozenset[int],
    ) -> tuple[_Prompts, Any]:
        """Read `ids` after the prompts and hand rows of attention on."""
        layers_read = 0

        def take(layer: int, weights: Tensor) -> None:
            nonlocal layers_read
            layers_read += 1
            reduction.add(source, layer, weights)

        rows = (self._readout.question_rows if source == "question" else None) or ids.shape[1]
        generates = source != "null_question" and self._readout.lookahead_tokens > 0
        model = self._draft.model if generates else self._draft.model.base_model
        mask = torch.cat([prompts.mask, torch.ones_like(ids, dtype=torch.bool)], dim=1)
        longer = _Prompts(mask, prompts.cache, prompts.is_padded)
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

    def _forward(self, prompts: _Prompts, ids: Tensor, model: Any) -> Any:  # noqa: ANN401
        """Run the draft over the last tokens of `prompts`; its cache grows in place."""
        # Without padding no mask is needed, and attention may take its fastest path.
        options: dict[str, Any] = {}
        if prompts.is_padded:
            options["attention_mask"] = prompts.mask.long()
            positions = prompts.mask.long().cumsum(dim=1) - 1
            options["position_ids"] = positions.clamp_min(0)[:, -ids.shape[1] :]
        if model is self._draft.model and model is not model.base_model:
            options["logits_to_keep"] = 1
        return model(input_ids=ids, past_key_values=prompts.cache, use_cache=True, **options)

    def _repeated(self, ids: Sequence[int], batch: int) -> Tensor:
        return torch.tensor([list(ids)] * batch, device=self._draft.device)


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


def _branch(prompts: _Prompts) -> _Prompts:
    """The same prompts with a cache of their own: what is read next leaves the first one as it is.

    Growing a layer makes new tensors, so the old ones are shared; other layers work in place.
    """
    cache = copy.copy(prompts.cache)
    cache.layers = [
        copy.copy(layer) if type(layer) is DynamicLayer else copy.deepcopy(layer)
        for layer in prompts.cache.layers
    ]
    return _Prompts(prompts.mask, cache, prompts.is_padded)
