"""The playground in a browser, at the width of a phone and of a desk."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from specprefill_integrations import ContextCompressor, Span
from specprefill_integrations.scoring._span_scorer import SpanScorer
from specprefill_integrations.serving._playground import PlaygroundScorer, build_playground
from specprefill_integrations.testing import KeywordScorer
from tests.unit_tests.serving.running import listening

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

WIDTHS = {"phone": (390, 844), "desk": (1280, 900)}
SENTENCES = [f"The cat number {n} sat on mat {n}." for n in range(40)]
SENTENCES[7] = "The treasury holds four hundred ducats."
SENTENCES[21] = "Nobody counted the ducats twice."
TEXT = " ".join(SENTENCES[:20]) + "\n\n" + " ".join(SENTENCES[20:])
QUERY = "How many ducats does the treasury hold?"

HOSTILE = [
    "<script>pwned = 1</script> & <img src=x onerror='pwned = 1'>.",
    "</style></script></template></textarea><svg onload=pwned=1>.",
    "NUL \x00 escape \x1b[31m next line \x85 delete \x7f.",
    "lone \udc80 surrogates \ud800 here.",
    "\u202eoverride \u2066isolate \u200f mark\u202c.",
    "emoji 👩‍👩‍👧 and 𝒳 and 漢字、かな。",
    "{{ 7 * 7 }} ${pwned = 1} javascript:pwned=1.",
]


@dataclass
class Scripted(SpanScorer):
    """Scores by words, counts its calls, and waits or fails if the test wants it."""

    calls: int = 0
    may_go_on: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def score_spans(
        self, query: str | None, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        self.calls += 1
        assert self.may_go_on.wait(20)
        if self.error:
            raise self.error
        return KeywordScorer().score_spans(query, texts, spans)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return KeywordScorer().count_tokens(texts)


@pytest.fixture(scope="module")
def scorer() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def url(scorer: Scripted) -> Iterator[str]:
    scorers = {"readout": scorer, **dict.fromkeys(("words", "plain", "other"), KeywordScorer())}
    offered = [
        PlaygroundScorer(
            name=name,
            about="a test",
            compressor=ContextCompressor(one),
            is_chosen=name in {"readout", "words"},
        )
        for name, one in scorers.items()
    ]
    with listening(build_playground(offered, draft="tiny")) as found:  # type: ignore[arg-type]
        yield found


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return WIDTHS[getattr(request, "param", "phone")]


at_both_widths = pytest.mark.parametrize("size", WIDTHS, indirect=True)


@pytest.fixture
def page(browser: Any, url: str, scorer: Scripted, size: tuple[int, int]) -> Iterator[Any]:
    """The playground, freshly opened; at the end nothing has gone wrong or left the machine."""
    scorer.calls, scorer.error = 0, None
    scorer.may_go_on.set()
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)))
    context.set_default_timeout(10_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda one: one.url.startswith((url, "blob:")) or wrong.append(one.url))
    page.goto(url)
    yield page
    assert page.evaluate("typeof pwned") == "undefined"
    assert fits(page)
    context.close()
    assert wrong == []


def fits(page: Any) -> bool:
    wide: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return wide


def ask(page: Any, text: str, query: str) -> None:
    # Assigned, since typing or pasting drops NUL.
    page.get_by_label("Text", exact=True).evaluate("(area, text) => { area.value = text; }", text)
    page.get_by_label("Question").evaluate("(input, text) => { input.value = text; }", query)
    page.get_by_role("button", name="Compress").press("Enter")


def wait_until_done(page: Any) -> str:
    page.get_by_text("Done:").wait_for()
    return str(page.get_by_role("status").inner_text())


def card(page: Any, name: str) -> Any:
    return page.get_by_role("article", name=name)


def heat(page: Any, name: str) -> str:
    return str(card(page, name).locator(".text.heat").text_content())


def kept(page: Any, name: str) -> list[str]:
    return list(card(page, name).locator(".text.heat mark").all_text_contents())


def saved(page: Any, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as an HTML file").click()
    path = folder / "saved.html"
    download.value.save_as(path)
    return path


def visible(text: str) -> str:
    shown = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"}
    gone = dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000)], 0xFFFD)
    return text.translate({**shown, 0x7F: 0x2421, **gone})


class TestAQuestion:
    @at_both_widths
    def test_from_paste_to_a_saved_file(
        self, page: Any, browser: Any, scorer: Scripted, size: tuple[int, int], tmp_path: Path
    ) -> None:
        query = f"{QUERY} {size}"  # the engine remembers answers
        ask(page, TEXT, query)
        done = wait_until_done(page)
        assert "readout kept" in done
        assert "words kept" in done
        assert heat(page, "readout") == TEXT
        assert SENTENCES[7] in "".join(kept(page, "readout"))
        assert kept(page, "readout") == kept(page, "words")
        shaded = card(page, "readout").locator(".text.heat .h4, .text.heat .h5")
        assert SENTENCES[7] in shaded.all_text_contents()
        assert "100.0%" in card(page, "words").inner_text()

        before = len("".join(kept(page, "readout")))
        page.get_by_label("Budget", exact=True).focus()
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "() => asked.shown === 50 && asked.cards.every((one) => !one.isBusy)"
        )
        assert "50% of the tokens" in page.get_by_text("of the tokens").first.inner_text()
        assert len("".join(kept(page, "readout"))) > 1.5 * before
        assert scorer.calls == 1

        page.get_by_role("radio", name="Kept text").check()
        plain = card(page, "readout").get_by_label("The kept text")
        assert plain.is_visible()
        assert "[...]" in plain.text_content()
        assert not card(page, "readout").locator(".text.heat").is_visible()

        self.check_saved(browser, saved(page, tmp_path), page)
        assert "contains the whole text" in page.get_by_role("status").inner_text()

    def check_saved(self, browser: Any, path: Path, shown: Any) -> None:
        """The file shows the same by itself: no network, no script."""
        context = browser.new_context(viewport=shown.viewport_size, offline=True)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        page.goto(path.as_uri())
        assert asked == [path.as_uri()]
        assert page.locator("script").count() == 0
        assert page.get_by_role("heading", level=1).inner_text().startswith(QUERY)
        for name in ("readout", "words"):
            assert heat(page, name) == TEXT
            assert kept(page, name) == kept(shown, name)
        page.get_by_role("radio", name="Kept text").check()
        assert card(page, "readout").get_by_label("The kept text").is_visible()
        assert "because they were saved on purpose" in page.locator("footer").inner_text()
        styled = "getComputedStyle(document.body).marginTop"
        assert page.evaluate(styled) == "0px"
        assert fits(page)
        context.close()

    @at_both_widths
    def test_hostile_text_stays_text(self, page: Any, browser: Any, tmp_path: Path) -> None:
        text = "\n".join([*HOSTILE, *SENTENCES])
        scripts = page.locator("script").count()
        ask(page, text, f"ducats {HOSTILE[0]} {HOSTILE[3]} {HOSTILE[4]}")
        wait_until_done(page)
        assert heat(page, "readout") == visible(text)
        plain = card(page, "readout").locator(".text.plain").text_content()
        assert all(one in plain for one in kept(page, "readout"))
        assert page.locator("script").count() == scripts
        context = browser.new_context(offline=True)
        opened = context.new_page()
        opened.goto(saved(page, tmp_path).as_uri())
        assert opened.evaluate("typeof pwned") == "undefined"
        assert opened.locator("script, img, svg:not(.strip)").count() == 0
        assert heat(opened, "readout") == visible(text)
        assert HOSTILE[0] in opened.get_by_role("heading", level=1).text_content()
        context.close()

    def test_a_file_can_be_opened(self, page: Any) -> None:
        name = "<img src=x onerror=pwned=1>.txt"
        files = {"name": name, "mimeType": "text/plain", "buffer": f"\ufeff{TEXT}".encode("utf-16")}
        page.get_by_label("open a file").set_input_files(files)
        page.get_by_text(f"Opened {name}").wait_for()
        assert page.get_by_label("Text", exact=True).input_value().lstrip("\ufeff") == TEXT
        page.get_by_label("open a file").set_input_files({**files, "buffer": b"\x89PNG\x00\xff"})
        page.get_by_text("is no text").wait_for()

    def test_a_long_text_is_held_whole_and_drawn_in_blocks(self, page: Any) -> None:
        text = f"{'ab ' * 70_000}\r\n{TEXT}\n{'👩‍👩‍👧' * 900}"
        files = {"name": "a.txt", "mimeType": "text/plain", "buffer": text.encode()}
        page.get_by_label("open a file").set_input_files(files)
        page.get_by_text("the first 2,000 are shown").wait_for()
        assert len(page.get_by_label("Text", exact=True).input_value()) < 3_000
        page.get_by_label("Question").fill(QUERY)
        page.get_by_role("button", name="Compress").click()
        wait_until_done(page)
        assert heat(page, "readout") == text.replace("\r\n", "\n")
        assert card(page, "readout").locator(".text.heat .block").count() > 5
        page.get_by_role("button", name="Clear").click()
        assert page.get_by_label("Text", exact=True).input_value() == ""
        assert page.get_by_label("Text", exact=True).is_editable()

    def test_code_is_shown_in_columns(self, page: Any) -> None:
        code = "\n".join(f"def f{n}(x):\n    if x:\n        return x * {n}" for n in range(30))
        for text, classes in ((code, "text heat aligned"), (TEXT, "text heat")):
            ask(page, text, "What does f7 return?")
            wait_until_done(page)
            assert card(page, "words").locator(".text.heat").get_attribute("class") == classes


class TestNothingIsSilent:
    def test_missing_input_is_named_and_focused(self, page: Any) -> None:
        page.get_by_role("button", name="Compress").click()
        area = page.get_by_label("Text", exact=True)
        assert page.get_by_text("There is no text.").is_visible()
        assert area.get_attribute("aria-invalid") == "true"
        assert area.evaluate("(one) => one === document.activeElement")
        area.fill(TEXT)
        for name in ("readout", "words"):
            page.get_by_label(name).uncheck()
        page.get_by_role("button", name="Compress").click()
        assert page.get_by_text("Choose at least one scorer.").is_visible()

    def test_a_short_text_says_so(self, page: Any) -> None:
        ask(page, "Short.", "Who?")
        wait_until_done(page)
        assert "too short to save anything" in card(page, "readout").inner_text()
        page.get_by_label("Budget", exact=True).press("End")
        card(page, "readout").get_by_text("the whole text fits the budget").wait_for()

    def test_a_budget_that_gave_way_says_so(self, page: Any) -> None:
        note = "More than the budget is kept"
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        assert note not in card(page, "words").inner_text()
        page.get_by_label("Budget", exact=True).press("Home")
        card(page, "words").get_by_text(note).wait_for()

    def test_a_failing_scorer_says_so(self, page: Any, scorer: Scripted) -> None:
        scorer.error = ValueError("secret")
        ask(page, TEXT, "Does it fail?")
        wait_until_done(page)
        assert "This scorer failed." in card(page, "readout").inner_text()
        assert "Nothing was cut" not in card(page, "words").inner_text()

    def test_a_refusal_and_a_lost_service_say_so(self, page: Any) -> None:
        ask(page, TEXT, "a" * 30_000)
        wait_until_done(page)
        assert "exceeds the limit" in card(page, "readout").inner_text()
        page.route("**/v1/compress", lambda route: route.abort())
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        assert "does not answer" in card(page, "readout").inner_text()

    def test_a_drag_does_not_end_a_reading(self, page: Any, scorer: Scripted) -> None:
        scorer.may_go_on.clear()
        ask(page, TEXT, "Is it dragged?")
        card(page, "readout").get_by_text("Reading").wait_for()
        slider = page.get_by_label("Budget", exact=True)
        for _ in range(25):
            slider.press("ArrowRight")
        card(page, "words").get_by_text(re.compile(r"\(4\d[.]\d%\)")).wait_for()
        scorer.may_go_on.set()
        wait_until_done(page)
        assert scorer.calls == 1
        assert len("".join(kept(page, "readout"))) > 0.3 * len(TEXT)

    def test_a_slow_draft_shows_that_it_reads_and_can_be_cancelled(
        self, page: Any, scorer: Scripted
    ) -> None:
        scorer.may_go_on.clear()
        ask(page, TEXT, "Is it slow?")
        slow = card(page, "readout")
        slow.get_by_role("progressbar").wait_for()
        assert slow.get_attribute("aria-busy") == "true"
        assert "Reading" in slow.inner_text()
        page.get_by_role("button", name="Cancel").click()
        done = wait_until_done(page)
        scorer.may_go_on.set()
        assert "readout cancelled" in done
        assert "words kept" in done
        assert "Cancelled." in slow.inner_text()
        assert not slow.get_by_role("progressbar").is_visible()


CONTRASTS = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      const [, , , alpha = 1] = parts(color);
      if (alpha === 1) return color;
    }
    throw new Error("transparent page");
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.disabled) continue;
    const [one, other] = [getComputedStyle(node).color, behind(node)].map(light).sort();
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, node.outerHTML.slice(0, 80)]);
  }
  return found;
}"""

FOCUS = """() => {
  const one = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(one);
  const place = [...document.querySelectorAll("*")].indexOf(one);
  const { width, height } = (one.labels?.[0] ?? one).getBoundingClientRect();
  return { place, name: one.id || one.className || one.value, width, height,
    isVisible: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
}"""

NAMELESS = re.compile(
    r"^\s*- (?:button|checkbox|radio|slider|textbox|link|img|progressbar|region|article)\b(?! \")",
    re.MULTILINE,
)


class TestEverybodyCanUseIt:
    def test_text_stands_out_in_both_schemes(self, page: Any) -> None:
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate(CONTRASTS)
            assert len(found) > 50
            assert [one for one in found if one[0] < 4.5] == []

    @at_both_widths
    def test_the_shades_are_explained_where_they_are_seen(self, page: Any) -> None:
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        card(page, "words").locator("mark").first.scroll_into_view_if_needed()
        legend = page.get_by_role("list", name="Score in the top")
        assert legend.is_visible()
        shades = legend.locator("li")
        assert [shades.first.inner_text(), shades.last.inner_text()] == ["rest", "1%"]
        assert page.locator(".bar").evaluate("one => one.offsetHeight / innerHeight") < 0.25

    @pytest.mark.parametrize(("size", "rows"), [("phone", 4), ("desk", 2)], indirect=["size"])
    def test_four_scorers_stand_in_full_rows(self, page: Any, rows: int) -> None:
        for name in ("plain", "other"):
            page.get_by_label(name).check()
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        tops = page.get_by_role("article").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().top)"
        )
        assert len(set(tops)) == rows
        assert {tops.count(top) for top in tops} == {4 // rows}

    def test_what_can_be_used_has_a_role_and_a_name(self, page: Any) -> None:
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        tree = page.locator("body").aria_snapshot()
        assert 'slider "Budget"' in tree
        assert NAMELESS.findall(tree) == []
        assert NAMELESS.findall("- button\n  - link: a") == ["- button", "  - link"]
        levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => one.tagName)")
        assert levels == ["H1", "H2", "H2"]
        slider = page.get_by_label("Budget", exact=True)
        assert slider.get_attribute("aria-valuetext") == "20 percent of the tokens, about 71"

    def test_keys_reach_everything_in_the_order_of_the_page(self, page: Any) -> None:
        ask(page, TEXT, QUERY)
        wait_until_done(page)
        page.get_by_role("link", name="Skip to the results").focus()
        found = [page.evaluate(FOCUS)]
        while found[-1]["place"] == max(one["place"] for one in found):
            page.keyboard.press("Tab")
            found.append(page.evaluate(FOCUS))
        reached = found[:-1]
        names = {one["name"] for one in reached}
        assert {"text", "file", "query", "run", "example", "budget", "view-heat", "save"} <= names
        assert [one["name"] for one in reached if not one["isVisible"]] == []
        assert [one["name"] for one in reached if min(one["width"], one["height"]) < 20] == []

    def test_nothing_moves_for_those_who_do_not_want_it(self, page: Any, scorer: Scripted) -> None:
        page.emulate_media(reduced_motion="reduce")
        scorer.may_go_on.clear()
        ask(page, TEXT, "Does it move?")
        card(page, "readout").get_by_text("Reading").wait_for()
        assert page.evaluate("document.getAnimations().length") == 0
        assert not card(page, "readout").locator("progress").is_visible()
        scorer.may_go_on.set()
        wait_until_done(page)
