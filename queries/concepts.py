"""The concepts of an atlas."""

from __future__ import annotations

from atlas.answers.result import Result
from atlas.errors import UnknownNameError
from atlas.store.reader import Atlas
from queries.answering import question
from queries.sqlfile import load_sql


@question
def concepts(atlas: Atlas, *, family: str | None = None) -> Result:
    """One row a concept and fit, with the neuron that separates the concept best by AUC and its d'.

    A concept without a fit has one row without a neuron. Raises UnknownNameError for an unknown family.
    """
    if family is not None:
        _, rows = atlas.query("SELECT DISTINCT family FROM concept")
        if (family,) not in rows:
            raise UnknownNameError("family", family, [name for (name,) in rows])
    columns, rows = atlas.query(load_sql("concepts"), {"family": family})
    shown = ["family", "concept", "n_examples", "site", "position", "best_neuron", "auc", "dprime"]
    return Result(columns, rows, shown=shown)
