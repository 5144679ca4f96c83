"""The documentation's site: it builds without a warning, has every public name, and asks nobody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tests.laws.test_public_names import PUBLIC

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "mkdocs.yml"


def build(config: Path, into: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(  # noqa: S603 - mkdocs itself
        [*command, "--config-file", str(config), "--site-dir", str(into)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(CONFIG, folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def documented(site: Path) -> set[str]:
    """The names of the site's inventory, as Sphinx and others read it."""
    *_, compressed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    return {line.split()[0] for line in zlib.decompress(compressed).decode().splitlines()}


def test_the_reference_has_every_public_name(site: Path) -> None:
    names = {
        f"{module}.{name}"
        for module in PUBLIC
        for name in getattr(import_module(module), "__all__", ())
    }
    assert len(names) > 100
    assert sorted(names - documented(site)) == []


def test_a_page_loads_nothing_from_another_server(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    loaded = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>")
    styles = re.compile(r"<link\b(?![^>]*rel=[\"']?(?:canonical|prev|next))[^>]*//[^>]*>")
    facts = re.compile(r"data-md-component=[\"']?source\b")  # asks GitHub's API for stars
    for page in pages:
        text = page.read_text("utf-8")
        found = [pattern.findall(text) for pattern in (loaded, styles, facts)]
        assert found == [[], [], []], page.relative_to(site)


def test_links_out_of_the_folder_lead_to_the_repository(site: Path) -> None:
    page = (site / "serving" / "index.html").read_text("utf-8")
    repository = urls()["Source"]
    assert f'href="{repository}/blob/main/deploy/compose.yaml"' in page
    assert f'href="{repository}/edit/main/docs/serving.md"' in page
    assert 'href="../deploy' not in page


def test_a_page_fits_a_phone_and_asks_nobody(browser: Any, site: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("", "results", "tutorial-agent", "reference/langchain"):
        page.goto((site / name / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390, name
    page.close()
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_no_file_of_the_build_is_committed(site: Path) -> None:
    assert (site / "index.html").exists()
    assert "site/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert not list((site).rglob("*.py"))


def urls() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]


def test_the_addresses_are_those_of_the_package() -> None:
    text = CONFIG.read_text("utf-8")
    config = yaml.safe_load(text)
    repository = urls()["Source"]
    assert urls()["Documentation"] == f"{repository}/tree/main/docs"
    owner, name = repository.split("/")[-2:]
    assert config["site_url"] == f"https://{owner}.github.io/{name}/"
    assert config["extra"]["repository"] == repository
    assert config["edit_uri_template"] == f"{repository}/edit/main/docs/{{path}}"


@pytest.mark.parametrize(
    ("page", "warning"),
    [
        ("[a](b.md)", "b.md"),
        ("[a](index.md#nowhere)", "nowhere"),
        ("[a](/absolute.md)", "/absolute.md"),
        ("::: specprefill_integrations.no_such_module", "no_such_module"),
    ],
)
def test_a_broken_link_is_an_error(tmp_path: Path, page: str, warning: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Title\n\n{page}\n", "utf-8")
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    del config["nav"], config["hooks"]
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config), "utf-8")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert warning in done.stderr
