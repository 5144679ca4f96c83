"""`specprefill evaluate`: the group of commands that measure compression."""

from __future__ import annotations

import typer

from specprefill_integrations.cli._evaluate_ab import ab
from specprefill_integrations.cli._evaluate_break_even import break_even
from specprefill_integrations.cli._evaluate_evidence import evidence
from specprefill_integrations.cli._evaluate_limits import limits
from specprefill_integrations.cli._evaluate_report import write_report

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(ab)
app.command()(break_even)
app.command()(limits)
app.command("report")(write_report)
app.command()(evidence)


@app.callback()
def evaluate() -> None:
    """Measure what compression keeps, how it changes answers, and when it pays."""
