"""A build of a mixture of experts, against statistics of activations that plain loops over experts give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from atlas.__main__ import main
from atlas.errors import ModelError, QuestionError, SpecError, UnknownNameError
from atlas.live.check import with_check
from atlas.live.loading import load
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from atlas.store.reader import Atlas, open_atlas
from atlas.store.verify import OK, checks_of
from builders.activations.counts import ENOUGH
from builders.export.export import export
from queries.card import neuron_card
from queries.neurons import neurons_for_concept
from queries.routing import expert_routing
from queries.specs.make_spec import make_spec
from tests.atlas.live.plain_experts import inputs_of, plain_layer
from tests.atlas_factory import write_small_atlas
from tests.end_to_end.workbench import built
from tests.hostile.counts import generator
from tests.synthetic import make_model

TOPICS = {
    "animals": "dog dogs cat cats animal runs".split(),
    "money": "money bank election vote government minister".split(),
    "sport": "football match team goal won lost played".split(),
}
OTHERS = "the a is are was and of in to about this text my new old good bad very not".split()
PER_TOPIC = 34
FAMILY = "qwen2_moe"  # a dense layer, routed experts of 10 units, and a shared one of 12


def texts() -> list[tuple[str, str]]:
    random, found = generator("texts for experts"), []
    for i in range(PER_TOPIC * len(TOPICS)):
        concept = list(TOPICS)[i % len(TOPICS)]
        words = [random.choice(TOPICS[concept] if random.random() < 0.5 else OTHERS) for _ in range(2 + i % 4)]
        found.append(("The " + " ".join(words), concept))
    return found


class Made(NamedTuple):
    model: Path
    atlas: Path
    values: dict[tuple[int, int, str], np.ndarray]
    """(layer, neuron, concept) -> activations at last tokens, of the texts that reach the neuron."""
    counts: dict[tuple[int, int, str], tuple[int, int, int]]
    """(layer, expert, concept) -> values, texts with a token there, tokens there."""
    logits: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]
    """(layer, expert) -> the router's logits at last tokens on each text, and the concepts."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("experts")
    model = make_model(FAMILY, folder / FAMILY)
    rows, corpus = texts(), folder / "topics.jsonl"
    corpus.write_text("".join(json.dumps({"text": text, "concept": concept}) + "\n" for text, concept in rows))
    changes: dict[str, Any] = {"permutations": 20, "dtype": "float32", "batch_tokens": 64}
    atlas = built(model, folder / "a.duckdb", corpus, **changes)
    live = load(str(model), device="cpu", dtype="float32")
    values: dict[tuple[int, int, str], list[float]] = {}
    counts: dict[tuple[int, int, str], list[int]] = {}
    logits: dict[tuple[int, int], list[tuple[float, str]]] = {}
    for text, concept in rows:
        ids = torch.tensor([live.tokenizer(text, add_special_tokens=False).input_ids])
        for layer, x_TD in enumerate(inputs_of(live, ids)):
            if live.experts(layer) is None:
                continue
            plain, last = plain_layer(live, layer, x_TD), len(x_TD) - 1
            for part in live.parts(layer):
                expert, there = part.expert, [token for (token, e) in plain.acts["mlp_post"] if e == part.expert]
                seen = counts.setdefault((layer, expert, concept), [0, 0, 0])
                seen[0] += last in there
                seen[1] += bool(there)
                seen[2] += len(there)
                if last in there:
                    for unit, value in enumerate(plain.acts["mlp_post"][last, expert].tolist()):
                        values.setdefault((layer, part.first_neuron + unit, concept), []).append(value)
                if expert < plain.logits.shape[1]:
                    logits.setdefault((layer, expert), []).append((plain.logits[last, expert].item(), concept))
    return Made(
        model,
        atlas,
        {key: np.array(each) for key, each in values.items()},
        {key: (each[0], each[1], each[2]) for key, each in counts.items()},
        {key: (np.array([v for v, _ in each]), np.array([c for _, c in each])) for key, each in logits.items()},
    )


@pytest.fixture
def atlas(made: Made) -> Any:
    with open_atlas(made.atlas) as opened:
        yield opened


def rows_of(atlas: Atlas, sql: str) -> list[dict[str, Any]]:
    names, rows = atlas.query(sql)
    return [dict(zip(names, row, strict=True)) for row in rows]


def enough(made: Made, layer: int, expert: int) -> list[str]:
    """The concepts of which an expert has statistics: those with enough texts, if there are two."""
    found = [concept for concept in TOPICS if made.counts[layer, expert, concept][0] >= ENOUGH]
    return found if len(found) > 1 else []


def test_all_promises_hold(made: Made) -> None:
    assert [check for check in checks_of(made.atlas) if check.result != OK] == []


def test_the_experts_of_each_layer_are_stored(atlas: Atlas) -> None:
    _, rows = atlas.query("SELECT layer, expert, first_neuron, neurons, kind FROM expert ORDER BY layer, expert")
    of_experts = [(0, 0, 10, "routed"), (1, 10, 10, "routed"), (2, 20, 10, "routed"), (3, 30, 10, "routed")]
    of_experts.append((4, 40, 12, "shared"))
    expected = [(0, 0, 0, 32, "dense"), *((layer, *row) for layer in (1, 2) for row in of_experts)]
    assert rows == expected
    assert atlas.manifest.d_mlp == 52
    counts = "SELECT weight::VARCHAR, layer, count(*), max(neuron) FROM _decoding GROUP BY ALL ORDER BY ALL"
    assert atlas.query(counts)[1] == [
        (weight, layer, n, n - 1)
        for weight in ("down_proj", "gate_proj", "up_proj")
        for layer, n in ((0, 32), (1, 52), (2, 52))
    ]


def test_what_is_routed_is_counted(made: Made, atlas: Atlas) -> None:
    rows = rows_of(
        atlas, "FROM expert_concept JOIN (SELECT layer, expert, kind FROM expert) USING (layer, expert, kind)"
    )
    routed = [row for row in rows if row["kind"] != "dense"]
    assert len(routed) == 2 * 5 * len(TOPICS)
    tokens = {concept: sum(len(text.split()) for text, c in texts() if c == concept) for concept in TOPICS}
    for row in routed:
        place = row["layer"], row["expert"], row["concept"]
        n, n_texts, n_tokens = made.counts[place]
        assert row["n"] == n
        assert row["share"] == pytest.approx(n / PER_TOPIC)
        assert row["text_share"] == pytest.approx(n_texts / PER_TOPIC)
        assert row["token_share"] == pytest.approx(n_tokens / tokens[row["concept"]])
        assert row["fitted"] == (row["kind"] == "shared" or row["concept"] in enough(made, *place[:2]))
        if row["kind"] == "shared":
            assert row["router_auc"] is None
        else:
            logits, concepts = made.logits[place[:2]]
            own = concepts == row["concept"]
            auc = mannwhitneyu(logits[own], logits[~own]).statistic / (own.sum() * (~own).sum())
            assert row["router_auc"] == pytest.approx(auc, abs=1e-4)
    assert {row["fitted"] for row in routed} == {True, False}  # else the draw shows nothing


@pytest.mark.parametrize(("by", "column"), [("auc", "router_auc"), ("share", "token_share"), ("lift", "lift")])
def test_where_a_concept_is_routed_is_asked(by: str, column: str, made: Made, atlas: Atlas) -> None:
    tokens = {concept: sum(len(text.split()) for text, c in texts() if c == concept) for concept in TOPICS}
    found = expert_routing(atlas, "money", by=by)
    assert {(row["layer"], row["expert"]) for row in found} == {(layer, x) for layer in (1, 2) for x in range(4)}
    others = [concept for concept in TOPICS if concept != "money"]
    for row in found:
        place = row["layer"], row["expert"]
        share = made.counts[(*place, "money")][2] / tokens["money"]
        rest = sum(made.counts[(*place, c)][2] for c in others) / sum(tokens[c] for c in others)
        assert (row["token_share"], row["others_token_share"]) == pytest.approx((share, rest))
        assert row["lift"] == (pytest.approx(share / rest) if rest else None)
        logits, concepts = made.logits[place]
        own = concepts == "money"
        auc = mannwhitneyu(logits[own], logits[~own]).statistic / (own.sum() * (~own).sum())
        assert row["router_auc"] == pytest.approx(auc, abs=1e-4)
        assert row["n"] == made.counts[(*place, "money")][0] and row["first"] == f"L{place[0]}N{10 * place[1]}"
    values = [row[column] for row in found]
    assert values == sorted(values, reverse=True)
    assert [row["layer"] for row in expert_routing(atlas, "money", by=by, layer=2)] == [2] * 4


def test_all_experts_are_listed_and_others_refused(made: Made, atlas: Atlas, tmp_path: Path, capsys: Any) -> None:
    rows = list(expert_routing(atlas, limit=3, layer=1))
    assert [(row["expert"], row["kind"], row["running_share"]) for row in rows] == [
        (x, "routed", None) for x in range(3)
    ]
    for row in rows:
        aucs = {}
        for concept in TOPICS:
            logits, concepts = made.logits[1, row["expert"]]
            own = concepts == concept
            aucs[concept] = mannwhitneyu(logits[own], logits[~own]).statistic / (own.sum() * (~own).sum())
        assert row["concept"] == max(aucs, key=lambda concept: aucs[concept])
        assert row["router_auc"] == pytest.approx(max(aucs.values()), abs=1e-4)
    for arguments, error in (
        (("money", 0), QuestionError),
        (("money", 9), QuestionError),
        (("nothing", 1), UnknownNameError),
    ):
        with pytest.raises(error):
            expert_routing(atlas, arguments[0], layer=arguments[1])
    with (
        open_atlas(write_small_atlas(tmp_path / "dense.duckdb")) as dense,
        pytest.raises(QuestionError, match="mixture"),
    ):
        expert_routing(dense)
    assert main(["experts", "money", "--atlas", str(made.atlas), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 8


def test_statistics_are_over_the_texts_that_reach_the_neuron(made: Made, atlas: Atlas) -> None:
    found = {
        (row["layer"], row["neuron"], row["concept"]): row
        for row in rows_of(atlas, "FROM concept_gaussian WHERE layer > 0")
    }
    backgrounds = {
        (row["layer"], row["neuron"]): row for row in rows_of(atlas, "FROM background_gaussian WHERE layer > 0")
    }
    due: set[tuple[int, int, str]] = set()
    for layer in (1, 2):
        for expert in range(5):
            concepts = list(TOPICS) if expert == 4 else enough(made, layer, expert)
            for neuron in range(10 * expert, 10 * expert + (12 if expert == 4 else 10)):
                own = {concept: made.values[layer, neuron, concept] for concept in concepts}
                due |= {(layer, neuron, concept) for concept in concepts}
                assert ((layer, neuron) in backgrounds) == bool(concepts)
                for concept, values in own.items():
                    row, rest = found[layer, neuron, concept], [v for c, v in own.items() if c != concept]
                    others = np.concatenate(rest)
                    assert row["n"] == len(values)
                    assert row["mean"] == pytest.approx(values.mean(), abs=1e-4)
                    assert row["std"] == pytest.approx(values.std(), abs=1e-4)
                    auc = mannwhitneyu(values, others).statistic / (len(values) * len(others))
                    assert row["auc"] == pytest.approx(auc, abs=1e-3)
                    assert backgrounds[layer, neuron]["n"] == sum(map(len, own.values()))
    assert found.keys() == due


def test_intervals_hold_what_they_say(made: Made, atlas: Atlas) -> None:
    rows = rows_of(atlas, "FROM concept_interval WHERE layer > 0")
    assert len(rows) == atlas.query("SELECT count(*) FROM _gaussian WHERE layer > 0")[1][0][0]
    for row in rows[::7]:
        place = row["layer"], row["neuron"]
        own = made.values[(*place, row["concept"])]
        expert = min(place[1] // 10, 4)
        concepts = list(TOPICS) if expert == 4 else enough(made, place[0], expert)
        others = np.concatenate([made.values[(*place, c)] for c in concepts if c != row["concept"]])
        low, high = row["interval_lower"] - 1e-4, row["interval_upper"] + 1e-4
        assert row["n"] == len(own)
        assert row["interval_coverage"] == pytest.approx(((own >= low) & (own <= high)).mean(), abs=1.01 / len(own))
        leakage = ((others >= low) & (others <= high)).mean()
        assert row["interval_leakage"] == pytest.approx(leakage, abs=1.01 / len(others))
        assert 0 <= row["held_out_coverage"] <= 1 and 0 <= row["held_out_leakage"] <= 1
        assert 0 <= row["expected_coverage"] <= 1 and 0 <= row["q"] <= 1


def test_the_card_names_expert_and_unit(made: Made, atlas: Atlas) -> None:
    expert = next(expert for expert in range(4) if enough(made, 1, expert))
    card = neuron_card(atlas, f"L1N{10 * expert + 7}")
    assert (card.fields["expert"], card.fields["unit"], card.fields["kind"]) == (expert, 7, "routed")
    for row in card.sections["concepts"]:
        assert row["n"] == made.counts[1, expert, row["concept"]][0]
    rows = {
        row["concept"]: row
        for row in rows_of(atlas, f"FROM concept_range WHERE layer = 1 AND neuron = {10 * expert + 7}")
    }
    for row in card.sections["concepts"]:
        for name in ("coverage", "leakage", "worst_leakage", "auc"):
            assert row[name] == pytest.approx(rows[row["concept"]][name])
    without = next((each for each in range(4) if not enough(made, 1, each)), None)
    if without is not None:
        assert "too few texts" in " ".join(neuron_card(atlas, f"L1N{10 * without}").sections["concepts"].notes)
    assert neuron_card(atlas, "L2N45").fields["kind"] == "shared"
    assert neuron_card(atlas, "L0N31").fields["kind"] == "dense"
    with pytest.raises(QuestionError, match="no L0N32"):
        neuron_card(atlas, "L0N32")


def test_rankings_say_what_the_views_say(atlas: Atlas) -> None:
    concept = atlas.query("SELECT concept FROM concept_gaussian WHERE layer = 1 ORDER BY ALL LIMIT 1")[1][0][0]
    for rule, name in (("auc", "auc"), ("interval", "held_out_coverage")):
        found = neurons_for_concept(atlas, concept, rule=rule, limit=1000)
        view = "concept_gaussian" if rule == "auc" else "concept_interval"
        expected = {
            (row["layer"], row["neuron"]): row for row in rows_of(atlas, f"FROM {view} WHERE concept = '{concept}'")
        }
        assert {(row["layer"], row["neuron"]) for row in found} == expected.keys()
        for row in found:
            assert row[name] == pytest.approx(expected[row["layer"], row["neuron"]][name])
            assert row["n"] == expected[row["layer"], row["neuron"]]["n"]


def test_a_concept_that_does_not_reach_an_expert_gives_no_spec(made: Made, atlas: Atlas) -> None:
    lacking = [
        (layer, expert, concept)
        for layer in (1, 2)
        for expert in range(4)
        for concept in TOPICS
        if concept not in enough(made, layer, expert)
    ]
    layer, expert, concept = lacking[0]
    with pytest.raises(QuestionError, match="too few"):
        make_spec(atlas, neurons=f"L{layer}N{10 * expert}", concept=concept, op="set=mean")


@pytest.mark.usefixtures("exports_start_at_once")
def test_a_spec_of_experts_is_exported_as_code_that_runs_them(made: Made, tmp_path: Path) -> None:
    live = load(str(made.model), device="cpu", dtype="float32")
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    edits = [
        Edit("mlp_pre", 0, 30, "add", 1.0),  # a layer narrower than d_mlp
        *(Edit("mlp_pre", layer, 10 * expert + 1, "add", 1.0) for layer in (1, 2) for expert in range(4)),
        *(Edit("mlp_pre_linear", 2, 10 * expert + 1, "scale", 2.0) for expert in range(4)),
        *(Edit("mlp_post", 1, 10 * expert + 3, "set", 2.0, Range(-0.5, 0.5)) for expert in range(4)),
        Edit("mlp_post", 1, 51, "set", 1.0),  # of the shared expert
    ]
    spec = InterventionSpec(
        model=ModelReference(id=str(made.model), fingerprint=live.fingerprint, **dims),
        tokenization=Tokenization(False, False),
        edits=tuple(edits),
        positions="last",
        phase="all",
    )
    spec = with_check(live, spec, "The dog runs")
    for target in ("hooks", "nnsight"):
        report = export(spec, target, tmp_path / f"{target}.py", model=str(made.model))
        assert report.difference is not None and report.difference <= spec.check.tolerance
    for target in ("pyvene", "transformer-lens"):
        with pytest.raises(SpecError, match="a neuron of an expert"):
            export(spec, target, tmp_path / "other.py", model=str(made.model))
    plain = replace(spec, edits=(Edit("resid_post", 1, 3, "add", 1.0),), positions="all", check=None)
    with pytest.raises(SpecError, match="mixture of experts"):
        export(with_check(live, plain, "The dog runs"), "weights", tmp_path / "other", model=str(made.model))


@pytest.mark.usefixtures("exports_start_at_once")
def test_experts_that_read_what_the_router_scales_are_exported(tmp_path: Path) -> None:
    model = make_model("llama4_text", tmp_path / "llama4")
    live = load(str(model), device="cpu", dtype="float32")
    units = [10 * expert + unit for expert in range(5) for unit in (1, 4)]  # the last two of the shared expert
    edits = [Edit("mlp_pre_linear", 1, neuron, "scale", 2.0) for neuron in units]
    edits += [Edit("mlp_post", 2, neuron, "set", 3.0, Range(-1.0, 1.0)) for neuron in units]
    spec = InterventionSpec(
        model=ModelReference(
            id=str(model),
            fingerprint=live.fingerprint,
            **{name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")},
        ),
        tokenization=Tokenization(False, False),
        edits=tuple(edits),
        positions="last",
        phase="all",
    )
    spec = with_check(live, spec, "The dog runs")
    report = export(spec, "hooks", tmp_path / "hooks.py", model=str(model))
    assert report.difference is not None and report.difference <= spec.check.tolerance


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gradients": True}, "gradients"),
        ({"detectors": True}, "detectors"),
        ({"neighbours": 3}, "--neighbours"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_work(
    changes: dict[str, Any], said: str, made: Made, tmp_path: Path
) -> None:
    corpus = made.atlas.with_name("topics.jsonl")
    with pytest.raises(ModelError, match="mixture of experts") as caught:
        built(made.model, tmp_path / "b.duckdb", corpus, **{"dtype": "float32", **changes})
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("position", ["mean", "max", "all"])
def test_other_positions_are_over_routed_tokens(position: str, made: Made, tmp_path: Path) -> None:
    corpus = made.atlas.with_name("topics.jsonl")
    changes: dict[str, Any] = {"decode": False, "weight_facts": False, "folds": 0, "dtype": "float32"}
    path = built(made.model, tmp_path / "b.duckdb", corpus, position=position, layers=(1,), **changes)
    live = load(str(made.model), device="cpu", dtype="float32")
    values: dict[tuple[int, str], list[np.ndarray]] = {}
    for text, concept in texts():
        ids = torch.tensor([live.tokenizer(text, add_special_tokens=False).input_ids])
        plain = plain_layer(live, 1, inputs_of(live, ids)[1])
        for expert in range(4):
            there = [acts.numpy() for (_, e), acts in sorted(plain.acts["mlp_post"].items()) if e == expert]
            if there:
                pooled = {"mean": [np.mean(there, 0)], "max": [np.max(there, 0)], "all": there}[position]
                values.setdefault((expert, concept), []).extend(pooled)
    with open_atlas(path) as atlas:
        rows = rows_of(atlas, "FROM concept_gaussian WHERE layer = 1 AND neuron < 40")
    assert rows
    for row in rows:
        expert, unit = divmod(row["neuron"], 10)
        own = np.array([value[unit] for value in values[expert, row["concept"]]])
        assert row["n"] == len(own)
        assert row["mean"] == pytest.approx(own.mean(), abs=1e-4)
        assert row["max"] == pytest.approx(own.max(), abs=1e-4)
