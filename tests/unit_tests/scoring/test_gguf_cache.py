"""The cache holds a good copy or none: two processes, a killed one, a full disk, no rights."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from transformers import AutoTokenizer

from specprefill_integrations.scoring import _gguf_cache as gguf_cache
from specprefill_integrations.scoring._draft_location import GgufModel
from specprefill_integrations.scoring._gguf_cache import cache_folder, converted_folder
from tests.tiny_models import tiny_tokenizer

TIMEOUT_SECONDS = 60


class Saved:
    """Stands for a model or a tokenizer: what matters here is only that it can be saved."""

    def __init__(self, name: str, content: str = "good") -> None:
        self.name = name
        self.content = content

    def save_pretrained(self, folder: Path) -> None:
        (Path(folder) / self.name).write_text(self.content)


class SavedTokenizer(Saved):
    added_tokens_decoder: ClassVar[dict[int, Any]] = {}

    def __init__(self) -> None:
        super().__init__("tokenizer_config.json", '{"is": "good"}')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECPREFILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return GgufModel(name="tiny.gguf", identity="v1", path=path)


def load(path: Path) -> tuple[Saved, Saved]:
    assert path.read_bytes() == b"GGUF"
    return Saved("model"), SavedTokenizer()


def is_good(folder: Path) -> bool:
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    tokenizer = json.loads(texts.pop("tokenizer_config.json"))
    return texts == {"model": "good"} and tokenizer["is"] == "good"


def test_a_file_is_converted_once(gguf):
    loads = []
    found = [converted_folder(gguf, lambda p: loads.append(p) or load(p)) for _ in range(3)]
    assert len(loads) == 1
    assert found[0] == found[1] == found[2]
    assert is_good(found[0])


def test_a_changed_file_is_converted_again(gguf):
    first = converted_folder(gguf, load)
    second = converted_folder(GgufModel("tiny.gguf", "v2", gguf.path), load)
    assert first != second
    assert is_good(first)
    assert is_good(second)


def test_a_tokenizer_is_the_same_without_a_search_for_its_added_tokens(gguf, monkeypatch):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<plain>"])
    tokenizer.add_special_tokens({"extra_special_tokens": ["<special>"]})
    folder = converted_folder(gguf, lambda path: (load(path)[0], tokenizer))
    plain = json.load
    read = []
    monkeypatch.setattr(json, "load", lambda file: read.append(Path(file.name).name) or plain(file))
    found = AutoTokenizer.from_pretrained(folder)
    assert "tokenizer_config.json" in read
    assert "tokenizer.json" not in read
    monkeypatch.undo()
    tokenizer.save_pretrained(folder.parent / "as transformers saves it")
    other = AutoTokenizer.from_pretrained(folder.parent / "as transformers saves it")
    assert str(found.added_tokens_decoder) == str(other.added_tokens_decoder)
    assert found.special_tokens_map == other.special_tokens_map
    text = "one <plain> and <special> two <eos>"
    for split in (False, True):
        encoded = [one(text, split_special_tokens=split)["input_ids"] for one in (found, other)]
        assert encoded[0] == encoded[1]


def test_parts_are_joined_and_not_kept(tmp_path):
    parts = GgufModel("parts", "v1", None, lambda path: Path(path).write_bytes(b"GGUF"))
    folder = converted_folder(parts, load)
    assert is_good(folder)


def _convert_slowly(gguf, counter, results):
    def slow(path):
        with counter.get_lock():
            counter.value += 1
        time.sleep(0.5)
        return load(path)

    results.put(str(converted_folder(gguf, slow)))


def _process(target, *args):
    return multiprocessing.get_context("fork").Process(target=target, args=args)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_processes_at_once_convert_once(gguf):
    context = multiprocessing.get_context("fork")
    counter, results = context.Value("i", 0), context.Queue()
    processes = [_process(_convert_slowly, gguf, counter, results) for _ in range(3)]
    for process in processes:
        process.start()
    found = {results.get(timeout=TIMEOUT_SECONDS) for _ in processes}
    for process in processes:
        process.join(TIMEOUT_SECONDS)
    assert counter.value == 1
    assert len(found) == 1
    assert is_good(Path(found.pop()))


class DiesWhileSaving(Saved):
    def save_pretrained(self, folder: Path) -> None:
        (Path(folder) / self.name).write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_process_leaves_no_copy_and_the_next_one_cleans_up(gguf, cache):
    process = _process(
        converted_folder, gguf, lambda path: (DiesWhileSaving("model"), SavedTokenizer())
    )
    process.start()
    process.join(TIMEOUT_SECONDS)
    assert process.exitcode == -signal.SIGKILL
    assert any(path.suffix == ".part" for path in cache.iterdir())
    assert is_good(converted_folder(gguf, load))
    assert not any(path.suffix == ".part" for path in cache.iterdir())


class FillsTheDisk(Saved):
    def save_pretrained(self, folder: Path) -> None:
        super().save_pretrained(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_the_model_is_used_and_no_copy_is_left(gguf, cache, caplog):
    model, tokenizer = converted_folder(gguf, lambda path: (FillsTheDisk("model"), load(path)[1]))
    assert (model.name, tokenizer.name) == ("model", "tokenizer_config.json")
    assert "could not be kept" in caplog.text
    assert [path.suffix for path in cache.iterdir()] in ([".lock"], [])
    assert is_good(converted_folder(gguf, load))


def test_without_a_place_to_write_the_model_is_used(gguf, cache, caplog):
    cache.write_text("a file where the folder should be")
    model, _ = converted_folder(gguf, load)
    assert model.name == "model"
    assert "Cannot cache the converted copy" in caplog.text


def test_a_broken_file_is_an_error_each_time_and_leaves_nothing(gguf, cache):
    def broken(path):
        msg = "not a GGUF file"
        raise ValueError(msg)

    for _ in range(2):
        with pytest.raises(ValueError, match="not a GGUF"):
            converted_folder(gguf, broken)
    assert not any(path.is_dir() for path in cache.iterdir())


def test_the_cache_is_the_users_unless_set(monkeypatch):
    monkeypatch.delenv("SPECPREFILL_CACHE")
    monkeypatch.setattr(gguf_cache, "user_cache_path", lambda name: Path("/users") / name)
    assert cache_folder() == Path("/users/specprefill-integrations")
