"""What is promised of the facts of weights."""

from __future__ import annotations

from atlas.schema.expert_rules import whole_layers
from atlas.schema.rule import Counted, RowRules, finite, finite_or_null, one_of
from atlas.sites import DECODING_MODES

IO_CLASSES = (
    "enrichment",
    "atypical enrichment",
    "conditional enrichment",
    "atypical conditional enrichment",
    "proportional change",
    "atypical proportional change",
    "orthogonal output",
    "depletion",
    "atypical depletion",
    "conditional depletion",
    "atypical conditional depletion",
)
"""arXiv 2505.17936, whose names these are; docs/methods.md has the rule."""

_AT_NEURON = "layer BETWEEN 0 AND {n_layers} - 1 AND neuron BETWEEN 0 AND {width} - 1"
_BLOCK = "{n_layers} * {width}"
_CODE = "enum_code(weight)::BIGINT"


def _cosines(*columns: str) -> str:
    return " AND ".join(f"coalesce({column} BETWEEN -1.00001 AND 1.00001, true)" for column in columns)


def _neighbours(side: str) -> str:
    """That a list has as many cosines as neurons, descending from at most 1, of neurons of the same weight."""
    return (
        f"len({side}_nid) = len({side}_cosine) AND coalesce(list_min({side}_nid) >= {_CODE} * {_BLOCK} "
        f"AND list_max({side}_nid) < ({_CODE} + 1) * {_BLOCK} AND list_max({side}_cosine) <= 1.00001 "
        f"AND list_min({side}_cosine) >= -1.00001 AND list_reverse_sort({side}_cosine) = {side}_cosine, "
        f"len({side}_nid) = 0)"
    )


WEIGHT_RULES: tuple[RowRules | Counted, ...] = (
    RowRules(
        "_weight_fact",
        {
            "facts of weights are of neurons in range": _AT_NEURON,
            "facts of weights are finite": f"{finite('norm')} AND norm >= 0 AND {_cosines('cosine_mean')} "
            f"AND {finite_or_null('cosine_skewness', 'cosine_kurtosis')} "
            "AND coalesce(cosine_std BETWEEN 0 AND 1.00001, true)",
        },
    ),
    Counted(
        "every weight has facts for all neurons, or for none",
        whole_layers("_weight_fact", "decode", "weights"),
    ),
    RowRules(
        "_neuron_fact",
        {
            "facts are of neurons in range": _AT_NEURON,
            "cosines and correlations are from -1 to 1": _cosines(
                "cos_in_out", "cos_gate_out", "cos_gate_in", "frequency_correlation"
            ),
            "the IO class is known": f"coalesce(io_class IN ({one_of(IO_CLASSES)}), true)",
            "shares of the null space are shares": "coalesce(null_share BETWEEN 0 AND 1.00001, true)",
        },
    ),
    Counted(
        "all neurons have facts, or none",
        whole_layers("_neuron_fact", "weights", of=""),
    ),
    RowRules(
        "_nearest",
        {
            "nearest neurons are of a neuron in range": _AT_NEURON,
            "nearest neurons are of the same weight, nearest first": f"{_neighbours('same')} "
            f"AND {_neighbours('other')}",
        },
    ),
    Counted(
        "every weight has nearest neurons for all neurons, or for none",
        f"SELECT count(*) FROM (SELECT weight, count(*) AS rows FROM _nearest GROUP BY weight) WHERE rows <> {_BLOCK}",
    ),
    RowRules("_redundant", {"redundant neurons are in range": f"{_AT_NEURON} AND group_id >= 0"}),
    Counted(
        "a redundant group has two neurons or more",
        "SELECT count(*) FROM (SELECT group_id FROM _redundant GROUP BY group_id HAVING count(*) < 2)",
    ),
    RowRules(
        "weight_run",
        {
            "runs over weights name their mode": f"mode IN ({one_of(DECODING_MODES)})",
            "runs over weights say what they measured with": "null_directions > 0 AND frequency_tokens >= 0 "
            f"AND random_vectors > 0 AND neighbours >= 0 AND list_min(singular_values) >= 0 "
            f"AND {finite('random_cosine_95', 'random_null_share_95', 'redundant_cosine')} "
            f"AND {finite_or_null('random_kurtosis_95', 'random_frequency_95')}",
        },
    ),
    Counted("runs over weights are runs", "SELECT count(*) FROM weight_run ANTI JOIN run USING (run_id)"),
)
