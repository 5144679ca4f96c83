"""What of a run becomes a case."""

from __future__ import annotations

import pytest

from specprefill_integrations.observability._app_run import AppRun, FoundText

ADA = FoundText("Ada keeps the light.", "Harbor")
RAIN = FoundText("Rain fell.")


def run_with(*found: FoundText, query: str | None = "who keeps it?") -> AppRun:
    run = AppRun("And who keeps it?")
    run.source_began("r", None, query)
    run.source_ended("r", found)
    run.reply = "Ada"
    return run


def texts(run: AppRun) -> list[str]:
    return [document["text"] for document in run.case("1", "t")["documents"]]


def test_a_case_has_all_that_its_file_needs() -> None:
    assert run_with(ADA, RAIN).case("7", "ports") == {
        "id": "7",
        "task": "ports",
        "query": "who keeps it?",
        "documents": [{"title": "Harbor", "text": "Ada keeps the light."}, {"text": "Rain fell."}],
        "answers": [],
        "reply": "Ada",
    }


def test_the_question_is_the_apps_where_retrievers_were_asked_different_things() -> None:
    run = run_with(ADA)
    run.source_began("again", None, "light keeper")
    run.source_ended("again", [RAIN])
    assert run.case("1", "t")["query"] == "And who keeps it?"


def test_the_question_is_the_apps_where_tools_were_called() -> None:
    assert run_with(ADA, query=None).case("1", "t")["query"] == "And who keeps it?"


def test_the_question_is_a_retrievers_where_the_app_has_none() -> None:
    run = run_with(ADA)
    run.question = " "
    run.source_began("tool", None, None)
    run.source_ended("tool", [RAIN])
    assert run.case("1", "t")["query"] == "who keeps it?"


def test_documents_stand_in_the_order_in_which_they_were_looked_for() -> None:
    run = AppRun("q")
    run.reply = "a"
    for name in "abc":
        run.source_began(name, None, "q")
    for name in "cab":
        run.source_ended(name, [FoundText(name)])
    assert texts(run) == ["a", "b", "c"]


def test_a_text_found_twice_stands_there_once() -> None:
    run = run_with(ADA, FoundText("  "), ADA, RAIN)
    run.source_began("again", None, "who keeps it?")
    run.source_ended("again", [RAIN])
    assert texts(run) == [ADA.text, RAIN.text]


class TestSourcesWithinSources:
    @staticmethod
    def nested(*outer: FoundText) -> AppRun:
        run = AppRun("q")
        run.reply = "a"
        run.source_began("outer", None, "q")
        for name, found in (("one", ADA), ("two", RAIN)):
            run.source_began(name, "outer", "q")
            run.source_ended(name, [found])
        run.source_ended("outer", outer)
        return run

    def test_the_outermost_counts(self) -> None:
        assert texts(self.nested(RAIN)) == ["Rain fell."]

    def test_but_what_was_compressed_gives_place_to_what_it_was_made_of(self) -> None:
        run = self.nested(FoundText("Ada [...]", is_compressed=True))
        assert texts(run) == [ADA.text, RAIN.text]

    def test_what_was_compressed_is_better_than_nothing(self) -> None:
        assert texts(run_with(FoundText("Ada [...]", is_compressed=True))) == ["Ada [...]"]


@pytest.mark.parametrize("found", [(), (FoundText(" \n"),)])
def test_without_texts_there_is_no_case(found: tuple[FoundText, ...]) -> None:
    assert run_with(*found).case("1", "t") == "no_documents"


def test_without_a_question_there_is_no_case() -> None:
    run = run_with(ADA, query=None)
    run.question = None
    assert run.case("1", "t") == "no_question"


def test_without_an_answer_there_is_no_case() -> None:
    run = run_with(ADA)
    run.last_said = "I will look."
    run.reply = ""
    assert run.case("1", "t") == "no_reply"
    run.reply = None
    assert run.case("1", "t")["reply"] == "I will look."
