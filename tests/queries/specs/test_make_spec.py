"""make_spec against numbers computed here from the activations and logits that the small atlas is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.spec.document import InterventionSpec
from atlas.spec.float32 import FLOAT32_MAX
from atlas.spec.text import dumps, loads
from atlas.store.reader import Atlas, open_atlas
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.rules import RULES
from queries.specs.make_spec import make_spec
from tests.atlas_factory import (
    BINS,
    D_MLP,
    FAMILIES,
    N_LAYERS,
    PER_CONCEPT,
    changed_by_hand,
    planted_activations,
    random_logits,
    write_small_atlas,
)

Address = tuple[int, int]


def acts_of(concept: str, family: str = "topics") -> tuple[np.ndarray, np.ndarray]:
    """(own_ELN, rest_ELN) in float64: the activations of a concept and of the rest of its family."""
    own, rest = [], []
    for layer in range(N_LAYERS):
        acts_EN, labels_E = planted_activations(family, layer, 0)
        inside = labels_E == FAMILIES[family].index(concept)
        own.append(acts_EN[inside].astype(np.float64))
        rest.append(acts_EN[~inside].astype(np.float64))
    return np.stack(own, axis=1), np.stack(rest, axis=1)


def addresses(made: InterventionSpec) -> list[Address]:
    return [(edit.layer, edit.neuron) for edit in made.edits]


def strongest(score_LN: np.ndarray, top: int) -> list[Address]:
    order = np.argsort(-score_LN.ravel(), kind="stable")[:top]
    return sorted((int(index) // D_MLP, int(index) % D_MLP) for index in order)


def auc_LN(own_ELN: np.ndarray, rest_ELN: np.ndarray) -> np.ndarray:
    pairs = own_ELN[:, None] - rest_ELN[None]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean(axis=(0, 1))


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "auc": lambda own, rest: np.round(abs(auc_LN(own, rest) - 0.5), 12),
    "mean_abs": lambda own, rest: abs(own).mean(axis=0),
    "max": lambda own, rest: own.max(axis=0),
    "probeless": lambda own, rest: abs(own.mean(axis=0) - rest.mean(axis=0)),
}


@pytest.mark.parametrize("rule", SCORES)
@pytest.mark.parametrize("top", [1, 7, 48])
def test_rule_chooses_as_numpy_does(atlas: Atlas, rule: str, top: int) -> None:
    made = make_spec(atlas, concept="sports", rule=rule, top=top)
    assert addresses(made) == strongest(SCORES[rule](*acts_of("sports")), top)


@pytest.mark.parametrize("rule", RULES)
def test_rule_chooses_as_the_concept_question_does(atlas: Atlas, rule: str) -> None:
    best = neurons_for_concept(atlas, "politics", rule=rule, limit=5)
    made = make_spec(atlas, concept="politics", rule=rule, top=5)
    assert addresses(made) == sorted((row["layer"], row["neuron"]) for row in best)


@pytest.mark.parametrize("tau", [None, 0.3, 2.0, 3.0])
def test_ranges_are_mean_and_std_of_the_activations(atlas: Atlas, tau: float | None) -> None:
    made = make_spec(atlas, concept="sports", top=48, tau=tau, bounds="gaussian")
    own_ELN, _ = acts_of("sports")
    mean, std = own_ELN.mean(axis=0), own_ELN.std(axis=0)
    for edit in made.edits:
        at = edit.layer, edit.neuron
        reach = (2.5 if tau is None else tau) * std[at]
        assert edit.when.lower == pytest.approx(mean[at] - reach, rel=1e-5, abs=1e-6)
        assert edit.when.upper == pytest.approx(mean[at] + reach, rel=1e-5, abs=1e-6)


def test_ranges_are_the_stored_ones_to_the_bit(atlas: Atlas) -> None:
    made = make_spec(atlas, concept="joy", fit=FitChoice(family="moods"), top=48, bounds="gaussian")
    _, rows = atlas.query("SELECT layer, neuron, lower, upper FROM concept_range WHERE concept = 'joy' AND tau = 2.5")
    stored = {(layer, neuron): (np.float32(low), np.float32(high)) for layer, neuron, low, high in rows}
    assert {
        at: (np.float32(edit.when.lower), np.float32(edit.when.upper))
        for at, edit in zip(addresses(made), made.edits, strict=True)
    } == stored


def test_means_are_resolved_to_numbers(atlas: Atlas) -> None:
    own_ELN, rest_ELN = acts_of("sports")
    for op, acts_ELN in (("set=mean", np.concatenate([own_ELN, rest_ELN])), ("set=concept-mean", own_ELN)):
        made = make_spec(atlas, concept="sports", top="100%", op=op)
        mean = acts_ELN.mean(axis=0)
        assert [edit.value for edit in made.edits] == pytest.approx([mean[at] for at in addresses(made)], rel=1e-5)
    assert made.edits[0].when is not None
    by_name = make_spec(atlas, neurons=["L1N7"], op="set=mean", fit=FitChoice(family="topics"))
    assert by_name.edits[0].value == pytest.approx(np.concatenate([own_ELN, rest_ELN])[:, 1, 7].mean(), rel=1e-5)
    assert by_name.edits[0].when is None


def test_share_counts_all_neurons_of_the_layers_and_rounds_down(atlas: Atlas) -> None:
    assert len(make_spec(atlas, concept="sports", top="30%").edits) == 14
    assert len(make_spec(atlas, concept="sports", top="12.5%", layers="0,2").edits) == 4
    assert len(make_spec(atlas, concept="sports", top="100%", layers=[1]).edits) == 16
    assert len(make_spec(atlas, concept="sports").edits) == 48


def test_layers(atlas: Atlas) -> None:
    made = make_spec(atlas, concept="sports", rule="auc", top=20, layers="0,2")
    own, rest = acts_of("sports")
    score = SCORES["auc"](own, rest)
    score[1] = -1
    assert addresses(made) == strongest(score, 20)
    assert {edit.layer for edit in make_spec(atlas, concept="sports", top=48, layers="0-2").edits} == {
        0,
        1,
        2,
    }


def test_whole_neuron_and_lent_ranges(atlas: Atlas) -> None:
    assert all(edit.when is None for edit in make_spec(atlas, concept="sports", use_range=False).edits)
    lent = make_spec(atlas, concept="sports", neurons="L1N7, L0N3", op="scale=0.5")
    assert addresses(lent) == [(0, 3), (1, 7)]
    whole = {(edit.layer, edit.neuron): edit.when for edit in make_spec(atlas, concept="sports", top=48).edits}
    assert [edit.when for edit in lent.edits] == [whole[0, 3], whole[1, 7]]
    assert make_spec(atlas, neurons=["L1N7"]).edits[0].when is None


@pytest.mark.parametrize(
    ("weight", "site"), [("down_proj", "mlp_post"), ("gate_proj", "mlp_pre"), ("up_proj", "mlp_pre_linear")]
)
def test_token_values_push_towards_the_token(atlas: Atlas, weight: str, site: str) -> None:
    made = make_spec(atlas, token=" dog", exact=True, weight=weight, op="set=20", top=4)
    assert {edit.site for edit in made.edits} == {site}
    for edit in made.edits:
        logits_V = random_logits(weight, edit.layer, 0)[edit.neuron]
        assert edit.value == 20 * np.sign(logits_V[1])
    found = neurons_for_token(atlas, " dog", exact=True, weight=weight, limit=4)
    assert addresses(made) == sorted((row["layer"], row["neuron"]) for row in found)


def test_token_signs_and_layers(atlas: Atlas) -> None:
    lowered = make_spec(atlas, token="dog", sign=-1, op="add=3", top=3, layers="1-2")
    assert {edit.value for edit in lowered.edits} == {-3.0}
    assert {edit.layer for edit in lowered.edits} <= {1, 2}
    assert {edit.value for edit in make_spec(atlas, token="dog", sign=-1, op="scale=3", top=3).edits} == {3.0}
    forms = make_spec(atlas, token=["dog", "cat"]).source["forms"]
    assert set(forms) == {"dog", " dog", " Dogs", "dogs", "cat", " cat", " cats"}
    assert (2, 3) in addresses(make_spec(atlas, token="dog", weight="gate_proj", sign=1, top=1))


def test_model_and_source(atlas: Atlas) -> None:
    made = make_spec(atlas, concept="sports", rule="mean_abs", top="25%", tau=2, layers="1", positions="0,4-6")
    manifest = atlas.manifest
    assert (made.model.id, made.model.fingerprint) == (manifest.model_id, manifest.fingerprint)
    assert (made.model.n_layers, made.model.d_model, made.model.d_mlp) == (3, 8, 16)
    assert made.positions == (0, 4, 5, 6) and made.check is None
    own, rest = acts_of("sports")
    auc = auc_LN(own, rest)
    chosen = [max(auc[at], 1 - auc[at]) for at in addresses(made)]
    assert made.source == {
        "atlas_id": manifest.atlas_id,
        "op": "set=0",
        "rule": "mean_abs",
        "top": 4,
        "layers": "1",
        "concept": "sports",
        "family": "topics",
        "position": "last",
        "template": "{text}",
        "bounds": "gaussian",
        "tau": 2,
        "mean_auc": pytest.approx(np.mean(chosen), abs=1e-6),
    }
    assert loads(dumps(made)) == made


def test_mean_leakage_is_measured(atlas: Atlas) -> None:
    made = make_spec(atlas, concept="sports", neurons=["L1N7", "L2N4"], bounds="gaussian")
    _, rest_ELN = acts_of("sports")
    shares = [
        ((rest_ELN[:, e.layer, e.neuron] >= e.when.lower) & (rest_ELN[:, e.layer, e.neuron] <= e.when.upper)).mean()
        for e in made.edits
    ]
    assert made.source["mean_leakage"] == pytest.approx(np.mean(shares), abs=1e-6)
    assert len(shares) * PER_CONCEPT == 40


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str], Atlas]:
    """The small atlas after a statement; for what a builder would hardly ever write."""

    def change(sql: str) -> Atlas:
        path = write_small_atlas(tmp_path / "changed.duckdb")
        with changed_by_hand(path) as connection:
            connection.execute(sql)
        return open_atlas(path)

    return change


def test_zero_deviation_is_a_point_and_damp_refuses_it(changed: Callable[[str], Atlas]) -> None:
    with changed("UPDATE _gaussian SET std = 0 WHERE concept_id = 0 AND layer = 1 AND neuron = 7") as atlas:
        made = make_spec(atlas, concept="sports", neurons=["L1N7"], op="scale=0.5", bounds="gaussian")
        assert made.edits[0].when.lower == made.edits[0].when.upper
        with pytest.raises(UsageError, match="L1N7 has none for 'sports'"):
            make_spec(atlas, concept="sports", top=1, op="damp=0.125")


def test_a_rule_that_tells_nothing_apart_is_refused(changed: Callable[[str], Atlas]) -> None:
    with changed("UPDATE _gaussian SET dprime = NULL") as atlas:
        with pytest.raises(QuestionError, match="the rule dprime gives every neuron the same score"):
            make_spec(atlas, concept="sports", rule="dprime", top=3)


def test_plain_model_refuses_the_gated_site_and_reads_at_mlp_pre(tmp_path: Path) -> None:
    with open_atlas(write_small_atlas(tmp_path / "plain.duckdb", gated=False)) as atlas:
        with pytest.raises(UsageError, match="mlp_pre_linear exists on gated models only"):
            make_spec(atlas, neurons=["L0N0"], fit=FitChoice(site="mlp_pre_linear"))
        assert make_spec(atlas, token="dog", weight="up_proj", top=1).edits[0].site == "mlp_pre"


def test_contrast_bounds_are_the_best_cut_of_the_histogram(atlas: Atlas) -> None:
    """Against every cut at every bin edge, counted on the activations themselves."""
    made = make_spec(atlas, concept="sports", top=20, bounds="contrast", op="set=rest-mean")
    own_ELN, rest_ELN = acts_of("sports")
    everything_ELN = np.concatenate([own_ELN, rest_ELN])
    reached, coverages, leakages = [], [], []
    for edit in made.edits:
        own, rest = own_ELN[:, edit.layer, edit.neuron], rest_ELN[:, edit.layer, edit.neuron]
        assert edit.value == pytest.approx(rest.mean(), rel=1e-5, abs=1e-6)
        assert edit.when is not None
        assert (edit.when.upper == FLOAT32_MAX) != (edit.when.lower == -FLOAT32_MAX)
        coverage, leakage = (np.mean((edit.when.lower <= acts) & (acts <= edit.when.upper)) for acts in (own, rest))
        coverages.append(coverage)
        leakages.append(leakage)
        both = everything_ELN[:, edit.layer, edit.neuron]
        edges = np.linspace(both.min(), both.max(), BINS + 1)[1:-1]
        best = max(abs(np.mean(own >= edge) - np.mean(rest >= edge)) for edge in edges)
        reached.append(coverage - leakage)
        assert coverage - leakage == pytest.approx(best, abs=1e-9)
    assert max(reached) > 0.9  # the planted neuron is told apart
    assert made.source["mean_coverage"] == pytest.approx(np.mean(coverages), abs=1e-6)
    assert made.source["mean_leakage"] == pytest.approx(np.mean(leakages), abs=1e-6)
    assert made.source["bounds"] == "contrast"
    assert "tau" not in made.source


@pytest.mark.parametrize("strength", [-1.0, 0.0, 1.0, 2.0])
def test_contrast_moves_from_the_concept_toward_the_rest(atlas: Atlas, strength: float) -> None:
    made = make_spec(atlas, concept="sports", top=5, op=f"set=contrast:{strength}", use_range=False)
    own_ELN, rest_ELN = acts_of("sports")
    for edit in made.edits:
        own, rest = own_ELN[:, edit.layer, edit.neuron].mean(), rest_ELN[:, edit.layer, edit.neuron].mean()
        assert edit.value == pytest.approx(own + strength * (rest - own), rel=1e-4, abs=1e-5)
