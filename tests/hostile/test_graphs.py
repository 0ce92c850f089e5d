"""Graphs of strangers: rows that no builder writes are refused or answered, and predicting with them ends."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import AtlasError
from atlas.graph import ANY, MOST_NODES, ROOT, Graph, Node
from atlas.schema.graph_tables import GRAPH_TABLES
from atlas.store.reader import open_atlas
from builders.arrow import rows_of
from queries.graph import dot, neuron_graph, stored_graph
from tests.atlas_factory import changed_by_hand, write_small_atlas
from tests.hostile.counts import count, generator

CASES = count(12, 1000)
_COUNTED = [f"{which}_{name}" for which in ("train", "held") for name in ("found", "wrong", "missed", "tokens")]
ROW: dict[str, Any] = {
    **{"site": "mlp_post", "layer": 1, "neuron": 7, "run_id": 4, "sign": 1, "largest": 6.0},
    **{"exemplars": 8, "held_exemplars": 8, "held_random": 20, **dict.fromkeys(_COUNTED, 3)},
    **{"token": [14, 27, -1, 3], "parent": [-1, 0, 0, 2], "value": [0.9, 0.7, 0.0, 0.8], "n": [3, 1, 0, 2]},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb", texts=True)


def put(path: Path, row: dict[str, Any]) -> None:
    with changed_by_hand(path) as connection:
        connection.execute("DELETE FROM _graph")
        connection.register("_row", rows_of(GRAPH_TABLES[0], [row]))
        connection.execute("INSERT INTO _graph BY NAME SELECT * FROM _row")


def attack(rng: random.Random) -> dict[str, Any]:
    """The row with some of its values replaced."""
    row = {name: list(value) if isinstance(value, list) else value for name, value in ROW.items()}
    for name in rng.sample([*_COUNTED, "sign", "largest", "token", "parent", "value", "n"], rng.randrange(1, 4)):
        if isinstance(row[name], list):
            number = (
                rng.choice([-2, -1, 0, 1, 2, 5, 2**31 - 1]) if name != "value" else rng.choice([1e38, float("nan")])
            )
            way = rng.randrange(3)
            if way == 0:
                row[name][rng.randrange(4)] = number
            elif way == 1:
                row[name] = row[name] * rng.choice([0, 2, 5])
            else:
                row[name][rng.randrange(4)] = None
        else:
            row[name] = rng.choice([-1, 0, 1, 2, 127] if name == "sign" else [-1024, -1, 0, 2**24])
    return row


def test_rows_of_strangers(whole: Path) -> None:
    rng = generator("graphs")
    put(whole, ROW)
    with open_atlas(whole) as atlas:
        assert stored_graph(atlas, "L1N7").graph.predict([3, 5, 14])[2] == pytest.approx(0.8)
    refused = 0
    for _ in range(CASES):
        row = attack(rng)
        put(whole, row)
        with open_atlas(whole) as atlas:
            try:
                neuron_graph(atlas, "L1N7")
                found = stored_graph(atlas, "L1N7")
            except AtlasError:
                refused += 1
                continue
            assert all(0 <= said < 1e39 for said in found.graph.predict([3, 5, 14, 27, 14])), row
            assert dot(found).count("label=") == len(found.graph.nodes)
    assert refused > CASES / 4


def test_the_worst_tree_is_walked_in_time() -> None:
    """A tree that branches into one token and any at each step, in a text of that token alone."""
    nodes = [Node(1, ROOT, None, 0)]
    while len(nodes) + 2 <= MOST_NODES:
        parent = (len(nodes) - 1) // 2
        nodes += [Node(1, parent, 0.5, 1), Node(ANY, parent, 0.5, 1)]
    begun = time.monotonic()
    assert Graph(nodes).predict([1] * 64)[-1] == 0.5
    assert time.monotonic() - begun < 10
