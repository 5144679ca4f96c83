"""`specprefill evaluate report`: report on logs of `evaluate ab`, as pages and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specprefill_integrations.cli._evaluate_options import (
    DraftPrice,
    Provider,
    Reference,
    check_keep,
)
from specprefill_integrations.cli._options import Debug, Quiet, current_name
from specprefill_integrations.cli._progress import progress_bar
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    quiet_libraries,
    usage_errors,
)
from specprefill_integrations.evaluation import FieldNames
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, keep_fractions_of
from specprefill_integrations.evaluation._judging import JudgeBy
from specprefill_integrations.evaluation._report._findings import GivenPrices
from specprefill_integrations.evaluation._run_session import typed_command
from specprefill_integrations.observability._prices import Prices
from specprefill_integrations.observability._shadow_summary import (
    are_shadow_logs,
    read_shadow_log,
)


def write_report(  # noqa: PLR0913 - one parameter an option
    logs: Annotated[
        list[Path],
        typer.Argument(metavar="LOG", help="Logs written by `evaluate ab`, or shadow logs."),
    ],
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Data file of the logs, as given to `evaluate ab`; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write to; created if missing.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PLACE", help="Field of the data, as in `evaluate ab`; repeatable."
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(min=0.001, max=0.999, help="Largest acceptable loss of score."),
    ] = 0.05,
    judge_by: Annotated[
        JudgeBy | None, typer.Option(help="Reference for replies. Default: that of the log.")
    ] = None,
    reference: Reference = FULL_NAME,
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            parser=current_name,
            metavar="SCORER",
            help="Scorer to include; repeatable. Default: all.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="FRACTIONS",
            callback=check_keep,
            help="Keep fractions to include. Default: all.",
        ),
    ] = None,
    cases: Annotated[
        int, typer.Option(min=0, help="Changed cases per log to show with question and replies.")
    ] = 10,
    heat: Annotated[
        int, typer.Option(min=0, help="Number of those to show with a heat map; 0 loads no draft.")
    ] = 10,
    prices_of: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Add costs, with this model's prices from genai-prices."
        ),
    ] = None,
    provider: Provider = None,
    input_price: Annotated[
        float | None,
        typer.Option(min=0, help="Add costs, with this price of a million prompt tokens."),
    ] = None,
    draft_price: DraftPrice = 0.0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Report on logs of `evaluate ab`: an HTML page, a Markdown page and pictures.

    Of shadow logs, print what compression would have saved, and what answers took from the rest.
    """
    if input_price is not None and prices_of is not None:
        fail("give --prices-of or --input-price, not both", USAGE_ERROR)
    if draft_price and input_price is None and prices_of is None:
        fail("--draft-price needs --prices-of or --input-price", USAGE_ERROR)
    with clear_errors(debug=debug):
        # Imported here, so that `--help` is quick.
        from specprefill_integrations.evaluation._report._headline import headline  # noqa: PLC0415
        from specprefill_integrations.evaluation._report._making import (  # noqa: PLC0415
            ReportRequest,
            make_report,
        )

        prices = _prices(prices_of, provider, input_price, draft_price)
        with usage_errors():
            if are_shadow_logs(logs):
                shown = read_shadow_log(logs).report(None if prices is None else prices.prices)
                typer.echo(printable(shown))
                return
            if not data or out is None:
                fail("give --data and --out", USAGE_ERROR)
            fields = FieldNames.parse(field or [])
            keep_fractions = [] if keep is None else keep_fractions_of(keep)
        request = ReportRequest(
            logs=logs,
            data=data,
            fields=fields,
            margin=margin,
            judge_by=judge_by,
            reference=reference,
            scorers=scorer or [],
            keep_fractions=keep_fractions,
            prices=prices,
            cases=cases,
            heat=heat,
            command=typed_command(),
        )
        with quiet_libraries(debug=debug), progress_bar(quiet=quiet) as progress:
            task = progress.add_task("heat maps", total=min(cases, heat) * len(logs))
            with usage_errors():
                made = make_report(request, on_heat=lambda: progress.advance(task))
        written = made.write(out)
    for run in made.runs:
        typer.echo(printable(f"{run.findings.run.name}: {headline(run.findings)}"))
    for remark in made.remarks:
        typer.echo(printable(remark))
    for path in written:
        typer.echo(str(path))


def _prices(
    prices_of: str | None, provider: str | None, input_price: float | None, draft_price: float
) -> GivenPrices | None:
    if prices_of is not None:
        found = Prices.of_model(prices_of, provider=provider, draft_per_hour=draft_price)
        return GivenPrices(prices=found, currency="in US dollars")
    if input_price is None:
        return None
    given = Prices(input_per_million=input_price, draft_per_hour=draft_price)
    return GivenPrices(prices=given, currency="in the currency of the prices")
