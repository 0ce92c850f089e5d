"""What the product `detectors` stores, and what its units note for the last ones: rows of the table of tables."""

from __future__ import annotations

from atlas.schema.table import FIT, Column, Table

FORMS = ("interval", "linear", "layer")
"""Of a rule. interval: whether the activations are inside intervals; linear: the activations themselves; layer: those
of all neurons of a layer, which the others are compared with."""

_FIT = Column("fit_id", "INTEGER")
_CONCEPT = Column("concept_id", "INTEGER")
_LAYER = Column("layer", "INTEGER")
_NEURON = Column("neuron", "INTEGER")
_FORM = Column("form", "VARCHAR", "interval, linear or layer")
_NEURONS = Column("neurons", "INTEGER", "how many the rule has")

DETECTOR_TABLES: tuple[Table, ...] = (
    Table(
        "_detector_fit",
        FIT,
        (
            _FIT,
            Column("run_id", "INTEGER", "the run that found the rules"),
            Column("folds", "INTEGER", "parts of the texts, each of which is left out once"),
            Column("seed", "BIGINT", "of the resampled texts"),
        ),
        key=("fit_id",),
        later=True,
    ),
    Table(
        "_detector",
        FIT,
        (
            _FIT,
            _CONCEPT,
            _FORM,
            _NEURONS,
            Column("layer", "INTEGER", "of the form `layer`, which one", null=True),
            Column("bias", "DOUBLE", "added to the weighted sum over the neurons"),
            Column("threshold", "DOUBLE", "a text has the concept where its score is at least this"),
            Column("held_inside", "INTEGER", "texts of the concept that rules found without them say have it"),
            Column("held_others", "INTEGER", "other texts that rules found without them say have it"),
            Column(
                "auc",
                "FLOAT",
                "probability that a text of the concept scores higher than another of its fold",
                null=True,
            ),
            Column("auc_low", "FLOAT", "of its 95 % interval, by resampled texts", null=True),
            Column("auc_high", "FLOAT", "of its 95 % interval", null=True),
            Column("f1_low", "FLOAT", "of the 95 % interval of F1, by resampled texts"),
            Column("f1_high", "FLOAT", "of the 95 % interval of F1"),
        ),
        key=("fit_id", "concept_id", "form", "neurons"),
        later=True,
    ),
    Table(
        "_detector_neuron",
        FIT,
        (
            _FIT,
            _CONCEPT,
            _FORM,
            _NEURONS,
            Column("place", "INTEGER", "in the order in which they were chosen, from 1"),
            _LAYER,
            _NEURON,
            Column(
                "weight", "DOUBLE", "what it adds to the score: if inside, or per standard deviation above the mean"
            ),
            Column("lower", "FLOAT", "belongs to the interval; -inf where it is open", "activation", null=True),
            Column("upper", "FLOAT", "belongs to the interval; inf where it is open", "activation", null=True),
            Column("mean", "DOUBLE", "of the form `linear`, over all texts", "activation", null=True),
            Column("std", "DOUBLE", "of the form `linear`, over all texts; population", "activation", null=True),
        ),
        key=("fit_id", "concept_id", "form", "neurons", "place"),
        later=True,
    ),
)

NOTED = Table(
    "_detector_candidate",
    FIT,
    (
        _FIT,
        _LAYER,
        Column("form", "VARCHAR", "of the rule that it may be part of"),
        Column("fold", "INTEGER", "left out; the number of folds: none"),
        Column("concept", "INTEGER", "index"),
        Column("neuron", "INTEGER", "-1: the layer as a whole"),
        Column("value", "DOUBLE", "by which candidates are compared, larger first"),
        Column("lower", "FLOAT", null=True),
        Column("upper", "FLOAT", null=True),
    ),
    key=("fit_id", "layer", "form", "fold", "concept", "neuron"),
)
