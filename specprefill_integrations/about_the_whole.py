"""Is a question about the whole of a text? Then the best parts alone would starve the others.

A stated rule, no model: no question at all, or one with a word that asks for all of it.
"""

from __future__ import annotations

import regex

_ASKS_FOR_ALL = regex.compile(
    r"\b(?:summar(?:y|ies|i[sz]e[sd]?|i[sz]ing)|tl;?dr|overview|outline|gist|abstract|recap|"
    r"sum up (?:all|it|that|the|these|this|what)|"
    r"key (?:points|takeaways|findings|facts)|main (?:points|ideas|topics|findings|themes)|"
    r"(?:list|name|find|give|show|enumerate|extract) (?:me )?(?:all|every|each)|"
    r"what (?:is|are) (?:this|these|the) (?:text|document|report|article|page|file|transcript|"
    r"conversation|meeting)s? about)\b",
    regex.IGNORECASE,
)


def asks_about_the_whole(query: str | None) -> bool:
    """Whether a question needs something of every part of a text.

    True where there is no question, and for English questions that ask for a summary, an overview,
    the main points or all of something.
    """
    return not (query and query.strip()) or _ASKS_FOR_ALL.search(query) is not None
