"""Each measure has one definition in SQL and one in Python, because a card of one neuron is put together without a join
(which would take longer than reading it): here they are held to each other, and both to fractions and numpy.
"""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest

from atlas.schema.measures import MEASURES
from atlas.store.reader import Atlas

OWN, OTHERS = ("inside", "interval_inside", "held_inside"), ("others_inside", "interval_others", "held_others")
TYPES = {"twice_u": "BIGINT", **dict.fromkeys((*OWN, *OTHERS), "INTEGER")}
DEFINED = [measure for measure in MEASURES.values() if measure.value is not None]


def numbers(random: Random) -> dict:
    """One row as a file may have it: what is stored, and the sizes of the concept and of the fit."""
    n, n_rest = random.choice([1, 2, 17, 500]), random.choice([0, 1, 3, 20_000])
    value = float(np.float32(random.choice([0.0, random.gauss(0, 1), random.gauss(0, 1e6), 1e-30])))
    return {
        "mean": value,
        "std": abs(float(np.float32(random.gauss(0, 1)))),
        "twice_u": random.randint(0, 2 * n * n_rest),
        **{name: random.randint(0, n) for name in OWN},
        **{name: random.randint(0, n_rest) for name in OTHERS},
        "n": n,
        "n_all": n + n_rest,
        "tau": random.choice([0.5, 2.5, 3.1]),
    }


@pytest.mark.parametrize("measure", DEFINED, ids=lambda measure: measure.name)
def test_sql_and_python_say_the_same(small: Atlas, measure):
    random = Random(measure.name)
    rows = [numbers(random) for _ in range(200)]
    columns = ", ".join(f"{name}::{TYPES.get(name, 'FLOAT')} AS {name}" for name in measure.stored)
    names = {"n": "$n::INTEGER", "n_all": "$n_all::INTEGER", "mean_all": "NULL", "tau": "$tau::DOUBLE"}
    sql = measure.expression(**names)
    for row in rows:
        given = ", ".join(f"${name} AS {name}" for name in measure.stored)
        used = {key: value for key, value in row.items() if f"${key}" in sql + given}
        _, [(found,)] = small.query(f"SELECT {sql} FROM (SELECT {columns} FROM (SELECT {given}))", used)
        assert measure.of(row) == found, row


def test_against_fractions_and_numpy():
    random = Random(3)
    for _ in range(200):
        row = numbers(random)
        n, rest = row["n"], row["n_all"] - row["n"]
        exact = {
            "coverage": Fraction(row["inside"], n),
            "leakage": Fraction(row["others_inside"], rest) if rest else None,
            "interval_coverage": Fraction(row["interval_inside"], n),
            "interval_leakage": Fraction(row["interval_others"], rest) if rest else None,
            "held_out_coverage": Fraction(row["held_inside"], n),
            "held_out_leakage": Fraction(row["held_others"], rest) if rest else None,
            "auc": Fraction(row["twice_u"], 2 * n * rest) if rest else None,
        }
        for name, value in exact.items():
            assert MEASURES[name].of(row) == (None if value is None else float(value))
        for name, sign in (("lower", -1), ("upper", 1)):
            assert MEASURES[name].of(row) == np.float32(row["mean"] + sign * row["tau"] * row["std"])


def test_what_is_null_stays_null():
    for measure in MEASURES.values():
        row = dict.fromkeys(measure.stored) | {"n": 3, "n_all": 5, "tau": 2.5}
        assert measure.of(row) is None
        assert measure.of({"n": 3, "n_all": 5, "tau": 2.5}) is None
