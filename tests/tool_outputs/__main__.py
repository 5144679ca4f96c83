"""Measure what compression keeps of the outputs, and print the page docs/tool-outputs.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from specprefill_integrations import ContextCompressor, GapStyle
from specprefill_integrations.evaluation._baselines import Bm25Scorer
from specprefill_integrations.evaluation._case_compressor import SpanCompressor
from specprefill_integrations.splitting._lines import LineSplitter
from tests.tool_outputs import RECIPES, CannotBeMadeError, Recipe

_KEEP = (0.2, 0.3)
_NAMES = ("ours", "BM25")

_HEAD = """\
# Outputs of real tools

Agents run programs. This command runs {count} of them on files that it writes, compresses each
output for a question with the default draft, and prints this page:

```sh
OMP_NUM_THREADS=1 python -m tests.tool_outputs > docs/tool-outputs.md
```

✓ means that everything survives that the question needs: the line with the fact and, if that line
could be about anything, what names its record, such as the file above an error, the folder above
its files or the hash of a commit. BM25 ranks lines by the words that they share with the question;
its budget is the same share of the tokens. The files, the needed lines and the programs are in
[tests/tool_outputs](../tests/tool_outputs). Versions of programs differ between machines, and
outputs with them. No question asks for a count or for exact words, for which a text stays whole.

Questions in italics are held back: only the failures of the others are looked into.

"""


@dataclass(frozen=True, kw_only=True)
class _Row:
    recipe: Recipe
    tokens: int
    is_held_back: bool
    kept: Mapping[tuple[str, float], bool]
    """Whether all that is needed survives, by compressor and fraction."""


def main() -> None:
    """Measure every output that can be made here."""
    like = ContextCompressor.from_draft_model()
    lines = like.replace(
        scorer=Bm25Scorer(like.count_tokens), splitter=LineSplitter(), gaps=GapStyle(), protect=()
    )
    compressors = {"ours": SpanCompressor(like), "BM25": SpanCompressor(lines)}
    rows, missing = [], []
    for number, recipe in enumerate(RECIPES):
        try:
            output = recipe.make()
        except CannotBeMadeError as error:
            missing.append(f"{recipe.name} ({error})")
            continue
        needed = recipe.needed(output)
        kept = {}
        for name, compressor in compressors.items():
            for keep in _KEEP:
                [text] = compressor.compress([output], recipe.question, keep).texts
                kept[name, keep] = all(any(one in text for one in texts) for texts in needed)
        rows.append(
            _Row(
                recipe=recipe,
                tokens=sum(like.count_tokens([output])),
                is_held_back=number % 2 == 1,
                kept=kept,
            )
        )
        sys.stderr.write(f"{recipe.name} {' '.join(_mark(held) for held in kept.values())}\n")
    sys.stdout.write(_HEAD.format(count=len(rows)))
    sys.stdout.writelines(f"{line}\n" for line in _table(rows))
    sys.stdout.write(f"\nNot made on this machine: {', '.join(missing) or 'none'}.\n")


def _table(rows: Sequence[_Row]) -> Iterator[str]:
    columns = [(name, keep) for name in _NAMES for keep in _KEEP]
    titles = [f"{name}, {keep:.0%}".replace("%", " %") for name, keep in columns]
    yield f"| command | question | tokens | {' | '.join(titles)} |"
    yield "|---|---|---|" + "---|" * len(columns)
    for row in rows:
        command = row.recipe.command.replace("|", r"\|")
        around = "*" if row.is_held_back else ""
        cells = " | ".join(_mark(row.kept[column]) for column in columns)
        question = f"{around}{row.recipe.question}{around}"
        yield f"| `{command}` | {question} | {row.tokens:,} | {cells} |"
    for title, part in (
        ("all", rows),
        ("not held back", [row for row in rows if not row.is_held_back]),
        ("held back", [row for row in rows if row.is_held_back]),
    ):
        sums = (f"**{sum(row.kept[column] for row in part)}**" for column in columns)
        tokens = sum(row.tokens for row in part)
        yield f"| **{title}: {len(part)}** | | {tokens:,} | {' | '.join(sums)} |"


def _mark(is_kept: bool) -> str:  # noqa: FBT001 - one value
    return "✓" if is_kept else "–"


if __name__ == "__main__":
    main()
