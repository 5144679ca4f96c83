"""Embeddings for the peers that compare vectors: small ones that come in a wheel, or your own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from specprefill_integrations.errors import MissingDependencyError
from specprefill_integrations.evaluation._peers._settings import PeerSettings


@dataclass(frozen=True, slots=True)
class Embedder:
    """Turns texts into vectors."""

    name: str
    """What people call it."""

    embed: Callable[[Sequence[str]], list[list[float]]]
    """A vector a text; no text is empty."""


def load_embedder(settings: PeerSettings) -> Embedder:
    """The `embeddings` of the settings, a model of sentence-transformers; by default WordLlama's.

    Raises:
        MissingDependencyError: Its package is not installed.
    """
    if "embeddings" not in settings.models:
        return _wordllama()
    return _sentence_transformers(settings.models["embeddings"], settings)


def _wordllama() -> Embedder:
    try:
        with _logging_left_alone():
            import wordllama  # noqa: PLC0415 - see build.py
    except ImportError as error:
        if error.name != "wordllama":  # a broken installation must not look like a missing one
            raise
        raise MissingDependencyError(package="wordllama", extra="peers") from error
    # The package looks for its own tokenizer in the wrong folder, then for a copy to download.
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)

    def embed(texts: Sequence[str]) -> list[list[float]]:
        found: list[list[float]] = model.embed(list(texts), norm=True).tolist()
        return found

    return Embedder(f"wordllama {version('wordllama')}, l2_supercat, 256 dimensions", embed)


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """Where no handler is set up yet, the package sets one up that prints what others log."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _sentence_transformers(place: str, settings: PeerSettings) -> Embedder:
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - see build.py
    except ImportError as error:
        if error.name != "sentence_transformers":
            raise
        msg = "'sentence-transformers' is needed for --peer-model embeddings=..."
        raise ImportError(msg, name=error.name) from error
    model = SentenceTransformer(
        place, device=settings.draft.device, trust_remote_code=settings.trust_remote_code
    )

    def embed(texts: Sequence[str]) -> list[list[float]]:
        found: list[list[float]] = model.encode(list(texts), normalize_embeddings=True).tolist()
        return found

    return Embedder(place, embed)
