"""The views of running text. Their SQL stands in macros.sql."""

from __future__ import annotations

from atlas.schema.stored import columns_of
from atlas.schema.table import Column, View

EXEMPLAR_VIEWS: tuple[View, ...] = (
    View(
        "exemplar",
        "_exemplar",
        (
            *columns_of("_exemplar", "site", "layer", "neuron"),
            Column("kind", "VARCHAR", "top, bottom, band or quadrant"),
            Column(
                "part", "TINYINT", "of bands from the lowest, of quadrants gate+ up+, gate+ up-, gate- up+, gate- up-"
            ),
            Column("rank", "INTEGER", "1 is the first"),
            Column("text_id", "INTEGER"),
            Column("position", "INTEGER", "the token of the text, from 0"),
            Column("value", "FLOAT", "the activation there", "activation"),
            Column("token", "VARCHAR", "the token there; NULL after `build --no-texts`"),
            *columns_of("_text", "source", "document", "n_tokens"),
            Column("window_start", "INTEGER", "the token that `activations` begins with; NULL where there are none"),
            Column(
                "activations",
                "DOUBLE[]",
                "of each token from there on; NULL: none counts there, or it was not routed to the expert. Each is off "
                "by 1/253 at most of the largest among all of the neuron's of that kind and part",
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
        columns_of("_text", "text_id", "source", "document", "start", "n_tokens", "tokens"),
        "SELECT count(*) FROM _text",
        "One row per text that an exemplar is of.",
        counted=False,
    ),
    View(
        "firing",
        "_firing",
        (
            *columns_of("_firing", "site", "layer", "neuron"),
            Column("n", "BIGINT", "tokens; of a neuron of an expert those that were routed there"),
            *columns_of("_firing", "mean", "std"),
            Column("min", "FLOAT", unit="activation"),
            Column("max", "FLOAT", unit="activation"),
            Column("share_positive", "DOUBLE", "of tokens with an activation above 0", "share"),
            Column("share_beyond", "DOUBLE", "of tokens with an absolute activation above epsilon", "share"),
            *columns_of("_text_set", "epsilon"),
            *columns_of("_firing", "position_correlation"),
            Column(
                "quantiles",
                "FLOAT[]",
                "at 0, .0001, .0005, .001, .005, .01, .025, .05, .1, .25, .5, .75, .9, .95, .975, .99, .995, .999, "
                ".9995, .9999, 1",
                "activation",
            ),
            Column("sampled", "BIGINT", "tokens that quantiles and histogram are of, drawn by a hash"),
            *columns_of("_firing", "octave"),
            Column(
                "histogram",
                "INTEGER[]",
                "sampled tokens with an absolute activation in [2^octave, 2^(octave + 1)), in the half below it, and "
                "so on, 16 bins, the last with all below; first of activations above 0, then of the others",
            ),
            Column("quadrants", "DOUBLE[]", "share of tokens in each quadrant", "share"),
            Column(
                "correlated_group",
                "INTEGER",
                "the same for neurons of the site that are active together, or opposite to each other: connected by "
                "rank correlations of 0.9 or more over about 512 tokens; else NULL",
            ),
            Column("correlated_neurons", "BIGINT", "how many neurons its group has"),
        ),
        "SELECT count(*) FROM _firing",
        "One row per site, layer and neuron: its activation over all tokens of the running text, or those that were "
        "routed to its\nexpert (no row where none was). Empty without `build --texts`.",
    ),
)
