"""Languages of a question and its texts: does the draft know them, and are they the same?

Pure, without a model: a tokenizer cuts the words of a language that it was not made for into small
pieces, and most languages of another script are told apart by their letters.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import regex

from specprefill_integrations.types import CountTokens, LanguageWarning

logger = logging.getLogger(__name__)

# Beginning, middle and end of a text are looked at, so many characters of each.
_SAMPLE_CHARS = 500

# Words of small letters with a word beside them, with the blank before, and stretches of scripts
# without case. Names, numbers, identifiers, paths, lists of files and the like are of no language.
_PLAIN_WORD = regex.compile(
    r"""(?V1)
      (?<= [\p{L},;] ) \ \p{Ll}[\p{Ll}\p{M}]{2,30} (?= $ | [\s\p{Pe}\p{Pf}"'.,;:!?] )
    | (?: ^ | (?<= [\s\p{Ps}\p{Pi}"'¿¡] ) ) \p{Ll}[\p{Ll}\p{M}]{2,30} (?= \ \p{L} )
    | \ ? [\p{Lo}\p{Lm}\p{M}]{2,}""",
    regex.VERBOSE,
)

# Drafts read English well. What a tokenizer needs for another language is compared with this.
_ENGLISH = (
    " the house has been empty for many years because nobody could find out who had built it or "
    "which of the families in the village should take care of the garden that lies behind its "
    "walls when the winter is over and the first flowers open along the old path to the river"
)

# UTF-8 bytes a token, as a share of those of English: below `_UNKNOWN` a text is in a language that
# the draft hardly knows. Questions have few words, so there is a margin to both sides.
# docs/drafts.md has the measurement.
_UNKNOWN = 0.7
_KNOWN_QUESTION = 0.9
_UNKNOWN_QUESTION = 0.6

# Fewer bytes of plain words tell nothing.
_LEAST_BYTES = 120
_LEAST_QUESTION_BYTES = 20

# A script with less than this share of a text's letters is not the text's.
_LEAST_SHARE = 0.1
# A question with this share of its letters in scripts of the text may be in its language.
_LEAST_SHARED = 0.3
_LEAST_LETTERS = 30
_LEAST_QUESTION_LETTERS = 4

# Japanese texts mix these, by their Unicode names; a question may have only one of them.
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA", "KATAKANA-HIRAGANA"})


@dataclass(frozen=True, slots=True)
class _Sample:
    """The part of a text that is looked at."""

    words: str
    """Its plain words in the script of most letters, each once."""

    scripts: Counter[str]
    """Letters of each script, by the first word of their Unicode name, such as LATIN."""

    @classmethod
    def of(cls, text: str) -> _Sample:
        """Take the sample of a text."""
        parts = [text]
        if len(text) > 3 * _SAMPLE_CHARS:
            middle = (len(text) - _SAMPLE_CHARS) // 2
            starts = (0, middle, len(text) - _SAMPLE_CHARS)
            parts = [text[start : start + _SAMPLE_CHARS] for start in starts]
        words = dict.fromkeys(word for part in parts for word in _PLAIN_WORD.findall(part))
        scripts = _scripts("".join(parts))
        main = _most(scripts)
        return cls("".join(word for word in words if _most(_scripts(word)) == main), scripts)

    @property
    def script(self) -> str:
        """The script of most letters; empty if there is none."""
        return _most(self.scripts)


def language_warnings(
    query: str | None, texts: Sequence[str], count_tokens: CountTokens, draft: str
) -> list[tuple[LanguageWarning, ...]]:
    """Compare the languages of texts with that of the question, and with what the draft knows.

    The first warning of a kind, a pair of scripts and a draft is logged. Cost: a few hundred tokens
    of each text are counted.

    Args:
        query: The question; None if there is none.
        texts: The texts.
        count_tokens: Counts tokens with the draft's tokenizer.
        draft: The draft's name.

    Returns:
        The warnings of each text, mostly none.
    """
    asked, *read = [_Sample.of(text) for text in (query or "", *texts)]
    eases = _eases([one.words for one in (asked, *read)], count_tokens)
    found = []
    for sample, ease in zip(read, eases[1:], strict=True):
        warnings: list[LanguageWarning] = []
        has_words = len(sample.words.encode()) >= _LEAST_BYTES
        if has_words and ease < _UNKNOWN:
            warnings.append("text_unknown_to_draft")
        if _differ_in_script(asked, sample) or (has_words and _differ(asked, eases[0], ease)):
            warnings.append("question_in_another_language")
        for warning in warnings:
            _tell_once(warning, draft, asked.script, sample.script)
        found.append(tuple(warnings))
    return found


def _eases(words: Sequence[str], count_tokens: CountTokens) -> list[float]:
    """Return the bytes a token of some words, divided by those of English."""
    english, *others = [
        len(text.encode()) / max(1, tokens)
        for text, tokens in zip((_ENGLISH, *words), count_tokens([_ENGLISH, *words]), strict=True)
    ]
    return [other / english for other in others]


def _differ_in_script(asked: _Sample, read: _Sample) -> bool:
    """True if most letters of the question are of scripts that hardly occur in the text."""
    asked_letters, letters = asked.scripts.total(), read.scripts.total()
    if asked_letters < _LEAST_QUESTION_LETTERS or letters < _LEAST_LETTERS:
        return False
    shared = sum(
        count
        for script, count in asked.scripts.items()
        if read.scripts[script] >= _LEAST_SHARE * letters
    )
    return shared < _LEAST_SHARED * asked_letters


def _differ(asked: _Sample, asked_ease: float, read_ease: float) -> bool:
    """True if the draft knows the language of either the question or the text."""
    if len(asked.words.encode()) < _LEAST_QUESTION_BYTES:
        return False
    if read_ease < _UNKNOWN:
        return asked_ease >= _KNOWN_QUESTION
    return asked_ease < _UNKNOWN_QUESTION


def _scripts(text: str) -> Counter[str]:
    scripts: Counter[str] = Counter()
    for char, count in Counter(filter(str.isalpha, text)).items():
        script = unicodedata.name(char, "").partition(" ")[0]
        scripts["CJK" if script in _EAST_ASIAN else script] += count
    return scripts


def _most(scripts: Counter[str]) -> str:
    return scripts.most_common(1)[0][0] if scripts else ""


_ADVICE: dict[LanguageWarning, str] = {
    "text_unknown_to_draft": "The draft {draft} hardly knows the language of a text (script: "
    "{text}): it needs more tokens and time for it, and may choose less well.",
    "question_in_another_language": "A question and its text are in different languages (scripts: "
    "{query}, {text}): the draft {draft} may miss what the question needs.",
}


@cache
def _tell_once(warning: LanguageWarning, draft: str, query: str, text: str) -> None:
    line = _ADVICE[warning].format(draft=draft, query=query.title(), text=text.title())
    logger.warning("%s Further ones are not logged. See Languages in docs/drafts.md.", line)
