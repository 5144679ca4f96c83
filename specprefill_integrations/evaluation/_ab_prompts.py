"""What a model is asked: a template filled with the passages and the question of a case. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._answers import MetricName

DEFAULT_TEMPLATE = """\
{instruction}

{passages}

Question: {question}
Answer:"""
"""A template's places: what to do, by metric; the texts, numbered; the question."""

INSTRUCTIONS: Mapping[MetricName, str] = {
    "contains": "Answer the question with a few words, using the passages.",
    "exact_match": "Answer the question with a few words, using the passages.",
    "f1": "Answer the question with a few words, using the passages.",
    "choice": "Answer the question, using the passages. Say the letter of the right choice only.",
    "rouge_l": "Do what the question asks for, using the passages.",
}
"""What stands for `{instruction}`."""

_PLACE = re.compile(r"\{(instruction|passages|question)\}")


def check_template(template: str) -> None:
    """See that a template asks something about something.

    Raises:
        EvaluationDataError: It has no place for the passages or for the question.
    """
    missing = {"passages", "question"} - set(_PLACE.findall(template))
    if missing:
        places = " and ".join(f"{{{name}}}" for name in sorted(missing))
        msg = f"the prompt's template has no {places}"
        raise EvaluationDataError(msg)


def build_prompt(template: str, metric: MetricName, question: str, texts: Sequence[str]) -> str:
    """Fill a template.

    Args:
        template: Only its places are replaced; other braces in it, and all in the texts, stay.
        metric: How the reply will be judged.
        question: The question.
        texts: The passages. Each keeps its number where others are empty and left out.
    """
    passages = "\n\n".join(
        f"Passage {number}:\n{text}" for number, text in enumerate(texts, start=1) if text.strip()
    )
    parts = {
        "instruction": INSTRUCTIONS[metric],
        "passages": passages,
        "question": question,
    }
    return _PLACE.sub(lambda place: parts[place[1]], template)
