"""Which arms are tried on dev, which one is taken, and what it is compared with on fresh texts."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.ranges.arms import GAUSSIAN, JOINT, MEAN_ABS, PUSH, TOLD, TOLD_FROM_TEXT, WHOLE, Arm
from benchmarks.ranges.effects import Effect
from benchmarks.ranges.evidence import AGAINST_TEXT, INTERVAL

TARGET, COMPLEMENT, PERPLEXITY = 0.5, 0.25, 1.1
"""The goal: at least this drop of the target, at most this share of the paper's complement drop, and at most this
perplexity of other text, as a multiple of what it is without edits."""
PAPER = Arm((12, 29), MEAN_ABS, 0.3, GAUSSIAN, "zero")
"""The paper's rule and masking on the MLP neurons that docs/results/ranges.md has it on; at the last token, as here."""
_BAND = (20, 29)


def shortfall(found: Effect, paper: Effect) -> float:
    """At most 1 where the goal is met: the largest of how far each of its three numbers is from its bound."""
    drops = [TARGET / max(found.target[0], 1e-9), found.complement[0] / (COMPLEMENT * paper.complement[0])]
    return float(max(*drops, found.perplexity[0] / PERPLEXITY))


_BOTH = [
    PAPER,
    Arm(_BAND, TOLD, 2000, AGAINST_TEXT, 4.0),
    Arm(_BAND, TOLD, 500, AGAINST_TEXT, 4.0),
    Arm(_BAND, TOLD, 500, AGAINST_TEXT, 8.0),
    Arm(_BAND, PUSH, 100, AGAINST_TEXT, 4.0),
    Arm(_BAND, PUSH, 300, AGAINST_TEXT, 2.0),
]
EXPLORED = {
    "ag_news": [
        *_BOTH,
        replace(PAPER, bounds=WHOLE),
        Arm(_BAND, PUSH, 100, INTERVAL, 8.0, text=0.1),
        Arm(_BAND, PUSH, 300, INTERVAL, 4.0, text=0.1),
        *(Arm(_BAND, TOLD, 2000, INTERVAL, op) for op in ("zero", 1.0, 2.0, 4.0)),
        *(Arm(_BAND, TOLD, 2000, AGAINST_TEXT, op) for op in ("zero", 1.0, 2.0)),
        Arm(_BAND, TOLD, 500, AGAINST_TEXT, 2.0),
        *(Arm(_BAND, TOLD, 2000, AGAINST_TEXT, op, text=0.02) for op in (2.0, 4.0, 8.0)),
        *(Arm(_BAND, JOINT, 500, AGAINST_TEXT, op, joint=0.3) for op in (4.0, 8.0)),
        *(Arm(_BAND, TOLD, top, INTERVAL, 8.0, text=0.1) for top in (500, 1000)),
        Arm(_BAND, TOLD, 1000, AGAINST_TEXT, 6.0, text=0.15),
        *(Arm(_BAND, TOLD_FROM_TEXT, 500, AGAINST_TEXT, op) for op in (4.0, 6.0)),
        Arm((26, 29), TOLD, 500, AGAINST_TEXT, 6.0),
        Arm((12, 25), TOLD, 1000, AGAINST_TEXT, 4.0),
        Arm((0, 29), TOLD, 2000, AGAINST_TEXT, 3.0),
    ],
    "emotion": [
        *_BOTH,
        Arm(_BAND, PUSH, 300, AGAINST_TEXT, 4.0),
        Arm(_BAND, PUSH, 300, INTERVAL, 4.0),
    ],
}


def compared(chosen: Arm, blind: Arm) -> dict[str, Arm]:
    """Role -> arm: the paper's, the chosen one with one thing changed at a time, and `blind`, the best of those that
    do not know the label words."""
    return {
        "paper": PAPER,
        "chosen": chosen,
        "whole neuron": replace(chosen, bounds=WHOLE, by=chosen.bounds),
        "mean -+ tau std": replace(chosen, bounds=GAUSSIAN, by=chosen.bounds),
        "without label words": blind,
    }
