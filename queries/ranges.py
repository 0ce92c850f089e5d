"""The kinds of range that answers about a concept show, and which one a question is about."""

from __future__ import annotations

import re
from typing import NamedTuple

from atlas.errors import QuestionError, UnknownNameError
from atlas.schema.measures import MEASURES, Rule
from queries.fits import Fit
from queries.measured import RANGES as RANGE_TABLE
from queries.measured import how_to_add
from queries.rules import DEFAULT_RULE, INTERVAL_RULE
from queries.rules import rule as rule_of


class Range(NamedTuple):
    """One kind of range: the columns of answers that are about it, and the rule that ranks neurons by default.

    `p`: the column of concept_significance that says how often luck's best neuron does as well.
    """

    name: str
    meaning: str
    lower: str
    upper: str
    coverage: str
    leakage: str
    worst: str
    p: str
    rule: str


INTERVAL = Range(
    "interval",
    "the closed interval with the largest coverage - leakage, its shares measured on texts that it was not found on",
    "interval_lower",
    "interval_upper",
    "held_out_coverage",
    "held_out_leakage",
    "held_out_worst_concept",
    "interval_p",
    INTERVAL_RULE,
)
GAUSSIAN = Range(
    "gaussian",
    "mean +- tau std, its shares measured on the texts that it was made of",
    "lower",
    "upper",
    "coverage",
    "leakage",
    "worst_concept",
    "auc_p",
    DEFAULT_RULE,
)
KINDS = {kind.name: kind for kind in (INTERVAL, GAUSSIAN)}


def choose_range(fit: Fit, name: str | None, rule: str | None) -> tuple[Range, Rule]:
    """The kind of range called `name`, and the rule called `rule` or the one that this kind has.

    Without a name it is the interval where the fit has intervals, but the Gaussian range for a rule that is about
    that (low_leakage). UnknownNameError for a name that is none, QuestionError for what needs intervals that the fit
    has not.
    """
    if name is not None and name not in KINDS:
        raise UnknownNameError("range", name, KINDS)
    known = fit.folds is not None
    kind = KINDS[name] if name is not None else INTERVAL
    if name is None and (not known or (rule is not None and _is_about(rule_of(rule), RANGE_TABLE))):
        kind = GAUSSIAN
    chosen = rule_of(kind.rule if rule is None else rule)
    where = f"{fit.family} at {fit.site}"
    lacking = how_to_add([INTERVAL.lower])
    if kind is INTERVAL and not known:
        raise QuestionError(f"{where} has no intervals to show", f"{lacking}.")
    if not known and any(_is_about(chosen, MEASURES[each].table) for each in (INTERVAL.lower, "q")):
        raise QuestionError(f"{where} cannot be ranked by {chosen.name}", f"{lacking}.")
    return kind, chosen


def _is_about(rule: Rule, table: str) -> bool:
    """Whether a rule ranks by measures of a table."""
    words = set(re.findall(r"\w+", rule.order_by))
    return any(name in words and measure.table == table for name, measure in MEASURES.items())
