"""The selection of the strongest neurons from postings, against a dictionary of sums and one sort."""

from __future__ import annotations

import numpy as np
import pytest

from queries.session.token_search import _strongest


def plain(spot_P, cosine_P, defined_P, limit):
    squares: dict[int, float] = {}
    for spot, cosine, defined in zip(spot_P.tolist(), cosine_P.tolist(), defined_P.tolist(), strict=True):
        sums = squares.setdefault(spot, None)
        if defined:
            squares[spot] = (sums or 0.0) + cosine * cosine
    scores = {spot: None if total is None else float(np.float32(total)) for spot, total in squares.items()}
    ordered = sorted(scores, key=lambda spot: (scores[spot] is None, -(scores[spot] or 0.0), spot))[:limit]
    return ordered, [scores[spot] for spot in ordered]


@pytest.mark.parametrize("limit", [1, 3, 10, 10**6])
@pytest.mark.parametrize(
    ("spots", "postings"),
    [(5000, 20000), (5000, 0), (3, 4000), (40, 5000)],
    ids=["many spots", "no postings", "fewer spots than the limit", "crowded spots"],
)
@pytest.mark.parametrize("undefined", [0.0, 0.3, 1.0])
def test_the_strongest_spots(limit, spots, postings, undefined):
    rng = np.random.default_rng(postings + limit)
    # Half of the postings fall on two spots, and cosines take few values: places run out, and scores tie.
    spot_P = np.where(rng.random(postings) < 0.5, rng.integers(2, size=postings), rng.integers(spots, size=postings))
    spot_P = spot_P.astype(np.int32)
    defined_P = rng.random(postings) >= undefined
    cosine_P = np.where(defined_P, rng.integers(-3, 4, size=postings) / 4, 0.0)
    found, score = _strongest(spot_P, cosine_P * cosine_P, defined_P, spots, limit)
    expected, scores = plain(spot_P, cosine_P, defined_P, limit)
    assert found.tolist() == expected
    assert [None if np.isnan(value) else value for value in score.tolist()] == scores
