"""Stores of originals: age, size, threads, processes, damage."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cloudpickle
import pytest
from blockbuster import blockbuster_ctx

from specprefill_integrations.errors import OriginalStoreError
from specprefill_integrations.originals import (
    InMemoryOriginals,
    OriginalStore,
    SqliteOriginals,
    reference_of,
)
from specprefill_integrations.originals import _sqlite_originals as sqlite_originals

TEXTS = [f"{n}: {'a line of a log' * n}\n" for n in range(40)]


class Clock:
    """Stands still until it is set; a copy is the same clock."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def __reduce__(self) -> str:
        return "CLOCK"


CLOCK = Clock()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(CLOCK, "now", 1000.0)
    return CLOCK


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "originals.db"


@pytest.fixture(params=["memory", "sqlite"])
def make(request, file):
    """A store of either sort, with the limits that a test names."""
    opened = []

    def make(*, largest: int = 1_000_000, **limits) -> OriginalStore:
        if request.param == "memory":
            return InMemoryOriginals(max_chars=largest, **limits)
        opened.append(SqliteOriginals(file, max_bytes=largest, **limits))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def test_a_reference_without_a_key_is_the_same_everywhere() -> None:
    assert reference_of("") == "e3b0c44298fc"
    assert reference_of("\ud800 我们 👍🏽 \x00") == "59c550d94811"
    assert reference_of("", b"key") == "5d5d139563c9"


class TestEveryStore:
    def test_what_was_never_put_is_not_found(self, make) -> None:
        assert make().get("e3b0c44298fc") is None
        assert make().get("") is None

    def test_a_text_larger_than_all_there_is_room_for_is_refused(self, make) -> None:
        store = make(largest=40)
        small = store.put("small")
        assert store.put("".join(map(chr, range(33, 120)))) is None
        assert store.get(small) == "small"

    def test_a_text_grows_old_unless_it_is_put_again(self, make, clock) -> None:
        store = make(max_age_seconds=60, clock=clock)
        old, renewed = store.put("old"), store.put("renewed")
        clock.now += 59
        assert store.get(old) == "old"
        store.put("renewed")
        clock.now += 1
        assert store.get(old) is None
        assert store.get(renewed) == "renewed"
        clock.now += 59
        assert store.get(renewed) is None

    def test_what_is_too_old_makes_room_first(self, make, clock) -> None:
        store = make(largest=60, max_age_seconds=60, clock=clock)
        old = store.put("an old text")
        clock.now += 30
        young = store.put("a young text")
        assert store.get(old) == "an old text"  # so it was used last
        clock.now += 30
        newest = store.put("the newest, a longer one")
        assert [store.get(one) for one in (old, young, newest)] == [
            None,
            "a young text",
            "the newest, a longer one",
        ]

    @pytest.mark.parametrize("limits", [{"largest": 0}, {"largest": -5}, {"max_age_seconds": 0}])
    def test_limits_that_mean_nothing_are_refused(self, make, limits) -> None:
        with pytest.raises(OriginalStoreError, match=r"max_\w+ must be a number above 0"):
            make(**limits)

    def test_threads_do_not_disturb_each_other(self, make) -> None:
        store = make(largest=3000)

        def use(start: int) -> None:
            for text in TEXTS[start:] + TEXTS[:start]:
                assert store.put(text) == store.reference_of(text)
                assert store.get(store.reference_of(text)) in {text, None}

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(use, range(0, 40, 5)))
        references = [store.put(text) for text in TEXTS[:5]]
        assert references == [store.reference_of(text) for text in TEXTS[:5]]
        assert [store.get(reference) for reference in references] == TEXTS[:5]

    @pytest.mark.parametrize(
        "copied",
        [
            copy.deepcopy,
            lambda store: pickle.loads(pickle.dumps(store)),  # noqa: S301 - our own
            lambda store: pickle.loads(cloudpickle.dumps(store)),  # noqa: S301
        ],
        ids=["deepcopy", "pickle", "cloudpickle"],
    )
    def test_a_copy_has_the_same_texts_and_limits(self, make, copied, clock) -> None:
        store = make(largest=110, max_age_seconds=60, clock=clock)
        reference = store.put("text")
        other = copied(store)
        assert other.get(reference) == "text"
        assert other.max_age_seconds == 60
        assert other.put("".join(map(chr, range(33, 250)))) is None
        large = "".join(map(chr, range(33, 120)))
        of_large = other.put(large)
        assert of_large == store.reference_of(large)
        assert other.get(of_large) == large
        is_shared = isinstance(store, SqliteOriginals)
        assert (store.get(of_large) is not None) == is_shared
        clock.now += 60
        assert other.get(of_large) is None
        if is_shared:
            other.close()

    async def test_the_event_loop_is_never_held_up(self, make) -> None:
        store = make()
        with blockbuster_ctx():
            reference = await store.aput("text")
            assert await store.aget(reference) == "text"


def test_a_clock_that_steps_back_costs_no_text() -> None:
    now = [100.0]
    store = InMemoryOriginals(max_chars=12, max_age_seconds=10, clock=lambda: now[0])
    first, second = store.put("first"), store.put("second")
    now[0] = 50.0
    assert (store.get(first), store.get(second)) == ("first", "second")
    third = store.put("third")
    assert [store.get(one) for one in (first, second, third)] == [None, "second", "third"]


@pytest.fixture
def store(file):
    store = SqliteOriginals(file, max_bytes=1_000_000)
    yield store
    store.close()


def run(script: str, *arguments: object) -> str:
    """Run a script in another process and give what it printed."""
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603


IMPORTS = """
import os, sys
from specprefill_integrations.originals import SqliteOriginals
"""

WRITER = f"""{IMPORTS}
store = SqliteOriginals(sys.argv[1], max_bytes=int(sys.argv[3]))
for n in range(int(sys.argv[2]), 1_000_000):
    print(store.put("%d " % n * 200), flush=True)
"""


class TestSqliteOriginals:
    def test_a_store_that_is_dropped_is_closed(self, tmp_path: Path) -> None:
        store = SqliteOriginals(tmp_path / "texts.db")
        reference = store.put("The cat sat on the mat.")
        [connection] = (opened.connection for opened in store._idle())
        del store
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
        again = SqliteOriginals(tmp_path / "texts.db")
        assert again.get(reference) == "The cat sat on the mat."
        again.close()
        with pytest.raises(ValueError, match="max_bytes"):
            SqliteOriginals(tmp_path / "texts.db", max_bytes=0)

    def test_they_survive_a_restart(self, store, file) -> None:
        reference = store.put("text")
        store.close()
        again = SqliteOriginals(file)
        assert again.get(reference) == "text"
        again.close()
        assert again.get(reference) == "text"
        again.close()

    def test_another_process_finds_them(self, store, file) -> None:
        reference = store.put("here")
        script = f"{IMPORTS}store = SqliteOriginals(sys.argv[1])\n"
        script += "print(store.get(sys.argv[2]), store.put('there'))"
        assert run(script, file, reference).split() == ["here", store.reference_of("there")]
        assert store.get(store.reference_of("there")) == "there"

    @pytest.mark.parametrize("max_bytes", [2_000, 100_000_000])
    def test_two_processes_write_at_once_and_are_killed(self, file, max_bytes) -> None:
        starts = (0, 500_000)
        writers = [
            subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", WRITER, str(file), str(start), str(max_bytes)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for start in starts
        ]
        promised = [[writer.stdout.readline() for _ in range(100)] for writer in writers]
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for references, writer in zip(promised, writers, strict=True):
            references.extend(writer.communicate()[0].splitlines(keepends=True))
        store = SqliteOriginals(file, max_bytes=max_bytes)
        kept = [
            [store.get(reference.strip()) for reference in references if reference.endswith("\n")]
            for references in promised
        ]
        with sqlite3.connect(file) as connection:
            assert list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
            [(total,)] = connection.execute(
                "SELECT sum(length(packed)) FROM specprefill_originals_1"
            )
        connection.close()
        store.close()
        assert 0 < total <= max_bytes
        for start, texts in zip(starts, kept, strict=True):
            expected = [f"{n} " * 200 for n in range(start, start + len(texts))]
            if max_bytes == 2_000:  # no room for all of them
                expected = [text and found for text, found in zip(texts, expected, strict=True)]
            assert texts == expected

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_child_opens_the_file_itself(self, file) -> None:
        script = f"""{IMPORTS}
import sqlite3
connect, opened_by = sqlite3.connect, []

def noted(*arguments, **options):
    opened_by.append(os.getpid())
    return connect(*arguments, **options)

sqlite3.connect = noted
store = SqliteOriginals(sys.argv[1])
store.put("of the parent")
assert opened_by == [os.getpid()]
child = os.fork()
if not child:
    assert store.get(store.reference_of("of the parent")) == "of the parent"
    assert store.put("of the child")
    assert opened_by == [os.getppid(), os.getpid()]
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert store.put("of the parent again")
print(store.get(store.reference_of("of the child")))
store.close()
"""
        assert run(script, file).strip() == "of the child"

    def test_only_its_owner_can_read_a_new_file(self, store, file) -> None:
        store.put("secret")
        files = list(file.parent.iterdir())
        assert len(files) > 1  # the log is a file too
        assert {stat.S_IMODE(found.stat().st_mode) for found in files} == {0o600}

    def test_short_threads_leave_no_connections_behind(self, store, monkeypatch) -> None:
        monkeypatch.delattr(sqlite3, "connect")  # the one that opened the file is enough
        for text in TEXTS:
            thread = threading.Thread(target=store.put, args=(text,))
            thread.start()
            thread.join()
            assert store.get(store.reference_of(text)) == text

    @pytest.mark.parametrize(
        "damaged", [b"", b"no zlib", sqlite_originals.pack_text("other"), 5, 0.5, "text"]
    )
    def test_what_is_damaged_is_missing(self, store, file, caplog, damaged) -> None:
        reference = store.put("text")
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE specprefill_originals_1 SET packed = ?", (damaged,))
        connection.close()
        assert store.get(reference) is None
        assert store.get(reference) is None
        [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert f"the original {reference} is damaged" in warning.getMessage()
        assert "\n" not in warning.getMessage()
        store.put("text")
        assert store.get(reference) == "text"

    def test_while_another_writes_for_long_texts_are_read_and_none_is_kept(
        self, file, caplog, monkeypatch
    ) -> None:
        monkeypatch.setattr(sqlite_originals, "_BUSY_SECONDS", 0.05)
        store = SqliteOriginals(file)
        reference = store.put("text")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.DEBUG):
            assert store.put("new") is None
            assert store.get(reference) == "text"
        assert "no original could be kept" in caplog.text
        assert "The use of an original was not noted" in caplog.text
        other.close()
        assert store.put("new") == store.reference_of("new")
        store.close()

    def test_a_file_that_is_lost_is_no_exception(self, store, file, caplog) -> None:
        reference = store.put("text")
        store.close()
        for found in [*file.parent.iterdir()]:
            found.unlink()
        file.parent.rmdir()
        assert store.get(reference) is None
        assert store.put("text") is None
        assert "no original could be read" in caplog.text
        assert "no original could be kept" in caplog.text

    def test_a_file_that_is_something_else_is_an_error(self, tmp_path) -> None:
        other = tmp_path / "notes.txt"
        other.write_text("These are notes, and no database of anything at all.\n" * 30)
        with pytest.raises(OriginalStoreError, match=r"notes\.txt.*not a database"):
            SqliteOriginals(other)
        with pytest.raises(OriginalStoreError, match="cannot be opened"):
            SqliteOriginals(tmp_path)
        assert other.read_text().startswith("These are notes")

    def test_a_directory_in_its_place_is_no_exception(self, store, file, caplog) -> None:
        reference = store.put("text")
        store.close()
        file.unlink()
        file.mkdir()
        assert store.get(reference) is None
        assert store.put("text") is None
        assert store.reference_of("text") is None
        assert "no original could be read" in caplog.text

    def test_a_file_that_is_deleted_while_it_is_open_starts_anew(self, store, file) -> None:
        reference = store.put("text")
        file.unlink()
        assert store.get(reference) is None
        reference = store.put("new")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        other = SqliteOriginals(file)
        assert other.get(reference) == store.get(reference) == "new"
        other.close()

    def test_a_full_disk_keeps_nothing_and_promises_nothing(self, file) -> None:
        script = f"""{IMPORTS}
import logging, random, resource, signal
logging.basicConfig(format="%(message)s", stream=sys.stdout)
store = SqliteOriginals(sys.argv[1])
kept = [store.put("text")]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for number in range(6):
    kept.append(store.put(random.Random(number).randbytes(50_000).hex()))
print([store.get(kept[0]), None in kept])
print(all(store.get(reference) for reference in kept if reference))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print(store.get(store.put("again")))
"""
        *warnings, first, all_found, again = run(script, file).splitlines()
        assert first == "['text', True]"
        assert (all_found, again) == ("True", "again")
        assert len(warnings) == 1
        assert "no original could be kept" in warnings[0]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="modes are others here")
    @pytest.mark.parametrize("is_of_earlier_version", [False, True])
    @pytest.mark.parametrize("read_only", ["file", "folder", "both"])
    def test_what_can_only_be_read_is_read(self, read_only, is_of_earlier_version) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "originals.db")
            store = SqliteOriginals(file)
            reference = store.put("text")
            store.close()
            if is_of_earlier_version:
                reference = as_of_earlier_version(file, "text")
            file.chmod(0o666 if read_only == "folder" else 0o444)
            file.parent.chmod(0o777 if read_only == "file" else 0o555)
            script = f"""{IMPORTS}
import asyncio, concurrent.futures.thread
if os.geteuid() == 0:  # no mode keeps root from writing
    os.setuid(65534)
store = SqliteOriginals(sys.argv[1])
print(store.get(sys.argv[2]), store.reference_of("text"), store.put("new"))
print(asyncio.run(store.aget(sys.argv[2])), store.get("e3b0c44298fc"))
"""
            found = run(script, file, reference).split()
            assert found == ["text", "None", "None", "text", "None"]
            file.parent.chmod(0o777)

    def test_a_file_of_an_earlier_version_keeps_its_references(self, file) -> None:
        SqliteOriginals(file).close()
        old = as_of_earlier_version(file, "text")
        store = SqliteOriginals(file, max_bytes=50)
        assert store.get(old) == "text"
        new = store.put("text")
        assert new == store.reference_of("text") != old
        assert [store.get(one) for one in (old, new)] == ["text", "text"]
        for text in TEXTS[1:5]:
            store.put(text)
        assert [store.get(one) for one in (old, new)] == [None, None]
        store.close()

    def test_an_earlier_version_may_write_at_the_same_time(self, store, file) -> None:
        with sqlite3.connect(file) as connection:
            for _ in range(3):
                connection.execute(
                    "INSERT OR REPLACE INTO specprefill_originals_1 VALUES ('a', 0, 1, 100, x'')"
                )
            assert sums(connection) == (100, 100)
            connection.execute("DELETE FROM specprefill_originals_1")
            assert sums(connection) == (0, 0)
            connection.commit()
            store.put("text")
            assert sums(connection)[0] == sums(connection)[1] > 0
        connection.close()

    def test_a_put_costs_the_same_however_many_texts_there_are(self, file) -> None:
        steps = {}
        for count in (100, 10_000):
            path = file.with_name(f"{count}.db")
            store = SqliteOriginals(path)
            with sqlite3.connect(path) as connection:
                connection.executemany(
                    "INSERT INTO specprefill_originals_1 VALUES (?, ?, ?, 9, x'00')",
                    ((f"{n:012x}", n, n) for n in range(count)),
                )
            connection.close()
            store.put("first")
            with store._connection() as opened:
                calls = steps[count] = []
                opened.connection.set_progress_handler(lambda calls=calls: calls.append(1), 1)
            store.max_bytes = 9 * count  # so that the oldest go
            assert store.get(store.put("text")) == "text"
            store.close()
        assert len(steps[10_000]) < 1.5 * len(steps[100])


def as_of_earlier_version(file: Path, text: str) -> str:
    """Make a store's file one of the first version, with one text; return its reference."""
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TRIGGER specprefill_originals_1_put")
        connection.execute("DROP TRIGGER specprefill_originals_1_drop")
        connection.execute("DROP TABLE specprefill_store_1")
        connection.execute("DELETE FROM specprefill_originals_1")
        packed = sqlite_originals.pack_text(text)
        connection.execute(
            "INSERT INTO specprefill_originals_1 VALUES (?, ?, 1, ?, ?)",
            (reference_of(text), 1e9, len(packed), packed),
        )
    connection.close()
    return reference_of(text)


def sums(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the sum of all sizes as the store keeps it, and as it is."""
    [(kept,)] = connection.execute("SELECT packed_bytes FROM specprefill_store_1")
    [(found,)] = connection.execute(
        "SELECT coalesce(sum(packed_bytes), 0) FROM specprefill_originals_1"
    )
    return kept, found
