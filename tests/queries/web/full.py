"""The small atlas with everything that it lacks: running text, and facts of weights, which are random."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from atlas.manifest import utc_now
from tests.atlas_factory import D_MLP, N_LAYERS, WORDS, changed_by_hand, write_small_atlas
from tests.exemplar_factory import text_rows

_FACTS = """
INSERT INTO weight_run SELECT 9, 'raw', 2, [1.0, 2.0], 'merges', 20, 100, 0.2, 0.7, 0.1, 0.3, 4, 0.7;
INSERT INTO _weight_fact
    SELECT weight, layer, neuron, 1 + random(), random() / 9, 0.1 + random(), random() - 0.5, random() * 9
    FROM _decoding ORDER BY ALL;
INSERT INTO _neuron_fact
    SELECT DISTINCT ON (layer, neuron) layer, neuron, random() - 0.5, random() - 0.5, random() - 0.5,
           CASE neuron % 3 WHEN 0 THEN 'enrichment' WHEN 1 THEN 'depletion' ELSE 'orthogonal output' END,
           random(), random() - 0.5
    FROM _decoding ORDER BY layer, neuron;
"""


def write_full_atlas(path: Path, small: Path | None = None) -> Path:
    """Write it to `path`; `small`: the small atlas with gradients, where there is one already."""
    if small is None:
        write_small_atlas(path, gradients=True)
    else:
        shutil.copyfile(small, path)
    run = {
        "run_id": 4,
        "builder": "exemplars",
        "parameters": "{}",
        "versions": "{}",
        "device": "cpu",
        "dtype": "float32",
    }
    run |= {"started_at": utc_now(), "finished_at": utc_now()}
    tables = {"run": pa.Table.from_pylist([run]), **text_rows(WORDS, N_LAYERS, D_MLP, 0, 4, True)}
    with changed_by_hand(path) as connection:
        for name, rows in tables.items():
            connection.register("rows_of_texts", rows)
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM rows_of_texts")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_FACTS)
    return path
