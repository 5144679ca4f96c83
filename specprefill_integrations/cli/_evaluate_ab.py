"""`specprefill evaluate ab`: full prompts against compressed ones, measured with a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from specprefill_integrations import __version__
from specprefill_integrations._visible import visible
from specprefill_integrations.cli._evaluate_options import (
    Data,
    Fields,
    Keep,
    PeerModels,
    Reference,
    Scorers,
    TrustRemoteCode,
)
from specprefill_integrations.cli._options import (
    AsJson,
    Debug,
    Device,
    Draft,
    Dtype,
    Limit,
    Prefilter,
    Quiet,
    WindowTokens,
)
from specprefill_integrations.cli._progress import progress_bar, working
from specprefill_integrations.cli._terminal import (
    PIPE_COLUMNS,
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    quiet_libraries,
    usage_errors,
    warn,
)
from specprefill_integrations.evaluation._ab import (
    AbResult,
    AbSetup,
    askable_cases,
    cases_within,
    run_ab,
)
from specprefill_integrations.evaluation._ab_limits import AbLimits, StopReason
from specprefill_integrations.evaluation._ab_prompts import DEFAULT_TEMPLATE, check_template
from specprefill_integrations.evaluation._ab_summary import TaskSummary, format_verdict
from specprefill_integrations.evaluation._ab_variants import FULL_NAME, Variant, keep_fractions_of
from specprefill_integrations.evaluation._case_files import FieldNames, read_cases
from specprefill_integrations.evaluation._judging import Judge, JudgeBy, MetricName
from specprefill_integrations.evaluation._lineup import (
    build_lineup,
    peer_models,
    scorer_names,
)
from specprefill_integrations.evaluation._run_log import open_run_log, setup_digest
from specprefill_integrations.evaluation._run_session import describe_data, typed_command
from specprefill_integrations.evaluation._settings import DraftChoice
from specprefill_integrations.evaluation._statistics import PairedComparison
from specprefill_integrations.evaluation._targets import (
    named_likelihood_target,
    named_target,
)

_MODEL_OPTIONS = '{"temperature": 0, "max_tokens": 512}'

_STOPPED: Mapping[StopReason, str] = {
    "max_input_tokens": (
        "stopped before exceeding --max-input-tokens; "
        "the same command with a higher limit continues from here"
    ),
    "target_fails": (
        "stopped because the model kept failing; the same command repeats the failed calls"
    ),
}


def ab(  # noqa: PLR0913 - one parameter an option
    data: Data,
    *,
    model: Annotated[
        str,
        typer.Option(
            help="Model name for LangChain's init_chat_model, such as openai:gpt-4.1-mini; or a "
            "LlamaIndex class, such as llama_index.llms.ollama:Ollama. For answer_likelihood, a "
            "served model's name, or a folder, GGUF file or hub id."
        ),
    ],
    base_url: Annotated[
        str | None, typer.Option(help="Server of the model, with OpenAI's protocol.")
    ] = None,
    model_options: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help=f"Further options of the model, as an object. Default: {_MODEL_OPTIONS}, or none "
            "for answer_likelihood.",
        ),
    ] = None,
    scorer: Scorers = None,
    keep: Keep = ".1,.2,.3",
    limit: Limit = None,
    field: Fields = None,
    metric: Annotated[
        MetricName | None,
        typer.Option(
            help="Metric for cases without their own; answer_likelihood: how probable right "
            "answers are to the model, for all cases."
        ),
    ] = None,
    judge_by: Annotated[
        JudgeBy,
        typer.Option(
            help="Reference: right answers, the app's recorded reply, or the full prompt's reply."
        ),
    ] = "answers",
    reference: Reference = FULL_NAME,
    prompt: Annotated[
        Path | None, typer.Option(help="File with a template: {passages}, {question}.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Largest acceptable loss of score.")
    ] = 0.05,
    concurrency: Annotated[int, typer.Option(min=1, help="Cases at a time.")] = 1,
    retries: Annotated[int, typer.Option(min=0, help="Retries of a failed call.")] = 2,
    max_input_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Limit on the input tokens sent to the model in total."),
    ] = None,
    max_context_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Leave out cases whose texts have more tokens than this."),
    ] = None,
    peer_model: PeerModels = None,
    trust_remote_code: TrustRemoteCode = False,
    resume: Annotated[
        Path | None, typer.Option(help="Log to continue. Default: named after the setup.")
    ] = None,
    draft: Draft = None,
    device: Device = None,
    dtype: Dtype = None,
    window_tokens: WindowTokens = None,
    prefilter: Prefilter = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Ask a model with full and with compressed prompts, and compare its answers."""
    names = scorer_names(scorer or ["readout"])
    with usage_errors():
        judge = Judge(by=judge_by, metric=metric)
        judge.check_reference(reference)
        setup = AbSetup(
            version=__version__,
            model=model,
            base_url=base_url,
            model_options=_model_options(model_options, judge),
            template=_template(prompt),
            metric=metric,
            draft=DraftChoice(
                draft=draft,
                device=device,
                dtype=dtype,
                window_tokens=window_tokens,
                prefilter=prefilter,
            ),
        )
        keep_fractions = keep_fractions_of(keep)
        weights = peer_models(peer_model or [])
        fields = FieldNames.parse(field or [])
        read = {path: read_cases(path, limit, fields) for path in data}
        cases, left_out = askable_cases((case for some in read.values() for case in some), judge)
        files = [describe_data(path, len(some)) for path, some in read.items()]
    limits = AbLimits(concurrency=concurrency, retries=retries, max_input_tokens=max_input_tokens)
    with clear_errors(debug=debug):
        described = setup.as_record()
        path = resume or Path(f"specprefill-ab-{setup_digest(described)}.jsonl")
        target_of = named_likelihood_target if judge.is_of_likelihood else named_target
        target = target_of(model, base_url=base_url, options=setup.model_options)
        with quiet_libraries(debug=debug), open_run_log(path, described) as log:
            with working(f"loading {draft or 'the draft'}", quiet=quiet):
                lineup = build_lineup(
                    names,
                    setup.draft,
                    peer_weights=weights,
                    trust_remote_code=trust_remote_code,
                )
            if max_context_tokens is not None and lineup.compressors:
                with usage_errors():
                    short = cases_within(cases, max_context_tokens, lineup.count_tokens)
                if len(short) < len(cases):
                    left_out["too_long"] = len(cases) - len(short)
                cases = short
            with progress_bar(quiet=quiet) as progress:
                task = progress.add_task(printable(model), total=len(cases))
                result = run_ab(
                    cases,
                    target,
                    lineup,
                    keep_fractions,
                    log,
                    margin=margin,
                    judge=judge,
                    reference=reference,
                    template=setup.template,
                    limits=limits,
                    left_out=left_out,
                    data=files,
                    command=typed_command(),
                    on_case=lambda: progress.advance(task),
                )
        if as_json:
            typer.echo(json.dumps(result.as_json_object(), indent=2))
        else:
            width = None if sys.stdout.isatty() else PIPE_COLUMNS
            _print(Console(highlight=False, width=width), result)
    _judge_failures(result)


def _judge_failures(result: AbResult) -> None:
    """Fail if failed calls left nothing to compare; warn if they left less."""
    everything = result.summary.all
    failed = sum(found.failed for found in everything.variants.values())
    reason, _ = next(iter(result.summary.errors.items()), ("", 0))
    if failed and not everything.cases:
        fail(f"nothing to compare: no case was answered with every variant; {reason}")
    if result.stopped == "target_fails":
        fail(f"the model kept failing: {reason}")
    if not everything.cases:
        warn("nothing to compare: no case was answered with every variant")
    elif failed:
        warn(
            f"{everything.incomplete:,} of {everything.incomplete + everything.cases:,} cases were "
            f"not answered with every variant and do not count; failed calls: {failed:,}; {reason}"
        )


def _model_options(text: str | None, judge: Judge) -> dict[str, Any]:
    if text is None:
        text = "{}" if judge.is_of_likelihood else _MODEL_OPTIONS
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        fail(f"--model-options takes a JSON object; got {text!r}", USAGE_ERROR)
    return found


def _template(path: Path | None) -> str:
    if path is None:
        return DEFAULT_TEMPLATE
    try:
        template = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--prompt cannot be read: {error}", USAGE_ERROR)
    check_template(template)
    return template


def _print(console: Console, result: AbResult) -> None:
    """Print scores, differences and times by task and variant, and any problems below."""
    about = f"{result.model}: full prompts against compressed ones"
    title = Text(printable(about) + f"\nscores: {result.summary.scores_mean}")
    versus = f"vs. {result.summary.reference}"
    table = Table(title=title, title_justify="left")
    for name in ("task", "variant"):
        table.add_column(name, overflow="fold")
    for name in ("cases", result.summary.score_name, versus, "requested", "kept"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for name in ("compression s", "first token s", "total s"):
        table.add_column(name, justify="right")
    for task, found in result.groups().items():
        for variant in result.variants:
            cells = _cells(found, variant, result.margin)
            table.add_row(Text(visible(task)), variant.name, *cells)
        table.add_section()
    console.print(table)
    for line in _notes(result):
        console.print(Text(printable(line)), soft_wrap=True)


def _cells(task: TaskSummary, variant: Variant, margin: float) -> list[str]:
    found = task.variants[variant.name]
    versus = found.versus_reference
    times = (found.draft_seconds, found.first_token_seconds, found.first_token_with_draft_seconds)
    return [
        f"{task.cases:,}",
        _format_percent(found.score),
        "-" if versus is None else _format_difference(versus),
        _format_percent(variant.keep_fraction),
        _format_percent(found.kept_tokens_fraction),
        "" if versus is None else format_verdict(versus, margin),
        *("-" if seconds is None else f"{seconds:.3f}" for seconds in times),
    ]


def _format_percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _format_difference(versus: PairedComparison) -> str:
    """In percentage points, with its interval."""
    low, high = versus.interval
    return f"{100 * versus.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _notes(result: AbResult) -> list[str]:
    everything = result.summary.all
    left_out = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in result.left_out.items())
    failed = ", ".join(
        f"{found.failed} of {name}" for name, found in everything.variants.items() if found.failed
    )
    notes = [
        f"draft: {result.draft}; tokens sent: {result.sent_tokens:,}; log: {result.log}",
        f"cases left out: {left_out or 'none'}",
        f"not answered by every variant: {everything.incomplete:,}",
    ]
    notes += [f"skipped: {name}: {reason}" for name, reason in result.skipped.items()]
    if failed:
        notes.append(f"failed calls: {failed}")
        notes += [f"  {count} x {error}" for error, count in result.summary.errors.items()]
    if result.stopped is not None:
        notes.append(_STOPPED[result.stopped])
    return notes
