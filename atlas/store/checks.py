"""What must hold in a file before it may be published. Each check counts violations, most of them in one query."""

from __future__ import annotations

import duckdb

from atlas.errors import BuildError
from atlas.schema.keys import KEYS, key_columns
from atlas.store.columns import misplaced_rows, unsorted_tokens

# name -> SQL that counts rows which break it
_CHECKS: dict[str, str] = {
    "one atlas row": "SELECT abs(count(*) - 1) FROM atlas",
    "every weight is decoded for all neurons": """
        SELECT count(*) FROM (SELECT weight, count(*) AS rows FROM _decoding GROUP BY weight), atlas
        WHERE rows <> n_layers * d_mlp""",
    "nid matches weight, layer and neuron": """
        SELECT count(*) FROM _decoding WHERE nid <> nid_of(weight, layer, neuron)""",
    "neurons are in range": """
        SELECT count(*) FROM _decoding, atlas
        WHERE layer NOT BETWEEN 0 AND n_layers - 1 OR neuron NOT BETWEEN 0 AND d_mlp - 1""",
    "every token is in the vocabulary": """
        SELECT count(*) FROM (SELECT DISTINCT token_id FROM _posting) ANTI JOIN vocab USING (token_id)""",
    "logits are finite": "SELECT count(*) FROM _posting WHERE NOT isfinite(logit)",
    "postings mirror the decodings": """
        SELECT abs((SELECT count(*) FROM _posting) - (SELECT 2 * {top} * count(*) FROM _decoding))""",
    "every fit has all its concepts at every neuron": """
        SELECT count(*) FROM (
            SELECT fit_id, concepts * layers * width AS due,
                   (SELECT count(*) FROM _gaussian g WHERE g.fit_id = fit.fit_id) AS rows
            FROM fit
            JOIN (SELECT fit_id, count(*) AS concepts FROM fit_concept GROUP BY fit_id) USING (fit_id)
            JOIN (SELECT fit_id, count(DISTINCT layer) AS layers FROM _background GROUP BY fit_id) USING (fit_id))
        WHERE due <> rows""",
    "every fit has a background": """
        SELECT count(*) FROM fit WHERE NOT EXISTS (FROM _background b WHERE b.fit_id = fit.fit_id)""",
    "every Gaussian has a range at every tau": """
        SELECT abs((SELECT count(*) FROM _range)
                   - (SELECT coalesce(sum(len(taus)), 0) FROM _gaussian JOIN fit USING (fit_id)))""",
    "Gaussians are finite": """
        SELECT count(*) FROM _gaussian
        WHERE NOT isfinite(mean) OR NOT isfinite(std) OR std < 0 OR min > max OR mean < min - 1e-3 * abs(min)
              OR mean > max + 1e-3 * abs(max)""",
    "counts stay within their samples": """
        SELECT count(*) FROM _range r JOIN fit_concept c USING (fit_id, concept_id) JOIN fit USING (fit_id)
        WHERE inside > c.n OR others_inside > fit.n - c.n OR inside < 0 OR others_inside < 0""",
    "AUC is a share": """
        SELECT count(*) FROM _gaussian g JOIN fit USING (fit_id)
        WHERE twice_u < 0 OR twice_u > 2 * g.n::BIGINT * (fit.n - g.n)""",
    "fits name their run": "SELECT count(*) FROM fit ANTI JOIN run USING (run_id)",
}


def check(connection: duckdb.DuckDBPyConnection, top: int) -> None:
    """Raise BuildError naming the first rule that the open database breaks."""
    for table in KEYS:
        misplaced = misplaced_rows(connection, table)
        if misplaced:
            keys = ", ".join(key_columns(table))
            raise BuildError(
                f"the built table {table} has {misplaced} repeated keys or rows out of order ({keys})",
                "Nothing was published.",
            )
    for rule, sql in _CHECKS.items():
        _require(rule, connection.execute(sql.replace("{top}", str(int(top)))).fetchall()[0][0])
    _require("top tokens are sorted", unsorted_tokens(connection, top))


def _require(rule: str, broken: int) -> None:
    if broken:
        raise BuildError(f"the built atlas breaks the rule {rule!r} ({broken} rows)", "Nothing was published.")
