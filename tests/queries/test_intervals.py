"""Answers with intervals, against the public views, which join where questions lay tables side by side."""

from __future__ import annotations

import csv
import json
import math

import pytest
from pyarrow import feather, parquet

from atlas.__main__ import main
from atlas.errors import QuestionError, UnknownNameError
from atlas.fit_choice import FitChoice
from atlas.store.reader import open_atlas
from queries.card import neuron_card, neuron_concepts
from queries.compact import compact_concepts, compact_neurons
from queries.concepts import concepts
from queries.expected import on_new_texts, percent
from queries.fits import all_fits
from queries.neurons import Only, neurons_for_concept
from queries.ranges import INTERVAL, KINDS
from queries.rules import RULES
from queries.session import rankings, resident
from queries.significance import all_significance, by_length
from tests.atlas_factory import D_MLP, FAMILIES, FOLDS, N_LAYERS, PERMUTATIONS, changed_by_hand, write_small_atlas

SHOWN = (
    "interval_lower interval_upper held_out_coverage held_out_leakage held_out_worst_concept held_out_worst_leakage ap "
    "ap_low stratified_auc q expected_coverage expected_leakage"
).split()
BY_INTERVALS = ("interval", "ap", "stratified_auc")
ADD = "no intervals here: `neuron-atlas build --add` with the same corpus adds them"


def in_view(atlas, concept, columns=SHOWN):
    """address -> what the view says of the concept, by neuron."""
    _, rows = atlas.query(
        f"SELECT neuron_name(layer, neuron), {', '.join(columns)} FROM concept_interval WHERE concept = $concept",
        {"concept": concept},
    )
    return {row[0]: row[1:] for row in rows}


def shown(result):
    return {row["address"]: tuple(row[name] for name in SHOWN) for row in result}


@pytest.fixture
def changed(tmp_path):
    """changed(*statements) -> the small atlas, open, with its rows changed."""
    opened = []

    def change(*statements):
        path = write_small_atlas(tmp_path / f"{len(opened)}.duckdb")
        with changed_by_hand(path) as connection:
            for statement in statements:
                connection.execute(statement)
        opened.append(open_atlas(path))
        return opened[-1]

    yield change
    for atlas in opened:
        atlas.close()


@pytest.mark.parametrize("patience", [10**9, 0], ids=["from the file", "from memory"])
@pytest.mark.parametrize("concept", FAMILIES["topics"] + FAMILIES["moods"])
def test_every_number_of_every_neuron(small, concept, patience, monkeypatch):
    monkeypatch.setattr(rankings, "_PATIENCE", patience)
    monkeypatch.setattr(resident, "_PATIENCE", patience)
    result = neurons_for_concept(small, concept, limit=1000)
    assert shown(result) == in_view(small, concept)
    assert len(result) == N_LAYERS * D_MLP
    _, [luck] = small.query(
        "SELECT folds, auc_p, interval_p, length_auc FROM concept_significance WHERE concept = $concept",
        {"concept": concept},
    )
    assert {tuple(row[name] for name in ("folds", "auc_p", "interval_p", "length_auc")) for row in result} == {luck}


@pytest.mark.parametrize("address", ["L1N7", "L0N0", "L2N15"])
def test_a_card_has_the_same(small, address):
    card = neuron_card(small, address)
    rows = card.sections["concepts"].dicts()
    assert len(rows) == sum(map(len, FAMILIES.values()))
    more = ["interval_coverage", "interval_leakage", "best_f1", "point_biserial", "p"]
    for row in rows:
        due = in_view(small, row["concept"], [*SHOWN, *more])[address]
        assert tuple(row[name] for name in [*SHOWN, *more]) == due
    _, rows = small.query(
        "SELECT family, length_correlation FROM background_gaussian WHERE neuron_name(layer, neuron) = $address",
        {"address": address},
    )
    background = card.sections["background"]
    assert dict(rows) == dict(zip(background.column("family"), background.column("length_correlation"), strict=True))
    assert None not in dict(rows).values()


def test_shares_are_those_of_the_range_that_is_asked_about(small):
    rows = neurons_for_concept(small, "animals", limit=1000).dicts()
    for kind in KINDS.values():
        only = Only(max_leakage=0.6, min_coverage=0.4)
        found = neurons_for_concept(small, "animals", range=kind.name, only=only, limit=1000)
        due = {row["address"] for row in rows if row[kind.leakage] <= 0.6 and row[kind.coverage] >= 0.4}
        assert set(found.column("address")) == due != set()
        assert found.shown[1:5] == [kind.lower, kind.upper, kind.coverage, kind.leakage]
    assert neurons_for_concept(small, "animals", limit=1).shown[1] == INTERVAL.lower


def test_a_rule_about_gaussian_ranges_shows_these(small):
    found = neurons_for_concept(small, "politics", rule="low_leakage", limit=1000)
    assert "tau 2.5, ranked by low_leakage" in found.notes[0] and found.shown[1] == "lower"
    asked = neurons_for_concept(small, "politics", rule="low_leakage", range="interval", limit=1000)
    assert asked.shown[1] == INTERVAL.lower
    assert asked.column("address") == found.column("address")
    # A least coverage of intervals takes the place of the one that the rule asks for, of ranges.
    other = Only(min_coverage=0.3)
    for row in neurons_for_concept(small, "politics", rule="low_leakage", range="interval", only=other, limit=1000):
        assert row["held_out_coverage"] >= 0.3


def test_what_to_expect_is_said_with_its_numbers(small):
    result = neurons_for_concept(small, "sports", limit=3)
    best = result.dicts()[0]
    assert (best["address"], best["held_out_leakage"]) == ("L1N7", 0)
    covered, leaked, held_out = (
        percent(best[name]) for name in ("expected_coverage", "expected_leakage", "held_out_coverage")
    )
    assert result.notes[1] == (
        "on new texts like these (20 texts of sports, 40 of other concepts of topics), L1N7 is inside its interval for "
        f"about {covered} of the texts of sports and {leaked} of the others: held out ({FOLDS} folds) it was "
        f"{held_out} and 0 %, part of which is the luck of the first of many neurons"
    )
    _, [(p, by_luck, reached)] = small.query(
        "SELECT interval_p, null_interval_95, best_interval FROM concept_significance WHERE concept = 'sports'"
    )
    assert p == 1 / (1 + PERMUTATIONS)
    assert result.notes[2] == (
        f"the best neuron of sports beats luck: p = {p:.2g} ({PERMUTATIONS} permutations of the labels; by luck the "
        f"best of {N_LAYERS * D_MLP} neurons reaches coverage − leakage {by_luck:.2f} once in 20 times, here it is "
        f"{reached:.2f} on the texts that intervals are found on)"
    )
    gaussian = neurons_for_concept(small, "sports", range="gaussian", limit=3)
    assert not any("on new texts" in note for note in gaussian.notes)
    assert "AUC (on either side)" in gaussian.notes[1] and "beats luck" in gaussian.notes[1]


def test_luck_is_called_luck(small):
    p = dict(small.query("SELECT concept, interval_p FROM concept_significance")[1])
    assert p["joy"] > 0.05
    notes = neurons_for_concept(small, "joy", limit=1).notes
    assert notes[2].startswith(f"no neuron of this fit tells joy better than luck would: p = {p['joy']:.2g} (")


def test_without_permutations_luck_is_unknown(changed):
    atlas = changed("UPDATE _chance SET null_auc = [], null_interval = []", "UPDATE _interval_fit SET permutations = 0")
    found = neurons_for_concept(atlas, "sports", limit=1)
    assert found.notes[2] == "whether the best neuron of sports beats luck is unknown: build with --permutations 200"
    assert found.dicts()[0]["interval_p"] is None
    assert set(concepts(atlas).column("interval_p")) == {None} and not concepts(atlas).notes


@pytest.mark.parametrize(("auc", "kind"), [(0.75, "longer"), (0.25, "shorter"), (0.59, None), (0.41, None)])
def test_a_concept_that_length_tells(changed, auc, kind):
    atlas = changed(f"UPDATE _concept_length SET length_auc = {auc} WHERE concept_id = 0")
    notes = [note for note in neurons_for_concept(atlas, "sports", limit=1).notes if "length alone" in note]
    due = (
        f"length alone tells sports with AUC {auc:.2f}: its texts are {kind} than the others (mean 8.0 tokens); "
        "--rule stratified_auc ranks neurons among texts of similar length"
    )
    assert notes == ([due] if kind else [])
    assert not any("length" in note for note in neurons_for_concept(atlas, "animals", limit=1).notes)
    known = all_significance(atlas)[0, 0]
    assert by_length("x", known._replace(length_auc=None)) == ""


def test_an_atlas_without_intervals_shows_ranges_and_says_so(without, small):
    found = neurons_for_concept(without, "sports", limit=5)
    due = neurons_for_concept(small, "sports", range="gaussian", limit=5)
    assert found.shown == due.shown and found.narrow().rows == due.narrow().rows
    assert found.notes == [
        "topics/sports at mlp_post, position last, tau 2.5, ranked by auc",
        f"{ADD}; shown are ranges, mean +- tau std",
    ]
    assert all(set(found.column(name)) == {None} for name in [*SHOWN, "folds", "interval_p"])
    assert neurons_for_concept(without, "sports", range="gaussian").notes == found.notes[:1]
    assert compact_neurons(found) is found
    card = neuron_concepts(without, "L1N7")
    assert compact_concepts(card) is card


def test_what_needs_intervals_is_refused_in_one_line(without):
    with pytest.raises(QuestionError) as caught:
        neurons_for_concept(without, "sports", range="interval")
    assert (caught.value.message, caught.value.hint) == ("topics at mlp_post has no intervals to show", f"{ADD}.")
    for rule in BY_INTERVALS:
        for only in (Only(), Only(max_leakage=0.0)):  # also where no neuron is left
            with pytest.raises(QuestionError, match=f"topics at mlp_post cannot be ranked by {rule}.*{ADD[:20]}"):
                neurons_for_concept(without, "sports", rule=rule, range="gaussian", only=only)
    for rule in set(RULES) - set(BY_INTERVALS):
        assert len(neurons_for_concept(without, "sports", rule=rule, limit=2)) == 2
    with pytest.raises(UnknownNameError, match="unknown range 'intervals'"):
        neurons_for_concept(without, "sports", range="intervals")


def test_a_file_where_one_fit_has_intervals(changed, small):
    of_one = [
        f"DELETE FROM {table} WHERE fit_id = 1"
        for table in ("_interval", "_significance", "_chance", "_length", "_interval_fit", "_concept_length")
    ]
    atlas = changed(*of_one)
    for _ in range(4):  # then from memory
        assert shown(neurons_for_concept(atlas, "sports", limit=1000)) == in_view(small, "sports")
        assert neurons_for_concept(atlas, "joy", limit=1).notes[0].endswith("tau 2.5, ranked by auc")
    assert f"{ADD}; shown are ranges, mean +- tau std" in neurons_for_concept(atlas, "joy", limit=1).notes
    with pytest.raises(QuestionError, match="moods at mlp_post has no intervals"):
        neurons_for_concept(atlas, "joy", range="interval")
    for row in neuron_concepts(atlas, "L1N7"):
        assert (row["interval_lower"] is None) == (row["q"] is None) == (row["family"] == "moods")
    assert compact_concepts(neuron_concepts(atlas, "L1N7", fit=FitChoice(family="topics"))).columns[2:4] == [
        "range",
        "coverage",
    ]
    listed = concepts(atlas)
    for row in listed:
        assert (row["held_out_coverage"] is None) == (row["family"] == "moods") and row["best_neuron"]
    assert listed.notes[0] == f"moods at mlp_post: {ADD}; best_neuron is that by AUC"
    assert concepts(atlas, family="topics").notes == concepts(small, family="topics").notes


def test_nulls_are_empty_and_come_last(changed):
    at = "WHERE neuron = 7 AND layer = 1"
    atlas = changed(
        "UPDATE _interval SET stratified_auc = NULL, p = NULL, held_worst_concept_id = NULL, held_worst_inside = NULL "
        + at,
        "UPDATE _significance SET q = NULL " + at,
    )
    for _ in range(4):
        found = neurons_for_concept(atlas, "sports", rule="stratified_auc", limit=1000).dicts()
        assert found[-1]["address"] == "L1N7"
        assert [found[-1][name] for name in ("stratified_auc", "held_out_worst_concept", "q")] == [None] * 3
        best = neurons_for_concept(atlas, "sports", limit=1)
        assert best.column("address") == ["L1N7"]
        assert compact_neurons(best).dicts()[0]["q"] is None


def test_open_intervals_in_every_format(changed, tmp_path, monkeypatch, capfd):
    atlas = changed(
        "UPDATE _interval SET interval_lower = '-inf' WHERE neuron % 3 = 0",
        "UPDATE _interval SET interval_upper = 'inf' WHERE neuron % 3 > 0",
    )
    due = neurons_for_concept(atlas, "sports", limit=48).dicts()
    assert {math.inf} < {row["interval_upper"] for row in due} and -math.inf in [row["interval_lower"] for row in due]
    made = {}
    for suffix in ("json", "csv", "parquet", "arrow", "txt"):
        made[suffix] = tmp_path / f"out.{suffix}"
        assert main(["concept", "sports", "-n", "48", "-a", str(atlas.path), "-o", str(made[suffix])]) == 0
    rows = json.loads(made["json"].read_text(), parse_constant=pytest.fail)
    with made["csv"].open(newline="") as stream:
        texts = list(csv.DictReader(stream))
    for name in ("interval_lower", "interval_upper"):
        wanted = [row[name] for row in due]
        finite = [value if math.isfinite(value) else None for value in wanted]
        assert [row[name] for row in rows] == finite
        assert [float(row[name]) if row[name] else None for row in texts] == finite
        assert parquet.read_table(made["parquet"]).column(name).to_pylist() == wanted
        assert feather.read_table(made["arrow"]).column(name).to_pylist() == wanted
    table = made["txt"].read_text()
    assert "inf" not in table.replace(" infor", "") and "≥ " in table and "≤ " in table


def test_values_of_tokens_are_called_tokens(changed):
    atlas = changed("UPDATE fit SET position = 'all'")
    note = neurons_for_concept(atlas, "sports", limit=1).notes[1]
    assert note.startswith("on new texts like these (20 tokens of sports, 40 of other concepts of topics)")
    assert "% of the tokens of sports and" in note


def test_a_concept_that_is_alone_is_compared_with_nothing(small):
    (fit,) = (fit for fit in all_fits(small).values() if fit.family == "topics")
    row = neurons_for_concept(small, "sports", limit=1).dicts()[0]
    alone = on_new_texts(fit._replace(n=20), "sports", row | {"held_out_leakage": None})
    assert alone.startswith("on new texts like these (20 texts of sports), L1N7 is inside its interval for about ")
    assert "others" not in alone
    assert on_new_texts(fit, "sports", row | {"held_out_coverage": None}) == ""
    assert [percent(share) for share in (0, 0.004, 0.25, 1)] == ["0 %", "0.4 %", "25 %", "100 %"]


def test_an_older_atlas_does_not_know_what_to_expect(changed, small):
    older = changed("UPDATE _significance SET expected_coverage = NULL, expected_leakage = NULL")
    lacking = "no expected_coverage, expected_leakage here: `neuron-atlas build --add` with the same corpus adds them"
    for _ in range(4):  # then from memory
        found = neurons_for_concept(older, "sports", limit=1)
        assert found.notes[-1] == lacking
        assert found.notes[1].endswith(
            f"is inside its interval for about {percent(found.dicts()[0]['held_out_coverage'])} of the texts of sports "
            f"and 0 % of the others, measured on texts that the interval was not found on ({FOLDS} folds)"
        )
        assert compact_neurons(found).dicts()[0]["expected"] is None
    assert neuron_concepts(older, "L1N7").notes == [lacking]
    assert not neuron_concepts(small, "L1N7").notes


def test_a_table_has_one_cell_for_two_shares(small):
    found = neurons_for_concept(small, "sports", limit=5)
    table = compact_neurons(found)
    assert table.columns[:5] == ["address", "interval", "held_out", "expected", "ap"]
    for row, cells in zip(found, table, strict=True):
        for kind in ("held_out", "expected"):
            assert cells[kind] == " / ".join(percent(row[f"{kind}_{share}"]) for share in ("coverage", "leakage"))
