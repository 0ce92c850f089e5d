"""What was measured: the result types that the measuring, the report and the picture share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.common.labelled_text import Task
from benchmarks.ranges.gaussianity import LayerShape, Null
from benchmarks.ranges.masking import Outcome, Setting


@dataclass(frozen=True)
class SettingResult:
    """One site and set of layers: masking, and how often the gates of each (target, tau) open."""

    setting: Setting
    n_neurons: int
    """Edits of each arm."""
    outcome: Outcome
    gates: list[tuple[str, str]]
    """(target, arm) of the rows of the two below."""
    firing_last_AE: np.ndarray
    firing_all_AE: np.ndarray
    measured: dict[tuple[str, str], tuple[float, float]]
    """(target, arm) -> coverage and leakage on the texts of the statistics, means over the salient neurons."""
    scores: dict[str, np.ndarray]
    """rule -> [C, N] from the texts of the statistics, and from the evaluated ones."""
    fresh_scores: dict[str, np.ndarray]


@dataclass(frozen=True)
class TaskResult:
    """Everything that was measured on one corpus."""

    task: Task
    model_id: str
    per_concept: int
    n_other: int
    other: str
    null: Null
    shapes: list[LayerShape]
    settings: list[SettingResult]
