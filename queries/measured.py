"""The parts of statements that follow from the measures: which columns an answer has and how SQL gets them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from atlas.schema.measures import MEASURES, Measure
from queries.rules import RULES
from queries.sqlfile import load_sql

# In these orders answers have always shown them; what is not named follows.
_RANKED = (
    "lower upper coverage leakage worst_concept worst_leakage auc dprime overlap n mean std rest_mean mean_abs min max"
)
_CARD = (
    "n mean std tau lower upper coverage leakage worst_concept worst_leakage auc dprime overlap skewness kurtosis min "
    "max mean_abs ks"
)
GAUSSIANS, RANGES = BASE = ("_gaussian", "_range")
"""The tables that every fit has; those of further measures came later, and an older fit lacks them."""
_NAMES = {"n": "n", "n_all": "n_all", "mean_all": "mean_all", "tau": "$tau"}
# What the filters and the tokens of a ranking need, whatever the rule.
_ALWAYS = ("coverage", "leakage", "mean", "rest_mean")


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
def measured_sql() -> str:
    """The common table expression `measured`: every neuron under one concept of one fit."""
    more = [table for table in table_names("concept") if table not in BASE]
    tables = [
        f"{table} AS (SELECT layer, neuron, {', '.join(stored_columns(table, 'concept'))} FROM {table} "
        "WHERE fit_id = $fit_id AND concept_id = $concept_id),"
        for table in more
    ]
    early = [measure for measure in shown_on("concept") if measure.sql and measure.name in _early()]
    columns = [
        *(column for table in table_names("concept") for column in stored_columns(table, "concept")),
        *(f"{measure.expression(**_NAMES)} AS {measure.name}" for measure in early),
    ]
    return load_sql(
        "measured_neurons",
        gaussian=", ".join(stored_columns(GAUSSIANS, "concept")),
        tables=" ".join(tables),
        columns=", ".join(dict.fromkeys(columns)),
        # An older file, or an older fit in a newer one, has no rows in them.
        joins=" ".join(f"LEFT JOIN {table} ON {table}.layer = g.layer AND {table}.neuron = g.neuron" for table in more),
    )


def shown_sql() -> list[tuple[str, str]]:
    """(name, SQL over `measured`) of each measure of a ranking."""
    return [
        (measure.name, measure.name if measure.name in _early() or not measure.sql else measure.expression(**_NAMES))
        for measure in shown_on("concept")
    ]


def absent(answer: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The measures that none of the rows has: those of tables that came after the atlas, or after the fit."""
    later = [measure.name for measure in shown_on(answer) if measure.table not in BASE]
    return [name for name in later if rows and all(row[columns.index(name)] is None for row in rows)]


def how_to_add(names: Sequence[str]) -> str:
    """What to say of measures that are absent; '' for none."""
    return f"no {', '.join(names)} here: `neuron-atlas build --add` with the same corpus adds it" if names else ""


@cache
def _early() -> frozenset[str]:
    """The measures that must be known of every neuron: those of filters and rules."""
    words = {word for rule in RULES.values() for word in re.findall(r"\w+", rule.order_by)}
    return frozenset(words & MEASURES.keys()) | frozenset(_ALWAYS)


def card_sql(table: str) -> str:
    """The rows of one neuron in a table of measures: fit_id, concept_id (tau, of ranges), then its stored columns."""
    tau, worst = ("tau, ", ", worst_concept_id, worst_inside") if table == RANGES else ("", "")
    columns = ", ".join(stored_columns(table, "card"))
    return f"SELECT fit_id, concept_id, {tau}{columns}{worst} FROM {table} WHERE layer = $layer AND neuron = $neuron"
