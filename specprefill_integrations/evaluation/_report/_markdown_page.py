"""The report as a page for docs: tables, pictures beside it, and how all of it was made.

Holds no word of the data: no question, no text, no reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from specprefill_integrations.evaluation._report._contents import RunContents, parts_of
from specprefill_integrations.evaluation._report._provenance import Fact
from specprefill_integrations.evaluation._report._tables import Table
from specprefill_integrations.evaluation._report._words import headline, model_name
from specprefill_integrations.pipeline._encodable import encodable

_MEANS_SOMETHING = re.compile(r"([\\`*_\[\]<>|#])")
_WITHIN_A_WORD = re.compile(r"(?<=\w)\\_(?=\w)")


def render_markdown(runs: Sequence[RunContents]) -> str:
    """Write the page.

    Args:
        runs: What it says; at least one.

    Returns:
        Markdown, as GitHub takes it, fit for UTF-8.
    """
    blocks = ["# Full prompts against compressed ones"]
    for run in runs:
        blocks += _blocks(run)
    return encodable("\n\n".join(blocks) + "\n")


def _blocks(run: RunContents) -> Iterator[str]:
    findings = run.findings
    yield f"## {plain(findings.run.name)}: {plain(model_name(findings))}"
    yield plain(headline(findings))
    for part in parts_of(findings):
        yield f"### {plain(part.title)}"
        if part.name in run.pictures:
            picture = run.pictures[part.name]
            yield f"![{plain(picture.title)}]({quote(picture.name)}.svg)"
        yield plain(" ".join(part.remarks))
        yield _table(part.table)
    yield "### How this was made"
    yield _facts([fact for fact in run.facts if not fact.is_code])
    for fact in run.facts:
        if fact.is_code:
            yield f"{plain(fact.name)}:".capitalize()
            yield "\n".join(["```text", *fact.values, "```"])


def _table(table: Table) -> str:
    rules = ["--:" if table.is_number(place) else "---" for place in range(len(table.columns))]
    return "\n".join(
        [_row(map(plain, table.columns)), _row(rules), *(_row(map(plain, r)) for r in table.rows)]
    )


def _facts(facts: Sequence[Fact]) -> str:
    rows = [_row([fact.name, "<br>".join(map(plain, fact.values))]) for fact in facts]
    return "\n".join([_row(["what", "is"]), _row(["---", "---"]), *rows])


def _row(cells: Iterator[str] | Sequence[str] | map[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Words that are read as they are, in one line."""
    escaped = _MEANS_SOMETHING.sub(r"\\\1", " ".join(text.split()))
    return _WITHIN_A_WORD.sub("_", escaped)
