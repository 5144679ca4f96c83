"""Where prose is cut, by example."""

from __future__ import annotations

import pytest

from specprefill_integrations.errors import UnknownLanguageError
from specprefill_integrations.splitting._prose import ProseSplitter

WRAPPED = (
    "This is a paragraph that was wrapped at the width of a page, so that\n"
    "a sentence may well run over the end of a line. The next one starts\n"
    "in the middle."
)

EXAMPLES = {
    "nothing": ("", []),
    "white space": (" \n\t\x1c\u2028 ", []),
    "sentences": (
        "One is here. Two is there!  Three?",
        ["One is here.", "Two is there!", "Three?"],
    ),
    "abbreviations": (
        "Dr. Smith met Mr. Jones. They left the U.S. Army, e.g. on Jan. 5 in fact.",
        ["Dr. Smith met Mr. Jones.", "They left the U.S. Army, e.g. on Jan. 5 in fact."],
    ),
    "numbers": ("See No. 7 of v2.0 at 3.14. Then go.", ["See No. 7 of v2.0 at 3.14.", "Then go."]),
    "quotes": (
        '"Are you sure?" he asked. "Yes." She left.',
        ['"Are you sure?" he asked.', '"Yes."', "She left."],
    ),
    "brackets": ("It works. (Mostly.) We think.", ["It works.", "(Mostly.)", "We think."]),
    "heading": (
        "# A heading\nSome text under it. More.",
        ["# A heading", "Some text under it.", "More."],
    ),
    "numbered heading": ("## 2.1. A heading\nText.", ["## 2.1. A heading", "Text."]),
    "bare heading": ("A heading\n\nSome text.", ["A heading", "Some text."]),
    "bullets": ("- one\n- two\n* three\n• four", ["- one", "- two", "* three", "• four"]),
    "numbered list": ("1. One\n2. Two\n10) Ten", ["1. One", "2. Two", "10) Ten"]),
    "long list items": (
        f"- {'one ' * 15}item\n- {'two ' * 15}item",
        [f"- {'one ' * 15}item", f"- {'two ' * 15}item"],
    ),
    "table": ("| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "|---|---|", "| 1 | 2 |"]),
    "wrapped paragraph": (
        WRAPPED,
        [
            (
                "This is a paragraph that was wrapped at the width of a page, so that\n"
                "a sentence may well run over the end of a line."
            ),
            "The next one starts\nin the middle.",
        ],
    ),
    "wrapped paragraph, CRLF": (
        WRAPPED.replace("\n", "\r\n"),
        [
            (
                "This is a paragraph that was wrapped at the width of a page, so that\r\n"
                "a sentence may well run over the end of a line."
            ),
            "The next one starts\r\nin the middle.",
        ],
    ),
    "short lines": ("ERROR disk full\nINFO retrying", ["ERROR disk full", "INFO retrying"]),
    "Chinese": (
        "我们今天讨论。他说：「好。」然后走了!",
        ["我们今天讨论。", "他说：「好。」", "然后走了!"],
    ),
    "Japanese": (
        "今日は晴れです。散歩しますか？はい！",
        ["今日は晴れです。", "散歩しますか？", "はい！"],
    ),
    "Hindi": ("यह एक है। वह दो है।", ["यह एक है।", "वह दो है।"]),
    "Urdu": ("یہ ایک ہے۔ وہ دو ہے؟ ہاں۔", ["یہ ایک ہے۔", "وہ دو ہے؟", "ہاں۔"]),
    "Thai has no marks": ("ภาษาไทยไม่มีจุด", ["ภาษาไทยไม่มีจุด"]),
    "an accent on a mark": ("好。\u0301好。", ["好。\u0301好。"]),
    "no-break space": ("It is 5\xa0km. Go.", ["It is 5\xa0km.", "Go."]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_cuts(name: str) -> None:
    text, units = EXAMPLES[name]
    assert [text[a:b] for a, b in ProseSplitter()(text)] == units


def test_a_language_brings_its_own_abbreviations() -> None:
    text = "Er kam z.B. Montag gegen 5 Uhr bzw. Dienstag."
    assert len(ProseSplitter(language="de")(text)) == 1


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownLanguageError, match=r"'xx'.*\bde, el, en, es\b"):
        ProseSplitter(language="xx")
    with pytest.raises(ValueError, match="'English'"):
        ProseSplitter(language="English")


@pytest.mark.parametrize("chars", [0, -1])
def test_a_unit_of_no_characters_is_refused(chars: int) -> None:
    with pytest.raises(ValueError, match="max_unit_chars"):
        ProseSplitter(max_unit_chars=chars)


def test_a_long_sentence_is_cut_at_clauses_then_words_then_letters() -> None:
    text = "one two three, four five; sixseveneight"
    pieces = [text[a:b] for a, b in ProseSplitter(max_unit_chars=10)(text)]
    assert pieces == ["one two", "three,", "four five;", "sixsevenei", "ght"]
