"""The parts of statements that follow from the measures: which columns an answer has and how SQL gets them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from atlas.schema.measures import MEASURES, Measure
from atlas.schema.tables import TABLES
from queries.rules import RULES
from queries.sqlfile import load_sql

# In these orders answers have always shown them; what is not named follows.
_RANKED = (
    "lower upper coverage leakage worst_concept worst_leakage auc dprime overlap n mean std rest_mean mean_abs min max "
    "interval_lower interval_upper held_out_coverage held_out_leakage held_out_worst_concept held_out_worst_leakage"
)
_CARD = (
    "n mean std tau lower upper coverage leakage worst_concept worst_leakage auc dprime overlap skewness kurtosis min "
    "max mean_abs ks "
    "interval_lower interval_upper held_out_coverage held_out_leakage held_out_worst_concept held_out_worst_leakage"
)
GAUSSIANS, RANGES = BASE = ("_gaussian", "_range")
"""The tables that every fit has; those of further measures came later, and an older fit lacks them."""
INTERVALS, SIGNIFICANCE = "_interval", "_significance"
_OF_INTERVALS = (INTERVALS, SIGNIFICANCE)
EXPECTED = ("expected_coverage", "expected_leakage")
"""What came after the other measures of intervals: an older atlas has them and not these."""


class Worst(NamedTuple):
    """The other concept with the largest share in a range, and that share: what answers and tables call the two.

    `n`: the column with its values, which is NULL where they are those of the fit.
    """

    concept: str
    leakage: str
    concept_id: str
    inside: str
    n: str


WORST = {
    RANGES: Worst("worst_concept", "worst_leakage", "worst_concept_id", "worst_inside", "worst_n"),
    INTERVALS: Worst(
        "held_out_worst_concept",
        "held_out_worst_leakage",
        "held_worst_concept_id",
        "held_worst_inside",
        "held_worst_n",
    ),
}
"""By the table that has them."""
_NAMES = {"n": "n", "n_all": "n_all", "mean_all": "mean_all", "tau": "$tau"}
# What the filters and the tokens of a ranking need, whatever the rule.
_ALWAYS = ("coverage", "leakage", "held_out_coverage", "held_out_leakage", "mean", "rest_mean")


def shown_on(answer: str) -> list[Measure]:
    """The measures that "card" or "concept" shows."""
    return [measure for measure in MEASURES.values() if answer in measure.on]


def columns_on(answer: str) -> list[str]:
    """The columns of an answer that are measures, or belong to them, in order."""
    ordered = (_RANKED if answer == "concept" else _CARD).split()
    return [*ordered, *(measure.name for measure in shown_on(answer) if measure.name not in ordered)]


def table_names(answer: str) -> list[str]:
    """The stored tables that hold the measures of an answer."""
    return list(dict.fromkeys(measure.table for measure in shown_on(answer)))


def stored_columns(table: str, answer: str) -> list[str]:
    """The columns of one table that the measures of an answer are made of."""
    found = [column for measure in shown_on(answer) if measure.table == table for column in measure.stored]
    return list(dict.fromkeys(found))


@cache
def measured_sql(aligned: bool = True) -> str:
    """The common table expression `measured`: every neuron under one concept of one fit.

    `aligned`: whether the tables of a fit have the same neurons; those of a mixture of experts have a concept only
    where enough of it reaches the expert.
    """
    more = [table for table in table_names("concept") if table not in BASE]
    tables = [
        f"{table} AS (SELECT layer, neuron, {', '.join([*stored_columns(table, 'concept'), *_worst(table)])} "
        f"FROM {table} WHERE fit_id = $fit_id AND concept_id = $concept_id),"
        for table in more
    ]
    # A table with all neurons holds them in the same order; it may also have none at all, of an older fit or file.
    beside = [table for table in more if TABLES[table].complete and aligned]
    early = [measure for measure in shown_on("concept") if measure.sql and measure.name in _early()]
    columns = [
        *(column for table in table_names("concept") for column in stored_columns(table, "concept")),
        *(f"{measure.expression(**_NAMES)} AS {measure.name}" for measure in early),
    ]
    return load_sql(
        "measured_neurons",
        gaussian=", ".join(stored_columns(GAUSSIANS, "concept")),
        tables=" ".join(tables),
        columns=", ".join([*dict.fromkeys(columns), *(column for table in WORST for column in _worst(table))]),
        with_ranges="POSITIONAL JOIN r" if aligned else "JOIN r ON r.layer = g.layer AND r.neuron = g.neuron",
        with_background="POSITIONAL JOIN b" if aligned else "JOIN b ON b.layer = g.layer AND b.neuron = g.neuron",
        beside=" ".join(f"POSITIONAL JOIN {table}" for table in beside),
        joins=" ".join(
            f"LEFT JOIN {table} ON {table}.layer = g.layer AND {table}.neuron = g.neuron"
            for table in more
            if table not in beside
        ),
        same=" ".join(
            f"AND ({table}.layer IS NULL OR {table}.layer = g.layer AND {table}.neuron = g.neuron)" for table in beside
        ),
    )


def _worst(table: str) -> tuple[str, ...]:
    """The columns of `table` that say which other concept is in its ranges most."""
    return (WORST[table].concept_id, WORST[table].inside, WORST[table].n) if table in WORST else ()


def shown_sql() -> list[tuple[str, str]]:
    """(name, SQL over `measured`) of each measure of a ranking."""
    return [
        (measure.name, measure.name if measure.name in _early() or not measure.sql else measure.expression(**_NAMES))
        for measure in shown_on("concept")
    ]


def absent(answer: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The measures that none of the rows has: those that came after the atlas, or after the fit.

    Where q is not known either nothing more is there to be expected.
    """
    later = [measure.name for measure in shown_on(answer) if measure.table not in BASE]
    found = [name for name in later if rows and all(row[columns.index(name)] is None for row in rows)]
    return [name for name in found if name not in EXPECTED or "q" not in found]


def comes_with_intervals(name: str) -> bool:
    """Whether a measure is there exactly where a fit has intervals."""
    return MEASURES[name].table in _OF_INTERVALS and name not in EXPECTED


def how_to_add(names: Sequence[str]) -> str:
    """What to say of measures that are absent; '' for none. Those that come with intervals go by that word."""
    others = [name for name in names if not comes_with_intervals(name)]
    words = [*["intervals"] * (len(others) < len(names)), *others]
    it = "it" if len(others) == len(names) == 1 else "them"
    options = "".join(f" {option}" for option in dict.fromkeys(MEASURES[name].option for name in others) if option)
    add = f"`neuron-atlas build --add{options}` with the same corpus adds {it}"
    return f"no {', '.join(words)} here: {add}" if names else ""


def missed(names: Sequence[str]) -> list[str]:
    """Those of absent measures that every build makes: the others come with an option that somebody left out."""
    return [name for name in names if not MEASURES[name].option]


def notes_on_absent(names: Sequence[str]) -> list[str]:
    """The same as notes: one on intervals, one on all else."""
    kinds = [name for name in names if comes_with_intervals(name)], [n for n in names if not comes_with_intervals(n)]
    return [how_to_add(kind) for kind in kinds if kind]


@cache
def _early() -> frozenset[str]:
    """The measures that must be known of every neuron: those of filters and rules."""
    words = {word for rule in RULES.values() for word in re.findall(r"\w+", rule.order_by)}
    return frozenset(words & MEASURES.keys()) | frozenset(_ALWAYS)


def card_sql(table: str) -> str:
    """The rows of one neuron in a table of measures: fit_id, concept_id (tau, of ranges), then its `card_columns`."""
    tau = "tau, " if table == RANGES else ""
    columns = ", ".join(card_columns(table))
    return f"SELECT fit_id, concept_id, {tau}{columns} FROM {table} WHERE layer = $layer AND neuron = $neuron"


def card_columns(table: str) -> list[str]:
    """The stored columns in those rows; of Gaussians also how many values they are of, and those of all concepts."""
    counts = ["n", "n_all"] if table == GAUSSIANS else []
    return [*stored_columns(table, "card"), *_worst(table), *counts]
