"""Result of `specprefill calibrate` as tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from specprefill_integrations.calibration import Calibration

_Recall = Mapping[str, float]
_ByKind = Mapping[str, _Recall]

_SHOWN_BY_KIND = ("0.1", "0.2", "0.3")


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """Evidence recall of the fitted readout and of other scorers."""

    found: Calibration
    """The cases as the draft read them."""

    compared: Mapping[str, _ByKind]
    """Recall on the same few cases: the readout's first, then that of other scorers. By name, kind
    and keep fraction."""

    left_out: int
    """Number of cases that could not be used."""

    @property
    def measured(self) -> dict[str, Any]:
        """Recall of each scorer in the mean over kinds, and by kind, for the profile.

        Of real cases also what a target recall of 0.9 keeps.
        """
        every = self._by_scorer
        targets = {
            kind: {"coverage": round(one.coverage, 4), "kept": round(one.kept, 4)}
            for kind, one in self.found.coverage.items()
        }
        return {
            "recall": {name: _mean(by_kind) for name, by_kind in every.items()},
            "by_kind": {
                kind: {name: own[kind] for name, own in every.items() if kind in own}
                for kind in self.found.kinds
            },
            **({"target_recall": targets} if targets else {}),
        }

    def show(self, draft: str, path: Path, *, as_json: bool) -> None:
        """Print the report.

        Args:
            draft: Name of the draft.
            path: Path of the profile.
            as_json: Print one JSON object instead of tables.
        """
        if as_json:
            found = {"draft": draft, "profile": str(path), **self.measured}
            found |= {"validation": self.found.validation, "left_out": self.left_out}
            typer.echo(json.dumps(found, indent=2))
            return
        console = Console(highlight=False)
        console.print(self._table(draft))
        console.print(self._table_by_kind())
        if self.found.coverage:
            console.print(self._table_of_target())
        for line in self._remarks(path):
            console.print(line, soft_wrap=True)

    @cached_property
    def _by_scorer(self) -> dict[str, _ByKind]:
        own = {"readout, all cases": self.found.recall, "prior, all cases": self.found.prior_recall}
        return {name: shares for name, shares in own.items() if shares} | dict(self.compared)

    def _table(self, draft: str) -> Table:
        recall = self.measured["recall"]
        table = Table(title=f"Evidence recall of {draft}, mean over kinds", title_justify="left")
        table.add_column("scorer")
        for keep in next(iter(recall.values())):
            table.add_column(f"keep {keep}", justify="right")
        for name, found in recall.items():
            table.add_row(name, *(f"{share:.2f}" for share in found.values()))
        return table

    def _table_by_kind(self) -> Table:
        every = self._by_scorer
        title = "By kind, in %, at keep 0.1, 0.2, 0.3"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("kind (cases)")
        for name in every:
            table.add_column(name, justify="right", overflow="fold")
        for kind, count in self.found.kinds.items():
            shares = [_shares(by_kind.get(kind, {})) for by_kind in every.values()]
            table.add_row(f"{kind} ({count})", *shares)
        return table

    def _table_of_target(self) -> Table:
        title = "Budget(target_recall=0.9) on held-out cases"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("kind")
        table.add_column("evidence kept", justify="right")
        table.add_column("tokens kept (median)", justify="right")
        for kind, one in self.found.coverage.items():
            table.add_row(kind, f"{one.coverage:.0%}", f"{one.kept:.1%}")
        return table

    def _remarks(self, path: Path) -> list[str]:
        remarks = [f"The readout was measured on {self.found.validation}."]
        if self.left_out:
            remarks.append(
                f"Left out {self.left_out} cases: no question, or evidence that is not in the text."
            )
        if not self.found.coverage:
            remarks.append(
                "The scores are not calibrated: Budget(target_recall=...) needs two or more cases "
                "of your own (--pairs)."
            )
        remarks.append(f"Profile: {path}")
        rival = self._unbeaten()
        if rival:
            remarks.append(
                f"warning: the fitted readout finds no more evidence than {rival}: calibrate with "
                "more cases, or delete the profile."
            )
        return remarks

    def _unbeaten(self) -> str | None:
        """Name a scorer that finds as much as the readout on the same cases, if there is one."""
        means = {name: sum(_mean(by_kind).values()) for name, by_kind in self.compared.items()}
        if not means:
            return None
        ours, *others = means
        best = max(others, key=lambda name: means[name])
        return best if means[best] >= means[ours] else None


def _mean(by_kind: _ByKind) -> dict[str, float]:
    """Average over kinds, each of which weighs the same."""
    kept = next(iter(by_kind.values()))
    return {keep: round(fmean(own[keep] for own in by_kind.values()), 4) for keep in kept}


def _shares(recall: _Recall) -> str:
    return " ".join(f"{100 * recall[keep]:.0f}" for keep in _SHOWN_BY_KIND if keep in recall)
