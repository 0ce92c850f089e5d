from __future__ import annotations

import numpy as np
import pytest

from atlas.answers.result import Result
from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.sites import WEIGHTS
from atlas.store.reader import open_atlas
from queries.card import neuron_card, neuron_concepts, neuron_tokens
from queries.concepts import concepts
from queries.info import built_with, info
from queries.neurons import Only, neurons_for_concept
from tests.atlas_factory import D_MLP, FAMILIES, N_LAYERS, TOP, WORDS, changed_by_hand, random_logits, write_small_atlas


def test_tokens_of_a_card(small):
    rows = neuron_tokens(small, "L2N3", top=3).dicts()
    assert len(rows) == len(WEIGHTS) * 2 * 3
    for weight in WEIGHTS:
        logits_V = random_logits(weight, 2, 0)[3]
        for sign in (1, -1):
            listed = [row for row in rows if (row["weight"], row["sign"]) == (weight, sign)]
            assert [row["token"] for row in listed] == [
                WORDS[index] for index in np.argsort(-sign * logits_V, kind="stable")[:3]
            ]
            assert [row["rank"] for row in listed] == [1, 2, 3]


def test_top_defaults_to_what_there_is_and_refuses_more(small):
    assert len(neuron_tokens(small, "L0N0")) == len(WEIGHTS) * 2 * TOP
    for top in (0, TOP + 1):
        with pytest.raises(UsageError, match=f"keeps {TOP} tokens"):
            neuron_tokens(small, "L0N0", top=top)


def test_concepts_of_a_card_agree_with_the_concept_question(small):
    card = neuron_concepts(small, "L1N7")
    assert card.column("concept")[0] == "sports"
    distances = [abs(auc - 0.5) for auc in card.column("auc")]
    assert distances == sorted(distances, reverse=True)
    assert len(card) == sum(map(len, FAMILIES.values()))
    for row in card:
        asked = neurons_for_concept(small, row["concept"], only=Only(min_coverage=0.0), limit=1000).dicts()
        same = next(other for other in asked if other["address"] == "L1N7")
        shared = set(row) & set(same)
        shown = {"lower", "upper", "coverage", "leakage", "worst_concept", "auc", "dprime", "q", "interval_p"}
        shown |= {"interval_lower", "interval_upper", "held_out_coverage", "held_out_leakage", "held_out_worst_concept"}
        assert shown <= shared
        assert {name: row[name] for name in shared} == {name: same[name] for name in shared}


def test_a_card_narrows_by_fit(small):
    card = neuron_card(small, "L1N7", fit=FitChoice(family="moods"))
    assert set(card.sections["concepts"].column("family")) == {"moods"}
    assert card.sections["background"].column("family") == ["moods"]
    with pytest.raises(UnknownNameError, match="unknown family 'mood'"):
        neuron_card(small, "L1N7", fit=FitChoice(family="mood"))
    with pytest.raises(UsageError, match="tau 3 was not measured"):
        neuron_card(small, "L1N7", tau=3)


@pytest.mark.parametrize(
    ("address", "kind", "hint"),
    [
        ("L3N0", QuestionError, "Layers run from 0 to 2"),
        ("L0N16", QuestionError, "Neurons run from 0 to 15"),
        ("29.808", UsageError, "as in L29N808"),
        ("l1n7", UsageError, "as in L29N808"),
    ],
)
def test_an_address_outside_the_model(small, address, kind, hint):
    with pytest.raises(kind, match=hint) as caught:
        neuron_card(small, address)
    assert type(caught.value) is kind


def test_the_best_neuron_of_each_concept_by_its_interval(small):
    listed = concepts(small)
    assert len(listed) == sum(map(len, FAMILIES.values()))
    _, luck = small.query("SELECT concept, interval_p, length_auc FROM concept_significance")
    for row in listed:
        best = neurons_for_concept(small, row["concept"], limit=1000).dicts()
        scores = {each["address"]: each["held_out_coverage"] - each["held_out_leakage"] for each in best}
        # Of shares that are equal as fractions, floats may put another one first.
        as_good = [address for address, score in scores.items() if abs(score - max(scores.values())) < 1e-12]
        chosen = min(as_good, key=lambda address: [int(part) for part in address[1:].split("N")])
        assert row["best_neuron"] == chosen
        (same,) = (each for each in best if each["address"] == chosen)
        for name in ("held_out_coverage", "held_out_leakage", "auc", "dprime", "interval_p"):
            assert row[name] == pytest.approx(same[name], abs=1e-12), name
        assert (row["concept"], row["interval_p"], row["length_auc"]) in luck
    assert listed.shown[-4:] == ["best_neuron", "held_out_coverage", "held_out_leakage", "interval_p"]
    assert listed.notes == ["no neuron tells joy, animals better than luck would: interval_p above 0.05"]


def test_the_best_neuron_of_each_concept(without):
    listed = concepts(without)
    assert len(listed) == sum(map(len, FAMILIES.values()))
    assert set(listed.column("held_out_coverage")) == set(listed.column("interval_p")) == {None}
    assert listed.shown[-3:] == ["best_neuron", "auc", "dprime"]
    assert listed.notes == [
        "moods at mlp_post, topics at mlp_post: no intervals here: `neuron-atlas build --add` with the same corpus "
        "adds them; best_neuron is that by AUC"
    ]
    for row in listed:
        best = neurons_for_concept(without, row["concept"], limit=1000).dicts()
        assert abs(row["auc"] - 0.5) == pytest.approx(abs(best[0]["auc"] - 0.5), abs=1e-12)
        as_good = [other for other in best if abs(abs(other["auc"] - 0.5) - abs(best[0]["auc"] - 0.5)) < 1e-12]
        chosen = min(as_good, key=lambda other: (other["layer"], other["neuron"]))
        assert row["best_neuron"] == chosen["address"]
        assert (row["auc"], row["dprime"]) == (pytest.approx(chosen["auc"]), chosen["dprime"])
    assert set(concepts(without, family="moods").column("concept")) == set(FAMILIES["moods"])
    with pytest.raises(UnknownNameError):
        concepts(without, family="topic")


def test_the_first_of_equally_good_neurons_is_the_best(tmp_path):
    path = write_small_atlas(tmp_path / "a.duckdb", intervals=False)
    with changed_by_hand(path) as connection:  # every neuron separates every concept equally well, from L1N3 on
        connection.execute("UPDATE _gaussian SET twice_u = CASE WHEN (layer, neuron) < (1, 3) THEN 1 ELSE 0 END")
        connection.execute("CHECKPOINT")
    with open_atlas(path) as atlas:
        for _ in range(3):
            assert set(concepts(atlas).column("best_neuron")) == {"L1N3"}


def test_the_first_of_equally_good_intervals_is_the_best(tmp_path):
    path = write_small_atlas(tmp_path / "a.duckdb")
    with changed_by_hand(path) as connection:
        connection.execute("UPDATE _interval SET held_others = 0, held_inside = ((layer, neuron) >= (1, 3))::INTEGER")
        connection.execute("CHECKPOINT")
    with open_atlas(path) as atlas:
        for _ in range(3):
            assert set(concepts(atlas).column("best_neuron")) == {"L1N3"}


def test_info(small):
    document = info(small)
    assert document.fields["model_id"] == "small-synthetic"
    assert document.fields["bytes"] == small.path.stat().st_size
    assert [row["family"] for row in document.sections["fits"]] == list(FAMILIES)
    assert document.sections["fits"].column("concepts") == [3, 2]
    assert document.sections["runs"].column("builder") == ["decode", "gaussians", "intervals"]


def test_what_it_was_built_with():
    texts = ['{"python": "3.11.7", "torch": "2.13.0"}', '{"python": "3.11.7", "torch": "2.14.0"}']
    found = built_with(Result(["versions"], [(texts[0],), (texts[0],), (texts[1],)]))
    assert found == "python: 3.11.7, torch: 2.13.0; python: 3.11.7, torch: 2.14.0"


def test_row_counts_are_those_of_the_public_tables(small):
    rows = info(small).sections["rows"]
    for row in rows:
        _, [(count,)] = small.query(f"SELECT count(*) FROM {row['table']}")
        assert row["rows"] == count, row["table"]
    assert dict(rows.rows)["token_decoding"] == N_LAYERS * D_MLP * len(WEIGHTS) * 2 * TOP
