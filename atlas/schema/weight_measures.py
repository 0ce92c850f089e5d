"""THE table of the numbers of a neuron's weights: no corpus and no concept has part in them.

The columns of the card, what `weights --by` ranks by, `--help` and docs/schema.md follow from it.
"""

from __future__ import annotations

from typing import NamedTuple

VECTOR, NEURON_FACT = "_weight_fact", "_neuron_fact"


class WeightMeasure(NamedTuple):
    """One named number, a column of its own name; None (NULL) where it is not defined.

    `table`: VECTOR for a number of each weight of a neuron, NEURON_FACT for one of the neuron as a whole. `random`: the
    column of `weight_run` that says what random vectors reach, 95 % of the times at most; `two_sided`: in absolute
    value.
    """

    name: str
    meaning: str
    table: str
    unit: str = ""
    random: str = ""
    two_sided: bool = False


_COSINE = "random_cosine_95"

ALL: tuple[WeightMeasure, ...] = (
    WeightMeasure("norm", "length of the vector", VECTOR),
    WeightMeasure("cosine_mean", "mean of its cosines to all tokens", VECTOR),
    WeightMeasure("cosine_std", "their standard deviation", VECTOR),
    WeightMeasure("cosine_skewness", "their skewness: above 0, few tokens lie far up", VECTOR),
    WeightMeasure(
        "cosine_kurtosis",
        "their excess kurtosis (vocabulary kurtosis): large, if few tokens lie far from all others",
        VECTOR,
        random="random_kurtosis_95",
    ),
    WeightMeasure(
        "cos_in_out", "cosine of what it reads and what it writes (up_proj, down_proj)", NEURON_FACT, "", _COSINE, True
    ),
    WeightMeasure(
        "cos_gate_out", "cosine of its gate and what it writes (gate_proj, down_proj)", NEURON_FACT, "", _COSINE, True
    ),
    WeightMeasure("cos_gate_in", "cosine of its gate and what it reads", NEURON_FACT, "", _COSINE, True),
    WeightMeasure(
        "null_share",
        "share of down_proj in directions that the unembedding hardly sees: large for entropy neurons",
        NEURON_FACT,
        "share",
        "random_null_share_95",
    ),
    WeightMeasure(
        "frequency_correlation",
        "correlation of what it writes to each token with the token's log frequency",
        NEURON_FACT,
        "",
        "random_frequency_95",
        True,
    ),
)

WEIGHT_MEASURES: dict[str, WeightMeasure] = {measure.name: measure for measure in ALL}


def names_of(table: str) -> list[str]:
    """The measures that a table holds, in order."""
    return [measure.name for measure in ALL if measure.table == table]
