"""What the product `exemplars` stores of running text, and what its units note for the last ones."""

from __future__ import annotations

from typing import NamedTuple

from atlas.schema.table import TEXTS, Column, Table


class Kind(NamedTuple):
    """A list of exemplars of a neuron. `part`: which band or quadrant, from 1; 0 where there is one. `most`: how many
    it has at most. `windowed`: whether the activations around each are stored.
    """

    code: int
    kind: str
    part: int
    most: int
    windowed: bool = True


QUADRANTS = ("gate+ up+", "gate+ up-", "gate- up+", "gate- up-")
"""Signs of the two branches of a gated neuron; a zero has one too."""
KINDS: tuple[Kind, ...] = (
    Kind(1, "top", 0, 16),
    Kind(2, "bottom", 0, 16),
    *(Kind(2 + band, "band", band, 8) for band in (1, 2, 3, 4)),
    *(Kind(6 + quadrant, "quadrant", quadrant, 4, windowed=False) for quadrant in (1, 2, 3, 4)),
)
KIND_NAMES = tuple(dict.fromkeys(kind.kind for kind in KINDS))

PROBABILITIES = (
    *(0.0, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0),
)
"""Whose quantiles are stored, smallest first: 0 and 1 are the extremes over all tokens."""
OCTAVES = 16
"""Bins of the histogram on each side of 0, each half as wide as the one above it."""
NOT_COUNTED = 0
"""In a window: a special token, or no token."""
MIDDLE, STEPS = 128, 127
"""In a window, the byte b stands for the activation (b - MIDDLE) * scale / STEPS."""

_SITE = Column("site", "VARCHAR", "mlp_pre, mlp_pre_linear, mlp_post or resid_post")
_LAYER = Column("layer", "INTEGER")
_NEURON = Column("neuron", "INTEGER")
_TEXT = Column("text_id", "INTEGER", "key: its place among all texts, from 0")

EXEMPLAR_TABLES: tuple[Table, ...] = (
    Table(
        "_text_set",
        TEXTS,
        (
            Column("run_id", "INTEGER", "the run that read them"),
            Column("texts", "INTEGER", "how many; a document longer than max_tokens is cut into several"),
            Column("tokens", "BIGINT", "of all texts that count: special tokens do not"),
            Column("max_tokens", "INTEGER", "longest text"),
            Column("sampled", "BIGINT", "tokens that quantiles and histograms are of, drawn by a hash"),
            Column("compared", "BIGINT", "tokens that correlations are of, drawn by the same hash"),
            Column(
                "correlated_from", "DOUBLE", "from which rank correlation on, of either sign, neurons are correlated"
            ),
            Column("seed", "BIGINT", "of what is drawn"),
            Column("words", "BOOLEAN", "whether the tokens of texts are stored"),
            Column("epsilon", "DOUBLE", "share_beyond is of activations farther than this from 0", "activation"),
            Column("extreme_window", "INTEGER", "tokens of the window of an exemplar, of the kinds top and bottom"),
            Column("band_window", "INTEGER", "the same of the kind band"),
            Column(
                "first_token",
                "INTEGER",
                "the token that windows begin with at the earliest: 1 after a first special one",
            ),
            Column("sha256", "VARCHAR", "of all tokens of all texts; empty where the tokens are not stored"),
        ),
        key=("run_id",),
        later=True,
    ),
    Table(
        "_text",
        TEXTS,
        (
            _TEXT,
            Column("source", "VARCHAR", "name of the file, dataset or corpus"),
            Column("document", "BIGINT", "its number in the source, from 1"),
            Column("start", "BIGINT", "tokens of the document that came before it"),
            Column("n_tokens", "INTEGER", "its length, special tokens included"),
            Column("tokens", "INTEGER[]", "the ids; NULL where words are not stored", null=True),
        ),
        key=("text_id",),
        later=True,
    ),
    Table(
        "_exemplar",
        TEXTS,
        (
            _SITE,
            _LAYER,
            _NEURON,
            Column("kind", "TINYINT", "top, bottom, which band, which quadrant (schema/exemplar_tables.py, KINDS)"),
            Column("text_id", "INTEGER[]", "best first; of bands in the order of their values"),
            Column("position", "INTEGER[]", "the token of the text, from 0"),
            Column("value", "FLOAT[]", "the activation there", "activation"),
            Column("scale", "FLOAT", "largest absolute activation in the windows", "activation", null=True),
            Column("windows", "BLOB", "a byte a token: 128 + 127 activation / scale, rounded; 0: none", null=True),
        ),
        key=("site", "layer", "neuron", "kind"),
        waiting=True,
        later=True,
    ),
    Table(
        "_firing",
        TEXTS,
        (
            _SITE,
            _LAYER,
            _NEURON,
            Column("mean", "FLOAT", unit="activation"),
            Column("std", "FLOAT", "population standard deviation (divisor n)", "activation"),
            Column("positive", "BIGINT", "tokens with an activation above 0"),
            Column("beyond", "BIGINT", "tokens with an absolute activation above epsilon"),
            Column("position_correlation", "FLOAT", "Pearson's, with the place in the text", null=True),
            Column("quantiles", f"FLOAT[{len(PROBABILITIES)}]", "at the PROBABILITIES", "activation"),
            Column("octave", "SMALLINT", "the largest absolute activation is at least 2^octave, below 2^(octave + 1)"),
            Column(
                "histogram",
                f"INTEGER[{2 * OCTAVES}]",
                "sampled tokens by absolute activation, halving from 2^(octave + 1): first above 0, then the others",
            ),
            Column("quadrants", "BIGINT[4]", "tokens in each quadrant", null=True),
            Column(
                "routed",
                "BIGINT",
                "tokens that were routed to its expert; NULL: every token has an activation",
                null=True,
            ),
            Column("routed_sampled", "BIGINT", "those of them that quantiles and histogram are of", null=True),
        ),
        key=("site", "layer", "neuron"),
        waiting=True,
        later=True,
    ),
    Table(
        "_correlated",
        TEXTS,
        (_SITE, _LAYER, _NEURON, Column("group_id", "INTEGER", "key: from 0, in order of its first neuron")),
        key=("site", "layer", "neuron"),
        later=True,
        whole=True,
    ),
    Table(
        "token_count",
        TEXTS,
        (Column("token_id", "INTEGER", "key"), Column("n", "BIGINT", "how often it stands in the running text")),
        key=("token_id",),
        meaning="After `build --texts`, unless `--no-texts`: how often each token stands in the running text. Tokens "
        "that never do\nhave no row.",
        later=True,
        counted=False,
    ),
)

_NOTED_PLACE = (Column("place", "INTEGER", "which site and layer"), Column("shard", "INTEGER"))
NOTED_EXEMPLARS = Table(
    "_noted_exemplar",
    TEXTS,
    (
        *_NOTED_PLACE,
        Column("list", "TINYINT", "which it may come into"),
        _NEURON,
        Column("text_id", "INTEGER"),
        Column("key", "DOUBLE", "smaller first"),
        Column("drawn", "UBIGINT", "the key of texts that are drawn by a hash"),
        Column("position", "INTEGER"),
        Column("value", "FLOAT"),
        Column("scale", "FLOAT"),
        Column("window", "SMALLINT[]"),
    ),
    key=("place", "shard", "list", "neuron", "text_id"),
)
NOTED_FIRING = Table(
    "_noted_firing",
    TEXTS,
    (
        *_NOTED_PLACE,
        _NEURON,
        Column("n", "BIGINT"),
        Column("mean_place", "DOUBLE"),
        Column("squares_place", "DOUBLE", "sum of squared differences to the mean"),
        Column("mean", "DOUBLE"),
        Column("squares", "DOUBLE", "the same of activations"),
        Column("products", "DOUBLE", "sum of products of the two differences"),
        Column("min", "FLOAT"),
        Column("max", "FLOAT"),
        Column("counts", "BIGINT[]"),
        Column("bins", "SMALLINT[]", "fine bins that are not empty"),
        Column("in_bins", "INTEGER[]"),
        Column("first_hash", "UBIGINT", "the smallest of a token that was routed to the expert", null=True),
        Column("first", "FLOAT", "the activation there", null=True),
    ),
    key=("place", "shard", "neuron"),
)
NOTED_TEXTS = Table(
    "_noted_text", TEXTS, (Column("place", "INTEGER"), Column("text_id", "INTEGER")), key=("place", "text_id")
)
NOTED_COMPARED = Table(
    "_noted_compared",
    TEXTS,
    (
        *_NOTED_PLACE,
        Column("text_id", "INTEGER[]", "of each token"),
        Column("position", "INTEGER[]"),
        Column("acts", "BLOB", "float32 [tokens, neurons]"),
    ),
    key=("place", "shard"),
)
NOTED = (NOTED_EXEMPLARS, NOTED_FIRING, NOTED_COMPARED, NOTED_TEXTS)
