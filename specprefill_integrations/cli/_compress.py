"""`specprefill compress`: compress files, and show what was kept as text, JSON or a heat map."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from specprefill_integrations.cli._compress_report import (
    Report,
    as_json_line,
    as_plain_text,
    format_budget,
    print_highlighted,
    summary,
)
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    KeepFraction,
    Prefilter,
    Profile,
    Quiet,
    Scorer,
    ScorerName,
    WindowTokens,
    check_max_tokens,
    check_target_recall,
)
from specprefill_integrations.cli._progress import working
from specprefill_integrations.cli._source_texts import Source, read_sources
from specprefill_integrations.cli._terminal import (
    FAILURE,
    USAGE_ERROR,
    clear_errors,
    fail,
    new_app,
    quiet_libraries,
    stderr_console,
    warn,
)
from specprefill_integrations.errors import ReadoutProfileError
from specprefill_integrations.heat_map._token_scores import TokenHeatRecorder
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.types import Budget, Kind, Span, TextHint

if TYPE_CHECKING:
    from specprefill_integrations.compressor import ContextCompressor
    from specprefill_integrations.scoring import ReadoutProfile

app = new_app()


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftOptions:
    """Draft model and how it is read."""

    draft: str | None = None
    """Hub id, folder, GGUF file or installed package; None for the default draft."""

    scorer: ScorerName = "readout"
    """Scorer."""

    profile: str | None = None
    """File, folder or hub id of a readout profile; None for the one found for the draft."""

    kind: Kind | None = None
    """Kind of the texts; None detects it."""

    device: str | None = None
    """Device of the draft."""

    dtype: str | None = None
    """Data type of the draft."""

    window_tokens: int | None = None
    """Context tokens that it reads at a time."""

    prefilter: float | None = None
    """Share of the tokens that it reads."""


def _check_encoding(encoding: str | None) -> str | None:
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError:
            fail(f"--encoding: there is no encoding {encoding!r}", USAGE_ERROR)
    return encoding


@app.command()
def compress(  # noqa: PLR0913 - one parameter per option
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Files to compress; - for standard input.")
    ],
    *,
    query: Annotated[
        str | None, typer.Option(help="The question. Without one, the main points are kept.")
    ] = None,
    keep: KeepFraction = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(callback=check_max_tokens, help="Most tokens to keep of all files together."),
    ] = None,
    target_recall: Annotated[
        float | None,
        typer.Option(
            callback=check_target_recall,
            help="Probability that all that the question needs is kept, in (0, 1). With --keep or "
            "--max-tokens, which may keep less.",
        ),
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
    profile: Profile = None,
    kind: Annotated[
        Kind | None, typer.Option(help="Kind of text. Default: detected for each file.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            callback=_check_encoding,
            help="Encoding of the files and of the result. Default: UTF-8, or what a byte order "
            "mark at the start of a file says; the result is then UTF-8.",
        ),
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    window_tokens: WindowTokens = None,
    prefilter: Prefilter = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compress files to the parts that a question needs, within one budget for all of them.

    In a terminal, the whole text is shown with the kept parts highlighted; in a pipe, only the kept
    parts are written.
    """
    limits = (keep is not None) + (max_tokens is not None)
    if limits > 1 or not (limits or target_recall):
        fail("give either --keep or --max-tokens, or --target-recall", USAGE_ERROR)
    if scorer != "readout":
        for name, value in (
            ("--profile", profile),
            ("--target-recall", target_recall),
            ("--prefilter", prefilter),
        ):
            if value is not None:
                fail(f"{name} is for --scorer readout", USAGE_ERROR)
    budget = Budget(keep_fraction=keep, max_tokens=max_tokens, target_recall=target_recall)
    options = DraftOptions(
        draft=draft,
        scorer=scorer,
        profile=profile,
        kind=kind,
        device=device,
        dtype=dtype,
        window_tokens=window_tokens,
        prefilter=prefilter,
    )
    if html is not None:
        _check_writable(html)
    with clear_errors(debug=debug):
        sources = read_sources(files, encoding)
        with quiet_libraries(debug=debug):
            report, page = _work(
                sources, query, budget, options, with_page=html is not None, quiet=quiet
            )
        if html is not None:
            html.write_text(page, encoding="utf-8", newline="\n")
        _show(report, as_json=as_json, encoding=encoding or "utf-8", quiet=quiet)
        for line in report.language_warnings:
            warn(line)
        if not any(result.text for result in report.results):
            warn(f"the result is empty: {report.why_nothing}")


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
        readout=_read_profile(options.profile),
        kind="code" if options.kind == "code" else "prose",
        window_tokens=options.window_tokens,
        prefilter=options.prefilter,
        on_error="raise",
    )


def _read_profile(source: str | None) -> ReadoutProfile | None:
    if source is None:
        return None
    from specprefill_integrations.scoring import ReadoutProfile  # noqa: PLC0415

    try:
        return ReadoutProfile.load(source)
    except ReadoutProfileError as error:
        fail(f"--profile: {error}", FAILURE if error.may_pass else USAGE_ERROR)


def _check_writable(path: Path) -> None:
    """Fail before the draft has read everything."""
    if path.is_dir():
        fail(f"--html needs a file, not a folder: {str(path)!r}", USAGE_ERROR)
    if not path.absolute().parent.is_dir():
        fail(f"no such folder for --html: {str(path.parent)!r}", USAGE_ERROR)


def _work(  # noqa: PLR0913 - one parameter an option
    sources: Sequence[Source],
    query: str | None,
    budget: Budget,
    options: DraftOptions,
    *,
    with_page: bool,
    quiet: bool,
) -> tuple[Report, str]:
    """Load the draft, compress, and make the heat map if wanted."""
    texts = [source.text for source in sources]
    with working(f"loading {options.draft or 'the draft'}", quiet=quiet) as change:
        compressor = build_compressor(options)
        scorer = compressor.scorer.unwrapped
        # A scorer without a draft (KeywordScorer) has nothing to load.
        model = getattr(scorer, "reading_draft", None)
        if model is not None:
            model.load()
        recorder = TokenHeatRecorder(compressor.scorer) if with_page else None
        if recorder is not None:
            compressor = compressor.replace(scorer=recorder)
        change("scoring")
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
            change("scoring every token for the heat map")
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
            name=source.title,
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
        budget=format_budget(report.budget),
        elapsed_seconds=report.elapsed_seconds,
    )
    return render_heat_map(documents, heading)


def _show(report: Report, *, as_json: bool, encoding: str, quiet: bool) -> None:
    if as_json:
        _write_bytes(as_json_line(report).encode())
    elif sys.stdout.isatty():
        console = Console(highlight=False)
        print_highlighted(console, report)
        if not quiet:
            console.print(summary(report))
    else:
        _write_bytes(as_plain_text(report.results).encode(encoding))
        if not quiet:
            stderr_console().print(summary(report))


def _write_bytes(data: bytes) -> None:
    # Unbuffered (PYTHONUNBUFFERED), a single call may write only what a pipe takes at once.
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.flush()
