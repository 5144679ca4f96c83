"""`specprefill compress`: compress files, and show what was kept as text, JSON or a heat map."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    Scorer,
    ScorerName,
    WindowTokens,
)
from specprefill_integrations.cli._terminal import (
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    quiet_libraries,
    stderr_console,
    warn,
)
from specprefill_integrations.errors import BudgetError
from specprefill_integrations.heat_map._token_scores import TokenHeatRecorder
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.types import Budget, Compression, Kind, Span, TextHint

if TYPE_CHECKING:
    from specprefill_integrations.compressor import ContextCompressor

_STDIN = "-"
_KEPT_STYLE = "bold black on #fcad70"
_BINARY_SHARE = 0.1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftOptions:
    """Draft model and how it is read."""

    draft: str | None = None
    """Hub id, folder, GGUF file or installed package; None for the default draft."""

    scorer: ScorerName = "readout"
    """Scorer."""

    kind: Kind | None = None
    """Kind of the texts; None detects it."""

    device: str | None = None
    """Device of the draft."""

    dtype: str | None = None
    """Data type of the draft."""

    window_tokens: int | None = None
    """Context tokens that it reads at a time."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text and where it came from."""

    path: str
    """Path as typed; `-` for standard input."""

    text: str
    """The text; bytes that are not UTF-8 are lone surrogates, and are written as the same bytes."""


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

    @property
    def elapsed_seconds(self) -> float:
        """Duration of the call."""
        return max(result.elapsed_seconds for result in self.results)


@app.command()
def compress(  # noqa: PLR0913 - one parameter per option
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Files to compress; - for standard input.")
    ],
    *,
    query: Annotated[
        str | None, typer.Option(help="The question. Without one, the main points are kept.")
    ] = None,
    keep_fraction: Annotated[
        float | None,
        typer.Option("--keep-fraction", "--keep", help="Kept tokens / original tokens, in (0, 1]."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Most tokens to keep of all files together.")
    ] = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write a heat map of the token scores to this HTML file."
        ),
    ] = None,
    draft: Draft = None,
    scorer: Scorer = "readout",
    kind: Annotated[
        Kind | None, typer.Option(help="Kind of text. Default: detected for each file.")
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    window_tokens: WindowTokens = None,
    debug: Debug = False,
) -> None:
    """Compress files to the parts that a question needs, within one budget for all of them.

    In a terminal, the whole text is shown with the kept parts highlighted; in a pipe, only the kept
    parts are written.
    """
    budget = _budget(keep_fraction, max_tokens)
    options = DraftOptions(
        draft=draft,
        scorer=scorer,
        kind=kind,
        device=device,
        dtype=dtype,
        window_tokens=window_tokens,
    )
    if html is not None:
        _check_writable(html)
    with clear_errors(debug=debug):
        sources = _read(files)
        with quiet_libraries(debug=debug):
            report, page = _work(sources, query, budget, options, with_page=html is not None)
        if html is not None:
            html.write_text(page, encoding="utf-8", newline="\n")
        _show(report, as_json=as_json)


def build_compressor(options: DraftOptions) -> ContextCompressor:
    """Build the compressor of a call.

    Raises:
        MissingDependencyError: The extra `draft` is not installed.
        DraftModelNotFoundError: There is no such draft.
    """
    # Imported here, so that `--help` is quick.
    from specprefill_integrations.compressor import ContextCompressor  # noqa: PLC0415

    return ContextCompressor.from_draft_model(
        options.draft,
        device=options.device,
        dtype=options.dtype,
        scorer=options.scorer,
        kind="code" if options.kind == "code" else "prose",
        window_tokens=options.window_tokens,
        on_error="raise",
    )


def _budget(keep_fraction: float | None, max_tokens: int | None) -> Budget:
    if (keep_fraction is None) == (max_tokens is None):
        fail("give either --keep-fraction or --max-tokens", USAGE_ERROR)
    try:
        return Budget(keep_fraction=keep_fraction, max_tokens=max_tokens)
    except BudgetError as error:
        fail(str(error), USAGE_ERROR)


def _check_writable(path: Path) -> None:
    """Fail before the draft has read everything."""
    if path.is_dir():
        fail(f"--html needs a file, not a folder: {str(path)!r}", USAGE_ERROR)
    if not path.absolute().parent.is_dir():
        fail(f"no such folder for --html: {str(path.parent)!r}", USAGE_ERROR)


def _read(paths: Sequence[str]) -> list[Source]:
    if paths.count(_STDIN) > 1:
        fail("stdin can be read only once", USAGE_ERROR)
    return [Source(path, _read_text(path)) for path in paths]


def _read_text(path: str) -> str:
    """Decode a file so that the same bytes can be written again."""
    try:
        data = sys.stdin.buffer.read() if path == _STDIN else Path(path).read_bytes()
    except FileNotFoundError:
        fail(f"no such file: {path!r}", USAGE_ERROR)
    except IsADirectoryError:
        fail(f"a folder, not a file: {path!r}", USAGE_ERROR)
    text = data.decode("utf-8", "surrogateescape")
    undecodable = sum("\udc80" <= character <= "\udcff" for character in text)
    if undecodable > _BINARY_SHARE * len(text):
        warn(f"{path!r} is not UTF-8 text; compressing it makes little sense")
    return text


def _work(
    sources: Sequence[Source],
    query: str | None,
    budget: Budget,
    options: DraftOptions,
    *,
    with_page: bool,
) -> tuple[Report, str]:
    """Load the draft, compress, and make the heat map if wanted."""
    texts = [source.text for source in sources]
    loading = f"loading {printable(options.draft or 'the draft')} ..."
    with stderr_console().status(loading) as status:
        compressor = build_compressor(options)
        scorer = compressor.scorer.unwrapped
        # A scorer without a draft (KeywordScorer) has nothing to load.
        model = getattr(scorer, "reading_draft", None)
        if model is not None:
            model.load()
        recorder = TokenHeatRecorder(compressor.scorer) if with_page else None
        if recorder is not None:
            compressor = compressor.replace(scorer=recorder)
        status.update("scoring ...")
        report = Report(
            sources=sources,
            results=compressor.compress_documents(
                texts,
                query,
                budget=budget,
                hints=[TextHint(kind=options.kind, name=source.path) for source in sources],
            ),
            query=query,
            budget=budget,
            draft=type(scorer).__name__ if model is None else model.name,
            scorer=options.scorer,
        )
        if recorder is None:
            return report, ""
        unread = [text for text in map(encodable, texts) if text and not recorder.heat_of(text)]
        if unread:  # texts within the budget were not scored
            status.update("scoring every token for the heat map ...")
            recorder.score_spans(query, unread, [[] for _ in unread])
    return report, _page(report, [recorder.heat_of(text) for text in texts])


def _page(report: Report, scores: Sequence[Sequence[tuple[Span, float]]]) -> str:
    from specprefill_integrations.heat_map._page import (  # noqa: PLC0415 - needs Jinja2
        HeatMapDocument,
        HeatMapHeading,
        render_heat_map,
    )

    documents = [
        HeatMapDocument(
            name=_title(source),
            text=source.text,
            token_scores=token_scores,
            kept=result.kept,
            original_tokens=result.original_tokens,
            kept_tokens=result.kept_tokens,
            skipped_because=result.skipped_because,
        )
        for source, result, token_scores in zip(report.sources, report.results, scores, strict=True)
    ]
    heading = HeatMapHeading(
        query=report.query,
        draft=report.draft,
        scorer=report.scorer,
        budget=_format_budget(report.budget),
        elapsed_seconds=report.elapsed_seconds,
    )
    return render_heat_map(documents, heading)


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        _write_bytes(_as_json(report))
    elif sys.stdout.isatty():
        console = Console(highlight=False)
        print_highlighted(console, report)
        console.print(_summary(report))
    else:
        _write_bytes(_as_plain_bytes(report.results))
        stderr_console().print(_summary(report))


def print_highlighted(console: Console, report: Report) -> None:
    """Print all texts with the kept parts highlighted and the rest dimmed."""
    for source, result in zip(report.sources, report.results, strict=True):
        console.print(Rule(Text(printable(_title(source))), align="left", style="dim"))
        text = Text()
        position = 0
        for span in result.kept:
            text.append(printable(source.text[position : span.start]), style="dim")
            text.append(printable(source.text[span.start : span.end]), style=_KEPT_STYLE)
            position = span.end
        text.append(printable(source.text[position:]), style="dim")
        console.print(text, soft_wrap=True)


def _summary(report: Report) -> Table:
    caption = f"draft {report.draft}, scorer {report.scorer}, {report.elapsed_seconds:.2f} s"
    table = Table(caption=Text(printable(caption)), caption_justify="left")
    table.add_column("text", overflow="fold")
    for name in ("tokens before", "after", "kept"):
        table.add_column(name, justify="right")
    table.add_column("skip reason")
    for source, result in zip(report.sources, report.results, strict=True):
        reason = (result.skipped_because or "-").replace("_", " ")
        title = Text(printable(_title(source)))
        table.add_row(title, *_counts(result.original_tokens, result.kept_tokens), reason)
    if len(report.results) > 1:
        original = sum(result.original_tokens for result in report.results)
        kept = sum(result.kept_tokens for result in report.results)
        table.add_section()
        table.add_row("all", *_counts(original, kept), "")
    return table


def _counts(original: int, kept: int) -> tuple[str, str, str]:
    return f"{original:,}", f"{kept:,}", f"{kept / original:.1%}" if original else "-"


def _as_json(report: Report) -> bytes:
    """Encode the report as JSON in UTF-8; lone surrogates become escapes."""
    document = {
        "draft": report.draft,
        "scorer": report.scorer,
        "query": report.query,
        "budget": {
            "keep_fraction": report.budget.keep_fraction,
            "max_tokens": report.budget.max_tokens,
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
            }
            for source, result in zip(report.sources, report.results, strict=True)
        ],
        "elapsed_seconds": report.elapsed_seconds,
    }
    return f"{json.dumps(document, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")


def _as_plain_bytes(results: Sequence[Compression]) -> bytes:
    """Join the compressed texts, with a line break between two of them."""
    texts = [result.text for result in results if result.text]
    joined = "".join(
        text if text.endswith("\n") or last == len(texts) else f"{text}\n"
        for last, text in enumerate(texts, start=1)
    )
    return joined.encode("utf-8", "surrogateescape")


def _write_bytes(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def _title(source: Source) -> str:
    return "standard input" if source.path == _STDIN else source.path


def _format_budget(budget: Budget) -> str:
    if budget.max_tokens is not None:
        return f"at most {budget.max_tokens:,} tokens"
    return f"{100 * (budget.keep_fraction or 0):.4g}% of the tokens"
