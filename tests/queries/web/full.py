"""The small atlas with everything that it lacks: running text, and facts of weights, which are random."""

from __future__ import annotations

from pathlib import Path

from tests.atlas_factory import changed_by_hand, write_small_atlas

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


def write_full_atlas(path: Path, **options: object) -> Path:
    """Publish it at `path`; `options` as of `write_small_atlas`."""
    write_small_atlas(path, gradients=True, texts=True, **options)
    with changed_by_hand(path) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_FACTS)
    return path
