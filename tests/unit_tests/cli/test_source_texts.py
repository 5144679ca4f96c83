"""Files on the command line are decoded or refused: never garbage with exit code 0."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from specprefill_integrations import ContextCompressor
from specprefill_integrations.cli import _compress, build_app
from specprefill_integrations.testing import KeywordScorer

TEXT = "Ada keeps the lighthouse – für immer 👩‍👧.\r\nNothing else matters.\n"
LATIN = "Ada keeps the lighthouse für immer.\n"
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.fixture(autouse=True)
def _without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    compressor = ContextCompressor(KeywordScorer(), on_error="raise")
    monkeypatch.setattr(_compress, "build_compressor", lambda _: compressor)


def compress(data: bytes, *args: str, path: Path | None = None) -> Result:
    if path is not None:
        path.write_bytes(data)
    place = "-" if path is None else str(path)
    words = ["compress", place, "--keep", "1", "--quiet", *args]
    return CliRunner().invoke(build_app(), words, input=data)


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("from_file", [True, False], ids=["file", "stdin"])
def test_a_byte_order_mark_names_the_encoding(
    encoding: str,
    from_file: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    data = MARKED[encoding] + TEXT.encode(encoding)
    found = compress(data, path=tmp_path / "page.txt" if from_file else None)
    assert (found.exit_code, found.stdout_bytes) == (0, TEXT.encode())


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-16", "utf-32", "cp1252"])
def test_an_encoding_can_be_named_and_is_that_of_the_result(encoding: str) -> None:
    data = LATIN.encode(encoding)
    found = compress(data, "--encoding", encoding)
    assert (found.exit_code, found.stdout_bytes) == (0, data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (LATIN.encode("latin-1"), "not text in UTF-8 (see byte 27); give its --encoding"),
        (bytes(range(1, 256)), "not text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is a binary file, not text"),
        (b"Ada \xff\0 keeps", "not text in UTF-8 (see byte 5); it holds NUL bytes"),
        (LATIN.encode("utf-16-le")[:-1], "not text in UTF-8"),
        ("Ada".encode("utf-16-le"), "holds NUL characters"),
        (b"Ada keeps the lighthouse.\0", "holds NUL characters"),
        (codecs.BOM_UTF16_LE + b"A", "not text in UTF-16"),
        (codecs.BOM_UTF32_LE + b"Adam", "not text in UTF-32"),
    ],
)
def test_anything_else_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    found = compress(data, path=tmp_path / "page.bin")
    assert (found.exit_code, found.stdout_bytes) == (2, b"")
    assert found.stderr.startswith("error: ")
    assert "page.bin" in found.stderr
    assert words in found.stderr
    assert found.stderr.count("\n") == 1
    piped = compress(data)
    assert (piped.exit_code, piped.stdout_bytes) == (2, b"")
    assert "standard input" in piped.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n1 0 obj",
        b"\x89PNG\r\n\x1a\n",
        b"PK\x03\x04\x14",
        b"\x1f\x8b\x08\xff",
        b"\x7fELF\x02\x01\x01",
        b"\xff\x00\xfe",
        b"Ada\x00",
    ],
)
def test_no_encoding_that_reads_any_bytes_is_advised_for_binary_files(data: bytes) -> None:
    found = compress(data)
    assert (found.exit_code, found.stdout_bytes, "latin" in found.stderr) == (2, b"", False)
    assert compress(data, "--encoding", "latin-1").exit_code == 2


def test_an_unknown_encoding_is_refused() -> None:
    for name in ("utf-9", "hex"):
        found = compress(b"", "--encoding", name)
        assert (found.exit_code, name in found.stderr) == (2, True)


@given(st.binary(max_size=200))
def test_bytes_come_back_as_text_or_not_at_all(data: bytes) -> None:
    found = compress(data)
    if found.exit_code == 0:
        assert "\0" not in found.stdout_bytes.decode("utf-8")
    else:
        assert (found.exit_code, found.stdout_bytes) == (2, b"")
        assert found.stderr.startswith("error: standard input ")
