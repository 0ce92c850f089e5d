"""The arms that docs/results/intervals.md compares: which neurons, inside which interval, changed how and where.

An arm and a class make an intervention spec. Nothing but evidence of the statistics (evidence.py) goes into it.

Axes: C classes, L layers, N neurons of a layer, F neurons of all layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec, Range, Tokenization
from atlas.spec.fields import reference_to
from benchmarks.ranges.evidence import INTERVAL, Evidence, Intervals

WHOLE, GAUSSIAN = "whole neuron", "mean -+ tau std"
MEAN_ABS, AUC, TOLD, JOINT = "mean_abs", "auc", "coverage - leakage", "joint leakage"
TOLD_FROM_TEXT = "coverage - leakage - running text"
PUSH = "push on the label"
"""How much the class's activation, beyond the others' mean, raises the label word's logit over the other labels', by
the neuron's output weights alone; times coverage - leakage. The one rule that knows the label words."""
TAU = 2.5
_FAR = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Arm:
    """`top`: neurons, or a share of those in `layers` (first, last). `bounds`: WHOLE, GAUSSIAN or a kind of interval.

    `op`: "zero", or a number S: to the class's mean and S times the way on to the mean of the others, so that 1 is the
    mean of the others. `text`: only neurons whose interval holds at most this share of the tokens of running text.
    `joint`: for the rule JOINT, the share of other texts and tokens that may see any edit at all. `by`: the kind of
    interval that neurons are chosen by, where it is not `bounds`.
    """

    layers: tuple[int, int]
    rule: str
    top: int | float
    bounds: str = INTERVAL
    op: str | float = 1.0
    positions: str = "last"
    site: str = "mlp_post"
    text: float = 1.0
    joint: float = 1.0
    by: str = ""

    @property
    def name(self) -> str:
        first, last = self.layers
        parts = [f"{self.site} L{first}-{last}" if first != last else f"{self.site} L{first}"]
        parts.append(f"top {self.top:.0%}" if isinstance(self.top, float) else f"top {self.top}")
        parts.append(f"by {self.rule}")
        if self.rule == JOINT:
            parts[-1] += f" at most {self.joint:g}"
        parts.append(self.bounds + (f", tau {TAU:g}" if self.bounds == GAUSSIAN else ""))
        if self.text < 1:
            parts.append(f"running text at most {self.text:g}")
        parts.append("set 0" if self.op == "zero" else f"contrast {self.op:g}" if self.op != 1 else "others' mean")
        parts.append("all tokens" if self.positions == "all" else "last token")
        return ", ".join(parts)


def spec_of(live: LiveModel, arm: Arm, evidence: Evidence, chosen_F: np.ndarray, concept: int) -> InterventionSpec:
    """The arm for one class; `chosen_F`: neurons of all layers by their place, layer by layer."""
    lower_F, upper_F = (_bounded(bound[concept].reshape(-1)) for bound in bounds_of(arm, evidence))
    mean_F, rest_F = evidence.mean[concept].reshape(-1), evidence.rest_mean[concept].reshape(-1)
    values_F = np.zeros_like(mean_F) if arm.op == "zero" else mean_F + arm.op * (rest_F - mean_F)
    width = evidence.mean.shape[2]
    edits = [
        Edit(
            arm.site,
            int(place) // width,
            int(place) % width,
            "set",
            float(values_F[place]),
            None if arm.bounds == WHOLE else Range(float(lower_F[place]), float(upper_F[place])),
        )
        for place in chosen_F
    ]
    return InterventionSpec(
        model=reference_to(live),
        tokenization=Tokenization(add_bos=live.add_bos, chat_template=False),
        positions=arm.positions,
        edits=tuple(edits),
    )


def bounds_of(arm: Arm, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """(lower, upper) [C, L, N]; those of WHOLE are unused."""
    if arm.bounds in evidence.intervals:
        found = evidence.intervals[arm.bounds]
        return found.lower, found.upper
    return evidence.mean - TAU * evidence.std, evidence.mean + TAU * evidence.std


def choose(
    arm: Arm, evidence: Evidence, concept: int, pool: Joint | None = None, writes_LN: np.ndarray | None = None
) -> np.ndarray:
    """Places of the chosen neurons among those of all layers, best first.

    `pool`: what the rule JOINT looks at. `writes_LN`: what the rule PUSH does, the logit of the class's label less the
    other labels' mean that an activation of 1 adds.
    """
    first, last = arm.layers
    allowed = np.zeros(evidence.mean.shape[1:], bool)
    allowed[first : last + 1] = True
    if arm.text < 1:
        allowed &= _intervals(arm, evidence).text[concept] <= arm.text
    count = int(arm.top * (last - first + 1) * allowed.shape[1]) if isinstance(arm.top, float) else arm.top
    if arm.rule == JOINT:
        assert pool is not None
        return pool.choose(allowed.reshape(-1), count, arm.joint)
    scores_F = _scores(arm, evidence, concept, writes_LN).reshape(-1)
    order = np.argsort(-np.where(allowed.reshape(-1), scores_F, -np.inf), kind="stable")
    return order[: min(count, int(allowed.sum()))]


def _scores(arm: Arm, evidence: Evidence, concept: int, writes_LN: np.ndarray | None) -> np.ndarray:
    """[L, N], larger is better."""
    if arm.rule in (MEAN_ABS, AUC):
        return {MEAN_ABS: evidence.mean_abs, AUC: evidence.auc}[arm.rule][concept]
    found = _intervals(arm, evidence)
    told_LN = found.told[concept]
    if arm.rule == TOLD_FROM_TEXT:
        return told_LN - found.text[concept]
    if arm.rule == PUSH:
        assert writes_LN is not None
        return told_LN * (evidence.mean[concept] - evidence.rest_mean[concept]) * writes_LN
    return told_LN


@dataclass(frozen=True)
class Joint:
    """The neurons that tell a class best and which texts their intervals let in.

    `places_P` among the neurons of all layers; `own_P`: coverage; `inside_RP`: bool, other texts and running text.
    """

    places_P: np.ndarray
    own_P: np.ndarray
    inside_RP: np.ndarray

    def choose(self, allowed_F: np.ndarray, count: int, limit: float) -> np.ndarray:
        """Greedily the neuron with the most coverage for each row that it is the first to let in.

        Ends at `count` neurons or where every other would let in more than the share `limit` of the rows.
        """
        open_P = allowed_F[self.places_P]
        inside_RP = self.inside_RP.astype(np.float32)
        shut_R = np.ones(len(inside_RP), np.float32)
        chosen: list[int] = []
        while len(chosen) < count:
            new_P = shut_R @ inside_RP
            open_P &= len(shut_R) - shut_R.sum() + new_P <= limit * len(shut_R)
            if not open_P.any():
                break
            best = int(np.argmax(np.where(open_P, self.own_P / (1 + new_P), -1)))
            chosen.append(best)
            open_P[best] = False
            shut_R[self.inside_RP[:, best]] = 0
        return self.places_P[chosen]


def _intervals(arm: Arm, evidence: Evidence) -> Intervals:
    kind = arm.by or arm.bounds
    return evidence.intervals[kind if kind in evidence.intervals else INTERVAL]


def _bounded(bound_F: np.ndarray) -> np.ndarray:
    """Infinity as the largest float32: a spec holds finite numbers."""
    return np.clip(bound_F, -_FAR, _FAR)
