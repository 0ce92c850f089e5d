"""Which arms are tried on dev, which one is taken, and what it is compared with on fresh texts."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.ranges.arms import GAUSSIAN, MEAN_ABS, WHOLE, Arm
from benchmarks.ranges.effects import Effect

TARGET, COMPLEMENT, PERPLEXITY = 0.5, 0.25, 1.1
"""The goal: at least this drop of the target, at most this share of the paper's complement drop, and at most this
perplexity of other text, as a multiple of what it is without edits."""
PAPER = Arm((12, 29), MEAN_ABS, 0.3, GAUSSIAN, "zero", "all")
"""The paper's rule and masking on the MLP neurons that docs/results/ranges.md has it on."""
PAPER_RESIDUAL = Arm((29, 29), MEAN_ABS, 0.3, GAUSSIAN, "zero", "all", "resid_post")
"""The paper's own setting: the residual stream after the last block."""
_BAND = (20, 29)


def shortfall(found: Effect, paper: Effect) -> float:
    """At most 1 where the goal is met: the largest of how far each of its three numbers is from its bound."""
    drops = [TARGET / max(found.target[0], 1e-9), found.complement[0] / (COMPLEMENT * paper.complement[0])]
    return float(max(*drops, found.perplexity[0] / PERPLEXITY))


EXPLORED = [PAPER]


def compared(chosen: Arm) -> dict[str, Arm]:
    """What it does to the chosen arm to change one thing: role -> arm."""
    return {
        "paper": PAPER,
        "paper, whole neuron": replace(PAPER, bounds=WHOLE),
        "paper, residual stream": PAPER_RESIDUAL,
        "chosen": chosen,
        "whole neuron": replace(chosen, bounds=WHOLE),
        "mean -+ tau std": replace(chosen, bounds=GAUSSIAN),
        "set to 0": replace(chosen, op="zero"),
        "set to the others' mean": replace(chosen, op=1.0),
        "all tokens": replace(chosen, positions="all"),
        "all layers": replace(chosen, layers=(0, 29)),
    }
