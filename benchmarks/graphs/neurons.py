"""The neurons that graphs are measured on, drawn by a rule: prints what `build --graphs` takes.

Run: python -m benchmarks.graphs.neurons [--layers 0,6,12,18,24,29] [--each 5] [--width 1536]
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from atlas.sites import format_neuron

KNOWN = {"L29N808": "dog, cat", "L29N812": "science", "L29N864": "France, Paris", "L29N44": "money"}
"""Neurons of SmolLM2-135M that are known from elsewhere; they are shown and belong to no mean."""
SEED = 0


def drawn(layer: int, each: int, width: int) -> list[int]:
    """The first `each` of all neurons of a layer in an order that its number alone decides."""
    order = list(range(width))
    random.Random(f"{SEED}/graphs/{layer}").shuffle(order)
    return order[:each]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="0,6,12,18,24,29")
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--width", type=int, default=1536)
    options = parser.parse_args(arguments)
    layers = [int(layer) for layer in options.layers.split(",")]
    found = [format_neuron(layer, neuron) for layer in layers for neuron in drawn(layer, options.each, options.width)]
    sys.stdout.write(",".join([*KNOWN, *found]) + "\n")


if __name__ == "__main__":
    main()
