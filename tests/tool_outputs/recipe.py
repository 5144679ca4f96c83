"""A recipe for the output of a tool: files, a command, a question, and the lines it needs."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

Prepare = Callable[[Path], object]

PLACE = "/srv/app"
"""Stands in outputs for the temporary folder in which a command ran."""

LINES = range(50, 450)
"""Lines that an output may have."""


class CannotBeMadeError(Exception):
    """A tool is missing or does not work on this machine."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make an output, and what a question needs of it."""

    name: str
    """A short name, unique."""

    command: str
    """What bash runs in a temporary folder; stdout and stderr are the output."""

    question: str
    """The question of a user or an agent."""

    needs: tuple[str, ...]
    """Regular expressions; each finds, as its first group if it has one, a needed line or the part
    of it that must survive; of several places, one will do. What names the record of a fact is
    needed as well."""

    works: str
    """A command that succeeds where the tool can be used."""

    prepare: Prepare
    """Writes the files that the command reads."""

    def make(self) -> str:
        """Run the command.

        Raises:
            CannotBeMadeError: The tool cannot be used here.
        """
        with tempfile.TemporaryDirectory(prefix="tool-output-") as name:
            folder = Path(name).resolve()
            if run(self.works, folder).returncode:
                tool = self.works.removeprefix("command -v ")
                msg = f"`{tool}` is missing or does not work"
                raise CannotBeMadeError(msg)
            self.prepare(folder)
            output = run(self.command, folder).stdout
            return output.replace(str(folder), PLACE).replace(folder.name, "app")

    def needed(self, output: str) -> list[set[str]]:
        """The texts that must survive: of each set at least one.

        Raises:
            ValueError: The output lacks one, or has another number of lines than it should.
        """
        if output.count("\n") not in LINES:
            msg = f"{self.name}: {output.count(chr(10))} lines:\n{output}"
            raise ValueError(msg)
        found = []
        for pattern in self.needs:
            matches = re.finditer(pattern, output, re.MULTILINE)
            found.append({match[match.re.groups and 1].strip() for match in matches})
            if not found[-1]:
                msg = f"{self.name}: nothing matches {pattern!r}:\n{output}"
                raise ValueError(msg)
        return found


RECIPES: list[Recipe] = []
"""All recipes, in the order of the page."""


def recipe(
    command: str, question: str, *needs: str, works: str | None = None
) -> Callable[[Prepare], Prepare]:
    """Enter the decorated function, which writes the files, as a recipe of its name.

    Args:
        command: See `Recipe`.
        question: See `Recipe`.
        needs: See `Recipe`.
        works: See `Recipe`; by default the first word of the command must exist.
    """

    def enter(prepare: Prepare) -> Prepare:
        RECIPES.append(
            Recipe(
                name=prepare.__name__.removeprefix("_").replace("_", " "),
                command=command,
                question=question,
                needs=needs,
                works=works or f"command -v {command.split(maxsplit=1)[0]}",
                prepare=prepare,
            )
        )
        return prepare

    return enter


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write dedented texts under a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")


def sized(path: Path, size: int, day: int) -> None:
    """Write a file of `size` bytes, last changed on a day of 2026 at an hour that depends on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n" * size)
    changed = datetime(2026, 1, 1, day % 24, day * 7 % 60, tzinfo=timezone.utc)
    seconds = changed.timestamp() + 86_400 * day
    os.utime(path, (seconds, seconds))


def seeded(seed: int) -> random.Random:
    """A generator of numbers that are the same every time."""
    return random.Random(seed)  # noqa: S311 - texts, no secrets


def run(command: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run bash with an environment that is the same everywhere."""
    scripts = str(Path(sys.executable).parent)
    environment = {
        "PATH": os.pathsep.join((scripts, os.environ.get("PATH", os.defpath), "/usr/sbin")),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "120",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "NPM_CONFIG_OFFLINE": "true",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "CHECKPOINT_DISABLE": "1",
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
    }
    return subprocess.run(  # noqa: S603 - the commands of the recipes
        ["bash", "-c", command],  # noqa: S607 - whichever bash there is
        cwd=folder,
        env=environment,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
