"""What the product `intervals` stores: rows of the table of tables."""

from __future__ import annotations

from atlas.schema.table import FIT, Column, Table

_FIT = Column("fit_id", "INTEGER")
_CONCEPT = Column("concept_id", "INTEGER")
_LAYER = Column("layer", "INTEGER")
_NEURON = Column("neuron", "INTEGER")

INTERVAL_TABLES: tuple[Table, ...] = (
    Table(
        "_interval_fit",
        FIT,
        (
            _FIT,
            Column("run_id", "INTEGER", "the run that found the intervals"),
            Column("folds", "INTEGER", "parts of the texts, each of which is left out once"),
            Column("permutations", "INTEGER", "how often the labels were dealt out anew"),
            Column("seed", "BIGINT", "of the permutations"),
        ),
        key=("fit_id",),
        later=True,
    ),
    Table(
        "_concept_length",
        FIT,
        (
            _FIT,
            _CONCEPT,
            Column("mean_tokens", "FLOAT", "mean length of the concept's prompts", "tokens"),
            Column(
                "length_auc",
                "FLOAT",
                "probability that a prompt of the concept is longer than one of the others, ties half",
                "probability",
                null=True,
            ),
        ),
        key=("fit_id", "concept_id"),
        later=True,
    ),
    Table(
        "_fold",
        FIT,
        (_FIT, Column("text_hash", "UBIGINT"), Column("fold", "SMALLINT", "which fold the text is in, from 0")),
        key=("fit_id", "text_hash"),
        later=True,
    ),
    Table(
        "_chance",
        FIT,
        (
            _FIT,
            _LAYER,
            _CONCEPT,
            Column("auc", "FLOAT", "largest |AUC - 0.5| + 0.5 of a neuron of the layer"),
            Column(
                "interval", "FLOAT", "largest coverage - leakage, of intervals between 64 equal parts of the values"
            ),
            Column("null_auc", "FLOAT[]", "the same when the labels are dealt out anew, a value a permutation"),
            Column("null_interval", "FLOAT[]"),
        ),
        key=("fit_id", "layer", "concept_id"),
        later=True,
    ),
    Table(
        "_interval",
        FIT,
        (
            _FIT,
            _LAYER,
            _CONCEPT,
            _NEURON,
            Column("n", "INTEGER", "values of the concept, where not all of the fit's reach the neuron", null=True),
            Column("n_all", "INTEGER", "values of all concepts, likewise", null=True),
            Column("interval_lower", "FLOAT", "belongs to the interval; -inf where it is open", "activation"),
            Column("interval_upper", "FLOAT", "belongs to the interval; inf where it is open", "activation"),
            Column("interval_inside", "INTEGER", "values of the concept in it"),
            Column("interval_others", "INTEGER", "values of all other concepts in it"),
            Column("held_inside", "INTEGER", "values of the concept in intervals that were found without their texts"),
            Column("held_others", "INTEGER", "values of all other concepts in the same intervals, likewise"),
            Column("held_worst_concept_id", "INTEGER", "the other concept with the largest share in them", null=True),
            Column("held_worst_inside", "INTEGER", "its values in them", null=True),
            Column("held_worst_n", "INTEGER", "all its values, where not all of the fit's reach the neuron", null=True),
            Column("ap", "FLOAT", "average precision, larger values first"),
            Column("ap_low", "FLOAT", "average precision, smaller values first"),
            Column("best_f1", "FLOAT", "largest F1 of a threshold, on either side"),
            Column("point_biserial", "FLOAT", "correlation of the activation with the label", null=True),
            Column("stratified_auc", "FLOAT", "AUC among texts of similar length", null=True),
            Column("p", "FLOAT", "two-sided p of the Mann-Whitney U; 1.2e-38 stands for anything less", null=True),
        ),
        key=("fit_id", "layer", "concept_id", "neuron"),
        waiting=True,
        complete=True,
        later=True,
    ),
    Table(
        "_length",
        FIT,
        (
            _FIT,
            _LAYER,
            _NEURON,
            Column(
                "length_correlation",
                "FLOAT",
                "rank correlation (Spearman) of the activation with the length of the prompt in tokens",
                null=True,
            ),
        ),
        key=("fit_id", "layer", "neuron"),
        waiting=True,
        complete=True,
        later=True,
        view="background_gaussian",
    ),
    Table(
        "_significance",
        FIT,
        (
            _FIT,
            _LAYER,
            _CONCEPT,
            _NEURON,
            Column("q", "FLOAT", "p after Benjamini and Hochberg, over all neurons of the fit", null=True),
            Column(
                "expected_coverage",
                "FLOAT",
                "held-out coverage, less what luck adds to neurons that stand out: what to expect on new texts",
                "share",
                null=True,
            ),
            Column("expected_leakage", "FLOAT", "the same of held-out leakage", "share", null=True),
        ),
        key=("fit_id", "layer", "concept_id", "neuron"),
        derived=True,
        complete=True,
        later=True,
    ),
)
