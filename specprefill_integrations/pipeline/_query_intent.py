"""Query intent: does a question need an overview of a text, or every word of it?

Stated rules, no model: English phrases.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import regex

from specprefill_integrations._arguments import checked
from specprefill_integrations.types import Kind

_ASKS_FOR_ALL = regex.compile(
    r"\b(?:summar(?:y|ies|i[sz]e[sd]?|i[sz]ing)|tl;?dr|overview|outline|gist|abstract|recap|"
    r"sum up (?:all|it|that|the|these|this|what)|"
    r"key (?:points|takeaways|findings|facts)|main (?:points|ideas|topics|findings|themes)|"
    r"(?:list|name|find|give|show|enumerate|extract) (?:me )?(?:all|every|each)|"
    r"what (?:is|are) (?:this|these|the) (?:text|document|report|article|page|file|transcript|"
    r"conversation|meeting)s? about)\b",
    regex.IGNORECASE,
)


@checked
def asks_about_whole_text(query: str | None) -> bool:
    """Return True if a question needs something of every part of a text.

    That is: if there is no question, and for English questions that ask for a summary, an overview,
    the main points or all of something.
    """
    return not (query and query.strip()) or _ASKS_FOR_ALL.search(query) is not None


LeaveWhole = Callable[[str | None, Kind], bool]
"""Takes a question and a kind of text; returns True if the text must stay unchanged."""

_OF_ANY_TEXT = re.compile(
    r"""\b(?:
        verbatim | word[ -]for[ -]word | proof-?read
      | exact(?:ly)?\ (?:wording|words|text|quot(?:e|ation)|phras(?:e|ing))
      | how\ many\ times\b (?!\ (?:can|could|may|might|must|shall|should|will|would)\b)
      | how\ often\ (?:did|had|has|have|was|were)
      | how\ often\b [^.?!]{0,200} \b(?:appears?|come\ up|mentioned|named|occurs?|repeated|said)
      | (?:total|overall)\ (?:number|count)\ of
      | (?<!maximum\ )(?<!minimum\ ) number\ of\ (?:times|occurrences|mentions)
      | add(?:s|ed|ing)?\ up\ (?:all|every|the|these|those|to) | tally\ up
      | sum\ up\ (?:all\ |the\ |these\ |those\ )+ (?:amounts|costs|figures|numbers|prices|values)
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# A request or an intention, not a word of a description: "Which function does this? Add a file."
_ORDER = r"""(?: ^\s*
        | \b(?:please|can\ you|could\ you|would\ you|help\ me|let\ me|let's|let\ us|i'll
            |(?:i|you|we)\ (?:will|must|should)|(?:need|want|like|going|trying)\ (?:you\ )?to
          )\s{1,2}
        )(?:please\s{1,2}|now\s{1,2})?"""

# It may follow another sentence: "This is a log. Count the errors."
_TO_WORK_ON_ANY_TEXT = re.compile(
    rf"""(?: {_ORDER} | (?:[.,:;!?]|\n|\b(?:and|then))\s{{1,2}} )
        (?: count\ (?:the|all|every|each|how|up)
          | (?:quote|recite|transcribe)\ (?:me\ |back\ )?(?:the|this|that|its|his|her|their)
          | translate\ (?:it|this|the|that|everything|all)
        )\b""",
    re.IGNORECASE | re.VERBOSE,
)

_TO_CHANGE_CODE = re.compile(
    rf"""{_ORDER}
        (?:add|change|clean\ up|convert|correct|debug|edit|extend|fix|implement|improve|modify|move
          |optimi[sz]e|patch|port|refactor|remove|rename|repair|replace|review|rewrite|simplify
          |speed\ up|translate|update)
    \b""",
    re.IGNORECASE | re.VERBOSE,
)

# The expressions know at most two blanks or line breaks between words.
_LONG_SPACE = re.compile(r"\s{3,}")

_CODE: frozenset[Kind] = frozenset({"code", "diff"})


@checked
def needs_every_word(query: str | None, kind: Kind) -> bool:
    """Return True if an answer needs all of a text.

    That is: for English questions that ask for exact words, a count or a translation, and for
    requests to change or review code.

    Args:
        query: The question.
        kind: The kind of text.
    """
    if query is None:
        return False
    asked = _LONG_SPACE.sub(_shortened, query)
    last_line = asked.rstrip().rpartition("\n")[2]
    if kind in _CODE and (_TO_CHANGE_CODE.search(asked) or _TO_CHANGE_CODE.match(last_line)):
        return True
    return any(rule.search(asked) for rule in (_OF_ANY_TEXT, _TO_WORK_ON_ANY_TEXT))


def _shortened(space: re.Match[str]) -> str:
    """Return two blanks; or two line breaks if there was one before the end."""
    return "\n\n" if "\n" in space[0][:-1] else "  "
