"""Peers keep texts within a budget or nearly so, harm nothing, and say what they lack."""

from __future__ import annotations

import json
import string
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from specprefill_integrations import ContextCompressor
from specprefill_integrations.evaluation._case_compressor import (
    CaseCompressor,
    count_texts,
    token_limit,
)
from specprefill_integrations.evaluation._lineup import (
    Lineup,
    ScorerName,
    build_lineup,
    scorer_names,
)
from specprefill_integrations.evaluation._peers import PeerName, build_peer
from specprefill_integrations.evaluation._peers._lingua import PairCaches
from specprefill_integrations.evaluation._peers._provence import (
    THRESHOLDS,
    Provence,
    load_own_code_model,
)
from specprefill_integrations.evaluation._settings import DraftChoice, PeerSettings
from specprefill_integrations.pipeline._encodable import encodable
from specprefill_integrations.testing import KeywordScorer
from tests.laws.texts import texts
from tests.tiny_models import save_tiny_draft, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:`langchain-community`:DeprecationWarning")

COUNT = KeywordScorer().count_tokens
QUERY = "Who keeps the lighthouse?"
EVIDENCE = "Ada keeps the lighthouse."
NOISE = "Fish is sold on Mondays. The ferry leaves at noon. Rain is common in autumn."
TEXTS = [f"{NOISE} {EVIDENCE} {NOISE}", NOISE]

BY_EMBEDDINGS: list[PeerName] = ["embedding_filter", "sentence_embedding_optimizer"]
BY_TOKENS: list[PeerName] = ["llmlingua", "longllmlingua", "llmlingua2"]
WITH_WEIGHTS: list[PeerName] = ["llmlingua2", "provence"]


def save_tiny_classifier(folder: Path) -> Path:
    """What LLMLingua-2 takes for one of its models: it goes by the folder's name."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_letters, *(f"##{letter}" for letter in string.ascii_letters)]
    vocabulary = {token: i for i, token in enumerate([*marks, *letters, *".,?!"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(["pad", "unk", "cls", "sep", "mask"], marks, strict=True))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": mark for name, mark in names.items()}
    )
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    place = folder / "tiny-bert-base-multilingual-cased"
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = transformers.AutoModelForTokenClassification.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.5)
    model.save_pretrained(place)
    fast.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def peer_settings(tmp_path_factory: pytest.TempPathFactory) -> PeerSettings:
    folder = tmp_path_factory.mktemp("peers")
    return PeerSettings(
        count_tokens=COUNT,
        draft=DraftChoice(draft=str(save_tiny_draft(folder / "draft"))),
        models={"llmlingua2": str(save_tiny_classifier(folder))},
    )


def is_within(part: str, whole: str) -> bool:
    """Whether the characters of one stand in the other, in their order; spaces do not count."""
    left = iter(whole)
    return all(letter in left for letter in "".join(part.split()))


class TestAll:
    @pytest.mark.parametrize("name", [*BY_EMBEDDINGS, *BY_TOKENS])
    def test_less_is_kept_all_of_it_was_there_and_nothing_is_changed(
        self, peer_settings: PeerSettings, name: PeerName
    ) -> None:
        peer = build_peer(name, peer_settings)
        long = [TEXTS[0] + f" {NOISE}" * 5, *TEXTS]
        given = list(long)
        kept = peer.compress(given, QUERY, 0.4)
        assert given == long
        assert 0 < count_texts(COUNT, kept.texts) < count_texts(COUNT, long)
        assert kept.seconds > 0
        assert kept.texts == peer.compress(given, QUERY, 0.4).texts
        assert json.loads(json.dumps(peer.parameters)) == peer.parameters

    @pytest.mark.parametrize("name", WITH_WEIGHTS)
    def test_weights_that_are_nowhere_are_a_reason(self, tmp_path: Path, name: PeerName) -> None:
        reasons = [
            lineup_of(name, PeerSettings(count_tokens=COUNT)).skipped[name],
            lineup_of(
                name,
                PeerSettings(
                    count_tokens=COUNT,
                    models={name: str(tmp_path / "none")},
                    trust_remote_code=True,
                ),
            ).skipped[name],
        ]
        assert f"--peer-model {name}=FOLDER_OR_HUB_ID" in reasons[0]
        assert str(tmp_path / "none") in reasons[1]

    @pytest.mark.parametrize(
        ("name", "package"),
        [
            ("llmlingua", "llmlingua"),
            ("llmlingua2", "llmlingua"),
            ("embedding_filter", "wordllama"),
            ("embedding_filter", "langchain_classic"),
            ("embedding_filter", "langchain_text_splitters"),
            ("sentence_embedding_optimizer", "wordllama"),
        ],
    )
    def test_a_missing_package_is_a_reason(
        self,
        peer_settings: PeerSettings,
        monkeypatch: pytest.MonkeyPatch,
        name: PeerName,
        package: str,
    ) -> None:
        for module in [one for one in sys.modules if ".evaluation._peers._lingua" in one]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, package, None)
        assert lineup_of(name, peer_settings).skipped == {
            name: f"'{package}' is needed for this and is not installed: "
            "pip install 'specprefill-integrations[peers]'"
        }

    def test_what_does_not_work_is_a_reason(
        self, peer_settings: PeerSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PairCaches, "__call__", lambda *_, **__: 1 / 0)
        found = lineup_of("llmlingua", peer_settings)
        assert found.compressors == {}
        assert found.skipped == {"llmlingua": "ZeroDivisionError: division by zero"}

    def test_they_are_imported_only_where_they_are_asked_for(self) -> None:
        packages = {"llmlingua", "wordllama", "langchain_classic", "langchain_community"}
        modules = ("cli", "cli._evaluate", "evaluation._peers", "langchain", "llama_index")
        imports = "".join(f"import specprefill_integrations.{module}\n" for module in modules)
        script = f"import sys\n{imports}print(*({packages} & set(sys.modules)))"
        found = subprocess.run(  # noqa: S603 - Python itself
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == ""

    def test_groups_of_names(self) -> None:
        peers = scorer_names([ScorerName.PEERS])
        ours = scorer_names([ScorerName.ALL])
        assert sorted(peers) == sorted([*BY_EMBEDDINGS, *BY_TOKENS, "provence"])
        names = {name.value for name in ScorerName} - {"all", "peers"}
        assert {*ours, *peers} == names
        assert len(ours) + len(peers) == len(names)
        mixed = [ScorerName.BM25, ScorerName.ALL, ScorerName.BM25]
        assert scorer_names(mixed) == ["bm25", *(name for name in ours if name != "bm25")]

    def test_the_former_name_of_the_published_algorithm_is_deprecated(self) -> None:
        with pytest.warns(DeprecationWarning, match="'specprefill' is now called 'published'"):
            assert scorer_names(["specprefill", "published", "bm25"]) == ["published", "bm25"]


def lineup_of(name: PeerName, peers: PeerSettings) -> Lineup:
    return build_lineup(
        [name],
        peers.draft,
        like=ContextCompressor(KeywordScorer()),
        peer_weights=peers.models,
        trust_remote_code=peers.trust_remote_code,
    )


class TestLingua:
    def test_perplexity_is_that_of_a_plain_pass_read_at_once_or_in_two_parts(self) -> None:
        model = tiny_model("llama")
        ids = torch.arange(3, 43)[None]
        with torch.no_grad():
            plain = model(ids).logits
            pairs = PairCaches(model)
            first = pairs(ids[:, :30], past_key_values=None, use_cache=True)
            cut = [[keys[:, :, :20], values[:, :, :20]] for keys, values in first.past_key_values]
            second = pairs(ids[:, 20:], past_key_values=cut, use_cache=True)
        assert first.past_key_values[0][0].shape[2] == 30
        assert second.past_key_values[0][0].shape[2] == 40
        assert cut[0][0].shape[2] == 20
        torch.testing.assert_close(first.logits, plain[:, :30])
        torch.testing.assert_close(second.logits, plain[:, 20:])

    @pytest.mark.parametrize("name", ["llmlingua", "longllmlingua"])
    def test_a_larger_share_keeps_more_of_a_long_text(
        self, peer_settings: PeerSettings, name: PeerName
    ) -> None:
        peer = build_peer(name, peer_settings)
        found = [peer.compress([TEXTS[0] * 4, *TEXTS], QUERY, keep).texts for keep in (0.2, 0.9)]
        assert [len(some) for some in found] == [1, 1]
        assert len(found[0][0]) < len(found[1][0])

    def test_tokens_stay_in_their_order(self, peer_settings: PeerSettings) -> None:
        [kept] = build_peer("llmlingua", peer_settings).compress(TEXTS, QUERY, 0.5).texts
        assert is_within(kept, "".join(TEXTS))


class TestLingua2:
    def test_words_stay_in_their_order(self, peer_settings: PeerSettings) -> None:
        kept = build_peer("llmlingua2", peer_settings).compress(TEXTS, None, 0.5).texts
        assert is_within("".join(kept), "".join(TEXTS))


class TestEmbeddings:
    @pytest.mark.parametrize("name", BY_EMBEDDINGS)
    def test_what_is_like_the_question_is_kept(
        self, peer_settings: PeerSettings, name: PeerName
    ) -> None:
        long = [TEXTS[0] + f" {NOISE}" * 9, *[NOISE] * 3]
        kept = build_peer(name, peer_settings).compress(long, QUERY, 0.3).texts
        assert any(EVIDENCE in text for text in kept)

    @settings(max_examples=20)
    @given(st.lists(texts, max_size=3), st.sampled_from([0.1, 0.5, 1.0]))
    def test_the_filter_keeps_the_budget_and_parts_of_each_text(
        self, found: list[str], keep: float
    ) -> None:
        given = [encodable(text) for text in found]
        kept = embedding_filter().compress(given, None, keep).texts
        assert all(is_within(*pair) for pair in zip(kept, given, strict=True))
        assert count_texts(COUNT, kept) <= token_limit(COUNT, given, keep)

    def test_a_split_that_is_too_long_for_the_budget_is_not_kept(self) -> None:
        assert embedding_filter().compress(["word " * 50], QUERY, 0.1).texts == ("",)

    @pytest.mark.parametrize("name", BY_EMBEDDINGS)
    def test_no_text_is_no_text(self, peer_settings: PeerSettings, name: PeerName) -> None:
        assert not any(build_peer(name, peer_settings).compress([], QUERY, 0.3).texts)
        assert not any(build_peer(name, peer_settings).compress([" "], QUERY, 0.3).texts)

    def test_the_optimizer_keeps_a_share_of_the_sentences_of_all_texts(
        self, peer_settings: PeerSettings
    ) -> None:
        peer = build_peer("sentence_embedding_optimizer", peer_settings)
        [kept] = peer.compress(TEXTS, QUERY, 0.3).texts
        assert kept.count(".") == 3  # of ten
        assert kept.startswith(EVIDENCE)

    def test_embeddings_of_ones_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stub = SimpleNamespace(SentenceTransformer=CountsLetters)
        monkeypatch.setitem(sys.modules, "sentence_transformers", stub)
        own = PeerSettings(count_tokens=COUNT, models={"embeddings": "some/model"})
        peer = build_peer("sentence_embedding_optimizer", own)
        assert peer.parameters["embeddings"] == "some/model"
        assert peer.compress(["bbb aa. aaa aaaa. bbb bbb."], "aaa", 0.4).texts == ("aaa aaaa.",)

    def test_embeddings_of_ones_own_need_their_package(
        self, peer_settings: PeerSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        own = PeerSettings(count_tokens=COUNT, models={"embeddings": "some/model"})
        skipped = lineup_of("embedding_filter", own).skipped
        assert "'sentence-transformers' is needed" in skipped["embedding_filter"]


class CountsLetters:
    """Stands in for a model of sentence-transformers: how many a, b and dots are in a text."""

    def __init__(self, place: str, *, device: str | None, trust_remote_code: bool) -> None:
        assert (place, device, trust_remote_code) == ("some/model", None, False)

    def encode(self, texts: list[str], *, normalize_embeddings: bool) -> Any:
        assert normalize_embeddings
        return np.array([[float(text.count(letter)) for letter in "ab."] for text in texts])


def embedding_filter() -> CaseCompressor:
    return build_peer("embedding_filter", PeerSettings(count_tokens=COUNT))


class SentencesByScore:
    """Stands in for Provence: a text's sentences, each with a score of its own."""

    scores: Sequence[float] = (0.05, 0.2, 0.6, 0.92)

    def __init__(self) -> None:
        self.thresholds: list[float] = []

    def process(
        self, question: list[str], context: list[list[str]], *, threshold: float
    ) -> dict[str, Any]:
        self.thresholds.append(threshold)
        [found] = context
        pruned = [
            " ".join(
                s for s, score in zip(text.split(), self.scores, strict=True) if score >= threshold
            )
            for text in found
        ]
        return {"pruned_context": [pruned], "reranking_score": [[0.0] * len(found)]}


class TestProvence:
    @pytest.mark.parametrize(
        ("keep", "expected"),
        [(1.0, "b c d"), (0.8, "b c d"), (0.5, "c d"), (0.3, "d"), (0.1, "")],
    )
    def test_the_lowest_threshold_within_the_budget(self, keep: float, expected: str) -> None:
        model = SentencesByScore()
        kept = Provence(model, "w", COUNT).compress(["a b c d", "a b c d"], QUERY, keep)
        assert kept.texts == (expected, expected)
        assert len(model.thresholds) <= 5
        assert set(model.thresholds) <= set(THRESHOLDS)

    def test_its_code_runs_only_where_the_user_said_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        weights = save_model_with_code(tmp_path / "own")
        monkeypatch.setattr(
            "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
        )
        named = {"provence": str(weights)}
        untrusted = lineup_of("provence", PeerSettings(count_tokens=COUNT, models=named))
        assert "--trust-remote-code" in untrusted.skipped["provence"]
        with pytest.raises(ValueError, match="trust_remote_code"):
            load_own_code_model(str(weights), device=None, trust_remote_code=False)
        trusted = PeerSettings(count_tokens=COUNT, models=named, trust_remote_code=True)
        kept = build_peer("provence", trusted).compress(["a b c"], QUERY, 0.9)
        assert kept.texts == ("a",)


def save_model_with_code(folder: Path) -> Path:
    """A model that keeps the first word of a text."""
    folder.mkdir()
    (folder / "modeling_own.py").write_text(
        "import torch\n"
        "from transformers import PretrainedConfig, PreTrainedModel\n\n"
        "class OwnConfig(PretrainedConfig):\n"
        "    model_type = 'own'\n\n"
        "class OwnModel(PreTrainedModel):\n"
        "    config_class = OwnConfig\n\n"
        "    def __init__(self, config):\n"
        "        super().__init__(config)\n"
        "        self.weight = torch.nn.Parameter(torch.zeros(1))\n"
        "        self.post_init()\n\n"
        "    def process(self, question, context, threshold):\n"
        "        return {'pruned_context': [[t.split()[0] for t in context[0]]]}\n",
        "utf-8",
    )
    names = {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    config = {"model_type": "own", "auto_map": names, "architectures": ["OwnModel"]}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    return folder
