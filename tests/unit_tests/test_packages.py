"""The thin packages: each builds, works beside the wheel of this one, and has all of its names."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import specprefill_integrations

ROOT = Path(__file__).parents[2]

PACKAGES = {
    "langchain-specprefill": ("langchain_specprefill", "specprefill_integrations.langchain"),
    "llama-index-postprocessor-specprefill": (
        "llama_index.postprocessor.specprefill",
        "specprefill_integrations.llama_index",
    ),
}

CHECK = """
import importlib
own, ours = importlib.import_module({own!r}), importlib.import_module({ours!r})
assert own.__file__.startswith({folder!r}), own.__file__
assert own.__all__ == ours.__all__, (own.__all__, ours.__all__)
for name in ours.__all__:
    assert getattr(own, name) is getattr(ours, name), name
try:
    own.no_such_name
except AttributeError:
    pass
else:
    raise AssertionError
"""


@pytest.fixture(scope="module", params=PACKAGES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """The name of a package, and its unpacked wheel."""
    folder = tmp_path_factory.mktemp("package")
    source = ROOT / "packages" / request.param
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
    done = subprocess.run(  # noqa: S603 - pip itself
        [*command, str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return request.param, folder / "installed"


def test_all_names_are_those_of_the_integration(built, tmp_path):
    name, installed = built
    own, ours = PACKAGES[name]
    check = CHECK.format(own=own, ours=ours, folder=str(installed))
    done = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", check],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_wheel_has_code_license_and_type_marker_and_no_more(built):
    name, installed = built
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    home = PACKAGES[name][0].replace(".", "/")
    code = {file for file in files if ".dist-info" not in file}
    assert code == {f"{home}/__init__.py", f"{home}/py.typed"}
    assert any(file.endswith("licenses/LICENSE") for file in files)


def test_it_requires_this_version_with_what_it_needs(built):
    _, installed = built
    [metadata] = installed.glob("*.dist-info/METADATA")
    found = Parser().parsestr(metadata.read_text("utf-8"))
    version = specprefill_integrations.__version__
    assert found["Version"] == version
    required = found.get_all("Requires-Dist", [])
    assert required
    for line in required:
        assert line.startswith("specprefill-integrations["), line
        assert f"=={version}" in line, line


def test_the_citation_has_this_version():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == (
        specprefill_integrations.__version__
    )


def test_what_llamahub_lists_can_be_imported():
    folder = ROOT / "packages/llama-index-postprocessor-specprefill"
    listed = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]["llamahub"]
    ours = importlib.import_module("specprefill_integrations.llama_index")
    assert listed["import_path"] == PACKAGES[folder.name][0]
    for name in listed["class_authors"]:
        assert hasattr(ours, name)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_code_of_its_page_runs(name, tmp_path):
    page = (ROOT / "packages" / name / "README.md").read_text("utf-8")
    own, ours = PACKAGES[name]
    [block] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = block.replace(f"from {own} import", f"from {ours} import").replace(
        "ContextCompressor.from_draft_model()", "ContextCompressor(KeywordScorer())"
    )
    done = subprocess.run(  # noqa: S603 - our own page
        [
            sys.executable,
            "-c",
            "from specprefill_integrations.testing import KeywordScorer\n" + code,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ferry leaves at noon" in done.stdout
    assert "Nobody minds" not in done.stdout
