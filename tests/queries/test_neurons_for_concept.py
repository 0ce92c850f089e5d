"""Against the activations that the small atlas was made from, in float64 numpy and plain comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.schema.weight_rules import IO_CLASSES
from atlas.store.reader import open_atlas
from queries.neurons import Only, neurons_for_concept
from queries.rules import RULES
from queries.tokens import token_ids
from tests.atlas_factory import (
    D_MLP,
    FAMILIES,
    N_LAYERS,
    TAU,
    TOP,
    WORDS,
    changed_by_hand,
    planted_activations,
    random_logits,
    write_small_atlas,
)
from tests.docs.planted import plant_facts

TOPICS = FAMILIES["topics"]


def measured(concept):
    """{(layer, neuron): numbers} of one topic: population std, closed range, counted pairs."""
    own_index = TOPICS.index(concept)
    numbers = {}
    for layer in range(N_LAYERS):
        acts_EN, labels_E = planted_activations("topics", layer, 0)
        for neuron in range(D_MLP):
            acts_E = acts_EN[:, neuron].astype(np.float64)
            own, rest = acts_E[labels_E == own_index], acts_E[labels_E != own_index]
            lower = np.float32(np.float64(np.float32(own.mean())) - TAU * np.float64(np.float32(own.std())))
            upper = np.float32(np.float64(np.float32(own.mean())) + TAU * np.float64(np.float32(own.std())))
            shares = {
                name: np.mean((acts_E[labels_E == index] >= lower) & (acts_E[labels_E == index] <= upper))
                for index, name in enumerate(TOPICS)
            }
            wins = (own[:, None] > rest[None, :]).mean() + 0.5 * (own[:, None] == rest[None, :]).mean()
            numbers[layer, neuron] = {
                "lower": lower,
                "upper": upper,
                "coverage": shares.pop(concept),
                "leakage": np.mean((rest >= lower) & (rest <= upper)),
                "worst": shares,
                "auc": wins,
                "mean": own.mean(),
                "std": own.std(),
                "rest_mean": rest.mean(),
                "mean_abs": np.abs(own).mean(),
                "max": own.max(),
            }
    return numbers


def whole(small, concept="sports", rule="auc", **only):
    return neurons_for_concept(small, concept, rule=rule, only=Only(min_coverage=0.0, **only), limit=1000)


@pytest.mark.parametrize("concept", TOPICS)
def test_every_number_of_every_neuron(small, concept):
    expected = measured(concept)
    result = whole(small, concept)
    assert len(result) == N_LAYERS * D_MLP
    for row in result:
        numbers = expected[row["layer"], row["neuron"]]
        for name in ("mean", "std", "rest_mean", "mean_abs", "max", "lower", "upper"):
            assert row[name] == pytest.approx(numbers[name], rel=1e-5, abs=1e-6), name
        for name in ("coverage", "leakage", "auc"):
            assert row[name] == pytest.approx(numbers[name], abs=1e-12), name
        assert row["worst_leakage"] == pytest.approx(max(numbers["worst"].values()), abs=1e-12)
        assert numbers["worst"][row["worst_concept"]] == pytest.approx(row["worst_leakage"], abs=1e-12)


KEYS = {
    "auc": lambda row: -abs(row["auc"] - 0.5),
    "dprime": lambda row: -abs(row["dprime"]),
    "mean_abs": lambda row: -row["mean_abs"],
    "max": lambda row: -row["max"],
    "probeless": lambda row: -abs(row["mean"] - row["rest_mean"]),
    "low_leakage": lambda row: (row["leakage"], -row["coverage"]),
    "interval": lambda row: -(row["held_out_coverage"] - row["held_out_leakage"]),
    "ap": lambda row: -max(row["ap"], row["ap_low"]),
    "stratified_auc": lambda row: -abs(row["stratified_auc"] - 0.5),
    "attribution": lambda row: -row["attribution"],
}


@pytest.mark.parametrize("rule", list(RULES))
def test_a_rule_orders_as_it_says(small, rule):
    rows = whole(small, rule=rule).dicts()
    assert rows == sorted(rows, key=lambda row: (KEYS[rule](row), row["layer"], row["neuron"]))
    assert neurons_for_concept(small, "sports", rule=rule, limit=1).rows[0][0] == "L1N7"


def test_low_leakage_asks_for_coverage(small):
    least = neurons_for_concept(small, "politics", rule="low_leakage", limit=1000)
    assert min(least.column("coverage")) >= RULES["low_leakage"].min_coverage == 0.9
    assert len(whole(small, "politics", rule="low_leakage")) == N_LAYERS * D_MLP


def test_bounds_on_leakage_and_coverage(small):
    rows = whole(small).dicts()
    only = Only(max_leakage=0.9, min_coverage=0.95)
    narrowed = neurons_for_concept(small, "sports", range="gaussian", limit=1000, only=only).dicts()
    assert narrowed == [row for row in rows if row["leakage"] <= 0.9 and row["coverage"] >= 0.95]
    assert 0 < len(narrowed) < len(rows)


def test_layer_and_limit(small):
    assert set(whole(small, layer=1).column("layer")) == {1}
    cut = neurons_for_concept(small, "sports", limit=2)
    assert (len(cut), cut.truncated_by) == (2, "--limit")


def test_token_and_concept_together(small):
    result = whole(small, words=["dog"])
    ids = token_ids(small, "dog")
    _, rows = small.query(
        "SELECT layer, neuron, count(*), min(rank) FROM token_decoding WHERE list_contains($ids, token_id)"
        " GROUP BY ALL",
        {"ids": ids},
    )
    found = {(row["layer"], row["neuron"]): (row["token_hits"], row["token_rank"]) for row in result}
    assert found == {(layer, neuron): (hits, rank) for layer, neuron, hits, rank in rows}
    in_order = [address for address in whole(small).column("address") if address in set(result.column("address"))]
    assert result.column("address") == in_order
    assert "token_hits" not in whole(small).columns


def test_context_tokens(small):
    for row in whole(small):
        reads = random_logits("gate_proj", row["layer"], 0)[row["neuron"]]
        writes = random_logits("down_proj", row["layer"], 0)[row["neuron"]]
        writes = writes if row["mean"] >= row["rest_mean"] else -writes
        assert row["reads"] == [WORDS[index] for index in np.argsort(-reads, kind="stable")[:4]]
        assert row["writes"] == [WORDS[index] for index in np.argsort(-writes, kind="stable")[:4]]
    assert TOP >= 4


def test_the_answer_says_what_it_is_about(small):
    about = "moods/joy at mlp_post, position last"
    assert neurons_for_concept(small, "joy", limit=1).notes[0] == (
        f"{about}, intervals held out over 5 folds, ranked by interval"
    )
    assert neurons_for_concept(small, "joy", range="gaussian", limit=1).notes[0] == f"{about}, tau 2.5, ranked by auc"


def test_refusals(small):
    with pytest.raises(UnknownNameError) as caught:
        neurons_for_concept(small, "sport")
    assert caught.value.hint == "Did you mean sports?"
    for names, message, hint in (
        ({"family": "moods"}, "the family 'moods' has no concept 'sports'", "It is in topics."),
        ({"family": "nope"}, "unknown family 'nope'", "Known: moods, topics."),
        ({"family": "topic"}, "unknown family 'topic'", "Did you mean topics?"),
        ({"position": "mean"}, "the concept 'sports' has no fit with position 'mean'", "Known: last."),
        ({"template": "{text}?"}, "the concept 'sports' has no fit with template '{text}?'", "Did you mean {text}?"),
    ):
        with pytest.raises(UnknownNameError) as caught:
            neurons_for_concept(small, "sports", fit=FitChoice(**names))
        assert (caught.value.message, caught.value.hint) == (message, hint)
    with pytest.raises(UnknownNameError):
        neurons_for_concept(small, "sports", rule="acu")
    with pytest.raises(UnknownNameError):
        neurons_for_concept(small, "sports", fit=FitChoice(site="mlp_pre"))
    with pytest.raises(UsageError, match=r"Measured: 2\.5\. .*rebuild with --tau 3"):
        neurons_for_concept(small, "sports", tau=3)
    with pytest.raises(UsageError, match="is not a share"):
        neurons_for_concept(small, "sports", only=Only(max_leakage=5))
    with pytest.raises(QuestionError):
        neurons_for_concept(small, "sports", only=Only(layer=99))


def test_of_one_io_class_only_its_neurons_are_left(small, tmp_path):
    with pytest.raises(UnknownNameError, match="IO class"):
        neurons_for_concept(small, "sports", only=Only(io_class="nonsense"))
    with pytest.raises(QuestionError, match="no IO classes"):
        neurons_for_concept(small, "sports", only=Only(io_class=IO_CLASSES[0]))
    path = write_small_atlas(tmp_path / "facts.duckdb")
    with changed_by_hand(path) as connection:
        plant_facts(connection, N_LAYERS, D_MLP)
        classes = [(IO_CLASSES[0], 0), (IO_CLASSES[1], 1)]
        connection.executemany("UPDATE _neuron_fact SET io_class = ? WHERE neuron % 2 = ?", classes)
    with open_atlas(path) as atlas:
        every = neurons_for_concept(atlas, "sports", limit=1000).column("address")
        for _ in range(4):  # from the file, then from memory
            found = neurons_for_concept(atlas, "sports", only=Only(io_class=IO_CLASSES[1]), limit=1000).column(
                "address"
            )
            assert found == [address for address in every if int(address.partition("N")[2]) % 2 == 1]
            assert len(found) == N_LAYERS * D_MLP // 2
