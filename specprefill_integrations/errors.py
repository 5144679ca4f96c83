"""Every exception class of this package.

SpecPrefillError
├── BudgetError               (ValueError)   a budget that means nothing or cannot be met
├── UnknownLanguageError      (ValueError)   no sentence rules for a language
├── TokenCounterError         (TypeError)    an object that cannot count tokens
├── EvaluationDataError       (ValueError)   a file without evaluation cases
├── OriginalStoreError        (ValueError)   a store of originals that cannot be opened
├── DraftModelError
│   ├── DraftModelNotFoundError              no draft model in the given place
│   ├── DraftModelDamagedError               a file of a draft is missing or damaged
│   ├── DraftModelUnsupportedError           a draft whose attention or tokenizer cannot be read
│   └── ReadoutProfileError                  a readout profile that cannot be used
├── DeadlineExceededError     (TimeoutError) scoring took too long
├── ScoreError                (ValueError)   a score that is no finite number
├── ScoringEngineError                       a scoring engine that lost a request
│   ├── EngineBusyError                      too many requests are waiting
│   └── EngineClosedError                    the engine was closed
├── ScoringServiceError                      a scoring service that cannot be used
└── MissingDependencyError    (ImportError)  an extra that is not installed

Wrong arguments of a call, such as an unknown name, raise a plain `ValueError` or `TypeError`.
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "DeadlineExceededError",
    "DraftModelDamagedError",
    "DraftModelError",
    "DraftModelNotFoundError",
    "DraftModelUnsupportedError",
    "EngineBusyError",
    "EngineClosedError",
    "EvaluationDataError",
    "MissingDependencyError",
    "OriginalStoreError",
    "ReadoutProfileError",
    "ScoreError",
    "ScoringEngineError",
    "ScoringServiceError",
    "SpecPrefillError",
    "TokenCounterError",
    "UnknownLanguageError",
]


class SpecPrefillError(Exception):
    """The base class of all exceptions of this package."""


class BudgetError(SpecPrefillError, ValueError):
    """A budget that means nothing or cannot be met."""


class UnknownLanguageError(SpecPrefillError, ValueError):
    """There are no sentence rules for a language."""


class TokenCounterError(SpecPrefillError, TypeError):
    """An object that cannot count tokens was given as `count_tokens`."""


class EvaluationDataError(SpecPrefillError, ValueError):
    """A file of evaluation cases that cannot be read, or a line in it that is no case."""


class OriginalStoreError(SpecPrefillError, ValueError):
    """A store of originals with invalid limits, or a file that cannot be opened as one."""


class DraftModelError(SpecPrefillError):
    """Something is wrong with the draft model."""

    may_pass: bool = False
    """True if it may go well later, as when the model hub cannot be reached."""


class DraftModelNotFoundError(DraftModelError):
    """There is no draft model in the given place."""


class DraftModelDamagedError(DraftModelError):
    """A file of a draft model is missing, damaged, or does not fit the others."""


class DraftModelUnsupportedError(DraftModelError):
    """A draft model whose attention or tokenizer cannot be read."""


class ReadoutProfileError(DraftModelError):
    """A readout profile that is none, is of another version or shape, or cannot be had."""


class DeadlineExceededError(SpecPrefillError, TimeoutError):
    """Scoring took longer than allowed, including its time in the queue."""


class ScoreError(SpecPrefillError, ValueError):
    """A scorer gave a score that is no finite number."""


class ScoringEngineError(SpecPrefillError):
    """A scoring engine lost a request."""


class EngineBusyError(ScoringEngineError):
    """Too many requests are waiting in a scoring engine."""


class EngineClosedError(ScoringEngineError):
    """A scoring engine was closed before it could answer."""


class ScoringServiceError(SpecPrefillError):
    """A scoring service cannot be reached, refuses the call, or answers something else."""


class MissingDependencyError(SpecPrefillError, ImportError):
    """An extra of this package is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the missing package and the command that installs it."""
        self.package = package
        """The missing package."""
        self.extra = extra
        """The extra that brings it."""
        super().__init__(
            f"{package!r} is needed for this and is not installed: "
            f"pip install 'specprefill-integrations[{extra}]'",
            name=package,
        )

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str]]:
        """Pickle the arguments: the workers of a pool send their errors home."""
        return type(self), (self.package, self.extra)
