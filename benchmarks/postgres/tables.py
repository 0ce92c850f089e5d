"""The rival's tables: what a row holds, which query of the atlas it comes from, and its indexes.

One row a posting, narrow types in an order without padding, and B-trees on what is asked for. Beyond the bare rows
the rival gets what a careful owner of such a database would give it: the norm of the vector stands in every row of
its tokens, ranges and background means in the row of the Gaussian, auc is stored, and an index holds the order in
which concepts are asked for.

`nid` is the atlas's number of a (weight, layer, neuron), `spot` that of a (layer, neuron) of an MLP:
layer * d_mlp + neuron.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """`columns` maps names to PostgreSQL types; `source` is DuckDB SQL with the same columns in order.

    A source with $part is asked once a value of `parts`, a DuckDB query of one column.
    """

    name: str
    columns: dict[str, str]
    source: str
    indexes: tuple[str, ...] = ()
    parts: str = ""

    def create(self) -> str:
        """The statement that makes the empty table."""
        return f"CREATE TABLE {self.name} ({', '.join(f'{name} {kind}' for name, kind in self.columns.items())})"

    def copy(self) -> str:
        """FREEZE: rows of a table made in the same transaction need no later pass to become visible to all."""
        return f"COPY {self.name} ({', '.join(self.columns)}) FROM STDIN WITH (FORMAT binary, FREEZE)"


def _columns(text: str) -> dict[str, str]:
    """'a b int4, c text' -> {'a': 'int4', 'b': 'int4', 'c': 'text'}."""
    groups = [group.split() for group in text.split(",")]
    return {name: kind for *names, kind in groups for name in names}


_SLOTS = """
    SELECT nid, {sign} AS sign, unnest(range(1, len({side}_token) + 1)) AS rank,
           unnest({side}_token::INTEGER[]) AS token_id, unnest({side}_logit::FLOAT[]) AS logit, norm
    FROM _decoding WHERE nid BETWEEN $part AND $part + 16383"""
_GAUSSIAN = """
    SELECT g.fit_id, g.concept_id, g.layer * (SELECT d_mlp FROM atlas) + g.neuron AS spot, g.n, g.mean, g.std,
           g.skewness, g.kurtosis, g.min, g.max, g.mean_abs, g.ks, g.dprime, g.overlap, tau, inside, others_inside,
           worst_concept_id, worst_inside, rest_mean_of(g.n, g.mean, b.n, b.mean), auc_of(twice_u, g.n, b.n)
    FROM _gaussian AS g JOIN _background AS b USING (fit_id, layer, neuron)
    LEFT JOIN _range AS r USING (fit_id, concept_id, layer, neuron) WHERE layer = $part"""

_DECODING = " UNION ALL ".join(_SLOTS.format(sign=sign, side=side) for sign, side in ((1, "raised"), (-1, "lowered")))

TABLES = (
    Table(
        "decoding",
        _columns("nid int4, sign rank int2, token_id int4, logit norm float4"),
        f"{_DECODING} ORDER BY nid, sign DESC, rank",
        ("CREATE INDEX decoding_nid ON decoding (nid)",),
        parts="SELECT unnest(range(0, (SELECT max(nid) + 1 FROM _decoding), 16384))",
    ),
    Table(
        "neuron",
        _columns("nid int4, norm raised_lse lowered_lse float4"),
        "SELECT nid, norm, raised_lse, lowered_lse FROM _decoding ORDER BY nid",
        ("ALTER TABLE neuron ADD PRIMARY KEY (nid)",),
    ),
    Table(
        "token",
        _columns("token_id int4, norm float4, token text"),
        "SELECT token_id, norm, token FROM vocab ORDER BY token_id",
        ("ALTER TABLE token ADD PRIMARY KEY (token_id)", "CREATE INDEX token_text ON token (token)"),
    ),
    Table(
        "token_form",
        _columns("token_id int4, form text"),
        "SELECT token_id, form FROM _token_form ORDER BY form",
        ("CREATE INDEX token_form_form ON token_form (form)",),
    ),
    Table("concept", _columns("concept_id int4, concept text"), "SELECT concept_id, concept FROM concept"),
    Table(
        "fit",
        _columns("fit_id n int4, family site position text"),
        "SELECT fit_id, n, family, site, position FROM fit",
    ),
    Table(
        "fit_concept",
        _columns("fit_id concept_id n int4"),
        "SELECT fit_id, concept_id, n FROM fit_concept",
    ),
    Table(
        "gaussian",
        _columns(
            "fit_id concept_id int2, spot n int4, mean std skewness kurtosis min max mean_abs ks dprime overlap "
            "tau float4, inside others_inside worst_concept_id worst_inside int4, rest_mean auc float8"
        ),
        _GAUSSIAN,
        (
            "CREATE INDEX gaussian_spot ON gaussian (spot)",
            "CREATE INDEX gaussian_auc ON gaussian (fit_id, concept_id, abs(auc - 0.5) DESC NULLS LAST, spot)",
        ),
        parts="SELECT unnest(range((SELECT max(layer) + 1 FROM _gaussian)))",
    ),
    Table(
        "background",
        _columns("fit_id spot n int4, mean std skewness kurtosis min max mean_abs ks float4"),
        "SELECT fit_id, layer * (SELECT d_mlp FROM atlas) + neuron, n, mean, std, skewness, kurtosis, min, max, "
        "mean_abs, ks FROM _background",
        ("CREATE INDEX background_spot ON background (spot)",),
    ),
)
# How postings are found by their token, in two variants: the plain index, and one that holds all columns.
BY_TOKEN = {
    "B-trees": "CREATE INDEX decoding_token ON decoding (token_id)",
    "covering index": "CREATE INDEX decoding_token ON decoding (token_id, sign) INCLUDE (nid, logit, rank, norm)",
}
