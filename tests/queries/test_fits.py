"""Choosing between several fits: on a copy of the small atlas that was given more of them."""

from __future__ import annotations

import pytest

from atlas.errors import UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.store.reader import open_atlas
from queries.card import neuron_card
from queries.concepts import concepts
from queries.fits import all_fits, choose_fit, choose_tau, fits_of_neurons
from queries.neurons import neurons_for_concept
from queries.plots.plot import draw_neuron
from queries.specs.make_spec import make_spec
from queries.sqlfile import load_sql
from tests.atlas_factory import D_MODEL, changed_by_hand, write_small_atlas

MORE = f"""
INSERT INTO fit SELECT * REPLACE (2 AS fit_id, 'mean' AS position) FROM fit WHERE fit_id = 0;
INSERT INTO fit SELECT * REPLACE (3 AS fit_id, 'resid_post' AS site, {D_MODEL} AS width, [1.0, 3.0] AS taus)
    FROM fit WHERE fit_id = 0;
INSERT INTO concept VALUES (20, 'other', 'joy', 20), (21, 'other', 'unmeasured', 3);
INSERT INTO fit SELECT * REPLACE (4 AS fit_id, 'other' AS family, 'About: {{text}}' AS template)
    FROM fit WHERE fit_id = 1;
INSERT INTO fit_concept SELECT fit.fit_id, concept_id, fit_concept.n FROM fit, fit_concept
    WHERE fit.fit_id IN (2, 3) AND fit_concept.fit_id = 0;
INSERT INTO fit_concept VALUES (4, 20, 20);
INSERT INTO _gaussian SELECT * REPLACE (3 AS fit_id) FROM _gaussian WHERE fit_id = 0 AND neuron < {D_MODEL};
INSERT INTO _background SELECT * REPLACE (3 AS fit_id) FROM _background
    WHERE fit_id = 0 AND neuron < {D_MODEL};
INSERT INTO _range SELECT * REPLACE (3 AS fit_id, 1.0 AS tau) FROM _range
    WHERE fit_id = 0 AND neuron < {D_MODEL};
"""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    path = write_small_atlas(tmp_path_factory.mktemp("fits") / "crowded.duckdb")
    with changed_by_hand(path) as connection:
        connection.execute(MORE)
    with open_atlas(path) as atlas:
        yield atlas


def test_several_fits_are_listed_with_their_flags(crowded):
    with pytest.raises(UsageError) as caught:
        choose_fit(crowded, "sports")
    assert caught.value.message == "the concept 'sports' has 3 fits here"
    assert caught.value.hint == "Choose with --site mlp_post|resid_post or --position last|mean."


def test_two_families_are_listed(crowded):
    with pytest.raises(UsageError) as caught:
        choose_fit(crowded, "joy")
    assert "--family moods|other" in caught.value.hint
    assert "--template 'About: {text}'|'{text}'" in caught.value.hint


def test_names_narrow_to_one_fit(crowded):
    assert choose_fit(crowded, "sports", FitChoice(site="mlp_post", position="mean")).fit_id == 2
    assert choose_fit(crowded, "sports", FitChoice(site="resid_post")).fit_id == 3
    assert choose_fit(crowded, "joy", FitChoice(template="About: {text}")).concept_id("joy") == 20
    assert choose_fit(crowded, "anger").family == "moods"


def test_a_name_that_does_not_occur(crowded):
    with pytest.raises(UnknownNameError, match="Known: mlp_post, resid_post"):
        choose_fit(crowded, "sports", FitChoice(site="mlp_pre_linear"))
    with pytest.raises(UnknownNameError):
        choose_fit(crowded, "unmeasured")


def test_tau_is_taken_or_asked_for(crowded):
    resid, post = choose_fit(crowded, "sports", FitChoice(site="resid_post")), choose_fit(crowded, "anger")
    assert (choose_tau(post, None), choose_tau(post, 2.5), choose_tau(resid, 3.0)) == (2.5, 2.5, 3.0)
    with pytest.raises(UsageError, match="Choose one with --tau: 1, 3"):
        choose_tau(resid, None)
    with pytest.raises(UsageError, match=r"Measured: 1, 3\."):
        choose_tau(resid, 2.5)


def test_coordinates_of_the_residual_stream_have_no_tokens(crowded):
    result = neurons_for_concept(crowded, "sports", fit=FitChoice(site="resid_post"), tau=1.0)
    assert set(result.column("reads")) == set(result.column("writes")) == {None}
    assert result.narrow().columns[-3:] == ["dprime", "mean", "std"]


def test_a_card_keeps_neurons_and_coordinates_apart(crowded):
    card = neuron_card(crowded, "L1N7")
    assert "resid_post" not in card.sections["concepts"].column("site")
    with pytest.raises(UsageError, match="Choose one with --tau: 1, 3"):
        neuron_card(crowded, "L1N7", fit=FitChoice(site="resid_post"))
    coordinate = neuron_card(crowded, "L1N7", fit=FitChoice(site="resid_post"), tau=1.0)
    assert list(coordinate.sections) == ["concepts", "background"]
    assert set(coordinate.sections["concepts"].column("site")) == {"resid_post"}
    assert set(coordinate.sections["concepts"].column("tau")) == {1.0}


def test_a_concept_is_listed_once_per_fit(crowded):
    rows = [row for row in concepts(crowded) if row["concept"] == "sports"]
    assert [(row["site"], row["position"]) for row in rows] == [
        ("mlp_post", "last"),
        ("mlp_post", "mean"),
        ("resid_post", "last"),
    ]
    lonely = [row for row in concepts(crowded, family="other") if row["concept"] == "unmeasured"]
    assert [(row["fit_id"], row["best_neuron"]) for row in lonely] == [(None, None)]


def test_fits_are_as_the_tables_say(crowded):
    names = "fit_id family site position template width n taus".split()
    _, rows = crowded.query(f"SELECT {', '.join(names)} FROM fit")
    assert len(rows) == len(all_fits(crowded)) == 5
    for row in rows:
        fit = all_fits(crowded)[row[0]]
        assert tuple(getattr(fit, name) for name in names) == row
        sql = "SELECT concept_id, concept, n FROM fit_concept JOIN concept USING (concept_id) WHERE fit_id = ?"
        assert fit.concepts == {found[0]: found[1:] for found in crowded.query(sql, [row[0]])[1]}
        assert [fit.concept_id(name) for name, _ in fit.concepts.values()] == list(fit.concepts)
        assert fit.concept_id("unmeasured") is None


def test_a_choice_of_the_fits_of_neurons(crowded):
    def chosen(**names):
        return list(fits_of_neurons(crowded, FitChoice(**names)))

    assert chosen() == [0, 1, 2, 4]  # the residual stream only by its site
    assert chosen(site="resid_post") == [3]
    assert chosen(family="topics", position="mean") == [2]
    assert chosen(site="mlp_pre") == chosen(family="moods", position="mean") == []
    for names in ({"family": "topic"}, {"site": "mlp"}, {"position": "max"}, {"template": "{}"}):
        with pytest.raises(UnknownNameError):
            chosen(**names)


def test_fits_are_read_once_for_all_questions(crowded, monkeypatch):
    with open_atlas(crowded.path) as atlas:
        ask, asked = atlas.query, []

        def query(sql, parameters=None):
            asked.append(sql)
            return ask(sql, parameters) if parameters is not None else ask(sql)

        monkeypatch.setattr(atlas, "query", query)
        for _ in range(3):
            neuron_card(atlas, "L1N7")
            neurons_for_concept(atlas, "anger")
            make_spec(atlas, concept="anger", top=1)
            make_spec(atlas, neurons="L1N7", op="set=mean", fit=FitChoice(family="moods"))
            draw_neuron(atlas, "L1N7", fit=FitChoice(family="moods"))
        assert asked.count(load_sql("all_fits")) == 1
        assert sum("FROM fit " in sql for sql in asked) == 1
