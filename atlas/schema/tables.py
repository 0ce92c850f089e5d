"""THE table of tables: everything that an atlas file stores, in the order of docs/schema.md.

The DDL, the checks, copying, forgetting, `info` and docs/schema.md follow from it. A new table is a Table here (or,
declared beside what computes it, one line here), and whoever fills it names it.
"""

from __future__ import annotations

from atlas.schema.atlas_table import ATLAS
from atlas.schema.description_tables import DESCRIPTION_TABLES
from atlas.schema.detector_tables import DETECTOR_TABLES, NOTED
from atlas.schema.exemplar_tables import EXEMPLAR_TABLES
from atlas.schema.exemplar_tables import NOTED as NOTED_OF_TEXTS
from atlas.schema.expert_tables import EXPERT_TABLES
from atlas.schema.gradient_tables import GRADIENT_TABLES
from atlas.schema.graph_tables import GRAPH_TABLES
from atlas.schema.interval_tables import INTERVAL_TABLES
from atlas.schema.second_order_tables import SECOND_ORDER
from atlas.schema.table import FAMILY, FIT, MODEL, RUN, WEIGHT, Column, Table
from atlas.schema.weight_tables import WEIGHT_TABLES

WEIGHT_TYPE = "CREATE TYPE weight_t AS ENUM ('up_proj', 'gate_proj', 'down_proj');"
"""The codes of the ENUM are part of `nid`."""

_LAYER = Column("layer", "INTEGER")
_NEURON = Column("neuron", "INTEGER")
_FIT = Column("fit_id", "INTEGER")
_CONCEPT = Column("concept_id", "INTEGER")
_WEIGHT = Column("weight", "weight_t", "up_proj, gate_proj or down_proj")


def _shape() -> tuple[Column, ...]:
    """What a concept's Gaussian and the background have in common."""
    return (
        Column("mean", "FLOAT", unit="activation"),
        Column("std", "FLOAT", "population standard deviation (divisor n)", "activation"),
        Column("skewness", "FLOAT", "third standardised moment", null=True),
        Column("kurtosis", "FLOAT", "excess kurtosis: 0 for a Gaussian", null=True),
        Column("min", "FLOAT", unit="activation"),
        Column("max", "FLOAT", unit="activation"),
        Column("mean_abs", "FLOAT", "mean of the absolute value", "activation"),
        Column("ks", "FLOAT", "Kolmogorov–Smirnov distance to the fitted Gaussian, 0 to 1", null=True),
    )


ALL: tuple[Table, ...] = (
    ATLAS,
    Table(
        "run",
        RUN,
        (
            Column("run_id", "INTEGER", "key"),
            Column("builder", "VARCHAR", "the product that was built: decode, weights, gaussians and so on"),
            Column("parameters", "VARCHAR", "JSON: every option that decides the rows"),
            Column("versions", "VARCHAR", "JSON: versions of the libraries"),
            Column("device", "VARCHAR", "where the model ran"),
            Column("dtype", "VARCHAR", "type it computed in"),
            Column("started_at", "TIMESTAMP"),
            Column("finished_at", "TIMESTAMP", null=True),
        ),
        key=("run_id",),
        meaning="One row per execution of a builder.",
        counted=False,
    ),
    Table(
        "vocab",
        MODEL,
        (
            Column("token_id", "INTEGER", "key"),
            Column("token", "VARCHAR", "its text, with its leading space"),
            Column("norm", "FLOAT", "Euclidean norm of its unembedding row; of its embedding's without a head"),
        ),
        key=("token_id",),
        meaning="One row per token that the tokenizer knows; padding rows of the vocabulary are absent. Of a "
        "classifier one row per label: what neurons are decoded to.",
    ),
    Table(
        "_token_form",
        MODEL,
        (Column("form", "VARCHAR", "the token without its spaces and capitals"), Column("token_id", "INTEGER")),
        key=("form", "token_id"),
        derived=True,
    ),
    Table(
        "_decoding",
        WEIGHT,
        (
            Column("nid", "INTEGER", "one integer for weight, layer and neuron"),
            _WEIGHT,
            _LAYER,
            _NEURON,
            Column("norm", "FLOAT", "Euclidean norm of the decoded vector"),
            Column("raised_lse", "FLOAT", "log of the sum of exp(logit) over the vocabulary"),
            Column("lowered_lse", "FLOAT", "the same of the negative logits"),
            Column("raised_token", "INTEGER[{top}]", "tokens with the largest logits, largest first"),
            Column("raised_logit", "FLOAT[{top}]"),
            Column("lowered_token", "INTEGER[{top}]", "tokens with the smallest logits, smallest first"),
            Column("lowered_logit", "FLOAT[{top}]"),
        ),
        key=("nid",),
    ),
    Table(
        "_posting",
        WEIGHT,
        (
            Column("token_id", "INTEGER"),
            Column("sign", "TINYINT", "1 raised, -1 lowered"),
            Column("nid", "INTEGER"),
            Column("rank", "SMALLINT"),
            Column("logit", "FLOAT"),
        ),
        # Lowered postings run backwards: steps between neighbours stay small, which packs nid a tenth tighter.
        key=("token_id", "sign DESC", "sign * nid"),
        earlier_key=("token_id", "sign DESC", "nid"),
        derived=True,
    ),
    Table(
        "concept",
        FAMILY,
        (
            Column("concept_id", "INTEGER", "key"),
            Column("family", "VARCHAR", "group of concepts: one corpus"),
            Column("concept", "VARCHAR", "name, unique within its family"),
            Column("n_examples", "INTEGER", "labelled texts"),
        ),
        key=("concept_id",),
    ),
    Table(
        "fit",
        FIT,
        (
            Column("fit_id", "INTEGER", "key"),
            Column("run_id", "INTEGER", "the run that made it"),
            Column("family", "VARCHAR", "the corpus"),
            Column("site", "VARCHAR", "mlp_pre, mlp_pre_linear, mlp_post or resid_post"),
            Column("position", "VARCHAR", "last, cls, mask, mean, max (one value per example) or all (one per token)"),
            Column("template", "VARCHAR", "prompt that the texts were put into"),
            Column("width", "INTEGER", "neurons per layer at this site"),
            Column("n", "INTEGER", "values per neuron, all concepts together"),
            Column("taus", "DOUBLE[]", "half-widths of the measured ranges, in standard deviations"),
            Column("corpus_sha256", "VARCHAR", "hash of the corpus's texts and labels"),
        ),
        key=("fit_id",),
        meaning="One row per set of Gaussians: one corpus at one site and position.",
    ),
    Table(
        "fit_concept",
        FIT,
        (_FIT, _CONCEPT, Column("n", "INTEGER", "values per neuron under this concept")),
        key=("fit_id", "concept_id"),
        counted=False,
    ),
    Table(
        "_fit_example",
        FIT,
        (_FIT, Column("text_hash", "UBIGINT", "equal for texts that differ only in case or white space")),
        key=("fit_id", "text_hash"),
        later=True,
    ),
    Table(
        "_gaussian",
        FIT,
        (
            _FIT,
            _CONCEPT,
            _LAYER,
            _NEURON,
            Column("n", "INTEGER", "values"),
            Column("n_all", "INTEGER", "values of all concepts, where the neuron has not all of the fit's", null=True),
            *_shape(),
            Column("twice_u", "BIGINT", "pairs with a value of another concept: 2 where it is larger, 1 where equal"),
            Column("dprime", "FLOAT", "difference to the others' mean over the root mean variance", null=True),
            Column("overlap", "FLOAT", "shared area of the two fitted Gaussians, 0 to 1", null=True),
        ),
        # Layer before concept: the rows of a neuron stand in few row groups, each of which costs a look-up time.
        key=("fit_id", "layer", "concept_id", "neuron"),
        earlier_key=("fit_id", "concept_id", "layer", "neuron"),
        waiting=True,
        complete=True,
    ),
    Table(
        "_background",
        FIT,
        (_FIT, _LAYER, _NEURON, Column("n", "INTEGER", "values"), *_shape()),
        key=("fit_id", "layer", "neuron"),
        waiting=True,
        complete=True,
    ),
    Table(
        "_range",
        FIT,
        (
            _FIT,
            _CONCEPT,
            Column("tau", "DOUBLE", "half-width in standard deviations"),
            _LAYER,
            _NEURON,
            Column("inside", "INTEGER", "values of the concept in the range"),
            Column("others_inside", "INTEGER", "values of all other concepts in it"),
            Column("worst_concept_id", "INTEGER", "the other concept with the largest share in it", null=True),
            Column("worst_inside", "INTEGER", "its values in it", null=True),
            Column("worst_n", "INTEGER", "all its values, where not all of the fit's reach the neuron", null=True),
        ),
        key=("fit_id", "layer", "tau", "concept_id", "neuron"),
        earlier_key=("fit_id", "concept_id", "tau", "layer", "neuron"),
        waiting=True,
        complete=True,
    ),
    Table(
        "_histogram",
        FIT,
        (_FIT, _LAYER, _NEURON, _CONCEPT, Column("counts", "INTEGER[{bins}]", "values in each bin")),
        key=("fit_id", "layer", "neuron", "concept_id"),
        waiting=True,
        complete=True,
    ),
    *EXPERT_TABLES,
    *INTERVAL_TABLES,
    *DETECTOR_TABLES,
    *EXEMPLAR_TABLES,
    *GRADIENT_TABLES,
    *GRAPH_TABLES,
    *DESCRIPTION_TABLES,
    Table(
        "neuron_vector",
        WEIGHT,
        (
            _WEIGHT,
            _LAYER,
            _NEURON,
            Column("vector", "FLOAT[{d_model}]", "the neuron's vector in the residual space"),
        ),
        key=("weight", "layer", "neuron"),
        whole=True,
        meaning="Only after `build --vectors`: the weight vectors themselves, without the norm's gain.",
    ),
    *WEIGHT_TABLES,
    SECOND_ORDER,
    # What was published, so that damage shows: of every column of every table, and of every definition.
    Table(
        "_digest",
        MODEL,
        (
            Column("object", "VARCHAR", "table, view, macro or type"),
            Column("part", "VARCHAR", "column, or the version of DuckDB that worded the definition"),
            Column("rows", "BIGINT", "of the table", null=True),
            Column("crc32", "UINTEGER"),
        ),
        key=("object", "part"),
        derived=True,
        later=True,
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in ALL}
PASSING: dict[str, Table] = {table.name: table for table in (NOTED, *NOTED_OF_TEXTS)}
"""What units of a build note for those that come last (builders/build/product.py). No atlas has these tables."""


def built() -> list[Table]:
    """The tables that builders fill: neither the row of the atlas nor what publishing derives."""
    return [table for table in TABLES.values() if table.name != "atlas" and not table.derived]


def about(thing: str) -> list[str]:
    """Names of the tables that builders fill whose rows belong to `thing`."""
    return [table.name for table in built() if table.about == thing]
