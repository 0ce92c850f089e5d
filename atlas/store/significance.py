"""What is known of the p of a neuron only beside those of all others of its fit."""

from __future__ import annotations

import duckdb

# Benjamini & Hochberg (1995): of the m neurons of a fit and concept, q of the one at rank k is the smallest p·m/k at
# this rank or a later one. Equal p are peers of each other, and get the same.
_Q = """
INSERT INTO _significance
SELECT fit_id, layer, concept_id, neuron,
       CASE WHEN p IS NOT NULL
            THEN least(1, min(p::DOUBLE * m / place) OVER (PARTITION BY fit_id, concept_id ORDER BY p DESC))::FLOAT END
FROM (SELECT fit_id, layer, concept_id, neuron, p,
             count(p) OVER (PARTITION BY fit_id, concept_id) AS m,
             row_number() OVER (PARTITION BY fit_id, concept_id ORDER BY p NULLS LAST) AS place
      FROM _interval)
ORDER BY fit_id, layer, concept_id, neuron"""


def insert_significance(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill `_significance` from `_interval`."""
    connection.execute(_Q)
