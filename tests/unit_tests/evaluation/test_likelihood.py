"""Likelihoods of right answers: by a model in this process, and by servers over real HTTP."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specprefill_integrations.evaluation._likelihood import (
    AnswerLikelihood,
    LikelihoodTarget,
    completion_of,
)
from specprefill_integrations.evaluation._served_likelihood import ServedTarget, first_token_within
from specprefill_integrations.evaluation._targets import named_likelihood_target
from specprefill_integrations.evaluation._transformers_target import TransformersTarget
from specprefill_integrations.scoring._draft_model import DraftModel
from tests.tiny_models import save_tiny_draft, tiny_model, tiny_tokenizer
from tests.unit_tests.evaluation.completion_server import completion, serve_completions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)
PROMPT = "the cat and the dog sat on the mat.\nQuestion: what is the answer?\nAnswer:"
ANSWERS = ["the cat", "the dog and the mat", "Zürich", "東京"]


def slow_log_likelihood(model: Any, ids: list[int], first: int) -> float:
    """One pass per token, without a cache: the logarithm of each token's probability, summed."""
    total = 0.0
    for place in range(first, len(ids)):
        logits = model(torch.tensor([ids[:place]])).logits[0, -1]
        total += float(torch.log_softmax(logits.float(), dim=-1)[ids[place]])
    return total


class TestInProcess:
    # Full attention, and layers that see a window of 8 tokens.
    @pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3", "mistral"])
    def test_it_is_the_sum_over_the_answers_tokens(self, architecture: str) -> None:
        model, tokenizer = tiny_model(architecture), tiny_tokenizer()
        target = TransformersTarget(DraftModel.from_pair(model, tokenizer))
        found = target.answer_likelihoods(PROMPT, ANSWERS)
        before = len(tokenizer(PROMPT)["input_ids"])
        for answer, one in zip(ANSWERS, found, strict=True):
            ids = tokenizer(f"{PROMPT} {answer}")["input_ids"]
            with torch.inference_mode():
                expected = slow_log_likelihood(model, ids, before)
            assert one.log_likelihood == pytest.approx(expected, rel=1e-4)
            assert (one.tokens, one.input_tokens) == (len(ids) - before, len(ids))

    @pytest.mark.parametrize("answers", [ANSWERS[:1], ANSWERS[1:3], ["the cat", "the cat sat"]])
    def test_answers_do_not_influence_each_other(self, answers: list[str]) -> None:
        target = TransformersTarget(DraftModel.from_pair(tiny_model("gemma3"), tiny_tokenizer()))
        together = target.answer_likelihoods(PROMPT, answers)
        for answer, one in zip(answers, together, strict=True):
            [alone] = target.answer_likelihoods(PROMPT, [answer])
            assert one.log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-4)
            assert one.tokens == alone.tokens

    def test_a_chat_template_is_used_where_there_is_one(self) -> None:
        model, tokenizer = tiny_model("llama"), tiny_tokenizer()
        tokenizer.chat_template = TEMPLATE
        draft = DraftModel.from_pair(model, tokenizer)
        start = "<user>Who? \n<assistant>\n"
        before = tokenizer(start, add_special_tokens=False)["input_ids"]
        ids = tokenizer(f"{start}the cat", add_special_tokens=False)["input_ids"]
        assert ids[: len(before)] == before
        with torch.inference_mode():
            expected = slow_log_likelihood(model, ids, len(before))
        [found] = TransformersTarget(draft).answer_likelihoods("Who? ", [" the cat\n"])
        assert found.log_likelihood == pytest.approx(expected, rel=1e-4)
        [plain] = TransformersTarget(draft, chat_template=False).answer_likelihoods(
            "Who? ", ["the cat"]
        )
        assert plain.input_tokens == len(tokenizer("Who? the cat")["input_ids"])

    def test_a_token_that_merges_prompt_and_answer_does_not_count(self) -> None:
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = "{{ messages[0]['content'] }}"
        model = tiny_model("llama")
        prompt, answer = "the c", "at sat"
        ids = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
        texts = [tokenizer.decode([one]) for one in ids]
        assert texts == ["the", " cat", " sat"]  # " cat" begins in the prompt
        with torch.inference_mode():
            expected = slow_log_likelihood(model, ids, 2)
        [found] = TransformersTarget(DraftModel.from_pair(model, tokenizer)).answer_likelihoods(
            prompt, [answer]
        )
        assert found.tokens == 1
        assert found.log_likelihood == pytest.approx(expected, rel=1e-4)
        with pytest.raises(ValueError, match="no token lies wholly in the answer 'at'"):
            TransformersTarget(DraftModel.from_pair(model, tokenizer)).answer_likelihoods(
                prompt, ["at"]
            )

    def test_what_exceeds_the_context_is_an_error(self) -> None:
        draft = DraftModel.from_pair(tiny_model("llama"), tiny_tokenizer())
        with pytest.raises(ValueError, match=r"tokens; the model's context has 512"):
            TransformersTarget(draft).answer_likelihoods("x" * 600, ["the cat"])

    def test_by_name(self, tmp_path: Path) -> None:
        folder = str(save_tiny_draft(tmp_path / "tiny"))
        options = {"device": "cpu", "dtype": "float32", "chat_template": False}
        target = named_likelihood_target(folder, options=options)
        assert isinstance(target, LikelihoodTarget)
        [found] = target.answer_likelihoods(PROMPT, ["the cat"])
        assert found.log_likelihood < 0

    def test_a_hosted_model_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'openai:gpt-5-mini' does not tell how probable"):
            named_likelihood_target("openai:gpt-5-mini")
        with pytest.raises(TypeError, match="temperature"):
            named_likelihood_target("tiny", options={"temperature": 0})


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("Answer:", ("Answer:", " Ada")),
        ("Answer: ", ("Answer:", " Ada")),
        ("Answer:\n", ("Answer:\n", "Ada")),
        ("Answer:\n \t", ("Answer:\n", "Ada")),
        ("", ("", "Ada")),
    ],
)
def test_prompt_and_answer_as_one_text(prompt: str, parts: tuple[str, str]) -> None:
    assert completion_of(prompt, "Ada\n") == parts


class EchoingModel:
    """`/v1/completions` and `/v1/chat/completions` of a tiny model, as vLLM responds."""

    def __init__(self, *, ends: bool = False) -> None:
        self.model, self.tokenizer = tiny_model("llama"), tiny_tokenizer()
        self.tokenizer.chat_template = TEMPLATE
        self.ends = ends

    def __call__(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/completions":
            return self._complete(asked)
        assert path == "/v1/chat/completions"
        return self._chat(asked)

    def _complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert (asked["echo"], asked["logprobs"], asked["max_tokens"]) == (True, 1, 1)
        text = asked["prompt"]
        ids = self.tokenizer(text)["input_ids"]
        tokens, found = self._read(ids)
        generated = "" if self.ends else " the"
        return completion(
            f"{text}{generated}",
            [*tokens, "<eos>" if self.ends else " the"],
            [*found, -0.5],
            prompt_tokens=len(ids),
        )

    def _chat(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
        user, assistant = asked["messages"]
        text = f"<user>{user['content']}\n<assistant>\n{assistant['content']}"
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens, found = self._read(ids)
        message = {"role": "assistant", "content": " the"}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "tiny",
            "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
            "prompt_logprobs": [
                None if one is None else {str(token): {"logprob": one, "decoded_token": shown}}
                for token, one, shown in zip(ids, found, tokens, strict=True)
            ],
            "usage": {
                "prompt_tokens": len(ids),
                "completion_tokens": 1,
                "total_tokens": len(ids) + 1,
            },
        }

    def _read(self, ids: list[int]) -> tuple[list[str], list[float | None]]:
        with torch.inference_mode():
            logits = self.model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        later = [float(logits[place, token]) for place, token in enumerate(ids[1:])]
        return [self.tokenizer.decode([one]) for one in ids], [None, *later]


class TestServed:
    @pytest.mark.parametrize("ends", [True, False])
    @pytest.mark.parametrize("endpoint", ["completions", "chat"])
    def test_it_agrees_with_the_same_model_in_this_process(
        self, endpoint: str, *, ends: bool
    ) -> None:
        model = EchoingModel(ends=ends)
        draft = DraftModel.from_pair(model.model, model.tokenizer)
        own = TransformersTarget(draft, chat_template=endpoint == "chat")
        with serve_completions(model) as server:
            target = named_likelihood_target(
                "tiny", base_url=server.url, options={"endpoint": endpoint}
            )
            found = target.answer_likelihoods(PROMPT, ANSWERS)
        for one, other in zip(found, own.answer_likelihoods(PROMPT, ANSWERS), strict=True):
            assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-4)
            assert (one.tokens, one.input_tokens) == (other.tokens, other.input_tokens)

    def test_the_key_and_further_fields_are_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        with serve_completions(EchoingModel()) as server:
            options = {"timeout": 60, "add_special_tokens": True}
            ServedTarget("tiny", server.url, options=options).answer_likelihoods("Who?", ["Ada"])
            assert server.keys == ["Bearer secret"]
            [asked] = server.requests
            assert (asked["model"], asked["add_special_tokens"]) == ("tiny", True)
            assert "timeout" not in asked

    @pytest.mark.parametrize(
        ("response", "said"),
        [
            # It ignores `echo`, as `transformers serve` does.
            (completion(" the", [" the"], [-1.0], prompt_tokens=3), "does not return"),
            # It echoes the text alone.
            (completion("Who? Ada b", [" b"], [-1.0], prompt_tokens=3), "are not those"),
            # One token is missing, and all others moved by one.
            (
                completion("Who? Ada b", ["Who", "?", " Ada"], [-1, -1, -1], prompt_tokens=3),
                "are not those",
            ),
            (
                completion("Who? Ada b", ["Who?", " Ada", " b"], [None] * 3, prompt_tokens=2),
                "does not return",
            ),
            (
                completion("Who? Ada b", ["Who? Ada", " b"], [None, -1], prompt_tokens=1),
                "no token lies wholly",
            ),
        ],
    )
    def test_a_server_that_cannot_do_it_is_told_from_one_that_can(
        self, response: dict[str, Any], said: str
    ) -> None:
        with serve_completions(lambda *_: response) as server:
            target = ServedTarget("tiny", server.url)
            with pytest.raises(ValueError, match=said):
                target.answer_likelihoods("Who?", ["Ada"])
            assert len(server.requests) == 1

    def test_failures_are_raised_at_once(self) -> None:
        with serve_completions(lambda *_: 503) as server:
            with pytest.raises(Exception, match="503") as raised:
                ServedTarget("tiny", server.url).answer_likelihoods("Who?", ["Ada"])
            assert raised.value.status_code == 503
            assert len(server.requests) == 1


class TestFirstToken:
    @pytest.mark.parametrize(
        ("tokens", "continuation", "first"),
        [
            (["Who", "?", " Ada", " B"], " Ada B", 2),
            (["Who", "? Ad", "a", " B"], " Ada B", 2),  # one begins in the prompt
            (["Who", "?", "Ada", "B"], " Ada B", 2),  # blanks are left out
            (["?", " Z", "\ufffd", "\ufffd", "rich"], " Zürich", 1),
            (["?", " Z", "", "ü", "rich"], " Zürich", 1),
            (["?", " Z", "bytes:\\xc3", "bytes:\\xbc", "rich"], " Zürich", 1),
            ([">\n", "\ufffd", "\ufffd", "\ufffd", "京"], "東京", 1),
            ([">\n", "", "", "東", "京"], "東京", 1),
            (["aaa", "a", "a"], "aa", 1),
        ],
    )
    def test_it_lies_wholly_in_the_text(
        self, tokens: list[str], continuation: str, first: int
    ) -> None:
        assert first_token_within(tokens, continuation) == first

    @given(
        st.lists(st.text("ab é東 \n", min_size=1, max_size=4), min_size=1, max_size=6),
        st.lists(st.text("ab é東 \n", min_size=1, max_size=4), min_size=1, max_size=6),
    )
    def test_it_is_the_border_where_tokens_are_whole(
        self, prompt: list[str], answer: list[str]
    ) -> None:
        assert first_token_within([*prompt, *answer], "".join(answer)) == len(prompt)

    @pytest.mark.parametrize("tokens", [[], ["Who", "?", " Eve"], ["Ada", " said"]])
    def test_other_tokens_are_refused(self, tokens: list[str]) -> None:
        with pytest.raises(ValueError, match="the server's tokens are not those of the answer"):
            first_token_within(tokens, " Ada")


def test_an_answer_has_tokens() -> None:
    with pytest.raises(ValueError, match="tokens"):
        AnswerLikelihood(log_likelihood=-1.0, tokens=0, input_tokens=None)
    assert math.isfinite(AnswerLikelihood(log_likelihood=-1, tokens=1, input_tokens=1).tokens)
