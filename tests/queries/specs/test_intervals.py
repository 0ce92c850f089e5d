"""Specs from intervals, against intervals that are searched for here among all there are, on the activations."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from atlas.__main__ import main
from atlas.errors import AtlasError, QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.spec.document import Edit, InterventionSpec
from atlas.spec.float32 import FLOAT32_MAX
from atlas.spec.text import dumps, loads
from atlas.store.reader import Atlas, open_atlas
from queries.plots.plot import draw_neuron
from queries.specs.make_spec import make_spec, spec_and_notes
from queries.specs.origin import MOST_LISTED, warning
from tests.atlas_factory import (
    D_MLP,
    FAMILIES,
    FOLDS,
    N_LAYERS,
    PER_CONCEPT,
    PERMUTATIONS,
    changed_by_hand,
    folds_and_tokens,
    planted_activations,
    write_small_atlas,
)
from tests.fixtures.old_atlases.make import HERE

CONCEPTS = [(family, concept) for family, names in FAMILIES.items() for concept in names]
WITHOUT = "DELETE FROM _{} WHERE fit_id = 1"


def best_interval(own: np.ndarray, rest: np.ndarray) -> tuple[float, float]:
    """(lower, upper) of the closed interval with the largest coverage - leakage: every pair of values is tried.

    Then fewest others, then narrowest, then lowest; open where nothing was seen beyond.
    """
    everything = np.concatenate([own, rest])

    def badness(pair: tuple[np.float32, np.float32]) -> tuple[float, int, float, float]:
        low, high = pair
        inside, others = (int(((values >= low) & (values <= high)).sum()) for values in (own, rest))
        # Whole numbers: shares that are equal must not differ by a rounding.
        return others * len(own) - inside * len(rest), others, float(high) - float(low), float(low)

    low, high = min(itertools.combinations_with_replacement(np.sort(own), 2), key=badness)
    return (
        -np.inf if low == everything.min() else float(low),
        np.inf if high == everything.max() else float(high),
    )


def held_out_shares(acts_E: np.ndarray, own_E: np.ndarray) -> tuple[float, float]:
    """(coverage, leakage) of intervals found on the other folds."""
    fold_E, _ = folds_and_tokens(len(acts_E))
    inside_E = np.zeros(len(acts_E), bool)
    for fold in range(FOLDS):
        kept, left_out = fold_E != fold, fold_E == fold
        low, high = best_interval(acts_E[kept & own_E], acts_E[kept & ~own_E])
        inside_E |= left_out & (acts_E >= low) & (acts_E <= high)
    return inside_E[own_E].mean(), inside_E[~own_E].mean()


def activations(family: str, concept: str, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """(acts_EN, whether each example is of the concept)."""
    acts_EN, labels_E = planted_activations(family, layer, 0)
    return acts_EN, labels_E == FAMILIES[family].index(concept)


@cache
def all_shares(family: str, concept: str) -> dict[tuple[int, int], tuple[float, float]]:
    found = {}
    for layer in range(N_LAYERS):
        acts_EN, own_E = activations(family, concept, layer)
        found |= {(layer, neuron): held_out_shares(acts_EN[:, neuron], own_E) for neuron in range(D_MLP)}
    return found


def places(made: InterventionSpec) -> list[tuple[int, int]]:
    return [(edit.layer, edit.neuron) for edit in made.edits]


def admitted(edit: Edit, acts_E: np.ndarray) -> np.ndarray:
    """Which values an edit changes: a closed range that is decided in float32."""
    return (acts_E >= np.float32(edit.when.lower)) & (acts_E <= np.float32(edit.when.upper))


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str], Atlas]:
    """The small atlas after some statements."""

    def change(*statements: str) -> Atlas:
        path = write_small_atlas(tmp_path / "changed.duckdb")
        with changed_by_hand(path) as connection:
            for sql in statements:
                connection.execute(sql)
        return open_atlas(path)

    return change


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas without intervals."""
    return write_small_atlas(tmp_path_factory.mktemp("before") / "before.duckdb", intervals=False)


@pytest.mark.parametrize(("family", "concept"), CONCEPTS)
def test_bounds_are_the_best_interval(atlas: Atlas, family: str, concept: str) -> None:
    made = make_spec(atlas, concept=concept, top="100%")
    assert len(made.edits) == N_LAYERS * D_MLP and made.source["bounds"] == "interval"
    sides = set()
    for edit in made.edits:
        acts_EN, own_E = activations(family, concept, edit.layer)
        acts_E = acts_EN[:, edit.neuron]
        low, high = best_interval(acts_E[own_E], acts_E[~own_E])
        sides |= {(low == -np.inf, high == np.inf)}
        open_low, open_high = edit.when.lower == -FLOAT32_MAX, edit.when.upper == FLOAT32_MAX
        assert (open_low, open_high) == (low == -np.inf, high == np.inf)
        assert open_low or np.float32(edit.when.lower) == np.float32(low)
        assert open_high or np.float32(edit.when.upper) == np.float32(high)
        assert admitted(edit, acts_E).tolist() == ((acts_E >= low) & (acts_E <= high)).tolist()
    assert len(sides) >= 3  # closed, open below, open above
    assert loads(dumps(made)) == made


@pytest.mark.parametrize(("family", "concept"), CONCEPTS)
def test_neurons_rank_by_held_out_shares(atlas: Atlas, family: str, concept: str) -> None:
    shares = all_shares(family, concept)
    ranked = sorted(shares, key=lambda place: (shares[place][1] - shares[place][0], place))
    made = make_spec(atlas, concept=concept, top=7)
    assert places(made) == sorted(ranked[:7]) and made.source["rule"] == "interval"
    held_out = made.source["held_out"]
    n_others = PER_CONCEPT * (len(FAMILIES[family]) - 1)
    assert (held_out["folds"], held_out["n"], held_out["n_others"]) == (FOLDS, PER_CONCEPT, n_others)
    assert list(held_out["neurons"]) == [f"L{layer}N{neuron}" for layer, neuron in ranked[:7]]  # strongest first
    for place, found in zip(ranked, held_out["neurons"].values(), strict=False):
        assert (found["coverage"], found["leakage"]) == pytest.approx(shares[place], abs=1e-6)
    means = np.mean([shares[place] for place in ranked[:7]], axis=0)
    assert (held_out["mean_coverage"], held_out["mean_leakage"]) == pytest.approx(tuple(means), abs=1e-6)
    _, rows = atlas.query(
        "SELECT layer, neuron, expected_coverage, expected_leakage FROM concept_interval WHERE concept = ?", [concept]
    )
    expected = np.mean([row[2:] for row in rows if row[:2] in ranked[:7]], axis=0)
    assert tuple(made.source["expected"].values()) == pytest.approx(tuple(expected), abs=1e-6)
    assert not {"tau", "mean_coverage", "mean_leakage"} & made.source.keys()


@pytest.mark.parametrize(("leak", "cover"), [(0.3, None), (None, 0.6), (0.45, 0.5)])
def test_shares_are_the_held_out_ones(atlas: Atlas, leak: float | None, cover: float | None) -> None:
    shares = all_shares("topics", "politics")
    within = [
        place
        for place, (coverage, leakage) in shares.items()
        if (leak is None or leakage <= leak) and (cover is None or coverage >= cover)
    ]
    assert 0 < len(within) < len(shares)
    asked = {"max_leakage": leak, "min_coverage": cover}
    made = make_spec(atlas, concept="politics", rule="auc", **asked)
    assert places(made) == within
    assert {name: made.source.get(name) for name in asked} == asked
    with pytest.raises(UsageError, match="neurons that the rule interval ranks within these shares"):
        make_spec(atlas, concept="politics", top=len(within) + 1, **asked)


def test_shares_of_gaussian_bounds_are_those_of_the_range(atlas: Atlas) -> None:
    made = make_spec(atlas, concept="sports", bounds="gaussian", max_leakage=0.9, min_coverage=0.96)
    _, rows = atlas.query(
        "SELECT layer, neuron FROM concept_range WHERE concept = 'sports' AND leakage <= 0.9 AND coverage >= 0.96"
    )
    assert places(made) == sorted(rows) and 0 < len(rows) < N_LAYERS * D_MLP
    with pytest.raises(UsageError, match="tau 2 was not measured"):
        make_spec(atlas, concept="sports", tau=2.0, max_leakage=0.9)


def test_low_leakage_with_intervals_keeps_what_both_ask_for(changed: Callable[..., Atlas]) -> None:
    low = "UPDATE _range SET inside = 10 WHERE concept_id = 1 AND neuron < 4"
    with changed(low) as atlas:
        made = make_spec(atlas, concept="politics", rule="low_leakage", bounds="interval", max_leakage=0.45)
        shares = all_shares("topics", "politics")
        assert places(made) == [place for place, (_, leakage) in shares.items() if leakage <= 0.45 and place[1] >= 4]
        ranges = make_spec(atlas, concept="politics", rule="low_leakage", top=1)
        assert ranges.source["bounds"] == "gaussian"
        every = make_spec(atlas, concept="politics", rule="low_leakage", min_coverage=0.5, top="100%")
        assert len(every.edits) == N_LAYERS * D_MLP  # a coverage that is given replaces the one of the rule


def test_numbers_of_set_are_the_same_as_with_other_bounds(atlas: Atlas) -> None:
    for op in ("set=mean", "set=concept-mean", "set=rest-mean", "set=contrast:2", "scale=0.5", "add=3"):
        chosen = {"concept": "sports", "neurons": "L1N7,L0N3,L2N5", "op": op}
        ours, others = (make_spec(atlas, **chosen, bounds=bounds) for bounds in ("interval", "gaussian"))
        assert [(edit.op, edit.value) for edit in ours.edits] == [(edit.op, edit.value) for edit in others.edits]
        assert all(one.when != other.when for one, other in zip(ours.edits, others.edits, strict=True))


def test_whole_neurons_are_the_same_neurons(atlas: Atlas) -> None:
    whole = make_spec(atlas, concept="joy", top=5, use_range=False)
    assert places(whole) == places(make_spec(atlas, concept="joy", top=5))
    assert not any(edit.when for edit in whole.edits) and "bounds" not in whole.source


@pytest.mark.parametrize(
    "asked", [{"tau": 2.0}, {"tau": 2.5}, {"op": "damp=0.125"}, {"rule": "low_leakage"}], ids=lambda asked: str(asked)
)
def test_what_only_gaussian_ranges_have_gets_them(atlas: Atlas, asked: dict) -> None:
    found = spec_and_notes(atlas, concept="sports", top=3, **asked)
    assert found.spec == make_spec(atlas, concept="sports", top=3, bounds="gaussian", **asked)
    assert found.spec.source["bounds"] == "gaussian" and found.notes == []


def test_damp_takes_closed_intervals_alone(atlas: Atlas, changed: Callable[..., Atlas]) -> None:
    with pytest.raises(UsageError, match="the interval of L1N7 for 'sports' is open"):
        make_spec(atlas, concept="sports", neurons="L1N7", bounds="interval", op="damp=0.5")
    closed = make_spec(atlas, concept="politics", neurons="L1N7", bounds="interval", op="damp=0.5").edits[0]
    assert (closed.op, closed.when) == ("damp", make_spec(atlas, concept="politics", neurons="L1N7").edits[0].when)
    point = "UPDATE _interval SET interval_upper = interval_lower WHERE concept_id = 1 AND isfinite(interval_lower)"
    with changed(point) as other, pytest.raises(UsageError, match="L1N7 has none for 'politics'"):
        make_spec(other, concept="politics", neurons="L1N7", bounds="interval", op="damp=0.5")


def test_luck_is_said(atlas: Atlas) -> None:
    _, rows = atlas.query("SELECT concept, best_interval, interval_p, null_interval_95 FROM concept_significance")
    for concept, best, p, null_95 in rows:
        found = spec_and_notes(atlas, concept=concept, top=1)
        assert found.spec.source["significance"] == {
            "permutations": PERMUTATIONS,
            "best_interval": pytest.approx(best, abs=1e-6),
            "interval_p": pytest.approx(p, abs=1e-6),
            "null_interval_95": pytest.approx(null_95, abs=1e-6),
        }
        assert [note.startswith(f"the neurons of {concept} may be luck") for note in found.notes] == [True] * (p > 0.05)
    told = {concept: p <= 0.05 for concept, _, p, _ in rows}
    assert told["sports"] and not all(told.values())


def test_the_level_of_the_warning() -> None:
    known = {"folds": 5, "permutations": 200, "best_interval": 0.4, "null_interval_95": 0.5}
    assert warning("fear", None) == warning("fear", {**known, "interval_p": None}) == ""
    assert warning("fear", {**known, "interval_p": 0.05}) == ""
    said = warning("fear", {**known, "interval_p": 0.0547})
    assert "fear" in said and "0.40" in said and "p 0.0547 from 200 permutations" in said


def test_without_intervals_it_is_what_it_was(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_atlas(before) as atlas:
        found = spec_and_notes(atlas, concept="sports", top=4)
        assert found.spec == make_spec(atlas, concept="sports", top=4, bounds="gaussian")
        assert found.spec.source["rule"] == "auc" and found.spec.source["tau"] == 2.5
        assert [note.partition(",")[0] for note in found.notes] == ["topics at mlp_post has no intervals"]
        for rule in ("interval", "ap", "stratified_auc"):
            with pytest.raises(QuestionError, match=f"topics at mlp_post cannot be ranked by {rule}"):
                make_spec(atlas, concept="sports", rule=rule)
        assert spec_and_notes(atlas, neurons="L1N7").notes == []
    arguments = ["spec", "-a", str(before), "--concept", "sports", "--bounds", "interval"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "error: topics at mlp_post has no intervals",
        "hint: Use --bounds gaussian; `neuron-atlas build --add` with the same corpus adds them.",
    ]


def test_a_concept_that_is_alone_has_nothing_to_be_told_from(changed: Callable[..., Atlas]) -> None:
    tables = ("fit_concept", "_gaussian", "_range", "_histogram", "_interval", "_significance", "_chance")
    with changed(*(f"DELETE FROM {name} WHERE concept_id = 11" for name in tables)) as atlas:
        found = spec_and_notes(atlas, concept="joy", rule="mean_abs", top=2)
        assert found.spec == make_spec(atlas, concept="joy", rule="mean_abs", top=2, bounds="gaussian")
        assert [note.startswith("moods has one concept") for note in found.notes] == [True]
        with pytest.raises(QuestionError, match="moods has one concept"):
            make_spec(atlas, concept="joy", rule="mean_abs", bounds="interval")
        figure = draw_neuron(atlas, "L1N7", fit=FitChoice(family="moods"))
        assert "the range of joy" in figure.subfigs[0].axes[0].get_title(loc="left")


def test_one_fit_with_intervals_and_one_without(changed: Callable[..., Atlas]) -> None:
    tables = ("interval_fit", "concept_length", "chance", "interval", "length", "significance")
    with changed(*map(WITHOUT.format, tables)) as atlas:
        assert make_spec(atlas, concept="sports", top=1).source["bounds"] == "interval"
        assert make_spec(atlas, concept="joy", top=1).source["bounds"] == "gaussian"
        with pytest.raises(QuestionError, match="moods at mlp_post has no intervals"):
            make_spec(atlas, concept="joy", top=1, bounds="interval")


@pytest.mark.parametrize("name", sorted(file.stem for file in HERE.glob("*.duckdb")))
def test_old_atlases_fall_back(name: str, tmp_path: Path) -> None:
    path = shutil.copy(HERE / f"{name}.duckdb", tmp_path / "old.duckdb")
    with open_atlas(path) as atlas:
        asked = {"concept": "pets", "fit": FitChoice(site="mlp_post"), "top": 3}
        found = spec_and_notes(atlas, **asked)
        assert found.spec == make_spec(atlas, **asked, bounds="gaussian", tau=2.5)
        assert len(found.notes) == 1 and "has no intervals" in found.notes[0]
        with pytest.raises(QuestionError, match="has no intervals"):
            make_spec(atlas, **asked, bounds="interval")


def test_gaps_are_refused(changed: Callable[..., Atlas]) -> None:
    with changed("DELETE FROM _interval WHERE layer = 0 AND neuron = 3") as atlas:
        with pytest.raises(QuestionError, match="some of these neurons have no interval"):
            make_spec(atlas, concept="sports", neurons="L0N3,L1N7", bounds="interval")
    with changed("DELETE FROM _chance", "DELETE FROM _interval_fit") as atlas:
        made = make_spec(atlas, concept="sports", neurons="L1N7")
        assert "significance" not in made.source and "folds" not in made.source["held_out"]


@pytest.mark.parametrize("bound", ["'nan'::FLOAT", "'inf'::FLOAT"])
def test_bounds_that_are_none_are_refused(changed: Callable[..., Atlas], bound: str) -> None:
    broken = f"UPDATE _interval SET interval_lower = {bound}, interval_upper = {bound} WHERE neuron = 7"
    with changed(broken) as atlas, pytest.raises(AtlasError):
        make_spec(atlas, concept="sports", neurons="L1N7")


def test_a_list_of_many_neurons_ends(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 4 * MOST_LISTED < 10_000  # values that `source` may have
    monkeypatch.setattr("queries.specs.origin.MOST_LISTED", 4)
    made = make_spec(atlas, concept="sports", top=20)
    listed, every = made.source["held_out"], make_spec(atlas, concept="sports", top=4).source["held_out"]
    assert listed["neurons"] == every["neurons"] and listed["mean_leakage"] != every["mean_leakage"]


def test_the_command_says_it(atlas: Atlas, atlas_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "--concept sports --max-leakage 0.1 --min-coverage 0.9 --op set=contrast:2"
    assert main(["spec", "-a", str(atlas_path), *arguments.split()]) == 0
    out, err = capsys.readouterr()
    asked = {"concept": "sports", "max_leakage": 0.1, "min_coverage": 0.9, "op": "set=contrast:2"}
    made = loads(out)
    assert made == make_spec(atlas, **asked, bounds="interval")
    held_out, expected = made.source["held_out"], made.source["expected"]
    assert err.splitlines() == [
        "note: 1 edit (set=contrast:2) at mlp_post in layer 1, inside the intervals of sports",
        f"note: mean AUC, either side: 1.000; held out over 5 folds: mean coverage "
        f"{held_out['neurons']['L1N7']['coverage']:.3f} (n 20), mean leakage 0.000 (n 40), "
        f"to expect on new texts {expected['mean_coverage']:.3f} and {expected['mean_leakage']:.3f}",
    ]
    assert main(["spec", "-a", str(atlas_path), "--concept", "animals"]) == 0
    assert "note: the neurons of animals may be luck" in capsys.readouterr().err
