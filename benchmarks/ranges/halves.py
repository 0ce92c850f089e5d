"""Choosing on one half of the texts and measuring on the other: what a choice among many arms is worth on new texts.

Axes: A rows (the baseline, then each class as the target), E texts, O other texts, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.ranges.arms import Arm
from benchmarks.ranges.best_interval import folds_of
from benchmarks.ranges.masking import Outcome


def half(outcome: Outcome, which: int) -> Outcome:
    """Every second text of each class and every second other text: those of even (0) or odd (1) number."""
    kept_E = folds_of(outcome.gold_E, 2) == which
    kept_O = np.arange(len(outcome.tokens_E)) % 2 == which
    return Outcome(
        outcome.arms,
        outcome.logprob_AEC[:, kept_E],
        outcome.gold_E[kept_E],
        outcome.nll_AE[:, kept_O],
        outcome.tokens_E[kept_O],
    )


def cross_chosen(
    outcomes: Mapping[Arm, Outcome], choose: Callable[[Mapping[Arm, Outcome]], Arm]
) -> list[tuple[Arm, Mapping[Arm, Outcome]]]:
    """For each half: the arm that `choose` takes on the other one, and what all arms do on this one."""
    parts = [{arm: half(outcome, which) for arm, outcome in outcomes.items()} for which in (0, 1)]
    return [(choose(parts[1 - which]), parts[which]) for which in (0, 1)]
