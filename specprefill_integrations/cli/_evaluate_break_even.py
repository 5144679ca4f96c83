"""`specprefill evaluate break-even`: from which length on compression pays.

Owns options and files; what pays is for `BreakEven` to say, how fast something reads for
`reading_speed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from specprefill_integrations.cli._terminal import USAGE_ERROR, clear_errors, fail, stderr_console
from specprefill_integrations.evaluation._break_even_log import LogTimes, read_log_times
from specprefill_integrations.observability import BreakEven, ReadingSpeed, Unclear, reading_speed
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.observability._reading_speed import LEAST_POINTS
from specprefill_integrations.types import Budget

_WHY_UNCLEAR: dict[Unclear, str] = {
    "too_few": f"it holds fewer than {LEAST_POINTS} times of that",
    "too_alike": "the longest text is not twice as long as the shortest",
    "no_slower": "longer texts did not take longer for sure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speed:
    """How fast the draft or the model reads, and how that is known."""

    tokens_per_second: float
    """Without what every text takes."""

    overhead_seconds: float = 0.0
    """What every text takes, however short; 0 for the model, which is called anyway."""

    measured: ReadingSpeed | None = None
    """What a log tells; None where the speed was given."""

    def as_json_object(self) -> dict[str, object]:
        """As plain values for JSON."""
        return {
            "tokens_per_second": self.tokens_per_second,
            "overhead_seconds": self.overhead_seconds,
            "measured": None if self.measured is None else asdict(self.measured),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What was found, and what it rests on."""

    break_even: BreakEven
    """What was found."""

    draft: _Speed
    """How fast the draft reads."""

    target: _Speed | None
    """How fast the model reads; None where the answer is about money."""

    prices: Prices | None
    """What tokens cost; None where the answer is about time."""

    later_reads: int
    """How often a text is sent again."""

    def as_json_object(self) -> dict[str, object]:
        """As plain values for JSON."""
        found = self.break_even
        return {
            "quantity": found.quantity,
            "keep_fraction": found.budget.keep_fraction,
            "max_tokens": found.budget.max_tokens,
            "least_tokens": found.least_tokens,
            "verdict": found.verdict,
            "draft": self.draft.as_json_object(),
            "target": None if self.target is None else self.target.as_json_object(),
            "prices": None if self.prices is None else asdict(self.prices),
            "later_reads": self.later_reads,
        }


def break_even(  # noqa: PLR0913 - one parameter an option
    *,
    keep: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Kept tokens / original tokens.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Kept tokens of a text, at most.")] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            help="A log of `evaluate ab`: both speeds are estimated by it. May be given several"
            " times, for logs of texts of other lengths."
        ),
    ] = None,
    scorer: Annotated[str, typer.Option(help="With --log: what compresses.")] = "readout",
    draft_speed: Annotated[
        float | None, typer.Option(metavar="TOKENS", help="That the draft reads in a second.")
    ] = None,
    overhead_seconds: Annotated[
        float | None, typer.Option(help="What compressing takes, however short the text.")
    ] = None,
    target_speed: Annotated[
        float | None, typer.Option(metavar="TOKENS", help="That the model reads in a second.")
    ] = None,
    prices_of: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Ask about money, by the installed table of prices."),
    ] = None,
    provider: Annotated[str | None, typer.Option(help="For --prices-of, such as openai.")] = None,
    input_price: Annotated[
        float | None, typer.Option(help="Ask about money: a million tokens of prompts.")
    ] = None,
    cached_input_price: Annotated[
        float | None, typer.Option(help="A million of those from the provider's cache.")
    ] = None,
    draft_price: Annotated[float, typer.Option(help="An hour of the draft's machine.")] = 0.0,
    later_reads: Annotated[
        int, typer.Option(min=0, help="How often a text is sent again, from the cache.")
    ] = 0,
    picture: Annotated[Path | None, typer.Option(help="Draw it: a .png or .svg file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Say from which length of a text on compression pays: in time, or with prices in money."""
    with clear_errors(debug=debug):
        with _usage_errors():
            prices = _prices(prices_of, provider, input_price, cached_input_price, draft_price)
            times = read_log_times(log, scorer) if log else None
            draft = _draft_speed(draft_speed, overhead_seconds, times)
            _check_asked(prices, target_speed, later_reads)
            target = None if prices else _target_speed(target_speed, times)
            answer = _Answer(
                break_even=_break_even(
                    _budget(keep, max_tokens), draft, target, prices, later_reads
                ),
                draft=draft,
                target=target,
                prices=prices,
                later_reads=later_reads,
            )
        if picture is not None:
            from specprefill_integrations.evaluation import (  # noqa: PLC0415 - needs an extra
                draw_break_even,
            )

            draw_break_even(answer.break_even, picture)
        _show(answer, as_json=as_json)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """What is wrong with the options or the log ends the command, in one line."""
    try:
        yield
    except (ValueError, LookupError) as error:
        fail(str(error), USAGE_ERROR)


def _budget(keep: float | None, max_tokens: int | None) -> Budget:
    if keep is None and max_tokens is None:
        fail("give --keep, --max-tokens or both: how much of a text is kept", USAGE_ERROR)
    return Budget(keep_fraction=keep, max_tokens=max_tokens)


def _prices(
    model: str | None,
    provider: str | None,
    input_price: float | None,
    cached_input_price: float | None,
    draft_price: float,
) -> Prices | None:
    """What was given or is looked up; None where nothing was asked of money."""
    if model is not None and (input_price is not None or cached_input_price is not None):
        fail("give --prices-of or prices of your own, not both", USAGE_ERROR)
    if provider is not None and model is None:
        fail("--provider says whose model --prices-of is about: give that, too", USAGE_ERROR)
    if model is not None:
        return Prices.of_model(model, provider=provider, draft_per_hour=draft_price)
    if input_price is not None:
        return Prices(
            input_per_million=input_price,
            cached_input_per_million=cached_input_price,
            draft_per_hour=draft_price,
        )
    if draft_price or cached_input_price is not None:
        fail("prices of tokens are missing: give --prices-of or --input-price", USAGE_ERROR)
    return None


def _check_asked(prices: Prices | None, target_speed: float | None, later_reads: int) -> None:
    """Nothing that was given is passed over: the answer is about money, or about time."""
    if prices is not None and target_speed is not None:
        fail("--target-speed is about time, prices are about money: ask one by one", USAGE_ERROR)
    if prices is None and later_reads:
        fail("--later-reads cost money: give --prices-of or --input-price", USAGE_ERROR)


def _draft_speed(given: float | None, overhead: float | None, times: LogTimes | None) -> _Speed:
    if given is not None:
        return _Speed(tokens_per_second=given, overhead_seconds=overhead or 0.0)
    found = reading_speed(times.draft) if times else None
    if not isinstance(found, ReadingSpeed):
        option = "--draft-speed, which `specprefill bench` measures"
        fail(_missing("draft", option, found), USAGE_ERROR)
    return _Speed(
        tokens_per_second=found.tokens_per_second,
        overhead_seconds=found.overhead_seconds if overhead is None else overhead,
        measured=found,
    )


def _target_speed(given: float | None, times: LogTimes | None) -> _Speed:
    if given is not None:
        return _Speed(tokens_per_second=given)
    found = reading_speed(times.target) if times else None
    if not isinstance(found, ReadingSpeed):
        fail(_missing("model", "--target-speed", found), USAGE_ERROR)
    return _Speed(tokens_per_second=found.tokens_per_second, measured=found)


def _missing(who: str, option: str, why: Unclear | None) -> str:
    if why is None:
        return f"how fast does the {who} read? give --log, or {option}"
    return f"the log does not tell how fast the {who} reads: {_WHY_UNCLEAR[why]}; give {option}"


def _break_even(
    budget: Budget, draft: _Speed, target: _Speed | None, prices: Prices | None, later_reads: int
) -> BreakEven:
    if prices is not None:
        return BreakEven.in_money(
            budget=budget,
            prices=prices,
            draft_tokens_per_second=draft.tokens_per_second,
            overhead_seconds=draft.overhead_seconds,
            later_reads=later_reads,
        )
    assert target is not None, "time is asked about where money is not"
    return BreakEven.in_seconds(
        budget=budget,
        draft_tokens_per_second=draft.tokens_per_second,
        target_tokens_per_second=target.tokens_per_second,
        overhead_seconds=draft.overhead_seconds,
    )


def _show(answer: _Answer, *, as_json: bool) -> None:
    """The verdict, and beside it, on stderr, the measurements that it rests on."""
    if as_json:
        typer.echo(json.dumps(answer.as_json_object(), indent=2))
        return
    typer.echo(answer.break_even.verdict)
    for name, speed in (("draft", answer.draft), ("model", answer.target)):
        if speed is not None and speed.measured is not None:
            stderr_console().print(f"{name}: {_in_words(speed.measured)}", soft_wrap=True)


def _in_words(found: ReadingSpeed) -> str:
    return (
        f"{found.tokens_per_second:,.4g} tokens a second "
        f"(between {found.slowest:,.4g} and {found.fastest:,.4g}), "
        f"{found.overhead_seconds:.3g} s besides; by {found.points:,} times, "
        f"half of them within {found.residual_seconds:.2g} s of that"
    )
