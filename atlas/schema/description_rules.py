"""What the products `descriptions` and `embeddings` promise of their rows."""

from __future__ import annotations

from atlas.schema.description_tables import LONGEST_TEXT, MEASURES_OF, MOST_DIMENSIONS, SIDES
from atlas.schema.rule import Counted, RowRules, finite_or_null, one_of
from atlas.sites import SITES

_MEASURE = " ".join(f"WHEN '{side}' THEN '{measure}'" for side, measure in MEASURES_OF.items())

DESCRIPTION_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        "description, atlas",
        {
            "descriptions are of a neuron and a side of it": "layer BETWEEN 0 AND n_layers - 1 "
            f"AND neuron BETWEEN 0 AND d_mlp - 1 AND side IN ({one_of(SIDES)}) AND sign IN (-1, 1) "
            f"AND site IN ({one_of(SITES)})",
            "descriptions are a short text of somebody": f"len(text) BETWEEN 1 AND {LONGEST_TEXT} "
            "AND len(author) BETWEEN 1 AND 200 AND NOT regexp_matches(text || author, '[[:cntrl:]]')",
            "scores of descriptions say what they are": f"CASE WHEN score IS NULL THEN coalesce(score_n, 0) = 0 "
            f"AND control IS NULL ELSE measure = CASE side {_MEASURE} END AND score_n > 0 END",
            "scores of descriptions are shares, or differences of them": f"{finite_or_null('score', 'control')} AND "
            "coalesce(least(score, control) >= CASE side WHEN 'input' THEN 0 ELSE -1.000001 END "
            "AND greatest(score, control) <= 1.000001, true)",
        },
    ),
    RowRules(
        "_embedding",
        {
            "embeddings are whole numbers of float16": "octet_length(vector) % 2 = 0 "
            f"AND octet_length(vector) BETWEEN 2 AND {2 * MOST_DIMENSIONS}",
        },
    ),
    Counted(
        "embeddings are of one embedder",
        "SELECT greatest(count(DISTINCT (embedder, octet_length(vector))) - 1, 0) FROM _embedding",
    ),
    Counted(
        "embeddings are of descriptions",
        "SELECT count(*) FROM _embedding ANTI JOIN description USING (layer, neuron, side, sign, author)",
    ),
)
