"""Line-up of a measurement: the compressors that are compared, by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, cast, get_args

from specprefill_integrations._arguments import checked
from specprefill_integrations.compressor import ContextCompressor
from specprefill_integrations.errors import EvaluationDataError
from specprefill_integrations.evaluation._case_compressor import CaseCompressor, SpanCompressor
from specprefill_integrations.evaluation._peers import PeerName, build_peer
from specprefill_integrations.evaluation._settings import (
    DraftChoice,
    DraftScorerName,
    PeerSettings,
    draft_name,
    load_draft,
)
from specprefill_integrations.types import CountTokens

if TYPE_CHECKING:
    from specprefill_integrations.scoring._draft_model import DraftModel

_PEERS: tuple[str, ...] = get_args(PeerName)
_DRAFT_SCORERS: tuple[str, ...] = get_args(DraftScorerName)
_SAMPLE = (
    "The harbor lies in the north. Ada keeps the lighthouse, and has done so for thirty years.",
    "The ferry leaves at noon. Rain is common in autumn, and nobody minds.",
)
_WITH_WEIGHTS = ("embeddings", "llmlingua2", "provence")


class ScorerName(str, Enum):
    """Name of something that can be measured."""

    READOUT = "readout"
    PUBLISHED = "published"
    BM25 = "bm25"
    WORDS = "words"
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


_NOT_MEASURED = {ScorerName.ALL, ScorerName.PEERS}


def scorer_names(asked: Iterable[str]) -> list[str]:
    """Expand `all` (ours and the baselines) and `peers`; each name once.

    `specprefill` is an alias of `published`, and deprecated.

    Raises:
        ValueError: There is no such name.
    """
    asked = list(asked)
    if "specprefill" in asked:
        message = "The scorer 'specprefill' is now called 'published'."
        warnings.warn(message, DeprecationWarning, stacklevel=3)
        asked = ["published" if name == "specprefill" else name for name in asked]
    each = [name.value for name in ScorerName if name not in _NOT_MEASURED]
    groups = {
        "all": [one for one in each if not is_peer(one)],
        "peers": [one for one in each if is_peer(one)],
    }
    found = [one for name in asked for one in groups.get(name, [ScorerName(name).value])]
    return list(dict.fromkeys(found))


def peer_models(given: Sequence[str]) -> dict[str, str]:
    """Parse `--peer-model` values such as `llmlingua2=FOLDER_OR_HUB_ID`.

    Raises:
        EvaluationDataError: One has another form, or no peer uses such weights.
    """
    found = {}
    for one in given:
        name, _, place = one.partition("=")
        if name not in _WITH_WEIGHTS or not place:
            msg = f"--peer-model takes {', '.join(_WITH_WEIGHTS)} as NAME=PLACE; got {one!r}"
            raise EvaluationDataError(msg)
        found[name] = place
    return found


def is_peer(name: str) -> bool:
    """True if a scorer is another project's."""
    return name in _PEERS


def reason_of(error: Exception) -> str:
    """The error in one line."""
    first, *_ = str(error).strip().splitlines() or [""]
    explains_itself = isinstance(error, (ImportError, OSError))
    return first if explains_itself and first else f"{type(error).__name__}: {first}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """The compressors of one measurement."""

    compressors: Mapping[str, CaseCompressor]
    """By name, in the order in which they were asked for."""

    count_tokens: CountTokens
    """Counts the tokens of all of them."""

    draft: str
    """Name of the draft that reads, or whose tokenizer counts."""

    skipped: Mapping[str, str] = field(default_factory=dict)
    """Scorers that cannot be measured here, and why."""

    draft_model: DraftModel | None = None
    """The loaded draft, if there is one."""

    @classmethod
    def of(
        cls,
        given: Lineup | ContextCompressor | Mapping[str, ContextCompressor | CaseCompressor],
        count_tokens: CountTokens | None = None,
    ) -> Lineup:
        """A line-up of compressors that exist already.

        Args:
            given: One or several by name, or a line-up, which is returned unchanged.
            count_tokens: Counts tokens; by default as the first `ContextCompressor` does.

        Raises:
            ValueError: No compressor and no argument says how to count tokens.
        """
        if isinstance(given, Lineup):
            return given
        named = {"compressor": given} if isinstance(given, ContextCompressor) else given
        ours = [one for one in named.values() if isinstance(one, ContextCompressor)]
        if not ours and count_tokens is None:
            msg = "count_tokens is needed unless one of the compressors is a ContextCompressor."
            raise ValueError(msg)
        return cls(
            compressors={
                name: SpanCompressor(one) if isinstance(one, ContextCompressor) else one
                for name, one in named.items()
            },
            count_tokens=count_tokens or ours[0].count_tokens,
            draft=draft_name(ours[0]) if ours else "",
            draft_model=load_draft(ours[0]) if ours else None,
        )


@checked
def build_lineup(  # noqa: PLR0913 - one keyword a choice
    names: Iterable[str],
    draft: DraftChoice | None = None,
    *,
    like: ContextCompressor | None = None,
    peer_weights: Mapping[str, str] | None = None,
    trust_remote_code: bool = False,
    kind: Literal["prose", "code"] = "prose",
) -> Lineup:
    """Build scorers, baselines and peers by name, and load their weights.

    A peer that is not installed, has no weights or does not work is skipped with a reason.

    Args:
        names: As in `specprefill evaluate evidence --scorer`, `all` and `peers` included.
        draft: The draft; the default draft if None.
        like: Compressor whose splitter, gap markers and token counter all scorers share; one with
            default settings if None.
        peer_weights: Folders or hub ids for `llmlingua2`, `provence` and `embeddings`.
        trust_remote_code: Whether code that comes with such weights may run.
        kind: See `ContextCompressor.from_draft_model`.

    Raises:
        ValueError: There is no such name.
    """
    draft = draft or DraftChoice()
    like = like or draft.compressor()
    draft_model = load_draft(like)
    peers = PeerSettings(
        count_tokens=like.count_tokens,
        draft=draft,
        models=peer_weights or {},
        trust_remote_code=trust_remote_code,
    )
    found: dict[str, CaseCompressor] = {}
    skipped: dict[str, str] = {}
    for name in scorer_names(names):
        if not is_peer(name):
            found[name] = _build(name, like, draft, kind)
            continue
        try:
            found[name] = _tried_out(build_peer(cast("PeerName", name), peers))
        except Exception as error:  # noqa: BLE001 - other projects' code; the others can go on
            skipped[name] = reason_of(error)
    return Lineup(
        compressors=found,
        count_tokens=like.count_tokens,
        draft=draft_name(like),
        skipped=skipped,
        draft_model=draft_model,
    )


def _tried_out(peer: CaseCompressor) -> CaseCompressor:
    """The peer after one call, so that failures and late imports come before any measurement."""
    peer.compress(_SAMPLE, "Who keeps the lighthouse?", 0.5)
    return peer


def _build(
    name: str, like: ContextCompressor, draft: DraftChoice, kind: Literal["prose", "code"]
) -> CaseCompressor:
    # Here, so that `--help` is quick.
    from specprefill_integrations.evaluation._baselines import (  # noqa: PLC0415
        BASELINES,
        Truncation,
    )

    if name == "truncation":
        return Truncation(like.count_tokens)
    if name in _DRAFT_SCORERS:
        scorer = draft.compressor(cast("DraftScorerName", name), kind).scorer
        return SpanCompressor(like.replace(scorer=scorer.unwrapped))
    return SpanCompressor(like.replace(scorer=BASELINES[name](like.count_tokens)))
