"""Law of damaged stores: no call raises, no other text comes back, no promise is broken."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specprefill_integrations.errors import OriginalStoreError
from specprefill_integrations.originals import SqliteOriginals
from specprefill_integrations.originals._promised_references import PromisedReferences

TEXTS = [f"{n}: {'a line of a log ' * n}\n" for n in range(40)]

RENAMED = "ALTER TABLE specprefill_originals_1 RENAME TO other;"

cells = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.sampled_from(["CAST(x'ff' AS TEXT)", "CAST(x'00d800' AS TEXT)"]),
)

FOREIGN = [
    "DROP TABLE specprefill_originals_1",
    "DROP TABLE specprefill_store_1",
    "DELETE FROM specprefill_store_1",
    f"{RENAMED} CREATE TABLE specprefill_originals_1 (a)",
    f"{RENAMED} CREATE VIEW specprefill_originals_1 AS SELECT * FROM other",  # noqa: S608
    "ALTER TABLE specprefill_originals_1 DROP COLUMN packed",
    "DROP INDEX specprefill_originals_1_used; DROP TRIGGER specprefill_originals_1_put",
    """CREATE TRIGGER gone AFTER INSERT ON specprefill_originals_1
    BEGIN DELETE FROM specprefill_originals_1; END""",
    "UPDATE specprefill_store_1 SET packed_bytes = 'many'",
    "UPDATE specprefill_store_1 SET packed_bytes = 1000000000",
    "UPDATE specprefill_store_1 SET key = 'a text'",
]


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> tuple[bytes, list[str]]:
    """The bytes of a store's file, and the references of its texts."""
    path = tmp_path_factory.mktemp("intact") / "originals.db"
    store = SqliteOriginals(path)
    references = [store.put(text) for text in TEXTS]
    store.close()
    return path.read_bytes(), references


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "originals.db"


def write(path: Path, content: bytes) -> None:
    for name in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.write_bytes(content)


def check(store: SqliteOriginals, references: list[str]) -> None:
    for reference, text in zip(references, TEXTS, strict=True):
        assert store.get(reference) in {text, None}
    promised = PromisedReferences(["new"], store)
    promised.promise()
    while not promised.put([0]):
        pass
    [reference] = promised.named
    assert reference is None or store.get(reference) == "new"


damage = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


@settings(max_examples=150, deadline=None)
@given(damage=damage, length=st.none() | st.floats(0, 1), is_open=st.booleans())
def test_bytes_are_damaged(intact, path, damage, length, is_open) -> None:
    content, references = intact
    write(path, content)
    store = SqliteOriginals(path)
    if not is_open:
        store.close()
    damaged = bytearray(content)
    for place, written in damage:
        start = int(place * len(damaged))
        damaged[start : start + len(written)] = written
    if length is not None:
        del damaged[int(length * len(damaged)) :]
    with path.open("r+b") as file:
        file.write(damaged)
        file.truncate()
    if is_open:
        check(store, references)
        store.close()
    try:
        again = SqliteOriginals(path)
    except OriginalStoreError:
        assert store.get(references[0]) is None
        assert store.put("new") is None
        return
    check(again, references)
    again.close()


@settings(max_examples=60, deadline=None)
@given(
    column=st.sampled_from(["reference", "put_at", "used", "packed_bytes", "packed"]), cell=cells
)
def test_cells_have_another_type(intact, path, column, cell) -> None:
    content, references = intact
    write(path, content)
    is_sql = isinstance(cell, str) and cell.startswith("CAST")
    written = cell if is_sql else "?"
    with sqlite3.connect(path) as connection:
        connection.execute(
            f"UPDATE OR IGNORE specprefill_originals_1 SET {column} = {written} "  # noqa: S608
            "WHERE rowid % 3 = 0",
            () if is_sql else (cell,),
        )
    connection.close()
    store = SqliteOriginals(path)
    check(store, references)
    store.max_bytes = 500  # so that room is made
    check(store, references)
    store.close()


@pytest.mark.parametrize("script", FOREIGN)
async def test_the_schema_is_another(intact, path, script, caplog) -> None:
    content, references = intact
    write(path, content)
    store = SqliteOriginals(path)
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    check(store, references)
    for _ in range(3):
        assert await store.aget(references[0]) in {TEXTS[0], None}
        await store.aput("new")
    store.close()
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == len(set(warnings))
    assert not any("\n" in warning for warning in warnings)
    try:
        again = SqliteOriginals(path)
    except OriginalStoreError:
        return
    check(again, references)
    again.close()
