import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.common.measure import Timings
from benchmarks.postgres.compare import difference, same
from benchmarks.postgres.report import NORM_BYTES, Measured, goals

OURS = [{"address": "L1N2", "score": 1.5, "extra": 1}, {"address": "L0N1", "score": 0.5, "extra": 2}]
THEIRS = [{"address": "L1N2", "score": 1.5}, {"address": "L0N1", "score": 0.5}]


def test_equal_answers_differ_in_nothing() -> None:
    assert difference(OURS, THEIRS) is None
    assert difference([], []) is None


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (THEIRS[:1], "2 rows against 1"),
        (THEIRS[::-1], "row 1, address: 'L1N2' against 'L0N1'"),
        ([THEIRS[0], {"address": "L0N1", "score": 0.5001}], "row 2, score: 0.5 against 0.5001"),
        ([THEIRS[0], {"address": "L0N1", "unknown": 1}], "no column unknown on our side"),
    ],
)
def test_the_first_difference_is_named(theirs: list[dict], reason: str) -> None:
    assert difference(OURS, theirs) == reason


def test_values_are_the_same_up_to_rounding() -> None:
    assert same(0.1, float(np.float32(0.1)))
    assert same(math.nan, math.nan) and not same(math.nan, 0.0)
    assert same(["a", None], ["a", None]) and not same(["a"], ["a", "b"]) and not same(["a", "b"], ["b", "a"])
    assert same("a\0", "a\N{SYMBOL FOR NULL}")
    assert same(None, None) and not same(None, 0) and not same(1, True)


def measured(**milliseconds: tuple[float, float]) -> Measured:
    """A variant whose questions took (ours, theirs) in every round."""
    times = {
        name.replace("_", " "): Timings({"ours": np.full(3, our / 1e3), "theirs": np.full(3, their / 1e3)})
        for name, (our, their) in milliseconds.items()
    }
    return Measured("B-trees", {"rows": 1.0}, 5_000 + 10 * NORM_BYTES, times)


def test_goals_of_ratio_of_distance_and_of_size() -> None:
    rival = measured(hub_token=(10.0, 200.0), layer_summary=(10.0, 199.0), concept=(4.0, 1.5), rare_token=(5.0, 1.0))
    found = {goal.what: (goal.measured, goal.met) for goal in goals(rival, postings=10, size=1_000)}
    assert found == {
        "hub token": ("20.0", True),
        "layer summary": ("19.9", False),
        "concept": ("+2.5 ms", True),
        "rare token": ("+4.0 ms", False),
        "size of the same tables": ("5.0", True),
    }


def test_a_question_with_other_answers_meets_no_goal() -> None:
    rival = replace(measured(), times={"concept": "row 1, auc: 0.5 against 0.6"})
    assert next((goal.measured, goal.met) for goal in goals(rival, 10, 1_000)) == ("answers differ", False)
