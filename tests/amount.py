"""How much of what is tried in many alike ways runs: a sample in `make test`, all of it in `make test-full`.

A sample has a case of every class of behaviour, and is the same each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

Case = TypeVar("Case")

FULL = os.environ.get("NEURON_ATLAS_TESTS") == "full"


def count(sample: int, full: int) -> int:
    """How many cases of a class to try."""
    return full if FULL else sample


def some(cases: Iterable[Case], sample: Iterable[Case]) -> list[Case]:
    """The cases to try, of which `sample` are some."""
    every, chosen = list(cases), list(sample)
    assert all(case in every for case in chosen)
    return every if FULL else chosen
