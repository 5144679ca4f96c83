"""`specprefill evaluate break-even`: the text length above which compression pays off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from specprefill_integrations.cli._evaluate_options import DraftPrice, Provider
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    KeepFraction,
    Quiet,
    check_max_tokens,
    current_name,
)
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    as_options,
    clear_errors,
    fail,
    stderr_console,
)
from specprefill_integrations.evaluation._break_even_log import LogTimes, read_log_times
from specprefill_integrations.observability import BreakEven, ReadingSpeed, Unclear, reading_speed
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.observability._reading_speed import LEAST_POINTS
from specprefill_integrations.types import Budget

_WHY_UNCLEAR: dict[Unclear, str] = {
    "too_few": f"it has fewer than {LEAST_POINTS} such times",
    "too_alike": "the longest text is not twice as long as the shortest",
    "no_slower": "longer texts did not clearly take longer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speed:
    """Reading speed of the draft or the model."""

    tokens_per_second: float
    """Speed without the overhead."""

    overhead_seconds: float = 0.0
    """Time per text, independent of its length; 0 for the model, which is called anyway."""

    measured: ReadingSpeed | None = None
    """The estimate from logs; None if the speed was given."""


def break_even(  # noqa: PLR0913 - one parameter an option
    *,
    keep: KeepFraction = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(callback=check_max_tokens, help="Most tokens to keep of a text."),
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            help="Log of `evaluate ab`, from which both speeds are estimated; repeatable, for "
            "texts of different lengths."
        ),
    ] = None,
    scorer: Annotated[
        str,
        typer.Option(
            parser=current_name, metavar="SCORER", help="With --log: scorer that compresses."
        ),
    ] = "readout",
    draft_speed: Annotated[
        float | None, typer.Option(metavar="TOKENS", help="Tokens that the draft reads per second.")
    ] = None,
    overhead_seconds: Annotated[
        float | None, typer.Option(help="Compression time independent of the text's length.")
    ] = None,
    target_speed: Annotated[
        float | None, typer.Option(metavar="TOKENS", help="Tokens that the model reads per second.")
    ] = None,
    prices_of: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Compute cost instead of time, with this model's prices from genai-prices.",
        ),
    ] = None,
    provider: Provider = None,
    input_price: Annotated[
        float | None,
        typer.Option(
            help="Compute cost instead of time, with this price of a million prompt tokens."
        ),
    ] = None,
    cached_input_price: Annotated[
        float | None, typer.Option(help="Price of a million cached prompt tokens.")
    ] = None,
    draft_price: DraftPrice = 0.0,
    later_reads: Annotated[
        int, typer.Option(min=0, help="Times that a text is sent again, from the cache.")
    ] = 0,
    picture: Annotated[
        Path | None, typer.Option(help="Draw a picture: a .png or .svg file.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compute the text length above which compression pays off, in time or (with prices) cost."""
    with clear_errors(debug=debug):
        with _usage_errors():
            prices = _prices(prices_of, provider, input_price, cached_input_price, draft_price)
            times = read_log_times(log, scorer) if log else None
            draft = _draft_speed(draft_speed, overhead_seconds, times)
            _check_asked(prices, target_speed, later_reads)
            target = None if prices else _target_speed(target_speed, times)
            found = _break_even(_budget(keep, max_tokens), draft, target, prices, later_reads)
        if picture is not None:
            from specprefill_integrations.evaluation import (  # noqa: PLC0415 - needs an extra
                draw_break_even,
            )

            draw_break_even(found, picture)
        if as_json:
            answer = {
                "quantity": found.quantity,
                "keep_fraction": found.budget.keep_fraction,
                "max_tokens": found.budget.max_tokens,
                "least_tokens": found.least_tokens,
                "verdict": found.verdict,
                "draft": asdict(draft),
                "target": None if target is None else asdict(target),
                "prices": None if prices is None else asdict(prices),
                "later_reads": later_reads,
            }
            typer.echo(json.dumps(answer, indent=2))
        else:
            typer.echo(found.verdict)
            if not quiet:
                _print_speeds(draft, target)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Report wrong options and logs in one line."""
    try:
        yield
    except (ValueError, LookupError) as error:
        fail(as_options(str(error)), USAGE_ERROR)


def _budget(keep: float | None, max_tokens: int | None) -> Budget:
    if keep is None and max_tokens is None:
        fail("give --keep, --max-tokens or both", USAGE_ERROR)
    return Budget(keep_fraction=keep, max_tokens=max_tokens)


def _prices(
    model: str | None,
    provider: str | None,
    input_price: float | None,
    cached_input_price: float | None,
    draft_price: float,
) -> Prices | None:
    """Given or looked-up prices; None if the answer is about time."""
    if model is not None and (input_price is not None or cached_input_price is not None):
        fail("give --prices-of or prices of your own, not both", USAGE_ERROR)
    if provider is not None and model is None:
        fail("--provider needs --prices-of", USAGE_ERROR)
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
    """Refuse options that would be ignored."""
    if prices is not None and target_speed is not None:
        fail("--target-speed (time) and prices (cost) cannot be combined", USAGE_ERROR)
    if prices is None and later_reads:
        fail("--later-reads needs prices: give --prices-of or --input-price", USAGE_ERROR)


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
        return f"the speed of the {who} is missing: give --log, or {option}"
    return f"the log does not show how fast the {who} reads: {_WHY_UNCLEAR[why]}; give {option}"


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
    assert target is not None, "without prices there is a target speed"
    return BreakEven.in_seconds(
        budget=budget,
        draft_tokens_per_second=draft.tokens_per_second,
        target_tokens_per_second=target.tokens_per_second,
        overhead_seconds=draft.overhead_seconds,
    )


def _print_speeds(draft: _Speed, target: _Speed | None) -> None:
    """Print the measurements that the verdict is based on."""
    for name, speed in (("draft", draft), ("model", target)):
        if speed is not None and speed.measured is not None:
            stderr_console().print(f"{name}: {_format_speed(speed.measured)}", soft_wrap=True)


def _format_speed(found: ReadingSpeed) -> str:
    return (
        f"{found.tokens_per_second:,.4g} tokens a second "
        f"(between {found.slowest:,.4g} and {found.fastest:,.4g}), "
        f"{found.overhead_seconds:.3g} s overhead; {found.points:,} measurements, "
        f"half of them within {found.residual_seconds:.2g} s"
    )
