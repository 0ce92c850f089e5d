"""THE table of public views: what each shows, and how its rows are counted. Their SQL stands in macros.sql.

A view also shows the value columns of every table that names it (`Table.view`).
"""

from __future__ import annotations

from atlas.schema.measures import MEASURES
from atlas.schema.table import Column, View
from atlas.schema.tables import TABLES


def _of(table: str, *names: str) -> tuple[Column, ...]:
    """Columns of a stored table, as they are."""
    stored = {column.name: column for column in TABLES[table].columns}
    return tuple(stored[name] for name in names)


def _measured(name: str, kind: str) -> Column:
    """A measure that is computed from stored columns."""
    return Column(name, kind, MEASURES[name].meaning, MEASURES[name].unit)


def _share(name: str, meaning: str) -> tuple[Column, ...]:
    """A share of texts that rules had not seen, with its 95 % interval."""
    return (
        Column(name, "DOUBLE", meaning, "share"),
        Column(f"{name}_low", "DOUBLE", "of its 95 % interval", "share"),
        Column(f"{name}_high", "DOUBLE", "of its 95 % interval", "share"),
    )


_FIT_OF = (Column("family", "VARCHAR"), Column("concept", "VARCHAR"), *_of("fit", "site", "position"))
_SHAPE = _of("_background", "mean", "std", "skewness", "kurtosis", "min", "max", "mean_abs", "ks")

ALL: tuple[View, ...] = (
    View(
        "token_decoding",
        "_decoding",
        (
            Column("weight", "weight_t", "which of the neuron's vectors"),
            *_of("_decoding", "layer", "neuron"),
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
        _of("_fit_example", "fit_id", "text_hash"),
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
            *_of("_gaussian", "fit_id", "concept_id"),
            *_FIT_OF,
            *_of("_gaussian", "layer", "neuron", "n"),
            *_SHAPE,
            _measured("auc", "DOUBLE"),
            *_of("_gaussian", "dprime", "overlap"),
        ),
        "SELECT count(*) FROM _gaussian",
        "One row per fit, concept, layer and neuron. Activations are in the model's own units.",
    ),
    View(
        "background_gaussian",
        "_background",
        (
            *_of("_background", "fit_id"),
            *(column for column in _FIT_OF if column.name != "concept"),
            *_of("_background", "layer", "neuron", "n"),
            *_SHAPE,
        ),
        "SELECT count(*) FROM _background",
        "The same over all examples of the fit, whatever their concept.",
    ),
    View(
        "concept_range",
        "_range",
        (
            *_of("_range", "fit_id", "concept_id"),
            *_FIT_OF,
            *_of("_range", "tau", "layer", "neuron"),
            *_of("_gaussian", "n", "mean", "std"),
            _measured("lower", "FLOAT"),
            _measured("upper", "FLOAT"),
            _measured("coverage", "DOUBLE"),
            _measured("leakage", "DOUBLE"),
            Column("worst_concept", "VARCHAR", "the other concept with the largest share in it"),
            Column("worst_leakage", "DOUBLE", "that share", "share"),
            _measured("auc", "DOUBLE"),
            *_of("_gaussian", "dprime", "overlap"),
        ),
        "SELECT count(*) FROM _range",
        "One row per fit, concept, tau, layer and neuron: the range, and what was measured in it.",
    ),
    View(
        "concept_histogram",
        "_histogram",
        (
            *_of("_histogram", "fit_id", "concept_id"),
            Column("concept", "VARCHAR"),
            *_of("fit", "site"),
            *_of("_histogram", "layer", "neuron"),
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
            *_of("_interval", "fit_id", "concept_id"),
            *_FIT_OF,
            *_of("_interval", "layer", "neuron"),
            *_of("_gaussian", "n"),
            *_of("_interval", "interval_lower", "interval_upper"),
            _measured("interval_coverage", "DOUBLE"),
            _measured("interval_leakage", "DOUBLE"),
            _measured("held_out_coverage", "DOUBLE"),
            _measured("held_out_leakage", "DOUBLE"),
            Column("held_out_worst_concept", "VARCHAR", "the other concept with the largest share in them"),
            Column("held_out_worst_leakage", "DOUBLE", "that share", "share"),
            *_of("_interval", "ap", "ap_low", "best_f1", "point_biserial", "stratified_auc", "p"),
            *_of("_significance", "q"),
        ),
        "SELECT count(*) FROM _interval",
        "One row per fit, concept, layer and neuron: the closed interval of the activation with the largest coverage "
        "− leakage,\nand how well it holds on texts that it was not found on. Empty where a build had `--folds 0`.",
    ),
    View(
        "concept_significance",
        "_chance",
        (
            *_of("_chance", "fit_id", "concept_id"),
            *_FIT_OF,
            *_of("fit_concept", "n"),
            *_of("_interval_fit", "folds", "permutations"),
            Column("best_auc", "FLOAT", "AUC of the best neuron, on the side where it is above 0.5", "probability"),
            Column("auc_p", "DOUBLE", "share of the permutations, and the labels, that reach it", "probability"),
            Column("null_auc_95", "FLOAT", "what the best neuron reaches by luck, 95 % of the times at most"),
            Column("best_interval", "FLOAT", "largest coverage − leakage, of intervals between 64 parts of the values"),
            Column("interval_p", "DOUBLE", "share of the permutations, and the labels, that reach it", "probability"),
            Column("null_interval_95", "FLOAT", "what the best neuron reaches by luck, 95 % of the times at most"),
            *_of("_concept_length", "mean_tokens", "length_auc"),
        ),
        "SELECT count(*) FROM (SELECT DISTINCT fit_id, concept_id FROM _chance)",
        "One row per fit and concept: how its best neuron compares with the best of as many when labels mean nothing, "
        "and how far\nthe length of the texts alone tells the concept.",
        counted=False,
    ),
    View(
        "detector",
        "_detector",
        (
            *_of("_detector", "fit_id", "concept_id"),
            *_FIT_OF,
            *_of("_detector", "form", "neurons", "layer"),
            *_of("fit_concept", "n"),
            Column("n_others", "INTEGER", "texts of all other concepts"),
            *_share("coverage", "share of the concept's texts that the rules say have it"),
            *_share("leakage", "share of the other texts that they say have it"),
            *_share("youden_j", "coverage − leakage (Youden's J)"),
            *_of("_detector", "auc", "auc_low", "auc_high"),
            *_share("f1", "harmonic mean of precision and coverage")[:1],
            *_of("_detector", "f1_low", "f1_high"),
            *_share("precision", "share of the concept's texts among those that they say have it"),
            *_of("_detector", "bias", "threshold"),
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
            *_of("_detector_neuron", "fit_id", "concept_id"),
            *_FIT_OF,
            *_of("_detector_neuron", "form", "neurons", "place", "layer", "neuron", "weight", "lower", "upper"),
            *_of("_detector_neuron", "mean", "std"),
        ),
        "SELECT count(*) FROM _detector_neuron",
        "One row per neuron of a rule that was made from all texts. A text's score is bias plus, over the neurons, "
        "weight where the\nactivation is in [lower, upper], or weight × (activation − mean) / std; it has the concept "
        "where the score is at least threshold.",
        counted=False,
    ),
    View(
        "exemplar",
        "_exemplar",
        (
            *_of("_exemplar", "site", "layer", "neuron"),
            Column("kind", "VARCHAR", "top, bottom, band or quadrant"),
            Column(
                "part", "TINYINT", "of bands from the lowest, of quadrants gate+ up+, gate+ up-, gate- up+, gate- up-"
            ),
            Column("rank", "INTEGER", "1 is the first"),
            Column("text_id", "INTEGER"),
            Column("position", "INTEGER", "the token of the text, from 0"),
            Column("value", "FLOAT", "the activation there", "activation"),
            Column("token", "VARCHAR", "the token there; NULL after `build --no-texts`"),
            *_of("_text", "source", "document", "n_tokens"),
            Column("window_start", "INTEGER", "the token that `activations` begins with; NULL where there are none"),
            Column(
                "activations",
                "DOUBLE[]",
                "of each token from there on; NULL: none counts there. Each is off by 1/253 at most of the largest "
                "among all of the neuron's of that kind and part",
                "activation",
            ),
        ),
        "SELECT coalesce(sum(len(text_id)), 0) FROM _exemplar",
        "One row per site, layer, neuron, kind, part and rank: where in the running text a neuron is largest, smallest "
        "or\nsomewhere between. Filter by site, layer and neuron. Empty without `build --texts`.",
    ),
    View(
        "exemplar_text",
        "_text",
        _of("_text", "text_id", "source", "document", "start", "n_tokens", "tokens"),
        "SELECT count(*) FROM _text",
        "One row per text that an exemplar is of.",
        counted=False,
    ),
    View(
        "firing",
        "_firing",
        (
            *_of("_firing", "site", "layer", "neuron"),
            Column("n", "BIGINT", "tokens"),
            *_of("_firing", "mean", "std"),
            Column("min", "FLOAT", unit="activation"),
            Column("max", "FLOAT", unit="activation"),
            Column("share_positive", "DOUBLE", "of tokens with an activation above 0", "share"),
            Column("share_beyond", "DOUBLE", "of tokens with an absolute activation above epsilon", "share"),
            *_of("_text_set", "epsilon"),
            *_of("_firing", "position_correlation"),
            Column(
                "quantiles",
                "FLOAT[]",
                "at 0, .0001, .0005, .001, .005, .01, .025, .05, .1, .25, .5, .75, .9, .95, .975, .99, .995, .999, "
                ".9995, .9999, 1",
                "activation",
            ),
            *_of("_text_set", "sampled"),
            *_of("_firing", "octave"),
            Column(
                "histogram",
                "INTEGER[]",
                "sampled tokens with an absolute activation in [2^octave, 2^(octave + 1)), in the half below it, and "
                "so on, 16 bins, the last with all below; first of activations above 0, then of the others",
            ),
            Column("quadrants", "DOUBLE[]", "share of tokens in each quadrant", "share"),
        ),
        "SELECT count(*) FROM _firing",
        "One row per site, layer and neuron: its activation over all tokens of the running text. Empty without "
        "`build --texts`.",
    ),
)


def views() -> dict[str, View]:
    """The views by name, with the columns of the tables that name them."""
    shown = {view.name: view for view in ALL}
    for table in TABLES.values():
        if table.view:
            view = shown[table.view]
            shown[view.name] = view._replace(columns=(*view.columns, *table.values()))
    return shown
