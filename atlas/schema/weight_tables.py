"""What the facts of weights alone store: rows of the table of tables."""

from __future__ import annotations

from atlas.schema.table import NEURON, RUN, WEIGHT, Column, Table

_WEIGHT = Column("weight", "weight_t", "up_proj, gate_proj or down_proj")
_LAYER = Column("layer", "INTEGER")
_NEURON = Column("neuron", "INTEGER")

WEIGHT_TABLES: tuple[Table, ...] = (
    Table(
        "_weight_fact",
        WEIGHT,
        (
            _WEIGHT,
            _LAYER,
            _NEURON,
            Column("norm", "FLOAT", "Euclidean norm of the vector, without the norm's gain"),
            Column("cosine_mean", "FLOAT", "mean of the cosines of the vector to all tokens", null=True),
            Column("cosine_std", "FLOAT", "their population standard deviation", null=True),
            Column("cosine_skewness", "FLOAT", "their third standardised moment", null=True),
            Column("cosine_kurtosis", "FLOAT", "their excess kurtosis: 0 for a Gaussian", null=True),
        ),
        key=("weight", "layer", "neuron"),
        later=True,
    ),
    Table(
        "_neuron_fact",
        NEURON,
        (
            _LAYER,
            _NEURON,
            Column("cos_in_out", "FLOAT", "cosine of up_proj and down_proj", null=True),
            Column("cos_gate_out", "FLOAT", "cosine of gate_proj and down_proj", null=True),
            Column("cos_gate_in", "FLOAT", "cosine of gate_proj and up_proj", null=True),
            Column("io_class", "VARCHAR", "what the neuron does to what it reads, by these cosines", null=True),
            Column(
                "null_share",
                "FLOAT",
                "share of down_proj's squared norm in directions that the unembedding hardly sees",
                "share",
                null=True,
            ),
            Column(
                "frequency_correlation",
                "FLOAT",
                "correlation of U·down_proj with the log frequency of the tokens",
                null=True,
            ),
        ),
        key=("layer", "neuron"),
        later=True,
    ),
    Table(
        "_nearest",
        WEIGHT,
        (
            _WEIGHT,
            _LAYER,
            _NEURON,
            Column("same_nid", "INTEGER[]", "nid of the nearest neurons of its layer, nearest first"),
            Column("same_cosine", "FLOAT[]"),
            Column("other_nid", "INTEGER[]", "the same of all other layers"),
            Column("other_cosine", "FLOAT[]"),
        ),
        key=("weight", "layer", "neuron"),
        later=True,
    ),
    Table(
        "_redundant",
        NEURON,
        (_LAYER, _NEURON, Column("group_id", "INTEGER", "from 0, the group of the first neuron first")),
        key=("layer", "neuron"),
        later=True,
        whole=True,
    ),
    Table(
        "weight_run",
        RUN,
        (
            Column("run_id", "INTEGER", "key; the last run says how what is there was measured"),
            Column(
                "mode",
                "VARCHAR",
                "raw, folded or linearised: U alone, with the gain of the final norm, or behind an encoder's head",
            ),
            Column("null_directions", "INTEGER", "how many singular directions of U count as its null space"),
            Column("singular_values", "FLOAT[]", "of U without its mean row, smallest first, one a direction"),
            Column("frequency_source", "VARCHAR", "where the frequency of tokens is from: texts, merges or token ids"),
            Column("frequency_tokens", "INTEGER", "tokens that have one"),
            Column("random_vectors", "INTEGER", "how many random vectors were measured beside the neurons"),
            Column("random_cosine_95", "FLOAT", "|cosine| of two random vectors, 95 % of the times at most"),
            Column("random_kurtosis_95", "FLOAT", "cosine_kurtosis of a random vector, likewise", null=True),
            Column("random_null_share_95", "FLOAT", "its null_share, likewise", "share"),
            Column("random_frequency_95", "FLOAT", "absolute value of its frequency_correlation, likewise", null=True),
            Column(
                "neighbours",
                "INTEGER",
                "nearest neurons that are kept of each neuron, as many of its layer as of others",
            ),
            Column("redundant_cosine", "FLOAT", "from which cosine on all weights of two neurons are redundant"),
        ),
        key=("run_id",),
        meaning="One row per run that measured weights (`build --weight-facts`): what its numbers are measured with, "
        "and what\nrandom vectors reach.",
        later=True,
        counted=False,
    ),
)
