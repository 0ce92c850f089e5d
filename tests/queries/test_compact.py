"""The cells of a table that hold several numbers."""

from __future__ import annotations

import math

import pytest

from queries.compact import bounds
from queries.ranges import INTERVAL


def row_of(lower, upper):
    return {INTERVAL.lower: lower, INTERVAL.upper: upper}


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (0.12345, 2.5, "0.123 to 2.50"),
        (-math.inf, -1.0, "≤ -1.00"),
        (1234.5, math.inf, "≥ 1234"),
        (-math.inf, math.inf, "any"),
        (None, None, None),
        (None, 1.0, None),
    ],
)
def test_bounds_in_words(lower, upper, text):
    assert bounds(row_of(lower, upper), INTERVAL) == text
