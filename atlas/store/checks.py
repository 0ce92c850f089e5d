"""What must hold in a file before it may be published. Each check is one query that counts violations."""

from __future__ import annotations

import duckdb

from atlas.errors import BuildError
from atlas.schema.keys import KEYS, key_columns

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
    "top tokens are sorted": """
        SELECT count(*) FROM (
            SELECT 1 AS sign, unnest(raised_logit[:-2]) AS before, unnest(raised_logit[2:]) AS logit,
                   unnest(raised_token[:-2]) AS token_before, unnest(raised_token[2:]) AS token_id FROM _decoding
            UNION ALL
            SELECT -1, unnest(lowered_logit[:-2]), unnest(lowered_logit[2:]),
                   unnest(lowered_token[:-2]), unnest(lowered_token[2:]) FROM _decoding)
        WHERE sign * logit > sign * before OR (logit = before AND token_id <= token_before)""",
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

_REPEATED = "SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {keys} HAVING count(*) > 1)"
# Rows that do not come after the row before them: what repeats in a sorted table stands side by side, and to group
# the largest table would take more memory than all else.
_REPEATED_POSTINGS = """
    SELECT count(*) FROM (SELECT token_id, -sign AS side, sign * nid AS place FROM _posting) AS a
    POSITIONAL JOIN (SELECT token_id, -sign AS side, sign * nid AS place FROM _posting OFFSET 1) AS b
    WHERE NOT (a.token_id < b.token_id
               OR a.token_id = b.token_id AND (a.side < b.side OR a.side = b.side AND a.place < b.place))"""


def check(connection: duckdb.DuckDBPyConnection, top: int) -> None:
    """Raise BuildError naming the first rule that the open database breaks."""
    for table in KEYS:
        keys = ", ".join(key_columns(table))
        repeated = _REPEATED_POSTINGS if table == "_posting" else _REPEATED.format(table=table, keys=keys)
        duplicates = connection.execute(repeated).fetchall()[0][0]
        if duplicates:
            raise BuildError(
                f"the built table {table} has {duplicates} repeated keys ({keys})", "Nothing was published."
            )
    for rule, sql in _CHECKS.items():
        broken = connection.execute(sql.replace("{top}", str(int(top)))).fetchall()[0][0]
        if broken:
            raise BuildError(f"the built atlas breaks the rule {rule!r} ({broken} rows)", "Nothing was published.")
