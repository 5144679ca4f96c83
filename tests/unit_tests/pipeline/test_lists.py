"""Lists: what introduces them is never kept alone, and their items are kept together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from specprefill_integrations import Budget, ContextCompressor, TextHint
from specprefill_integrations.splitting import SplitByKind, Splitter
from specprefill_integrations.splitting._markdown import MarkdownSplitter
from specprefill_integrations.splitting._prose import ProseSplitter
from specprefill_integrations.testing import KeywordScorer
from specprefill_integrations.types import Kind

FILL = (
    "The harbour is visited by some forty ships a week. Fishermen mend their nets until noon. "
    "The old crane was painted green last autumn. A choir sings every second Friday. "
    "Visitors may park their cars behind the fish market. Gulls nest on the roof."
)
CREW = ["Jan Brugh, helmsman", "Ute Vries, engineer", "Pal Hansen, diver", "Ida Koch, medic"]
LEAD = "The members of the lifeboat crew are:"
WHO = "Who are the members of the lifeboat crew?"
KINDS: list[Kind] = ["prose", "markdown"]


def kept_of(text: str, budget: Budget, query: str = WHO, kind: Kind = "prose") -> str:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    return compressor.compress(text, query, budget=budget, hint=TextHint(kind=kind)).text


def items(marker: str, lines: list[str]) -> str:
    return "\n".join(marker.replace("1", str(n)) + line for n, line in enumerate(lines, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marker", ["- ", "* ", "1. ", "1) ", "  - "])
@pytest.mark.parametrize("blank", ["\n", "\n\n"])
def test_all_items_are_kept_below_what_introduces_them(kind: Kind, marker: str, blank: str) -> None:
    text = f"{FILL}\n\n{LEAD}{blank}{items(marker, CREW)}\n\n{FILL}"
    kept = kept_of(text, Budget(max_tokens=60), kind=kind)
    assert items(marker, CREW).strip() in kept
    assert LEAD in kept


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", range(8, 70, 3))
def test_what_introduces_a_list_is_never_kept_without_an_item(kind: Kind, limit: int) -> None:
    text = f"{FILL}\n\n{LEAD}\n\n{items('- ', CREW)}\n\n{FILL}"
    kept = kept_of(text, Budget(max_tokens=limit), kind=kind)
    assert LEAD not in kept or any(name in kept for name in CREW)


def test_lines_without_markers_are_items_too() -> None:
    text = f"{FILL}\n\n{LEAD}\n" + "\n".join(CREW) + f"\n\n{FILL}"
    assert "\n".join([LEAD, *CREW]) in kept_of(text, Budget(max_tokens=60))


@pytest.mark.parametrize("splitter", [ProseSplitter(), MarkdownSplitter()])
def test_what_follows_a_list_is_no_item(splitter: Splitter[Any]) -> None:
    text = f"{FILL}\n{LEAD}\n{items('- ', CREW)}\nThe boat is from 2004."
    units = splitter(text)
    [(lead, members)] = splitter.lists(text, units)
    assert [text[units[i].start : units[i].end] for i in (lead, *members)] == [
        LEAD,
        *(f"- {name}" for name in CREW),
    ]
    *_, last = splitter.links(text, units)
    assert lead not in last


@pytest.mark.parametrize("kind", KINDS)
def test_a_heading_introduces_the_list_below_it(kind: Kind) -> None:
    text = f"# Bay\n\n{FILL}\n\n## Lifeboat crew\n\n{items('- ', CREW)}\n\n## Other\n\n{FILL}"
    kept = kept_of(text, Budget(max_tokens=60), kind=kind)
    assert items("- ", CREW) in kept


@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_look_like_numbered_headings_are_a_list(kind: Kind) -> None:
    steps = ["Open the valve", "Hold the button", "Wait ten seconds", "Pull the lever"]
    text = f"{FILL}\n\nTo start the pump:\n\n{items('1. ', steps)}\n\n{FILL}"
    kept = kept_of(text, Budget(max_tokens=55), "How do I start the pump?", kind)
    assert items("1. ", steps) in kept
    one = kept_of(text, Budget(max_tokens=26), "lever pull", kind)
    assert "4. Pull the lever" in one
    assert "1. Open the valve" not in one


@pytest.mark.parametrize("kind", KINDS)
def test_a_nested_list_needs_its_item(kind: Kind) -> None:
    long = "with much that nobody needs to know about it, " * 9
    text = (
        f"{LEAD}\n\n- Deck\n  - {CREW[0]}\n  - {CREW[1]}\n- Below, {long}\n  - Wim Aalst, stoker\n"
    )
    kept = kept_of(text, Budget(max_tokens=60), "Which stoker?", kind)
    assert "Wim Aalst" in kept
    assert "- Below" in kept or kind == "prose"
    assert LEAD in kept


def test_a_definition_needs_its_term() -> None:
    text = (
        f"{FILL}\n\nstoker\n: feeds the fire of the engine\n\nhelmsman\n: steers the boat\n\n{FILL}"
    )
    kept = kept_of(text, Budget(max_tokens=20), "feeds the fire engine")
    assert "stoker\n: feeds the fire of the engine" in kept
    assert "helmsman" not in kept


def test_code_and_tables_need_the_line_with_a_colon() -> None:
    table = "| port | use |\n|---|---|\n| 8093 | pump |\n| 22 | shell |"
    text = f"{FILL}\n\nOpen ports:\n\n{table}\n\n{FILL}\n\nRun this:\n\n```sh\npump --start\n```\n"
    assert "Open ports:" in kept_of(text, Budget(max_tokens=50), "8093 pump", "markdown")
    text = text.replace("Open ports:", "Table 3: open ports of the pump")
    assert "Table 3" in kept_of(text, Budget(max_tokens=60), "8093 pump", "markdown")
    assert "Run this:" in kept_of(text, Budget(max_tokens=30), "sh pump start", "markdown")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "noise", ["***", "~ ~ ~", "-----", "x", "section.", "1.", "## Annex", "a)"]
)
def test_no_budget_is_spent_on_what_says_nothing(kind: Kind, noise: str) -> None:
    text = f"{FILL}\n\n{noise}\n\n# End\n\n{FILL}\n\n{noise}\n"
    for limit in range(14, 40, 6):
        kept = kept_of(text, Budget(max_tokens=limit), noise, kind)
        assert any(word in kept for word in FILL.split() if len(word) > 4)


def test_of_a_text_of_headings_alone_something_is_kept() -> None:
    assert kept_of("# Pump\n\n# Harbour\n\n# Crane\n", Budget(max_tokens=8), "pump") != ""


def test_a_question_in_the_text_is_kept_with_its_answer() -> None:
    texts = [
        "What is the wifi password? It is sunflower-88, printed on the router.",
        "Breakfast is at eight. Dogs pay extra. Check out by ten.",
    ]
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    results = compressor.compress_documents(
        texts, "What is the wifi password?", budget=Budget(keep_fraction=0.2)
    )
    assert "What is the wifi password? It is sunflower-88" in results[0].text
    text = "Who? What? Nobody knew. Nobody asked."
    assert ProseSplitter().links(text, ProseSplitter()(text)) == [(), (), (1,), ()]


@pytest.mark.parametrize(
    "marks",
    [
        ["1、", "2、", "3、", "4、"],
        ["（1）", "（2）", "（3）", "（4）"],
        ["一、", "二、", "三、", "四、"],
        ["①", "②", "③", "④"],
        ["・", "・", "・", "・"],
        ["i. ", "ii. ", "iii. ", "iv. "],
        ["(I) ", "(II) ", "(III) ", "(IV) "],
    ],
)
def test_items_with_other_marks_are_kept_together(marks: list[str]) -> None:
    items = "\n".join(mark + name for mark, name in zip(marks, CREW, strict=True))
    kept = kept_of(f"{FILL}\n\n{LEAD}\n\n{items}\n\n{FILL}", Budget(max_tokens=60))
    assert f"{LEAD}\n\n{items}" in kept


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.05, 0.1, 0.2, 0.25])
def test_a_fraction_gives_way_to_a_small_list(kind: Kind, keep: float) -> None:
    whole = f"{LEAD}\n\n{items('- ', CREW)}"
    text = f"{FILL}\n\n{whole}\n\n{FILL}"
    assert whole in kept_of(text, Budget(keep_fraction=keep), kind=kind)
    kept = kept_of(text, Budget(keep_fraction=keep, min_tokens=25), kind=kind)
    assert whole not in kept
    assert CREW[0] in kept


def test_a_fraction_gives_way_to_no_list_of_which_one_item_is_asked_for() -> None:
    text = f"{FILL}\n\nThe crew:\n\n{items('- ', CREW)}\n\n{FILL}"
    kept = kept_of(text, Budget(keep_fraction=0.1), "Ute Vries engineer")
    assert CREW[1] in kept
    assert CREW[3] not in kept


def test_deeper_items_need_no_more_than_the_outer_ones() -> None:
    text = "".join(f"{' ' * depth}- a\n" for depth in range(300)) + " " * 300 + "- Yes." * 99
    units = ProseSplitter()(text)
    assert max(map(len, ProseSplitter().links(text, units))) <= 20


@pytest.mark.parametrize("mark", ["({}) ", "{}. "])
@pytest.mark.parametrize("numbers", ["abcd", "1234", ["i", "ii", "iii", "iv"]])
@pytest.mark.parametrize("end", [";", ",", ""])
def test_a_list_between_paragraphs_does_not_make_them_output(
    mark: str, numbers: Sequence[str], end: str
) -> None:
    listed = "\n".join(mark.format(n) + name + end for n, name in zip(numbers, CREW, strict=True))
    text = f"{FILL}\n\n{LEAD}\n{listed}\n\n{FILL}"
    assert SplitByKind().for_text(text).kind in KINDS
    assert SplitByKind().for_text(f"{LEAD}\n{listed}\n\n{FILL}").kind in KINDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mark", ["• ", "(1) ", "a) ", "१. "])
def test_items_with_marks_that_markdown_does_not_know(kind: Kind, mark: str) -> None:
    listed = "\n".join([LEAD, *(mark + name for name in CREW)])
    for limit in range(8, 60, 3):
        kept = kept_of(f"{FILL}\n\n{listed}\n\n{FILL}", Budget(max_tokens=limit), kind=kind)
        assert LEAD not in kept or any(name in kept for name in CREW)
    kept = kept_of(f"{FILL}\n\n{listed}\n\n{FILL}", Budget(max_tokens=64), kind=kind)
    assert listed in kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_line_introduces_the_list_below_it(kind: Kind) -> None:
    listed = "Members of the lifeboat crew\n\n" + items("1. ", CREW)
    for limit in range(8, 60, 3):
        kept = kept_of(f"{FILL}\n\n{listed}\n\n{FILL}", Budget(max_tokens=limit), kind=kind)
        assert "Members of" not in kept or CREW[0].split()[0] in kept
    assert listed in kept_of(f"{FILL}\n\n{listed}\n\n{FILL}", Budget(keep_fraction=0.1), kind=kind)


@pytest.mark.parametrize("mark", ["**", "", "_"])
def test_in_markdown_a_line_that_is_a_question_is_kept_with_the_paragraph_below(mark: str) -> None:
    answers = {"How do I cancel?": "By mail.", "How do I pay?": "In cash.", "Who are you?": "Us."}
    text = "\n\n".join(f"{mark}{one}{mark}\n\n{answers[one]}" for one in answers)
    for limit in range(28, 44, 2):
        kept = kept_of(f"{text}\n\n{FILL}", Budget(max_tokens=limit), "pay how", kind="markdown")
        assert "How do I pay" not in kept or "In cash." in kept
        assert "In cash." not in kept or "How do I pay" in kept
    kept = kept_of(f"{text}\n\n{FILL}", Budget(keep_fraction=0.2), "How do I pay?", "markdown")
    assert "In cash." in kept
