"""Exit codes, one-line errors and quiet libraries, shared by all commands."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from specprefill_integrations.errors import BudgetError, EvaluationDataError

# Parameters of the library whose names are also options, as they stand in its messages.
_PARAMETERS = re.compile(
    r"\b(draft|device|dtype|revision|window_tokens|max_tokens|target_recall)"
    r"=([^\s.,;)]?)"
)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

USAGE_ERROR = 2
"""Exit code for wrong options or arguments."""

FAILURE = 1
"""Exit code for any other error."""

PIPE_COLUMNS = 200
"""Width of tables that are not printed to a terminal."""


def new_app(*, is_group: bool = False) -> typer.Typer:
    """Make the application of a command, or of a group of them."""
    return typer.Typer(
        no_args_is_help=is_group,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


@contextmanager
def clear_errors(*, debug: bool = False) -> Iterator[None]:
    """Turn an exception into one line on stderr and exit code 1.

    Args:
        debug: Raise it instead, with its traceback.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except Exception as error:
        if debug:
            raise
        name = "" if type(error).__module__.startswith("specprefill") else type(error).__name__
        fail(": ".join(part for part in (name, as_options(str(error))) if part))


def as_options(message: str) -> str:
    """Name the options of the command line instead of parameters: `--draft` for `draft=`."""
    return _PARAMETERS.sub(
        lambda match: f"--{match[1].replace('_', '-')} {match[2]}".rstrip(), message
    )


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report wrong options and files in one line, with the exit code of a usage error."""
    try:
        yield
    except (EvaluationDataError, BudgetError) as error:
        fail(as_options(str(error)), USAGE_ERROR)


def fail(message: str, exit_code: int = FAILURE) -> NoReturn:
    """Print the message on stderr, its first line in red, and exit."""
    first, *others = printable(message).strip().splitlines() or [""]
    line = Text.assemble((f"error: {first}", "bold red"), *(f"\n{other}" for other in others))
    stderr_console().print(line, soft_wrap=True)
    raise typer.Exit(exit_code)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    stderr_console().print(Text(printable(f"warning: {message}"), style="yellow"), soft_wrap=True)


@contextmanager
def quiet_libraries(*, debug: bool) -> Iterator[None]:
    """Suppress warnings and progress bars of libraries, and send their prints to stderr."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Lines about a long load and about languages: commands show their own.
    told = [
        logging.getLogger(f"specprefill_integrations.scoring.{name}")
        for name in ("_draft_loading", "_languages")
    ]
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        if not debug:
            warnings.simplefilter("ignore")
            for logger in told:
                logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger in told:
                logger.setLevel(logging.NOTSET)


def stderr_console() -> Console:
    """Console for everything but the result."""
    return Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """Replace control characters and what cannot be encoded."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))
