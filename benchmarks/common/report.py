"""Writes docs/benchmarks.md from the claims kept in docs/benchmarks/. Run: python -m benchmarks.common.report"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.common.claim import KEPT, Claim, Table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
ORDER = (
    "build",
    "topk",
    "compiled",
    "statistics",
    "queries",
    "newer",
    "pages",
    "far",
    "growth",
    "workers",
    "host",
    "postgres",
    "publish",
    "verify",
)
"""First in the page, each followed by its larger scales; other claims follow by name."""

INTRO = """# Benchmarks

`make bench` runs every benchmark that needs no GPU and writes this page; a section that it does not run (a larger
scale, a GPU) keeps its last result, with the command that made it. One script makes one claim.

Ways to do the same thing are timed in turn within one run, in an order that rotates, after a round that does not
count; a ratio is the median over rounds of the ratio within a round. Seconds belong to the machine named in the
section. Ratios carry further, but not to a processor without bfloat16 instructions. A floor of operations is their
number over the rate of a square matrix product, measured on the spot; other floors are said in their section.

Goals in milliseconds were set on a machine that starts Python, imports DuckDB and opens an atlas in 112 ms, and reads
the arrays of a neuron in 0.7 ms. The section of questions says what its machine takes for both: divide by that.
"""


def main() -> None:
    claims = kept_claims()
    PAGE.write_text(page(claims), encoding="utf-8")
    missed = sum(not goal.met for claim in claims for goal in claim.goals)
    total = sum(len(claim.goals) for claim in claims)
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(claims)} claims, {total - missed} of {total} goals met\n")


def kept_claims() -> list[Claim]:
    """Every kept claim, in the order of the page."""
    names = {path.stem for path in KEPT.glob("*.json")}

    def place(name: str) -> tuple[int, str]:
        base = name.partition("-")[0]
        return (ORDER.index(base) if base in ORDER else len(ORDER), name)

    return [claim for name in sorted(names, key=place) if (claim := Claim.read(name))]


def page(claims: list[Claim]) -> str:
    """docs/benchmarks.md: the goals that are missed, those that are met, then the claims, folded."""
    missed, met = (
        [
            [claim.title, goal.what, goal.goal, goal.measured]
            for claim in claims
            for goal in claim.goals
            if goal.met is which
        ]
        for which in (False, True)
    )
    columns = ["claim", "what", "goal", "measured"]
    return "\n".join(
        [
            INTRO,
            f"## Goals that are missed: {len(missed)} of {len(missed) + len(met)}\n",
            Table(columns, missed).markdown(),
            f"\n## Goals that are met: {len(met)}\n",
            Table(columns, met).markdown(),
            "",
            *(claim.markdown() for claim in claims),
        ]
    )


if __name__ == "__main__":
    main()
