"""The views of rules that label texts. Their SQL stands in macros.sql."""

from __future__ import annotations

from atlas.schema.stored import FIT_COLUMNS, columns_of
from atlas.schema.table import Column, View


def _share(name: str, meaning: str) -> tuple[Column, ...]:
    """A share of texts that rules had not seen, with its 95 % interval."""
    return (
        Column(name, "DOUBLE", meaning, "share"),
        Column(f"{name}_low", "DOUBLE", "of its 95 % interval", "share"),
        Column(f"{name}_high", "DOUBLE", "of its 95 % interval", "share"),
    )


DETECTOR_VIEWS: tuple[View, ...] = (
    View(
        "detector",
        "_detector",
        (
            *columns_of("_detector", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_detector", "form", "neurons", "layer"),
            *columns_of("fit_concept", "n"),
            Column("n_others", "INTEGER", "texts of all other concepts"),
            *_share("coverage", "share of the concept's texts that the rules say have it"),
            *_share("leakage", "share of the other texts that they say have it"),
            *_share("youden_j", "coverage − leakage (Youden's J)"),
            *columns_of("_detector", "auc", "auc_low", "auc_high"),
            *_share("f1", "harmonic mean of precision and coverage")[:1],
            *columns_of("_detector", "f1_low", "f1_high"),
            *_share("precision", "share of the concept's texts among those that they say have it"),
            *columns_of("_detector", "bias", "threshold"),
        ),
        "SELECT count(*) FROM _detector",
        "One row per fit, concept, form and number of neurons: how well a rule of few neurons tells texts that "
        "it was not\nmade from. bias and threshold are those of the rule that was made from all. Empty "
        "without `build --detectors`.",
        counted=False,
    ),
    View(
        "detector_neuron",
        "_detector_neuron",
        (
            *columns_of("_detector_neuron", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_detector_neuron", "form", "neurons", "place", "layer", "neuron", "weight", "lower", "upper"),
            *columns_of("_detector_neuron", "mean", "std"),
        ),
        "SELECT count(*) FROM _detector_neuron",
        "One row per neuron of a rule that was made from all texts. A text's score is bias plus, over the neurons, "
        "weight where the\nactivation is in [lower, upper], or weight × (activation − mean) / std; it has the concept "
        "where the score is at least threshold.",
        counted=False,
    ),
)
