"""The views of gradients. Their SQL stands in macros.sql."""

from __future__ import annotations

from atlas.schema.stored import FIT_COLUMNS, columns_of
from atlas.schema.table import Column, View
from atlas.schema.tables import TABLES

GRADIENT_VIEWS: tuple[View, ...] = (
    View(
        "concept_attribution",
        "_gradient",
        (
            *columns_of("_gradient", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_gradient", "layer", "neuron"),
            *columns_of("_gradient_target", "token_id"),
            Column("token", "VARCHAR"),
            *columns_of("_gradient_target", "whole", "texts"),
            *columns_of("_gradient", "gradient", "gradient_std", "attribution", "attribution_std"),
        ),
        "SELECT count(*) FROM _gradient",
        "One row per fit, concept, layer and neuron: what the neuron does for the logit of the concept's token, on the "
        "concept's texts.\nThe gradient tells what setting a neuron to 0 does, and little about strong clamps: see "
        "`gradient_check`. Empty without `build --gradients`.",
        counted=False,
    ),
    View(
        "gradient_check",
        "_gradient_check",
        (
            *columns_of("_gradient_check", "fit_id"),
            *(column for column in FIT_COLUMNS if column.name != "concept"),
            *columns_of("_gradient_check", "rule", "edit", "n", "pearson", "spearman"),
            *columns_of("_gradient_fit", "sample", "texts"),
        ),
        "SELECT count(*) FROM _gradient_check",
        "One row per fit, rule and edit: how far what is computed of neurons that were drawn at random agrees with "
        "what editing\nthem was measured to do.",
        counted=False,
    ),
    View(
        "gradient_sample",
        "_gradient_sample",
        (
            *columns_of("_gradient_sample", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *(column for column in TABLES["_gradient_sample"].columns if column.name not in ("fit_id", "concept_id")),
        ),
        "SELECT count(*) FROM _gradient_sample",
        "One row per fit, drawn text and drawn neuron: what those correlations are of.",
        counted=False,
    ),
)
