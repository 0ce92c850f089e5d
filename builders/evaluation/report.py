"""What an evaluation found: one Score per arm, metric and group of texts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

from atlas.spec.document import InterventionSpec
from builders.evaluation.bootstrap import Interval
from builders.evaluation.label_words import LabelWords

TARGET, COMPLEMENT, OTHER = "target", "complement", "other"


@dataclass(frozen=True)
class Score:
    """A metric of one arm on one group of texts, with its 95 % interval over `n` texts.

    `group`: target (texts of the target concept), complement (all other classes) or other (other text).
    `drop` is baseline minus arm on the same texts, so that its interval is paired; None for the baseline.
    Perplexity rises where a model gets worse, so its drop is then negative.
    """

    arm: str
    metric: str
    group: str
    value: Interval
    drop: Interval | None
    n: int


@dataclass(frozen=True)
class SpecEvaluation:
    """The scores of one spec's arms, the baseline first."""

    spec: InterventionSpec
    spec_hash: str
    target: str
    scores: list[Score]

    def score(self, arm: str, metric: str, group: str) -> Score:
        """One of the scores; KeyError when there is none."""
        for score in self.scores:
            if (score.arm, score.metric, score.group) == (arm, metric, group):
                return score
        raise KeyError((arm, metric, group))

    def arms(self) -> list[str]:
        """Names of the arms beside the baseline, in order."""
        return list(dict.fromkeys(score.arm for score in self.scores if score.drop is not None))


@dataclass
class EvaluationReport:
    """The evaluations of several specs on the same texts."""

    evaluations: list[SpecEvaluation]
    concepts: list[str]
    labels: dict[str, str]
    label_words: LabelWords
    template: str
    n_shots: int
    seed: int
    bootstrap: int
    n_used: int
    """Classified texts."""
    n_other: int
    """Other texts."""
    started_at: dt.datetime
    seconds: float
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[SpecEvaluation]:
        return iter(self.evaluations)
