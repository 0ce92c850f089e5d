"""THE table of public views: what each shows, and how its rows are counted. Their SQL stands in macros.sql.

A view also shows the value columns of every table that names it (`Table.view`).
"""

from __future__ import annotations

from atlas.schema.detector_views import DETECTOR_VIEWS
from atlas.schema.exemplar_views import EXEMPLAR_VIEWS
from atlas.schema.expert_views import EXPERT_VIEWS
from atlas.schema.gradient_views import GRADIENT_VIEWS
from atlas.schema.graph_views import GRAPH_VIEWS
from atlas.schema.measures import MEASURES
from atlas.schema.stored import FIT_COLUMNS, columns_of
from atlas.schema.table import Column, View
from atlas.schema.tables import TABLES
from atlas.schema.weight_views import WEIGHT_VIEWS


def _measured(name: str, kind: str) -> Column:
    """A measure that is computed from stored columns."""
    return Column(name, kind, MEASURES[name].meaning, MEASURES[name].unit)


_SHAPE = columns_of("_background", "mean", "std", "skewness", "kurtosis", "min", "max", "mean_abs", "ks")

ALL: tuple[View, ...] = (
    View(
        "token_decoding",
        "_decoding",
        (
            Column("weight", "weight_t", "which of the neuron's vectors"),
            *columns_of("_decoding", "layer", "neuron"),
            Column("sign", "TINYINT", "1: tokens that the vector raises; -1: tokens that it lowers"),
            Column("rank", "SMALLINT", "1 is the strongest"),
            Column("token_id", "INTEGER"),
            Column("token", "VARCHAR"),
            Column("logit", "FLOAT", "U·w: positive values raise, negative lower, also on the -1 side", "logits"),
            Column("probability", "DOUBLE", "softmax over the vocabulary of sign × logit"),
            Column("cosine", "FLOAT", "logit over the two norms"),
        ),
        "SELECT count(*) FROM _posting",
        "One row per weight, layer, neuron, sign and rank. For one neuron, `neuron_tokens(layer, neuron)` is much "
        "faster than\na filter on this view.",
    ),
    View(
        "fit_example",
        "_fit_example",
        columns_of("_fit_example", "fit_id", "text_hash"),
        "SELECT count(*) FROM _fit_example",
        "One row per fit and text that its statistics used, so that an evaluation can leave these out. The hash is "
        "the first\n8 bytes, big-endian, of SHA-256 over the UTF-8 of the casefolded text with every run of white "
        "space as one space.",
        counted=False,
    ),
    View(
        "concept_gaussian",
        "_gaussian",
        (
            *columns_of("_gaussian", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_gaussian", "layer", "neuron", "n"),
            *_SHAPE,
            _measured("auc", "DOUBLE"),
            *columns_of("_gaussian", "dprime", "overlap"),
        ),
        "SELECT count(*) FROM _gaussian",
        "One row per fit, concept, layer and neuron. Activations are in the model's own units.",
    ),
    View(
        "background_gaussian",
        "_background",
        (
            *columns_of("_background", "fit_id"),
            *(column for column in FIT_COLUMNS if column.name != "concept"),
            *columns_of("_background", "layer", "neuron", "n"),
            *_SHAPE,
        ),
        "SELECT count(*) FROM _background",
        "The same over all examples of the fit, whatever their concept.",
    ),
    View(
        "concept_range",
        "_range",
        (
            *columns_of("_range", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_range", "tau", "layer", "neuron"),
            *columns_of("_gaussian", "n", "mean", "std"),
            _measured("lower", "FLOAT"),
            _measured("upper", "FLOAT"),
            _measured("coverage", "DOUBLE"),
            _measured("leakage", "DOUBLE"),
            Column("worst_concept", "VARCHAR", "the other concept with the largest share in it"),
            Column("worst_leakage", "DOUBLE", "that share", "share"),
            _measured("auc", "DOUBLE"),
            *columns_of("_gaussian", "dprime", "overlap"),
        ),
        "SELECT count(*) FROM _range",
        "One row per fit, concept, tau, layer and neuron: the range, and what was measured in it.",
    ),
    View(
        "concept_histogram",
        "_histogram",
        (
            *columns_of("_histogram", "fit_id", "concept_id"),
            Column("concept", "VARCHAR"),
            *columns_of("fit", "site"),
            *columns_of("_histogram", "layer", "neuron"),
            Column("bin", "BIGINT", "from 1"),
            Column("lower", "DOUBLE", "left edge", "activation"),
            Column("upper", "DOUBLE", "right edge", "activation"),
            Column("count", "INTEGER", "values in the bin"),
        ),
        "SELECT count(*) * (SELECT bins FROM atlas) FROM _histogram",
        "One row per fit, concept, layer, neuron and bin. All concepts of a fit share a neuron's bins: equal parts "
        "of\n[background min, background max], the last one closed.",
    ),
    View(
        "concept_interval",
        "_interval",
        (
            *columns_of("_interval", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("_interval", "layer", "neuron"),
            *columns_of("_gaussian", "n"),
            *columns_of("_interval", "interval_lower", "interval_upper"),
            _measured("interval_coverage", "DOUBLE"),
            _measured("interval_leakage", "DOUBLE"),
            _measured("held_out_coverage", "DOUBLE"),
            _measured("held_out_leakage", "DOUBLE"),
            Column("held_out_worst_concept", "VARCHAR", "the other concept with the largest share in them"),
            Column("held_out_worst_leakage", "DOUBLE", "that share", "share"),
            *columns_of("_interval", "ap", "ap_low", "best_f1", "point_biserial", "stratified_auc", "p"),
            *columns_of("_significance", "q", "expected_coverage", "expected_leakage"),
        ),
        "SELECT count(*) FROM _interval",
        "One row per fit, concept, layer and neuron: the closed interval of the activation with the largest coverage "
        "− leakage,\nand how well it holds on texts that it was not found on. Empty where a build had `--folds 0`.",
    ),
    View(
        "concept_significance",
        "_chance",
        (
            *columns_of("_chance", "fit_id", "concept_id"),
            *FIT_COLUMNS,
            *columns_of("fit_concept", "n"),
            *columns_of("_interval_fit", "folds", "permutations"),
            Column("best_auc", "FLOAT", "AUC of the best neuron, on the side where it is above 0.5", "probability"),
            Column("auc_p", "DOUBLE", "share of the permutations, and the labels, that reach it", "probability"),
            Column("null_auc_95", "FLOAT", "what the best neuron reaches by luck, 95 % of the times at most"),
            Column("best_interval", "FLOAT", "largest coverage − leakage, of intervals between 64 parts of the values"),
            Column("interval_p", "DOUBLE", "share of the permutations, and the labels, that reach it", "probability"),
            Column("null_interval_95", "FLOAT", "what the best neuron reaches by luck, 95 % of the times at most"),
            *columns_of("_concept_length", "mean_tokens", "length_auc"),
        ),
        "SELECT count(*) FROM (SELECT DISTINCT fit_id, concept_id FROM _chance)",
        "One row per fit and concept: how its best neuron compares with the best of as many when labels mean nothing, "
        "and how far\nthe length of the texts alone tells the concept.",
        counted=False,
    ),
    *EXPERT_VIEWS,
    *DETECTOR_VIEWS,
    *WEIGHT_VIEWS,
    *EXEMPLAR_VIEWS,
    *GRADIENT_VIEWS,
    *GRAPH_VIEWS,
)


def views() -> dict[str, View]:
    """The views by name, with the columns of the tables that name them."""
    shown = {view.name: view for view in ALL}
    for table in TABLES.values():
        if table.view:
            view = shown[table.view]
            shown[view.name] = view._replace(columns=(*view.columns, *table.values()))
    return shown
