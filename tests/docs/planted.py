"""What else an atlas of these tests has: facts of weights, and of one neuron exemplars and a graph."""

from __future__ import annotations

from pathlib import Path

import duckdb

_PLACES = "(SELECT unnest(range({layers}))::INTEGER AS layer), (SELECT unnest(range({width}))::INTEGER AS neuron)"
_FACTS = """
INSERT INTO _weight_fact BY NAME
    SELECT weight::weight_t AS weight, layer, neuron, 1 AS norm, 0 AS cosine_mean, .1 AS cosine_std,
           0 AS cosine_skewness, neuron / 100 AS cosine_kurtosis
    FROM (SELECT unnest(['up_proj', 'gate_proj', 'down_proj']) AS weight), {places};
INSERT INTO _neuron_fact BY NAME
    SELECT layer, neuron, 0 AS cos_in_out, .9 AS cos_gate_out, 0 AS cos_gate_in, 'enrichment' AS io_class,
           .1 AS null_share, .2 AS frequency_correlation FROM {places};
INSERT INTO weight_run BY NAME
    SELECT 9 AS run_id, 'raw' AS mode, 1 AS null_directions, [1.0] AS singular_values, 'merges' AS frequency_source,
           8 AS frequency_tokens, 16 AS random_vectors, .1 AS random_cosine_95, .6 AS random_kurtosis_95,
           .1 AS random_null_share_95, .3 AS random_frequency_95, 2 AS neighbours, .7 AS redundant_cosine;
"""
_GRAPH = """
INSERT INTO _graph BY NAME
    SELECT 'mlp_post' AS site, {layer} AS layer, {neuron} AS neuron, 9 AS run_id, 1 AS sign, 6 AS largest,
           8 AS exemplars, 8 AS held_exemplars, 8 AS held_random, 4 AS train_found, 1 AS train_wrong, 1 AS train_missed,
           90 AS train_tokens, 3 AS held_found, 1 AS held_wrong, 2 AS held_missed, 90 AS held_tokens,
           [3] AS token, [-1] AS parent, [.9] AS value, [4] AS n;
"""


def plant_facts(connection: duckdb.DuckDBPyConnection, layers: int, width: int) -> None:
    """Facts of the weights of every neuron."""
    connection.execute(_FACTS.format(places=_PLACES.format(layers=layers, width=width)))


def plant_graph(connection: duckdb.DuckDBPyConnection, layer: int, neuron: int) -> None:
    """A pattern graph of one token."""
    connection.execute(_GRAPH.format(layer=layer, neuron=neuron))


def plant_check(connection: duckdb.DuckDBPyConnection) -> None:
    """How far gradients agree with edits, of the first fit."""
    values = ", ".join(f"(0, '{rule}', 'set_0', 8, .9, .9)" for rule in ("gradient", "relp"))
    connection.execute(f"INSERT INTO _gradient_check VALUES {values}")


def plant_texts(connection: duckdb.DuckDBPyConnection, small: Path, layer: int, neuron: int) -> None:
    """The running text of the atlas `small`; what it has of L1N7 is of this neuron here."""
    connection.execute(f"ATTACH '{small}' AS small (READ_ONLY)")
    for table in ("_text_set", "_text", "token_count"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM small.{table}")
    for table in ("_exemplar", "_firing"):
        of_it = f"SELECT * REPLACE ({layer} AS layer, {neuron} AS neuron) FROM small.{table}"
        connection.execute(f"INSERT INTO {table} {of_it} WHERE layer = 1 AND neuron = 7")
    connection.execute("INSERT INTO run SELECT * FROM small.run WHERE builder = 'exemplars'")
    connection.execute("DETACH small")
