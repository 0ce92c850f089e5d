"""What a rule about rows is, and the joins that rules about fits have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class RowRules:
    """Rules about single rows of `source` (a FROM clause), read once for all: name -> predicate."""

    source: str
    rules: dict[str, str]


@dataclass(frozen=True)
class Counted:
    """A rule over whole tables: `sql` counts what breaks it."""

    name: str
    sql: str


def one_of(names: Iterable[str]) -> str:
    """The names as a list of SQL strings."""
    return ", ".join(f"'{name}'" for name in names)


def finite(*columns: str) -> str:
    """That every one of the columns is a finite number."""
    return " AND ".join(f"isfinite({column})" for column in columns)


def finite_or_null(*columns: str) -> str:
    """The same, or NULL."""
    return " AND ".join(f"coalesce(isfinite({column}), true)" for column in columns)


AT_SITE = "layer BETWEEN 0 AND {n_layers} - 1 AND neuron BETWEEN 0 AND f.width - 1"
OF_FIT = "LEFT JOIN fit AS f USING (fit_id)"
OF_CONCEPT = f"{OF_FIT} LEFT JOIN fit_concept AS c USING (fit_id, concept_id)"
"""Sources and a predicate: the neuron exists, and the fit and the concept of a row are there."""
