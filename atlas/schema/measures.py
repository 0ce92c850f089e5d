"""THE table of measures: every number that an atlas has of a neuron under a concept.

Columns of the card and of rankings, saliency rules, `--help` and docs/schema.md follow from it. A new measure is one
Measure here (or, declared beside what computes it, one line here) and a column of a table.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Numbers = Mapping[str, Any]
"""What `Measure.value` is given: stored columns by name, and n, n_all, tau."""


class Rule(NamedTuple):
    """One way to rank the neurons of a concept.

    `order_by` is SQL over measures, the first neuron is the strongest. `min_coverage` is the least coverage a neuron
    needs to be ranked at all, unless the caller names one.
    """

    name: str
    meaning: str
    order_by: str
    min_coverage: float = 0.0


class Measure(NamedTuple):
    """One named number of a neuron under a concept; None (NULL) where it is not defined.

    `table`: the stored table that holds it, one row per fit, concept (and tau), layer and neuron. `columns`: the
    columns of it that the number is made of; empty: the column of its own name. `sql` and `value` are its definition,
    in SQL for many neurons at a time and in Python for the card of one, where a join would take longer than all the
    reading: tests/atlas/schema/test_measures.py holds one to the other. In `sql`, {n} and {n_all} stand for the values
    of the concept and of the whole fit, {mean_all} for the mean over all of them, {tau} for the half-width.

    `rules`: the saliency rules that it brings. `on`: the answers that show it, "card" and "concept" (a ranking).
    `option`: the option of `build` without which it is not made, so that nobody misses it who did not ask for it.
    """

    name: str
    meaning: str
    table: str
    unit: str = ""
    columns: tuple[str, ...] = ()
    sql: str = ""
    value: Callable[[Numbers], Any] | None = None
    rules: tuple[Rule, ...] = ()
    on: tuple[str, ...] = ("card", "concept")
    option: str = ""

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns of `table` that it is made of."""
        return self.columns or (self.name,)

    def of(self, numbers: Numbers) -> Any:
        """Its value, from the stored columns; None where any of them is NULL."""
        for column in self.columns or (self.name,):  # of a card some hundred times: no call for each
            if numbers.get(column) is None:
                return None
        if "{tau}" in self.sql and numbers["tau"] is None:  # of a fit that has no such range
            return None
        return numbers[self.name] if self.value is None else self.value(numbers)

    def expression(self, **names: str) -> str:
        """Its definition in SQL, over the columns of `table` and what `names` calls n, n_all, mean_all and tau."""
        return self.sql.format(**names) if self.sql else self.name


def float32(value: float) -> float:
    """The nearest float32: what an edit compares with."""
    return ctypes.c_float(value).value


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _auc(row: Numbers) -> float | None:
    return _share(row["twice_u"], 2.0 * row["n"] * (row["n_all"] - row["n"]))


G, R, INTERVAL, SIGNIFICANCE, GRADIENT = "_gaussian", "_range", "_interval", "_significance", "_gradient"

ALL: tuple[Measure, ...] = (
    Measure("mean", "mean activation on the concept", G, "activation"),
    Measure("std", "its population standard deviation", G, "activation"),
    Measure(
        "lower",
        "lower bound of the range, mean − tau·std, rounded to float32",
        G,
        "activation",
        ("mean", "std"),
        "range_lower(mean, std, {tau})",
        lambda row: float32(row["mean"] - row["tau"] * row["std"]),
    ),
    Measure(
        "upper",
        "upper bound of the range, mean + tau·std, rounded to float32",
        G,
        "activation",
        ("mean", "std"),
        "range_upper(mean, std, {tau})",
        lambda row: float32(row["mean"] + row["tau"] * row["std"]),
    ),
    Measure(
        "coverage",
        "share of the concept's activations in the range",
        R,
        "share",
        ("inside",),
        "coverage_of(inside, {n})",
        lambda row: _share(row["inside"], row["n"]),
    ),
    Measure(
        "leakage",
        "share of all other activations in the range",
        R,
        "share",
        ("others_inside",),
        "leakage_of(others_inside, {n}, {n_all})",
        lambda row: _share(row["others_inside"], row["n_all"] - row["n"]),
        rules=(
            Rule(
                "low_leakage",
                "fewest other activations in the range, among neurons that cover 0.9 of the concept",
                "leakage ASC NULLS LAST, coverage DESC",
                min_coverage=0.9,
            ),
        ),
    ),
    Measure(
        "auc",
        "probability that an activation on the concept exceeds one on the others, ties half",
        G,
        "probability",
        ("twice_u",),
        "auc_of(twice_u, {n}, {n_all})",
        _auc,
        rules=(Rule("auc", "separates the concept from the rest, on either side", "abs(auc - 0.5) DESC NULLS LAST"),),
    ),
    Measure(
        "dprime",
        "distance of the concept's mean from the mean of the rest, in root mean variances",
        G,
        "deviations",
        rules=(Rule("dprime", "distance of the two means in pooled deviations", "abs(dprime) DESC NULLS LAST"),),
    ),
    Measure("overlap", "shared area of the Gaussians of the concept and of the rest", G, "share"),
    Measure("skewness", "third standardised moment", G, on=("card",)),
    Measure("kurtosis", "excess kurtosis: 0 for a Gaussian", G, on=("card",)),
    Measure("min", "smallest activation on the concept", G, "activation"),
    Measure(
        "max",
        "largest activation on the concept",
        G,
        "activation",
        rules=(Rule("max", "largest activation on the concept", '"max" DESC NULLS LAST'),),
    ),
    Measure(
        "mean_abs",
        "mean absolute activation on the concept",
        G,
        "activation",
        rules=(Rule("mean_abs", "mean absolute activation on the concept (NeuronLens)", "mean_abs DESC NULLS LAST"),),
    ),
    Measure("ks", "Kolmogorov–Smirnov distance to the fitted Gaussian", G, on=("card",)),
    Measure(
        "rest_mean",
        "mean activation on all other concepts",
        G,
        "activation",
        ("mean",),
        "rest_mean_of({n}, mean, {n_all}, {mean_all})",
        rules=(
            Rule(
                "probeless",
                "distance of the concept's mean from the mean of the rest (Probeless)",
                "abs(mean - rest_mean) DESC NULLS LAST",
            ),
        ),
        on=("concept",),
    ),
    Measure(
        "interval_lower",
        "lower bound of the interval with the largest coverage − leakage; −inf where it is open",
        INTERVAL,
        "activation",
    ),
    Measure("interval_upper", "upper bound of the same; inf where it is open", INTERVAL, "activation"),
    Measure(
        "held_out_coverage",
        "share of the concept's activations in intervals that were found without their texts",
        INTERVAL,
        "share",
        ("held_inside",),
        "coverage_of(held_inside, {n})",
        lambda row: _share(row["held_inside"], row["n"]),
        rules=(
            Rule(
                "interval",
                "held-out coverage − leakage of the neuron's best interval",
                "held_out_coverage - held_out_leakage DESC NULLS LAST",
            ),
        ),
    ),
    Measure(
        "held_out_leakage",
        "share of all other activations in the same intervals, likewise",
        INTERVAL,
        "share",
        ("held_others",),
        "leakage_of(held_others, {n}, {n_all})",
        lambda row: _share(row["held_others"], row["n_all"] - row["n"]),
    ),
    Measure(
        "interval_coverage",
        "share of the concept's activations in the interval, on the texts that it was found on",
        INTERVAL,
        "share",
        ("interval_inside",),
        "coverage_of(interval_inside, {n})",
        lambda row: _share(row["interval_inside"], row["n"]),
        on=("card",),
    ),
    Measure(
        "interval_leakage",
        "share of all other activations in the interval, on the texts that it was found on",
        INTERVAL,
        "share",
        ("interval_others",),
        "leakage_of(interval_others, {n}, {n_all})",
        lambda row: _share(row["interval_others"], row["n_all"] - row["n"]),
        on=("card",),
    ),
    Measure(
        "ap",
        "average precision where larger activations speak for the concept",
        INTERVAL,
        "share",
        rules=(
            Rule("ap", "average precision, on the side where it is larger", "greatest(ap, ap_low) DESC NULLS LAST"),
        ),
    ),
    Measure("ap_low", "the same where smaller activations do", INTERVAL, "share"),
    Measure("best_f1", "largest F1 of a threshold, on either side", INTERVAL, "share", on=("card",)),
    Measure("point_biserial", "correlation of the activation with the label", INTERVAL, on=("card",)),
    Measure(
        "stratified_auc",
        "AUC among texts of similar length (fifths by tokens)",
        INTERVAL,
        "probability",
        rules=(
            Rule(
                "stratified_auc",
                "AUC among texts of similar length, on either side",
                "abs(stratified_auc - 0.5) DESC NULLS LAST",
            ),
        ),
    ),
    Measure("p", "two-sided p of the Mann-Whitney U, corrected for ties", INTERVAL, "probability", on=("card",)),
    Measure("q", "the same after Benjamini and Hochberg, over all neurons of the fit", SIGNIFICANCE, "probability"),
    Measure(
        "expected_coverage",
        "held-out coverage, less what luck adds to neurons that stand out: what to expect on new texts",
        SIGNIFICANCE,
        "share",
    ),
    Measure("expected_leakage", "the same of held-out leakage", SIGNIFICANCE, "share"),
    Measure(
        "gradient",
        "mean over the concept's texts of d logit / d activation, of the logit of the concept's token",
        GRADIENT,
        "logits per unit of activation",
        on=("concept",),
        option="--gradients",
    ),
    Measure(
        "attribution",
        "mean over the concept's texts of activation × that gradient: what the neuron adds to the logit, computed",
        GRADIENT,
        "logits",
        rules=(
            Rule(
                "attribution",
                "what the neuron adds to the logit of the concept's token, computed by gradients",
                "attribution DESC NULLS LAST",
            ),
        ),
        on=("concept",),
        option="--gradients",
    ),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in ALL}
