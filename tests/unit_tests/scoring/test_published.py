"""The published algorithm, streamed over a cache in batches, equals a slow one from its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._prompt_reader import PromptReader
from specprefill_integrations.scoring._prompts import Prompt, QuestionTokens
from specprefill_integrations.scoring.readouts import PromptLayout
from specprefill_integrations.scoring.readouts._published import PublishedReadout
from tests.tiny_models import CONFIGS, tiny_model, tiny_tokenizer

CONTEXTS = ([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], [40, 41, 42, 43, 44, 45, 46, 47])
QUESTION = [90, 91, 92, 93]


def greedy(model, prompt, count):
    """`count` tokens by the plainest of loops: the whole text again for every token."""
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def pooled(values, kernel):
    """Average pooling, stride 1: zeros beyond the ends are counted."""
    half = kernel // 2
    return [
        sum(values[j] for j in range(i - half, i + half + 1) if 0 <= j < len(values)) / kernel
        for i in range(len(values))
    ]


def slow_scores(architecture, prompt, ends, rows=8, kernel=13):
    """s_i = mean_n max_{l,h} AvgPool13(softmax_{j<=M}(q_n . k_j / sqrt(d)))_i, word for word."""
    model = tiny_model(architecture, attention="eager", dtype=torch.float64)
    generated = greedy(model, prompt, rows - 1)
    kept_rows = next((n + 1 for n, token in enumerate(generated) if token in ends), rows - 1)
    generated = generated[:kept_rows]  # rows after an end-of-sequence token are dropped
    with torch.no_grad():
        full = torch.tensor([[*prompt, *generated]])
        layers = model(input_ids=full, output_attentions=True).attentions
    length = len(prompt)
    total = [0.0] * length
    for n in range(1 + len(generated)):
        best = [-math.inf] * length
        for layer in layers:
            for head in layer[0]:
                row = head[length - 1 + n][:length].tolist()
                mass = sum(row)  # softmax over the prompt's keys alone
                row = [value / mass for value in row] if mass else row
                best = [max(a, b) for a, b in zip(best, pooled(row, kernel), strict=True)]
        total = [a + b for a, b in zip(total, best, strict=True)]
    return [value / (1 + len(generated)) for value in total]


class Watching(PublishedReadout):
    """Remembers what it began, for the scores of the question's tokens."""

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "reductions", [])

    def begin(self, layout):
        self.reductions.append(super().begin(layout))
        return self.reductions[-1]


def streamed_scores(architecture, ends, contexts=CONTEXTS):
    model = tiny_model(architecture, dtype=torch.float64)
    model.generation_config.eos_token_id = list(ends)
    draft = DraftModel.from_pair(model, None)
    question = QuestionTokens(QUESTION, slice(0, 4))
    prompts = [
        Prompt(context, [True] * len(context), question, 100, np.array([[0, len(context)]]))
        for context in contexts
    ]
    readout = Watching()
    sums = PromptReader(draft, readout).read(prompts, None).wait()
    [reduction] = readout.reductions
    scores = reduction.prompt_scores()
    longest = max(map(len, contexts))
    found = [
        row[longest - len(context) :].tolist()
        for row, context in zip(scores, contexts, strict=True)
    ]
    own = [sum(row[: len(context)]) for row, context in zip(found, contexts, strict=True)]
    assert np.concatenate(sums)[:, 0] == pytest.approx(own)
    return found


@pytest.mark.parametrize("architecture", sorted(set(CONFIGS) - {"gemma2"}))
def test_streamed_scores_equal_the_formula_in_a_padded_batch(architecture):
    streamed = streamed_scores(architecture, ends=(2,))
    for context, scores in zip(CONTEXTS, streamed, strict=True):
        expected = slow_scores(architecture, [*context, *QUESTION], ends=(2,))
        assert scores == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_soft_capped_scores_equal_the_formula():
    """Gemma 2 runs eagerly, whose padding rows are NaN in float64: one prompt at a time."""
    for context in CONTEXTS:
        [scores] = streamed_scores("gemma2", ends=(2,), contexts=(context,))
        expected = slow_scores("gemma2", [*context, *QUESTION], ends=(2,))
        assert scores == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_rows_after_an_end_token_are_dropped_prompt_by_prompt():
    model = tiny_model("llama", attention="eager", dtype=torch.float64)
    first, second = (greedy(model, [*context, *QUESTION], 7) for context in CONTEXTS)
    end = next(token for token in first[:3] if token not in second[:3])
    streamed = streamed_scores("llama", ends=(end,))
    for context, scores in zip(CONTEXTS, streamed, strict=True):
        expected = slow_scores("llama", [*context, *QUESTION], ends=(end,))
        assert scores == pytest.approx(expected, rel=1e-6, abs=1e-9)
    plain = slow_scores("llama", [*CONTEXTS[0], *QUESTION], ends=())
    assert streamed[0] != pytest.approx(plain, rel=1e-6, abs=1e-9)  # the end made a difference


def test_pooling_comes_before_the_maximum():
    """They do not commute: with the order swapped the same rows give other scores."""
    layout_rows = torch.tensor([[[[0.9, 0.1, 0.0, 0.0]], [[0.0, 0.0, 0.1, 0.9]]]])
    readout = PublishedReadout(rows=1, pool_kernel=3)
    layout = PromptLayout(
        context_tokens=4,
        prompt_tokens=4,
        question_words=slice(0),
        null_words=slice(0),
        is_text=torch.ones(1, 4, dtype=torch.bool),
    )
    reduction = readout.begin(layout)
    reduction.add("question", 0, layout_rows)
    reduction.end_step(torch.tensor([False]))
    third = 1 / 3
    assert reduction.features()[0, :, 0].tolist() == pytest.approx([third, third, third, third])


def test_eight_rows_are_seven_decode_steps():
    readout = PublishedReadout()
    assert (readout.question_rows, readout.lookahead_tokens) == (1, 7)


@pytest.mark.parametrize(
    ("kind", "chunk", "gap"), [("prose", 32, "[...]"), ("code", 128, "// omitted")]
)
def test_compression_by_name_is_the_published_one_from_end_to_end(kind, chunk, gap):
    """Chunks of 32 (128) tokens, mean score, the ceil(n p) best, order restored, gaps joined."""
    words = ["cat", "dog", "mat", "the", "answer", "is", "what", "sat", "on", "and"]
    text = " ".join(words[(7 * i + i * i) % 10] + "." * (i % 11 == 0) for i in range(220))
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", max_position_embeddings=2048)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    question = [
        token
        for part in ("\n\nQuestion: ", "What is the answer?", "\nAnswer:")
        for token in tokenizer.encode(part, add_special_tokens=False)
    ]
    start = [1, *tokenizer.encode("Context:\n\n", add_special_tokens=False)]
    prompt = [*start, *encoded["input_ids"], *question]
    scores = slow_scores("llama", prompt, ends=(2,))[len(start) : -len(question)]
    chunks = [scores[i : i + chunk] for i in range(0, len(scores), chunk)]
    means = [sum(values) / len(values) for values in chunks]
    best = sorted(range(len(means)), key=lambda i: -means[i])[: math.ceil(len(means) * 0.3)]
    compressor = ContextCompressor.from_draft_model(
        (model, tokenizer), scorer="published", kind=kind, on_error="raise"
    )
    result = compressor.compress(text, "What is the answer?", budget=Budget(keep_fraction=0.3))
    starts = [encoded["offset_mapping"][i][0] for i in range(0, len(scores), chunk)]
    edges = [*starts, len(text)]
    kept = [text[edges[i] : edges[i + 1]].strip() for i in sorted(best)]
    position = 0
    for piece in kept:
        position = result.text.index(piece, position) + len(piece)
    dropped = [text[edges[i] : edges[i + 1]].strip() for i in range(len(means)) if i not in best]
    spans = [range(span.start, span.end) for span in result.kept]
    assert sum(map(len, spans)) <= sum(map(len, kept)) + len(kept)
    assert dropped
    assert result.text.count(gap) == len(result.kept) - 1
