"""One rule for tau: what the card, the list of a concept, the pictures and the specs do where there is a choice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.store.reader import open_atlas
from queries.card import neuron_background, neuron_card, neuron_concepts
from queries.fits import Fit, choose_tau, choose_taus
from queries.neurons import neurons_for_concept
from queries.plots.plot import draw_concept, draw_neuron
from queries.specs.make_spec import make_spec
from tests.atlas_factory import FAMILIES, changed_by_hand, write_small_atlas

TOPICS, MOODS = FitChoice(family="topics"), FitChoice(family="moods")
# The topics keep 2.5; the moods were measured at 1 and at 3, with a row less of each so that none is taken for another.
OTHER_TAUS = """
UPDATE fit SET taus = [3.0, 1.0] WHERE family = 'moods';
INSERT INTO _range SELECT * REPLACE (3.0 AS tau, inside - 1 AS inside) FROM _range WHERE fit_id = 1;
UPDATE _range SET tau = 1.0 WHERE fit_id = 1 AND tau = 2.5;
"""
ASKED = {
    "the list of a concept": lambda atlas, **tau: neurons_for_concept(atlas, "joy", **tau),
    "a card": lambda atlas, **tau: neuron_card(atlas, "L1N7", **tau),
    "a card of one family": lambda atlas, **tau: neuron_card(atlas, "L1N7", fit=MOODS, **tau),
    "the concepts of a neuron": lambda atlas, **tau: neuron_concepts(atlas, "L1N7", **tau),
    "a picture of a neuron": lambda atlas, **tau: draw_neuron(atlas, "L1N7", range="gaussian", **tau),
    "a picture of a concept": lambda atlas, **tau: draw_concept(atlas, "joy", range="gaussian", limit=1, **tau),
    "a spec": lambda atlas, **tau: make_spec(atlas, concept="joy", bounds="gaussian", top=1, **tau),
    "a spec by coverage": lambda atlas, **tau: make_spec(atlas, concept="joy", rule="low_leakage", top=1, **tau),
}
ANY_RANGE = {"a spec"}
"""These make a range at any tau; nothing in them is counted."""


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    path = write_small_atlas(tmp_path_factory.mktemp("tau") / "taus.duckdb")
    with changed_by_hand(path) as connection:
        connection.execute(OTHER_TAUS)
    with open_atlas(path) as opened:
        yield opened


def fit_with(fit_id: int, *taus: float) -> Fit:
    return Fit(fit_id, "f", "mlp_post", "last", "{text}", 16, 40, list(taus), {0: ("joy", 20)})


@pytest.mark.parametrize(
    ("taus", "asked", "taken"),
    [
        ([2.5], None, 2.5),
        ([1.0, 2.5, 3.0], None, 2.5),
        ([1.0, 2.5, 3.0], 3.0, 3.0),
        ([1.0], None, 1.0),
        ([1.0], 1, 1.0),
        ([1.0, 3.0], 3.0, 3.0),
    ],
)
def test_the_rule_for_one_fit(taus, asked, taken):
    assert choose_tau(fit_with(0, *taus), asked) == taken
    assert choose_taus([fit_with(7, *taus)], asked) == {7: taken}


@pytest.mark.parametrize(
    ("taus", "asked", "kind", "message"),
    [
        ([3.0, 1.0], None, UsageError, r"Choose one with --tau: 1, 3\."),
        ([3.0, 1.0], 2.5, UsageError, r"tau 2\.5 was not measured.* Measured: 1, 3\..* rebuild with --tau 2\.5"),
        ([2.5], 2.4999999, UsageError, "was not measured"),
        ([2.5], float("nan"), UsageError, "tau nan was not measured"),
        ([], 2.5, UsageError, "Measured: none"),
        ([], None, QuestionError, "no range was measured"),
    ],
)
def test_what_the_rule_refuses(taus, asked, kind, message):
    with pytest.raises(kind, match=message) as caught:
        choose_tau(fit_with(0, *taus), asked)
    assert type(caught.value) is kind


def test_several_fits():
    fits = [fit_with(0, 2.5), fit_with(1, 1.0), fit_with(2), fit_with(3, 1.0, 2.5)]
    assert choose_taus(fits, None) == {0: 2.5, 1: 1.0, 2: None, 3: 2.5}
    assert choose_taus(fits, 1.0) == {0: None, 1: 1.0, 2: None, 3: 1.0}
    assert choose_taus([], None) == {}
    with pytest.raises(UsageError, match=r"Measured: 1, 2\.5\."):
        choose_taus(fits, 2.0)
    # Only those that leave a choice are listed: 2.5 would say nothing of them.
    with pytest.raises(UsageError, match=r"Choose one with --tau: 1, 2, 3\."):
        choose_taus([*fits, fit_with(4, 1.0, 3.0), fit_with(5, 2.0, 3.0)], None)


@pytest.mark.parametrize("question", list(ASKED))
def test_a_choice_is_refused_with_the_list_by_every_question(atlas, question):
    with pytest.raises(UsageError, match=r"several half-widths were measured\. Choose one with --tau: 1, 3\."):
        ASKED[question](atlas)
    ASKED[question](atlas, tau=1.0)
    ASKED[question](atlas, tau=3.0)


@pytest.mark.parametrize("question", [name for name in ASKED if name not in ANY_RANGE])
def test_a_tau_that_nobody_measured_is_refused_by_every_question(atlas, question):
    with pytest.raises(UsageError, match=r"tau 2 was not measured\. Measured: 1, (2\.5, )?3\."):
        ASKED[question](atlas, tau=2.0)


def test_the_range_of_a_spec_needs_no_counting(atlas):
    edit = make_spec(atlas, concept="joy", top=1, tau=2.0).edits[0]
    (mean, std) = next(
        (row["mean"], row["std"])
        for row in neurons_for_concept(atlas, "joy", tau=1.0, limit=1000)
        if (row["layer"], row["neuron"]) == (edit.layer, edit.neuron)
    )
    assert (edit.when.lower, edit.when.upper) == (
        pytest.approx(mean - 2 * std, rel=1e-6),
        pytest.approx(mean + 2 * std, rel=1e-6),
    )


def test_a_card_has_ranges_where_this_tau_was_measured(atlas):
    for tau in (1.0, 3.0):
        rows = neuron_concepts(atlas, "L1N7", tau=tau).dicts()
        assert {row["family"] for row in rows} == set(FAMILIES)
        for row in rows:
            shown = [row[name] is None for name in ("tau", "lower", "upper", "coverage", "leakage", "worst_concept")]
            assert shown == [row["family"] == "topics"] * len(shown)
            if row["family"] == "moods":
                same = next(
                    other
                    for other in neurons_for_concept(atlas, row["concept"], tau=tau, limit=1000)
                    if other["address"] == "L1N7"
                )
                names = ("lower", "upper", "coverage", "leakage", "worst_concept", "worst_leakage")
                assert [row[name] for name in names] == [same[name] for name in names]
    one, other = (neuron_concepts(atlas, "L1N7", fit=MOODS, tau=tau).column("coverage") for tau in (1.0, 3.0))
    assert one != other


def test_only_the_fits_that_are_asked_about_count(atlas):
    assert set(neuron_concepts(atlas, "L1N7", fit=TOPICS).column("tau")) == {2.5}  # the moods' choice is not theirs
    with pytest.raises(UsageError, match=r"Measured: 2\.5\."):
        neuron_card(atlas, "L1N7", fit=TOPICS, tau=1.0)
    with pytest.raises(UsageError, match=r"Measured: 1, 3\."):
        neuron_card(atlas, "L1N7", fit=MOODS, tau=2.5)
    assert len(neuron_background(atlas, "L1N7")) == len(FAMILIES)  # which has no range


def test_a_picture_says_where_no_such_range_was_measured(atlas):
    moods, topics = (part.axes[0] for part in draw_neuron(atlas, "L1N7", tau=1.0).subfigs)
    assert "(mean ± 1 std" in moods.get_title(loc="left")
    assert topics.get_title(loc="left") == "topics: no such range was measured"
    assert len(moods.patches) == len(topics.patches) + 1  # the band of the range


def test_a_fit_without_ranges(tmp_path):
    path = write_small_atlas(tmp_path / "none.duckdb")
    with changed_by_hand(path) as connection:
        connection.execute("UPDATE fit SET taus = [] WHERE family = 'moods'")
        connection.execute("DELETE FROM _range WHERE fit_id = 1")
    with open_atlas(path) as atlas:
        taus = {row["family"]: row["tau"] for row in neuron_concepts(atlas, "L1N7")}
        assert taus == {"topics": 2.5, "moods": None}
        with pytest.raises(QuestionError, match="no range was measured for moods"):
            neurons_for_concept(atlas, "joy")
        assert make_spec(atlas, concept="joy", bounds="gaussian", top=1).source["tau"] == 2.5
        assert draw_neuron(atlas, "L1N7", fit=replace(MOODS, site="mlp_post")).subfigs[0].axes
