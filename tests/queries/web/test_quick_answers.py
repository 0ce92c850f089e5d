"""What makes pages quick: they are kept packed, and every Gaussian is one curve that is moved."""

from __future__ import annotations

import gzip
import re

import pytest
from scipy.stats import norm

from queries.plots.data import Bump
from queries.web.charts.density import BELL, FOOT, HEIGHT, density


def test_a_kept_page_is_the_page_packed_or_not(client, home) -> None:
    address = f"{home}neuron/L1N7"
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    for _ in range(2):
        with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) == len(sent)
        assert gzip.decompress(sent).decode() == plain.text


@pytest.mark.parametrize(("mean", "std"), [(0.4, 0.3), (-1.5, 0.05), (0.0, 4.0)])
def test_the_bell_is_moved_to_the_gaussian(mean, std) -> None:
    edges = [-2.0 + step * 0.1 for step in range(41)]
    counts = [5] * 40
    chart = density(edges, [Bump("a", 200, mean, std, counts)], None, (-2.0, 2.0))
    across, down, wide, tall = map(float, re.findall(r"-?[\d.]+", chart.shapes[0].curve))
    # The same scale upwards as the histogram, whose steps are all as high as 0.25 a unit of the activation.
    top = float(re.search(r"V([\d.]+)", chart.shapes[0].histogram)[1])
    for z, height in re.findall(r"(-?[\d.]+) (-?[\d.]+)", BELL):
        value = mean + float(z) * std
        assert across + wide * float(z) == pytest.approx((value + 2.0) / 4.0 * chart.width, abs=0.05)
        density_there = norm.pdf(value, mean, std)
        drawn = (HEIGHT - FOOT) - (down + tall * float(height))
        assert drawn == pytest.approx(density_there / 0.25 * (HEIGHT - FOOT - top), rel=0.01, abs=0.1 + 1e-4 * tall)
