"""Requests that make_spec refuses, each with its error and message."""

from __future__ import annotations

import pytest

from atlas.errors import AtlasError, QuestionError, SpecError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.store.reader import Atlas
from queries.specs.make_spec import make_spec


def at(site: str) -> FitChoice:
    return FitChoice(site=site)


def of(family: str) -> FitChoice:
    return FitChoice(family=family)


REFUSED: list[tuple[dict, type[AtlasError], str]] = [
    ({}, UsageError, "nothing chooses the neurons"),
    ({"token": "dog", "neurons": ["L1N7"]}, UsageError, "--token and --neurons both choose neurons"),
    ({"neurons": ["L1N7"], "top": 3}, UsageError, "--top does not apply to --neurons"),
    ({"neurons": ["L1N7"], "layers": "1"}, UsageError, "--layers does not apply to --neurons"),
    ({"token": "dog", "rule": "auc"}, UsageError, "--rule ranks neurons of a concept"),
    ({"concept": "sports", "weight": "up_proj"}, UsageError, "--weight, --sign and --exact go with --token"),
    ({"neurons": ["L1N7"], "use_range": True}, UsageError, "a range belongs to a concept"),
    ({"neurons": ["L1N7"], "tau": 2.0}, UsageError, "--tau goes with --concept"),
    (
        {"neurons": ["L1N7"], "fit": of("topics")},
        UsageError,
        "--family, --position and --template choose a fit",
    ),
    ({"neurons": ["L1N7"], "op": "set=concept-mean"}, UsageError, "set=concept-mean depends on a concept"),
    ({"neurons": ["L1N7"], "op": "set=contrast:2"}, UsageError, "set=contrast:2 depends on a concept"),
    ({"concept": "sports", "op": "set=contrast:x"}, UsageError, "set=contrast:x has no number up to 100"),
    ({"concept": "sports", "op": "set=contrast:nan"}, UsageError, "set=contrast:nan has no number up to 100"),
    ({"concept": "sports", "bounds": "best"}, UnknownNameError, "unknown bounds 'best'"),
    ({"concept": "sports", "bounds": "contrast", "use_range": False}, UsageError, "--bounds contrast is a range"),
    ({"concept": "sports", "bounds": "contrast", "tau": 2.0}, UsageError, "--tau is the half-width of gaussian"),
    ({"concept": "sports", "bounds": "contrast", "op": "damp=0.1"}, UsageError, "damp needs the centre"),
    ({"neurons": ["L1N7"], "op": "set=mean"}, UsageError, "there are 2 backgrounds of mlp_post"),
    ({"neurons": ["L1N7"], "op": "set=mean", "fit": at("mlp_pre")}, QuestionError, "no statistics of mlp_pre"),
    ({"neurons": ["L1N7"], "op": "damp=0.125"}, UsageError, "damp works inside a range"),
    ({"concept": "sports", "op": "damp=0.125", "use_range": False}, UsageError, "damp works inside a range"),
    ({"concept": "sports", "tau": 0.0}, UsageError, "tau 0.0 is not in (0, 1000]"),
    ({"concept": "sports", "tau": -1.0}, UsageError, "tau -1.0 is not in (0, 1000]"),
    ({"concept": "sports", "tau": float("nan")}, UsageError, "tau nan is not in (0, 1000]"),
    ({"concept": "sports", "tau": float("inf")}, UsageError, "tau inf is not in (0, 1000]"),
    ({"concept": "sports", "tau": 2.0, "rule": "low_leakage"}, UsageError, "tau 2 was not measured"),
    ({"concept": "sports", "top": 49}, UsageError, "--top 49 asks for 49 neurons, but there are 48"),
    ({"concept": "sports", "top": "101%"}, UsageError, "--top 101% is more than all"),
    ({"concept": "sports", "top": "1%", "layers": "0"}, UsageError, "--top 1% is no neuron at all"),
    ({"concept": "sports", "top": 0}, UsageError, "--top 0 is no neuron at all"),
    ({"concept": "sports", "top": -3}, UsageError, "--top '-3' is neither a count nor a share"),
    ({"concept": "sports", "top": "many"}, UsageError, "--top 'many' is neither a count nor a share"),
    ({"token": "dog", "top": "30%"}, UsageError, "--top 30% is a share of nothing here"),
    ({"token": "dog", "top": 1000}, UsageError, "--top 1000 asks for 1000 neurons"),
    ({"token": "zebra"}, UnknownNameError, "unknown token 'zebra'"),
    ({"token": "dog", "weight": "down"}, UnknownNameError, "unknown weight 'down'"),
    ({"token": "dog", "fit": at("resid_post")}, UsageError, "tokens are decoded for MLP neurons"),
    (
        {"token": "dog", "fit": at("mlp_pre"), "op": "add=1"},
        UsageError,
        "which sign lowers a token in down_proj",
    ),
    ({"concept": "sprots"}, UnknownNameError, "unknown concept 'sprots'"),
    (
        {"concept": "sports", "fit": of("moods")},
        UnknownNameError,
        "the family 'moods' has no concept 'sports'",
    ),
    ({"concept": "sports", "fit": of("nope")}, UnknownNameError, "unknown family 'nope'"),
    (
        {"concept": "sports", "fit": at("mlp_pre")},
        UnknownNameError,
        "the concept 'sports' has no fit with site 'mlp_pre'",
    ),
    ({"concept": "sports", "fit": at("mlp_pots")}, UnknownNameError, "unknown site 'mlp_pots'"),
    ({"concept": "sports", "rule": "acu"}, UnknownNameError, "unknown rule 'acu'"),
    ({"concept": "sports", "layers": "3"}, UsageError, "--layers has 3, but indices run from 0 to 2"),
    ({"concept": "sports", "layers": "2-1"}, UsageError, "the span 2-1 in --layers runs backwards"),
    ({"concept": "sports", "layers": "1,,2"}, UsageError, "'' in --layers is neither an index nor a span"),
    ({"concept": "sports", "layers": "0-999999999999999"}, UsageError, "--layers has 999999999999"),
    ({"concept": "sports", "positions": "first"}, UsageError, "'first' in --positions is neither"),
    ({"concept": "sports", "phase": "promt"}, SpecError, "phase: unknown phase 'promt'"),
    ({"concept": "sports", "op": "set"}, UsageError, "'set' has no number after '='"),
    ({"concept": "sports", "op": "set=x"}, UsageError, "'set=x' has no number after '='"),
    ({"concept": "sports", "op": "scale=mean"}, UsageError, "'scale=mean' has no number after '='"),
    ({"concept": "sports", "op": "set=nan"}, UsageError, "'set=nan': NaN is not a number"),
    ({"concept": "sports", "op": "add=1e39"}, UsageError, "'add=1e39': 1e+39 is beyond float32"),
    ({"concept": "sports", "op": "ablate"}, UnknownNameError, "unknown op 'ablate'"),
    ({"neurons": ["L3N0"]}, QuestionError, "there is no layer 3"),
    ({"neurons": ["L0N16"]}, QuestionError, "there is no L0N16"),
    ({"neurons": ["L0N9"], "fit": at("resid_post")}, QuestionError, "there is no L0N9"),
    ({"neurons": "L0N1,L0N1"}, UsageError, "L0N1 is named twice"),
    ({"neurons": "29:808"}, UsageError, "'29:808' is not a neuron address"),
]


@pytest.mark.parametrize(("options", "kind", "message"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_refusals(atlas: Atlas, options: dict, kind: type[AtlasError], message: str) -> None:
    with pytest.raises(kind) as caught:
        make_spec(atlas, **options)
    assert caught.value.message.startswith(message)
