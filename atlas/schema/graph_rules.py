"""What the product `graphs` promises of its rows."""

from __future__ import annotations

from atlas.graph import MOST_NODES
from atlas.schema.rule import Counted, RowRules, one_of
from atlas.sites import SITES

_WIDTH = "CASE site " + " ".join(f"WHEN '{site.name}' THEN {site.width}" for site in SITES.values()) + " END"
_COUNTS = [f"{which}_{name}" for which in ("train", "held") for name in ("found", "wrong", "missed", "tokens")]

GRAPH_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        "_graph, atlas",
        {
            "graphs are of a neuron of a site": f"site IN ({one_of(SITES)}) "
            f"AND layer BETWEEN 0 AND {{n_layers}} - 1 AND neuron BETWEEN 0 AND {_WIDTH} - 1",
            "graphs say which side they are of": "sign IN (-1, 1) AND isfinite(largest) AND sign * largest > 0",
            "graphs count within their texts": f"least({', '.join(_COUNTS)}, held_exemplars, held_random) >= 0 "
            "AND exemplars > 0 AND train_found + train_wrong + train_missed <= train_tokens "
            "AND held_found + held_wrong + held_missed <= held_tokens",
            "nodes of graphs come after their parents": f"len(token) BETWEEN 1 AND {MOST_NODES} "
            "AND len(parent) = len(token) AND len(value) = len(token) AND len(n) = len(token) "
            "AND len(list_filter(list_zip(parent, range(len(parent))), "
            "lambda x: (x[1] BETWEEN -1 AND x[2] - 1) IS NOT TRUE)) = 0",
            "tokens of graphs are of the vocabulary": "list_min(token) >= -1 AND list_max(token) < d_vocab "
            "AND len(list_filter(token, lambda x: x IS NULL)) = 0 "
            "AND len(list_filter(list_zip(parent, token), lambda x: x[1] = -1 AND x[2] = -1)) = 0",
            "values of graphs are parts of the largest": "isfinite(list_sum(value::DOUBLE[])) "
            "AND len(list_filter(list_zip(value, n), lambda x: (x[2] > 0 OR (x[2] = 0 AND x[1] = 0)) IS NOT TRUE)) = 0",
        },
    ),
    Counted(
        "graphs are of running text whose words are stored",
        "SELECT count(*) FROM _graph LEFT JOIN _text_set ON true WHERE words IS NOT TRUE",
    ),
    Counted("graphs name their run", "SELECT count(*) FROM _graph ANTI JOIN run USING (run_id)"),
)
