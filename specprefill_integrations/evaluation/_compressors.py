"""What `specprefill evaluate` can measure, by name, and what of it cannot be built here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, cast, get_args

from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_compressor import CaseCompressor, SpanCompressor
from specprefill_integrations.evaluation._draft_choice import DraftChoice, DraftScorerName
from specprefill_integrations.evaluation._peers._build import PeerName, build_peer
from specprefill_integrations.evaluation._peers._settings import PeerSettings
from specprefill_integrations.evaluation._truncation import Truncation

_PEERS: tuple[str, ...] = get_args(PeerName)
_DRAFT_SCORERS: tuple[str, ...] = get_args(DraftScorerName)
_SAMPLE = (
    "The harbor lies in the north. Ada keeps the lighthouse, and has done so for thirty years.",
    "The ferry leaves at noon. Rain is common in autumn, and nobody minds.",
)
_WITH_WEIGHTS = ("embeddings", "llmlingua2", "provence")


class ScorerName(str, Enum):
    """What can be measured."""

    READOUT = "readout"
    SPECPREFILL = "specprefill"
    BM25 = "bm25"
    RANDOM = "random"
    HEAD_TAIL = "head+tail"
    TRUNCATION = "truncation"
    EMBEDDING_FILTER = "embedding_filter"
    SENTENCE_EMBEDDING_OPTIMIZER = "sentence_embedding_optimizer"
    LLMLINGUA = "llmlingua"
    LONGLLMLINGUA = "longllmlingua"
    LLMLINGUA2 = "llmlingua2"
    PROVENCE = "provence"
    ALL = "all"
    PEERS = "peers"


def scorer_names(asked: Iterable[ScorerName]) -> list[str]:
    """What was asked for, each once: `all` is ours and the baselines, `peers` all peers."""
    each = [name.value for name in ScorerName if name not in {ScorerName.ALL, ScorerName.PEERS}]
    found: list[str] = []
    for name in asked:
        if name is ScorerName.ALL:
            found += [one for one in each if not is_peer(one)]
        elif name is ScorerName.PEERS:
            found += [one for one in each if is_peer(one)]
        else:
            found.append(name.value)
    return list(dict.fromkeys(found))


def peer_models(given: Sequence[str]) -> dict[str, str]:
    """The places of weights that `--peer-model` names: `llmlingua2=FOLDER_OR_HUB_ID`.

    Raises:
        EvaluationDataError: One is not written like this, or no peer asks for it.
    """
    found = {}
    for one in given:
        name, _, place = one.partition("=")
        if name not in _WITH_WEIGHTS or not place:
            msg = f"--peer-model takes {', '.join(_WITH_WEIGHTS)} and a place; got {one!r}"
            raise EvaluationDataError(msg)
        found[name] = place
    return found


@dataclass(frozen=True, slots=True)
class Lineup:
    """What is measured in one run."""

    compressors: Mapping[str, CaseCompressor]
    """By the names of scorers, in the order in which they were asked for."""

    skipped: Mapping[str, str]
    """Why the others are not measured."""


def build_lineup(
    names: Sequence[str],
    like: ContextCompressor,
    peers: PeerSettings,
    *,
    kind: Literal["prose", "code"] = "prose",
) -> Lineup:
    """Build what was asked for.

    Args:
        names: Names of scorers, none twice.
        like: Units, gap markers and counter of all that choose spans are this one's.
        peers: The draft, and what peers are built with.
        kind: See `ContextCompressor.from_draft_model`.
    """
    found: dict[str, CaseCompressor] = {}
    skipped: dict[str, str] = {}
    for name in names:
        if not is_peer(name):
            found[name] = _build(name, like, peers.draft, kind)
            continue
        try:
            found[name] = _tried_out(build_peer(cast("PeerName", name), peers))
        except Exception as error:  # noqa: BLE001 - other people's code, and the others can go on
            skipped[name] = reason_of(error)
    return Lineup(found, skipped)


def _tried_out(peer: CaseCompressor) -> CaseCompressor:
    """A peer that works: what cannot says so here; what it imports late is on no clock."""
    peer.compress(_SAMPLE, "Who keeps the lighthouse?", 0.5)
    return peer


def is_peer(name: str) -> bool:
    """Whether a scorer is other people's."""
    return name in _PEERS


def reason_of(error: Exception) -> str:
    """Why something was skipped, in one line."""
    first, *_ = str(error).strip().splitlines() or [""]
    known = isinstance(error, (ImportError, OSError))  # they say enough by themselves
    return first if known and first else f"{type(error).__name__}: {first}"


def _build(
    name: str, like: ContextCompressor, draft: DraftChoice, kind: Literal["prose", "code"]
) -> CaseCompressor:
    # Here, so that `--help` is quick.
    from specprefill_integrations.evaluation._baselines import BASELINES  # noqa: PLC0415

    if name == "truncation":
        return Truncation(like.count_tokens)
    if name in _DRAFT_SCORERS:
        scorer = draft.compressor(cast("DraftScorerName", name), kind).scorer
        return SpanCompressor(like.replace(scorer=scorer.unwrapped))
    return SpanCompressor(like.replace(scorer=BASELINES[name](like.count_tokens)))
