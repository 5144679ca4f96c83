"""Limits of compression: which kinds of questions lose what their answers need.

Generated texts with questions that need one sentence (a fact) or many (a count, a quotation). No
target model: measured is whether everything that an answer needs is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import fmean
from typing import Any

from specprefill_integrations._arguments import Shares, checked
from specprefill_integrations._progress_line import counted
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.types import Budget, Compression, Kind, Span, TextHint

_NAMES = (
    "Ada", "Bruno", "Celia", "Dario", "Edith", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Klara"
)  # fmt: skip
_PLACES = (
    "harbor", "mill", "quarry", "chapel", "market", "lighthouse", "tannery", "orchard", "ferry"
)  # fmt: skip
_GOODS = ("rope", "salt", "timber", "oil", "barley", "wool", "copper", "glass", "tar", "paper")
_FILLERS = (
    "{name} swept the steps of the {place} before breakfast.",
    "At the {place} somebody had left a crate of {goods} in the rain.",
    "{name} and {other} talked about the price of {goods} for most of the morning.",
    "The road to the {place} was muddy, and {name} took the long way round.",
    "Nobody at the {place} could say who had ordered the {goods}.",
    "{name} mended the fence behind the {place} and went home early.",
    "In the evening {other} brought {goods} to the {place} and stayed for supper.",
    "The bell of the {place} was rung twice, once by {name} and once by the wind.",
    "{name} wrote to a cousin that the {goods} had arrived in good order.",
    "Children played with an old barrel of {goods} near the {place}.",
)
_SECTIONS = ("Roads", "Water", "Schools", "Trade", "Health", "Forests", "Taxes", "Harbor")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCase:
    """A question, a text, and all parts of the text that the answer needs."""

    ask: str
    """Kind of question; see `ASKS`."""

    query: str
    """The question."""

    text: str
    """The text."""

    kind: Kind
    """Kind of text."""

    needed: tuple[Span, ...]
    """The needed parts."""

    @classmethod
    def of_parts(
        cls, ask: str, query: str, text: str, parts: Iterable[str], *, start: int = 0
    ) -> LimitCase:
        """Make a case whose needed parts follow in the text in this order, from `start` on."""
        kind: Kind = "code" if ask.startswith("code") else "markdown" if "## " in text else "prose"
        needed = []
        for part in parts:
            start = text.index(part, start)
            needed.append(Span(start, start + len(part)))
            start += len(part)
        return cls(ask=ask, query=query, text=text, kind=kind, needed=tuple(needed))


def limit_cases(per_ask: int, seed: int = 0) -> list[LimitCase]:
    """Make cases of every kind of question, each with its own text of about a thousand tokens.

    Args:
        per_ask: Cases of each kind.
        seed: Another seed makes other texts.
    """
    return [
        make(Random(f"{ask} {seed} {number}"))  # noqa: S311 - no secret
        for ask, make in ASKS.items()
        for number in range(per_ask)
    ]


def _filler(random: Random) -> str:
    name, other = random.sample(_NAMES, 2)
    sentence = random.choice(_FILLERS)
    return sentence.format(
        name=name, other=other, place=random.choice(_PLACES), goods=random.choice(_GOODS)
    )


def _fillers(random: Random, number: int) -> list[str]:
    return [_filler(random) for _ in range(number)]


def _paragraphs(sentences: list[str], length: int = 6) -> str:
    """Sentences in paragraphs."""
    parts = [sentences[i : i + length] for i in range(0, len(sentences), length)]
    return "\n\n".join(" ".join(part) for part in parts)


def _strewn(random: Random, needed: list[str], fillers: int) -> str:
    """Needed sentences in their order, at random places among fillers."""
    places = sorted(random.sample(range(fillers), len(needed)))
    sentences = _fillers(random, fillers)
    for shift, (place, sentence) in enumerate(zip(places, needed, strict=True)):
        sentences.insert(place + shift, sentence)
    return _paragraphs(sentences)


def _one_fact(random: Random) -> LimitCase:
    name, place = random.choice(_NAMES), random.choice(_PLACES)
    fact = f"{name} hid the spare key of the {place} under plank {random.randint(2, 99)}."
    question = f"Where is the spare key of the {place}?"
    return LimitCase.of_parts("one fact", question, _strewn(random, [fact], 60), [fact])


def _two_facts(random: Random) -> LimitCase:
    name, other = random.sample(_NAMES, 2)
    place = random.choice(_PLACES)
    facts = [
        f"{name} was made the keeper of the {place} that spring.",
        f"{name} had learned the trade from {other}, over three winters.",
    ]
    question = f"From whom had the keeper of the {place} learned the trade?"
    return LimitCase.of_parts("two linked facts", question, _strewn(random, facts, 60), facts)


def _comparison(random: Random) -> LimitCase:
    stalls = random.sample(_NAMES, 8)
    needed = [f"{name}'s stall took {random.randint(20, 99)} crowns that day." for name in stalls]
    question = "Whose stall took the most crowns that day?"
    return LimitCase.of_parts("comparison of all", question, _strewn(random, needed, 55), needed)


def _count(random: Random) -> LimitCase:
    times = [
        f"{random.choice(_NAMES)} turned the ferry back in the {when}, because of {why}."
        for when in ("morning", "afternoon", "evening")
        for why in random.sample(("fog", "ice", "a broken oar", "high water"), 3)
    ]
    needed = random.sample(times, random.randint(4, 8))
    question = "How many times was the ferry turned back?"
    return LimitCase.of_parts("count", question, _strewn(random, needed, 55), needed)


def _quotation(random: Random) -> LimitCase:
    sections = {title: _fillers(random, 7) for title in _SECTIONS}
    wanted = random.choice(_SECTIONS)
    question, text = f'Quote the section "{wanted}" word for word.', _sectioned(sections)
    start = text.index(f"## {wanted}")
    return LimitCase.of_parts("exact quotation", question, text, sections[wanted], start=start)


def _summary(random: Random) -> LimitCase:
    sections, needed = {}, []
    for title in _SECTIONS:
        change, share = random.choice(("rose", "fell")), random.randint(3, 60)
        found = f"Over the year, spending on {title.lower()} {change} by {share} percent."
        sentences = _fillers(random, 7)
        sentences.insert(random.randrange(8), found)
        sections[title] = sentences
        needed.append(found)
    return LimitCase.of_parts("summary", "Summarize this report.", _sectioned(sections), needed)


def _sectioned(sections: Mapping[str, list[str]]) -> str:
    return "\n\n".join(f"## {title}\n\n{' '.join(body)}" for title, body in sections.items())


def _code(random: Random) -> tuple[str, dict[str, str]]:
    """A Python module, and its functions by name."""
    functions = {}
    for place, goods in zip(_PLACES, random.sample(_GOODS, len(_PLACES)), strict=True):
        name, item = f"{random.choice(('count', 'weigh', 'ship'))}_{place}", goods
        functions[name] = "\n".join(
            [
                f"def {name}({item}, limit={random.randint(2, 99)}):",
                f'    """Take {goods} to the {place}."""',
                "    found = []",
                f"    for piece in {item}:",
                "        if piece.weight > limit:",
                f"            raise ValueError('too heavy for the {place}')",
                f"        found.append(piece.price * {random.randint(2, 9)})",
                f"    log.info('%d pieces at the {place}', len(found))",
                "    return sum(found)",
            ]
        )
    module = "import logging\n\nlog = logging.getLogger(__name__)\n\n\n"
    return module + "\n\n\n".join(functions.values()) + "\n", functions


def _code_lookup(random: Random) -> LimitCase:
    text, functions = _code(random)
    name = random.choice(list(functions))
    question, line = f"What is the default limit of {name}?", functions[name].partition("\n")[0]
    return LimitCase.of_parts("code, one line", question, text, [line])


def _code_edit(random: Random) -> LimitCase:
    text, functions = _code(random)
    name = random.choice(list(functions))
    question = f"Change {name} so that pieces that are too heavy are skipped."
    start, lines = text.index(functions[name]), functions[name].splitlines()
    return LimitCase.of_parts("code, edit", question, text, lines, start=start)


ASKS: Mapping[str, Callable[[Random], LimitCase]] = {
    "one fact": _one_fact,
    "code, one line": _code_lookup,
    "two linked facts": _two_facts,
    "comparison of all": _comparison,
    "count": _count,
    "summary": _summary,
    "exact quotation": _quotation,
    "code, edit": _code_edit,
}
"""Functions that make a case, by kind of question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSummary:
    """Result of one kind of question at one fraction."""

    ask: str
    """Kind of question."""

    keep_fraction: float
    """Requested fraction: kept tokens / original tokens."""

    cases: int
    """Number of cases."""

    kept_needed: float
    """Share of the needed parts that were kept, mean over cases."""

    complete: float
    """Share of cases in which all of them were kept."""

    kept_tokens_fraction: float
    """Kept tokens / original tokens of all cases together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitResult:
    """Result of `measure_limits`."""

    summaries: Sequence[LimitSummary]
    """One per kind of question and fraction."""

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per kind and fraction, as `pandas.DataFrame` takes them."""
        return [asdict(summary) for summary in self.summaries]


@checked
def measure_limits(
    compressor: ContextCompressor,
    cases: Sequence[LimitCase] | None = None,
    keep_fractions: Shares = (0.1, 0.2, 0.3, 0.5),
    *,
    on_case: Callable[[], object] = lambda: None,
) -> LimitResult:
    """Compress every case at every fraction; the compressor's engine reads each case once.

    Args:
        compressor: The compressor.
        cases: The cases; ten of each kind if None.
        keep_fractions: Kept tokens / original tokens, each in (0, 1]; at least one.
        on_case: Called after each case.
    """
    found: dict[tuple[str, float], list[tuple[LimitCase, Compression]]] = {}
    asked = limit_cases(10) if cases is None else cases
    with counted(asked, "Measuring") as each:
        for case in each:
            for fraction in keep_fractions:
                budget, hint = Budget(keep_fraction=fraction), TextHint(kind=case.kind)
                result = compressor.compress(case.text, case.query, budget=budget, hint=hint)
                found.setdefault((case.ask, fraction), []).append((case, result))
            on_case()
    summaries = [_summarized(*key, results) for key, results in found.items()]
    return LimitResult(summaries=summaries)


def _summarized(
    ask: str, keep_fraction: float, results: Sequence[tuple[LimitCase, Compression]]
) -> LimitSummary:
    shares = [
        fmean(_is_within(span, result.kept) for span in case.needed) for case, result in results
    ]
    kept = sum(result.kept_tokens for _, result in results)
    return LimitSummary(
        ask=ask,
        keep_fraction=keep_fraction,
        cases=len(results),
        kept_needed=fmean(shares),
        complete=fmean(share == 1 for share in shares),
        kept_tokens_fraction=kept / sum(result.original_tokens for _, result in results),
    )


def _is_within(span: Span, kept: Sequence[Span]) -> bool:
    return any(one.start <= span.start and span.end <= one.end for one in kept)
