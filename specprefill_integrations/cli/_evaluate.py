"""`specprefill evaluate`: the group of commands that measure compression."""

from __future__ import annotations

from specprefill_integrations.cli._evaluate_ab import ab
from specprefill_integrations.cli._evaluate_break_even import break_even
from specprefill_integrations.cli._evaluate_evidence import evidence
from specprefill_integrations.cli._evaluate_limits import limits
from specprefill_integrations.cli._evaluate_report import write_report
from specprefill_integrations.cli._terminal import new_app

app = new_app(is_group=True)
app.command()(ab)
app.command()(break_even)
app.command()(limits)
app.command("report")(write_report)
app.command()(evidence)


@app.callback()
def evaluate() -> None:
    """Measure what compression keeps, how it changes answers, and when it pays."""
