"""Hooks of the documentation's site: a page for each public module, and links to other folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "specprefill_integrations"

_LINK_OUT = re.compile(r"\]\(\.\./(?=[^)\s]+\))")


def public_modules() -> Iterator[str]:
    """Name the modules that users may import and that have names to show."""
    for file in [*sorted(PACKAGE.glob("[!_]*.py")), *sorted(PACKAGE.glob("**/__init__.py"))]:
        if re.search(r"^__all__ = ", file.read_text("utf-8"), re.MULTILINE):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each public module, written from its docstrings."""
    for module in public_modules():
        name = module.removeprefix(f"{PACKAGE.name}.")
        page = f"---\ntitle: {module}\n---\n\n::: {module}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files


def on_page_markdown(markdown: str, config: MkDocsConfig, **_: object) -> str:
    """Let links to files outside of this folder lead to the repository."""
    return _LINK_OUT.sub(f"]({config.extra['repository']}/blob/main/", markdown)
