"""What the columns of answers mean, for the tooltips of tables: from the table of measures, and a few besides."""

from __future__ import annotations

import functools

from atlas.schema.measures import MEASURES
from atlas.schema.tables import TABLES
from atlas.schema.weight_measures import WEIGHT_MEASURES


def explain_column(name: str) -> str:
    """The meaning of a column in a sentence, or '' where none is known."""
    return _meanings().get(name, "")


@functools.cache
def _meanings() -> dict[str, str]:
    found: dict[str, str] = {}
    for table in TABLES.values():
        for column in table.columns:
            found.setdefault(column.name, column.meaning)
    found |= {name: each.meaning for name, each in WEIGHT_MEASURES.items()}
    return found | {name: each.meaning for name, each in MEASURES.items()}
