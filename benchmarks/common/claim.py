"""What a benchmark found: tables, and goals with what was measured. Printed, and kept for docs/benchmarks.md."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

KEPT = Path(__file__).parents[2] / "docs" / "benchmarks"


@dataclass(frozen=True)
class Table:
    """Cells are text as it shall be read; the first column is left-aligned."""

    columns: list[str]
    rows: list[list[str]]
    title: str = ""

    def markdown(self) -> str:
        """The table as Markdown, with its title above."""
        align = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.columns, align, *self.rows)]
        return "\n".join([f"{self.title}\n"] * bool(self.title) + lines)


def scaled(name: str, scale: str) -> str:
    """The name of a claim at a scale; the small one, which `make bench` runs, has the plain name."""
    return name if scale == "small" else f"{name}-{scale}"


@dataclass(frozen=True)
class Goal:
    """One number that was promised, and the one that was measured."""

    what: str
    goal: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Claim:
    """One benchmark's result.

    `command` reproduces it; `text` says in a few sentences what is compared, how often, and what the floor is.
    """

    name: str
    title: str
    command: str
    text: str
    machine: str
    tables: list[Table]
    goals: list[Goal] = field(default_factory=list)
    picture: str = ""
    """A file beside the kept claim."""

    def write(self) -> None:
        """Print the claim, and keep it as docs/benchmarks/NAME.json."""
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        sys.stdout.write(self.markdown())

    @staticmethod
    def read(name: str) -> Claim | None:
        """The claim kept under `name`, or None."""
        path = KEPT / f"{name}.json"
        if not path.exists():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        tables = [Table(**table) for table in kept.pop("tables")]
        goals = [Goal(**goal) for goal in kept.pop("goals")]
        return Claim(**kept, tables=tables, goals=goals)

    def markdown(self) -> str:
        """The claim as a section of docs/benchmarks.md: what was asked of it, and the rest folded."""
        met = sum(goal.met for goal in self.goals)
        said = f"{met} of {len(self.goals)} goals met." if self.goals else "No goals: measured for the record."
        parts = [self.text, f"`{self.command}`", self.machine]
        parts += [f"![{self.title}]({KEPT.name}/{self.picture})"] * bool(self.picture)
        parts += [table.markdown() for table in self.tables]
        if self.goals:
            rows = [[goal.what, goal.goal, goal.measured, "yes" if goal.met else "**no**"] for goal in self.goals]
            parts.append(Table(["goal", "at most or at least", "measured", "met"], rows).markdown())
        folded = "\n\n".join(part for part in parts if part)
        return (
            f"## {self.title}\n\n{said}\n\n<details><summary>How it was measured</summary>\n\n{folded}\n\n</details>\n"
        )
