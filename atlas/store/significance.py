"""What is known of a neuron under a concept only beside all others of its fit: its q, and what to expect of it."""

from __future__ import annotations

import duckdb

from atlas.store.shrinkage import expected_shares

# Benjamini & Hochberg (1995): of the m neurons of a fit and concept, q of the one at rank k is the smallest p·m/k at
# this rank or a later one. Equal p are peers of each other, and get the same.
_SIGNIFICANCE = """
INSERT INTO _significance BY NAME
SELECT fit_id, layer, concept_id, neuron,
       CASE WHEN p IS NOT NULL
            THEN least(1, min(p::DOUBLE * m / place) OVER (PARTITION BY fit_id, concept_id ORDER BY p DESC))::FLOAT
            END AS q,
       expected_coverage::FLOAT AS expected_coverage, expected_leakage::FLOAT AS expected_leakage
FROM (SELECT fit_id, layer, concept_id, neuron, p, held_inside, held_others,
             coalesce(n, -1) AS n, coalesce(n_all, -1) AS n_all,
             count(p) OVER (PARTITION BY fit_id, concept_id) AS m,
             row_number() OVER (PARTITION BY fit_id, concept_id ORDER BY p NULLS LAST) AS place
      FROM _interval)
LEFT JOIN _expected USING (fit_id, concept_id, held_inside, held_others, n, n_all)
ORDER BY fit_id, layer, concept_id, neuron"""

_CONCEPTS = """
SELECT fit_id, concept_id, m.n::BIGINT, fit.n - m.n AS n_others
FROM (SELECT DISTINCT fit_id FROM _interval) JOIN fit USING (fit_id) JOIN fit_concept AS m USING (fit_id)
WHERE n_others > 0 ORDER BY ALL"""
# Neurons with the same counts have the same to be expected of them. n is -1 where all of the fit's values reach them.
_COUNTS = """
SELECT held_inside, held_others, coalesce(n, -1) AS n, coalesce(n_all, -1) AS n_all, count(*) AS neurons
FROM _interval WHERE fit_id = ? AND concept_id = ? GROUP BY ALL ORDER BY ALL"""


def insert_significance(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill `_significance` from `_interval`."""
    connection.execute(
        "CREATE TEMP TABLE _expected (fit_id INTEGER, concept_id INTEGER, held_inside INTEGER, held_others INTEGER, "
        "n INTEGER, n_all INTEGER, expected_coverage DOUBLE, expected_leakage DOUBLE)"
    )
    for fit_id, concept_id, n, n_others in connection.execute(_CONCEPTS).fetchall():
        _insert_expected(connection, fit_id, concept_id, n, n_others)
    connection.execute(_SIGNIFICANCE)
    connection.execute("DROP TABLE _expected")


def _insert_expected(
    connection: duckdb.DuckDBPyConnection, fit_id: int, concept_id: int, n: int, n_others: int
) -> None:
    """Rows of _expected for one concept of a fit."""
    import numpy as np
    import pyarrow

    counts = connection.execute(_COUNTS, [fit_id, concept_id]).fetchnumpy()
    inside, others, own, of_all, neurons = counts.values()
    if not len(neurons):
        return
    n_P, n_others_P = np.where(own < 0, n, own), np.where(own < 0, n_others, of_all - own)
    coverage, leakage = expected_shares(inside, others, neurons, n_P, n_others_P)
    columns = {name: counts[name] for name in ("held_inside", "held_others", "n", "n_all")}
    columns |= {"coverage": coverage, "leakage": leakage}
    connection.register("_shares", pyarrow.table(columns))
    connection.execute("INSERT INTO _expected SELECT ?, ?, * FROM _shares", [fit_id, concept_id])
    connection.unregister("_shares")
