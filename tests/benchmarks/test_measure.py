"""Timing in turn: order, what is counted, and the ratio of paired rounds."""

from __future__ import annotations

import pytest

from benchmarks.common.measure import Timings, interleave, machine


class Clock:
    """Time that passes only where a way says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def way(self, name: str, *seconds: float):
        left = list(seconds)

        def run() -> None:
            self.log.append(name)
            self.now += left.pop(0)

        return run


def test_ways_rotate_and_the_warm_up_is_not_counted() -> None:
    clock = Clock()
    ways = {"a": clock.way("a", 100, 1, 2, 3), "b": clock.way("b", 100, 4, 8, 6)}
    timings = interleave(ways, 3, clock=clock)
    assert clock.log == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert timings.seconds["a"].tolist() == [1, 2, 3]
    assert timings.seconds["b"].tolist() == [4, 8, 6]


def test_a_ratio_is_taken_within_rounds() -> None:
    clock = Clock()
    # The machine is ten times slower in the last round: the ratio within each round is 2 all the same.
    timings = interleave({"a": clock.way("a", 2, 2, 20), "b": clock.way("b", 1, 1, 10)}, 3, warm=0, clock=clock)
    assert isinstance(timings, Timings)
    assert timings.ratio("a", "b") == 2
    assert timings.median("a") == 2
    assert timings.percentile("b", 50) == 1


def test_the_machine_is_named_with_versions() -> None:
    line = machine()
    assert "cores" in line and "Python" in line and "duckdb" in line
    assert "\n" not in line


def test_an_unknown_package_is_not_passed_over() -> None:
    with pytest.raises(Exception, match="no-such-package"):
        machine(packages=("no-such-package",))
