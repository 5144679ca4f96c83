"""`specprefill evaluate ab`: a model's answers from full prompts against compressed ones.

Owns options, files and progress. Reaches `torch` only through the draft that it measures.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from specprefill_integrations import __version__
from specprefill_integrations.cli._terminal import (
    FAILURE,
    USAGE_ERROR,
    clear_errors,
    fail,
    printable,
    progress_bar,
    quiet_libraries,
    stderr_console,
)
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import BudgetError, EvaluationDataError
from specprefill_integrations.evaluation._ab_compression import PromptMaker
from specprefill_integrations.evaluation._ab_limits import AbLimits
from specprefill_integrations.evaluation._ab_prompts import DEFAULT_TEMPLATE, check_template
from specprefill_integrations.evaluation._ab_run import AbRun, case_key
from specprefill_integrations.evaluation._ab_variants import (
    arms_of,
    keep_fractions_of,
)
from specprefill_integrations.evaluation._answers import MetricName
from specprefill_integrations.evaluation._case_compressor import count_texts
from specprefill_integrations.evaluation._cases import EvaluationCase
from specprefill_integrations.evaluation._compressors import (
    Lineup,
    ScorerName,
    build_lineup,
    peer_models,
    scorer_names,
)
from specprefill_integrations.evaluation._draft_choice import DraftChoice, draft_name, load_draft
from specprefill_integrations.evaluation._field_places import field_names
from specprefill_integrations.evaluation._judging import Judge, JudgeBy
from specprefill_integrations.evaluation._machine import describe_machine
from specprefill_integrations.evaluation._masking import masked
from specprefill_integrations.evaluation._peers._settings import PeerSettings
from specprefill_integrations.evaluation._run_log import open_run_log, setup_digest
from specprefill_integrations.evaluation._run_session import (
    DataFile,
    RunSession,
    check_scorers,
    describe_data,
    told,
    without_folders,
)
from specprefill_integrations.evaluation._traces import read_data
from specprefill_integrations.pipeline._token_counting import CountTokens

if TYPE_CHECKING:
    from specprefill_integrations.evaluation._ab_report import AbReport

_MODEL_OPTIONS = '{"temperature": 0, "max_tokens": 512}'

# Tables are as wide as what is in them; where nobody looks, there is room enough.
_PIPE_COLUMNS = 200

# What the setup of older logs also states. By now, arms may be added to a log.
_ARMS_IN_OLD_LOGS = ("scorers", "keep_fractions")


@dataclass(frozen=True, slots=True, kw_only=True)
class AbSetup:
    """What replies depend on: a log goes on only where all of it is the same."""

    version: str
    """Of this package."""

    model: str
    """The model that is asked."""

    base_url: str | None
    """The server that is asked for it."""

    model_options: Mapping[str, Any]
    """What it is set to."""

    template: str
    """What is asked."""

    metric: MetricName | None
    """How replies are judged where cases do not say it: what is asked depends on it."""

    draft: DraftChoice
    """What reads."""

    def as_record(self) -> dict[str, Any]:
        """As it stands in the log: without keys, so that a log goes on with another key."""
        record: dict[str, Any] = masked(asdict(self))
        return {**record, "template": self.template}


@dataclass(frozen=True, slots=True, kw_only=True)
class AbArms:
    """Which arms are asked about: a log may hold others, too."""

    scorers: Sequence[str]
    """What compresses."""

    keep_fractions: Sequence[float]
    """How much each of them keeps."""

    peer_models: Mapping[str, str]
    """Where weights of peers lie."""

    trust_remote_code: bool
    """Whether code that comes with them may run."""


def ab(  # noqa: PLR0913 - one parameter an option
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA", help="Cases: JSON lines, CSV or a LangSmith export."),
    ],
    *,
    model: Annotated[
        str,
        typer.Option(
            help="What LangChain's init_chat_model takes, as in openai:gpt-5-mini; or a class of "
            "LlamaIndex, as in llama_index.llms.ollama:Ollama."
        ),
    ],
    base_url: Annotated[
        str | None, typer.Option(help="A server with OpenAI's protocol that --model is asked of.")
    ] = None,
    model_options: Annotated[
        str, typer.Option(metavar="JSON", help="Further settings of the model, as an object.")
    ] = _MODEL_OPTIONS,
    scorer: Annotated[
        list[ScorerName] | None,
        typer.Option(help="What compresses; may be given several times. Default: readout."),
    ] = None,
    keep: Annotated[
        str, typer.Option(metavar="FRACTIONS", help="Kept tokens / original tokens, with commas.")
    ] = ".1,.2,.3",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only the first cases of each file.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="Where to look for a case's query, texts ..."),
    ] = None,
    metric: Annotated[
        MetricName | None, typer.Option(help="How replies to cases without a metric are judged.")
    ] = None,
    judge_by: Annotated[
        JudgeBy,
        typer.Option(
            help="Compare replies with right answers, the app's own or the full prompt's reply."
        ),
    ] = "answers",
    prompt: Annotated[
        Path | None, typer.Option(help="A template with {passages} and {question}.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="By how much worse is not worse.")
    ] = 0.05,
    concurrency: Annotated[int, typer.Option(min=1, help="Cases at a time.")] = 1,
    retries: Annotated[int, typer.Option(min=0, help="Of a call that failed.")] = 2,
    max_input_tokens: Annotated[
        int | None, typer.Option(min=1, help="Stop before more are sent to the model.")
    ] = None,
    max_context_tokens: Annotated[
        int | None, typer.Option(min=1, help="Leave out cases whose texts have more.")
    ] = None,
    peer_model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PLACE", help="A folder or hub id of a peer's weights."),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with such weights.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="The log to go on with. Default: named after the setup.")
    ] = None,
    draft: Annotated[str | None, typer.Option(help="As in `compress`.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, cpu, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 ...")] = None,
    window_tokens: Annotated[int | None, typer.Option(min=1, help="As in `compress`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Ask a model with full and with compressed prompts: are its answers still as good?"""
    with _usage_errors():
        setup = AbSetup(
            version=__version__,
            model=model,
            base_url=base_url,
            model_options=_model_options(model_options),
            template=_template(prompt),
            metric=metric,
            draft=DraftChoice(draft=draft, device=device, dtype=dtype, window_tokens=window_tokens),
        )
        arms = AbArms(
            scorers=scorer_names(scorer or [ScorerName.READOUT]),
            keep_fractions=keep_fractions_of(keep),
            peer_models=peer_models(peer_model or []),
            trust_remote_code=trust_remote_code,
        )
        names = field_names(field or [])
        cases = [(path, read_data(path, limit, names)) for path in data]
        read = _sorted_out(cases, Judge(by=judge_by, metric=metric))
    limits = AbLimits(
        concurrency=concurrency,
        retries=retries,
        max_input_tokens=max_input_tokens,
    )
    with clear_errors(debug=debug):
        with quiet_libraries(debug=debug):
            report = _measure(
                setup,
                arms,
                read,
                limits,
                max_context_tokens=max_context_tokens,
                margin=margin,
                path=resume,
            )
        _show(report, as_json=as_json)
    if report.stopped == "target_fails":
        raise typer.Exit(FAILURE)


@dataclass(frozen=True, slots=True)
class _SortedOut:
    """The cases of a measurement."""

    cases: Sequence[EvaluationCase]
    """Those that can be asked about and judged; at least one."""

    left_out: Mapping[str, int]
    """How many cannot, by reason."""

    files: Sequence[DataFile]
    """Where they are from."""

    judge: Judge
    """Scores their replies."""


@contextmanager
def _usage_errors() -> Iterator[None]:
    """What is wrong with the options or the files ends the command, in one line."""
    try:
        yield
    except (EvaluationDataError, BudgetError) as error:
        fail(str(error), USAGE_ERROR)


def _model_options(text: str) -> dict[str, Any]:
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
        template = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--prompt cannot be read: {error}", USAGE_ERROR)
    check_template(template)
    return template


def _sorted_out(cases: Sequence[tuple[Path, Sequence[EvaluationCase]]], judge: Judge) -> _SortedOut:
    """Of the cases of each file those that can be asked about and judged; how many cannot."""
    left_out: Counter[str] = Counter()
    found: dict[str, EvaluationCase] = {}
    for case in chain.from_iterable(some for _, some in cases):
        reason = _why_left_out(case, judge) or ("given_twice" if case_key(case) in found else None)
        if reason is None:
            judge.metric_of(case)  # if there is no such metric, now is the time to hear of it
            found[case_key(case)] = case
        else:
            left_out[reason] += 1
    if not found:
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        fail(f"no case to judge: {why.replace('_', ' ') or 'nothing was read'}", USAGE_ERROR)
    files = [describe_data(path, len(some)) for path, some in cases]
    return _SortedOut(list(found.values()), dict(left_out), files, judge)


def _short_enough(read: _SortedOut, most: int | None, count_tokens: CountTokens) -> _SortedOut:
    """Without the cases whose texts have more tokens together, such as a model could not take."""
    if most is None:
        return read
    cases = [case for case in read.cases if count_texts(count_tokens, case.texts) <= most]
    if not cases:
        fail(f"no case to judge: every one has more than {most} tokens", USAGE_ERROR)
    too_long = len(read.cases) - len(cases)
    left_out = {**read.left_out, "too_long": too_long} if too_long else read.left_out
    return replace(read, cases=cases, left_out=left_out)


def _why_left_out(case: EvaluationCase, judge: Judge) -> str | None:
    return judge.why_not(case) if (case.query or "").strip() else "no_question"


def _measure(  # noqa: PLR0913 - what was asked for, part by part
    setup: AbSetup,
    asked: AbArms,
    read: _SortedOut,
    limits: AbLimits,
    *,
    max_context_tokens: int | None,
    margin: float,
    path: Path | None,
) -> AbReport:
    # Here, so that `--help` is quick.
    from specprefill_integrations.evaluation._ab_report import AbReport  # noqa: PLC0415
    from specprefill_integrations.evaluation._ab_summary import summarize_ab  # noqa: PLC0415
    from specprefill_integrations.evaluation._targets import named_target  # noqa: PLC0415

    described = setup.as_record()
    path = path or Path(f"specprefill-ab-{setup_digest(described)}.jsonl")
    target = named_target(setup.model, base_url=setup.base_url, options=setup.model_options)
    with open_run_log(path, described, outdated=_ARMS_IN_OLD_LOGS) as log:
        like, lineup, session = _prepare(setup, asked, read)
        check_scorers(log.records, session.scorers)
        log.append(session.as_record())
        read = _short_enough(read, max_context_tokens, like.count_tokens)
        arms = arms_of(list(lineup.compressors), asked.keep_fractions)
        prompts = PromptMaker(
            lineup.compressors, like.count_tokens, template=setup.template, metric=setup.metric
        )
        run = AbRun(target, prompts, arms, log, limits)
        with progress_bar() as progress:
            task = progress.add_task(printable(setup.model), total=len(read.cases))
            stopped = run.run(read.cases, on_case=lambda: progress.advance(task))
    summary = summarize_ab(
        read.cases, run.records, [arm.name for arm in arms], margin=margin, judge=read.judge
    )
    return AbReport(
        model=setup.model,
        draft=draft_name(like),
        margin=margin,
        summary=summary,
        arms=arms,
        skipped=lineup.skipped,
        left_out=read.left_out,
        sent_tokens=run.sent_tokens,
        stopped=stopped,
        log=str(path),
    )


def _prepare(
    setup: AbSetup, asked: AbArms, read: _SortedOut
) -> tuple[ContextCompressor, Lineup, RunSession]:
    """What all that choose spans are built like, what compresses, and what the log is told."""
    with stderr_console().status(f"loading {printable(setup.draft.draft or 'the draft')} ..."):
        like = setup.draft.compressor()
        draft = load_draft(like)
        peers = PeerSettings(
            count_tokens=like.count_tokens,
            draft=setup.draft,
            models=asked.peer_models,
            trust_remote_code=asked.trust_remote_code,
        )
        lineup = build_lineup(asked.scorers, like, peers)
    if not lineup.compressors:
        reasons = "\n".join(f"{name}: {why}" for name, why in lineup.skipped.items())
        fail(f"nothing to compare the full prompt with\n{reasons}")
    session = RunSession(
        machine=describe_machine(draft),
        data=read.files,
        draft=without_folders(draft_name(like)),
        scorers={name: told(one.parameters) for name, one in lineup.compressors.items()},
        skipped=lineup.skipped,
        judge_by=read.judge.by,
    )
    return like, lineup, session


def _show(report: AbReport, *, as_json: bool) -> None:
    from specprefill_integrations.evaluation._ab_report import print_ab_report  # noqa: PLC0415

    if as_json:
        typer.echo(json.dumps(report.as_json_object(), indent=2))
    else:
        width = None if sys.stdout.isatty() else _PIPE_COLUMNS
        print_ab_report(Console(highlight=False, width=width), report)
