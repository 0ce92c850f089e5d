"""How much of each attack runs: a sample in `make test`, all in `make hostile` and `make test-full`; from which seed.

Every attack is made from a seed, so that what it found can be thrown again: NEURON_ATLAS_HOSTILE_SEED=N.
"""

from __future__ import annotations

import os
import random

from tests import amount

FULL = amount.FULL or os.environ.get("NEURON_ATLAS_HOSTILE") == "full"
SEED = int(os.environ.get("NEURON_ATLAS_HOSTILE_SEED", "10"))


def count(sample: int, full: int) -> int:
    """How many cases of a class to try."""
    return full if FULL else sample


def generator(name: str) -> random.Random:
    """The random numbers of one class of attack: independent of which others run."""
    return random.Random(f"{SEED}/{name}")
