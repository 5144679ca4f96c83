"""Every exception class of this package.

SpecPrefillError
├── BudgetError               (ValueError)   a budget that means nothing or cannot be met
├── UnknownLanguageError      (ValueError)   no sentence rules for that language
├── TokenCounterError         (TypeError)    an object that cannot count tokens
├── EvaluationDataError       (ValueError)   a file that holds no evaluation cases
├── OriginalStoreError        (ValueError)   a store of originals that cannot be
├── DraftModelError
│   ├── DraftModelNotFoundError              no draft where we were told to look
│   ├── DraftModelUnsupportedError           a draft whose attention or tokenizer cannot be read
│   └── ReadoutProfileError                  a file that is no readout profile of ours
├── DeadlineExceededError     (TimeoutError) scoring took longer than was allowed
├── ScoringEngineError                       an engine that lost what it was asked
│   ├── EngineBusyError                      too many calls wait in it already
│   └── EngineClosedError                    it was closed
└── MissingDependencyError    (ImportError)  an extra that is not installed

What is wrong with a call itself, such as an unknown name, is a plain `ValueError` or `TypeError`.
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "DeadlineExceededError",
    "DraftModelError",
    "DraftModelNotFoundError",
    "DraftModelUnsupportedError",
    "EngineBusyError",
    "EngineClosedError",
    "EvaluationDataError",
    "MissingDependencyError",
    "OriginalStoreError",
    "ReadoutProfileError",
    "ScoringEngineError",
    "SpecPrefillError",
    "TokenCounterError",
    "UnknownLanguageError",
]


class SpecPrefillError(Exception):
    """The root: catch this to catch all of ours."""


class BudgetError(SpecPrefillError, ValueError):
    """A budget that means nothing or cannot be met."""


class UnknownLanguageError(SpecPrefillError, ValueError):
    """No sentence rules for that language."""


class TokenCounterError(SpecPrefillError, TypeError):
    """An object that cannot count tokens was given as `count_tokens`."""


class EvaluationDataError(SpecPrefillError, ValueError):
    """A file of evaluation cases that cannot be read, or a line in it that is no case."""


class OriginalStoreError(SpecPrefillError, ValueError):
    """A store of originals with limits that mean nothing, or a file that cannot be one."""


class DraftModelError(SpecPrefillError):
    """Something is wrong with the draft model."""


class DraftModelNotFoundError(DraftModelError):
    """No draft model where we were told to look."""


class DraftModelUnsupportedError(DraftModelError):
    """A draft model whose attention or tokenizer cannot be read."""


class ReadoutProfileError(DraftModelError):
    """A file that is no readout profile, or one of another version."""


class DeadlineExceededError(SpecPrefillError, TimeoutError):
    """Scoring took longer than was allowed, waiting for its turn included."""


class ScoringEngineError(SpecPrefillError):
    """A scoring engine that lost what it was asked."""


class EngineBusyError(ScoringEngineError):
    """A scoring engine in which as many calls wait already as it lets in."""


class EngineClosedError(ScoringEngineError):
    """A scoring engine that was closed before it could answer."""


class MissingDependencyError(SpecPrefillError, ImportError):
    """A part of the package was used whose extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Say what is missing and the exact line that installs it."""
        super().__init__(
            f"{package!r} is needed for this and is not installed: "
            f"pip install 'specprefill-integrations[{extra}]'",
            name=package,
        )
