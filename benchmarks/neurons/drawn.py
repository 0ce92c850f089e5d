"""The neurons of the page, drawn by a rule: prints them as `build --graphs` and `--describe` take them.

Run: python -m benchmarks.neurons.drawn ATLAS
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from atlas.errors import QuestionError
from atlas.sites import format_neuron, parse_neuron
from atlas.store.reader import Atlas, open_atlas
from benchmarks.graphs.neurons import KNOWN
from queries.weight_run import HOW_TO_ADD, weight_run

SEED, EACH = 0, 15
LAYERS = (12, 29)
READABLE, ANY, KNOWN_GROUP = "readable", "any", "known"
"""Vocabulary kurtosis of down_proj above what 95 % of random vectors reach; all neurons; known from elsewhere."""
Neuron = tuple[int, int]


def draw(neurons: Sequence[Neuron], readable: Sequence[Neuron]) -> dict[str, list[Neuron]]:
    """EACH of both groups, none twice and none that is known, in order of their places.

    All neurons stand in one order, which the seed alone decides: the first of `readable` in it come first, then the
    first of all others, readable or not.
    """
    known = [parse_neuron(address) for address in KNOWN]
    order = sorted(set(neurons) - set(known))
    random.Random(f"{SEED}/neurons").shuffle(order)
    wanted = set(readable)
    first = [each for each in order if each in wanted][:EACH]
    others = [each for each in order if each not in first][:EACH]
    return {READABLE: sorted(first), ANY: sorted(others), KNOWN_GROUP: known}


def drawn(atlas: Atlas) -> dict[str, list[Neuron]]:
    """The neurons of an atlas by group. Raises QuestionError for one without facts of weights."""
    run = weight_run(atlas)
    if not run:
        raise QuestionError("neurons are drawn by facts of their weights", HOW_TO_ADD)
    sql = (
        "SELECT layer, neuron, cosine_kurtosis > ? FROM weight_fact "
        "WHERE weight = 'down_proj' AND layer BETWEEN ? AND ? ORDER BY layer, neuron"
    )
    _, rows = atlas.query(sql, [run["random_kurtosis_95"], *LAYERS])
    return draw([row[:2] for row in rows], [row[:2] for row in rows if row[2]])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path)
    with open_atlas(parser.parse_args(arguments).atlas) as atlas:
        found = [format_neuron(*each) for group in drawn(atlas).values() for each in group]
    sys.stdout.write(",".join(found) + "\n")


if __name__ == "__main__":
    main()
