"""The product `gradients` end to end: rows against plain autograd, the check against plain hooks, who shows it."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from atlas.__main__ import main
from atlas.errors import CorpusError, QuestionError, UsageError
from atlas.live.loading import load
from atlas.spec.document import Edit
from atlas.store.reader import open_atlas
from builders.build.pipeline import build
from builders.gradients import pooled, sample
from builders.gradients.targets import parse_targets
from queries.card import neuron_attribution, neuron_card
from queries.gradients import gradient_checks
from queries.info import info
from queries.neurons import neurons_for_concept
from queries.specs.make_spec import make_spec
from tests.atlas.live.plain_attribution import doubled, gradient_attributions
from tests.atlas.live.plain_edits import a_spec, plain_logits
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model

TARGETS = (("pets", " dog"), ("sport", " team"), ("state", " vote"))
SMALL = {"permutations": 20, "folds": 3, "gradients": True, "targets": TARGETS, "decode": False}
CASES = {"llama": "last", "gpt2": "mean"}
"""Family with a gate and without, and the position."""


class Made:
    """One build, the texts as tokens, and everything by hand."""

    def __init__(self, family, folder):
        self.position = CASES[family]
        self.model = make_model(family, folder / family)
        self.corpus = write_corpus(folder / "words.jsonl")
        self.path = built(self.model, folder / f"{family}.duckdb", self.corpus, position=self.position, **SMALL)
        self.live = load(str(self.model), device="cpu")
        rows = [json.loads(line) for line in self.corpus.read_text().splitlines()]
        self.texts = [(row["concept"], row["text"]) for row in rows]

    def ids(self, text):
        return self.live.tokenizer(text, add_special_tokens=False)["input_ids"]

    def token(self, concept):
        return self.live.tokenizer.get_vocab()[dict(TARGETS)[concept].replace(" ", "▁")]

    def by_hand(self, concept, text):
        """(activations, gradients) [layers, tokens that count, neurons] in float64."""
        model = doubled(self.live)
        row = torch.zeros(self.live.d_vocab, dtype=torch.float64)
        row[self.token(concept)] = 1.0
        found = gradient_attributions(model, self.ids(text), row)
        tokens = slice(-1, None) if self.position == "last" else slice(None)
        return tuple(torch.stack([each[layer][tokens] for layer in sorted(each)]).numpy() for each in found)


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """`make(family)`, once each; few neurons are edited."""
    folder, done = tmp_path_factory.mktemp("gradients"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "NEURONS", 12)
        patch.setattr(sample, "TEXTS", 2)
        yield lambda family: done.get(family) or done.setdefault(family, Made(family, folder))


@pytest.fixture(params=CASES)
def made(request, make):
    return make(request.param)


@pytest.fixture
def one(make):
    return make("llama")


def asked(path, sql):
    with open_atlas(path) as atlas:
        columns, rows = atlas.query(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_means_and_spreads_are_those_of_plain_autograd(made):
    per_text = defaultdict(list)
    for concept, text in made.texts:
        acts, grads = made.by_hand(concept, text)
        per_text[concept].append((grads.sum(1), (acts * grads).sum(1)))
    rows = asked(made.path, "FROM concept_attribution")
    assert len(rows) == 3 * made.live.n_layers * made.live.d_mlp
    expected = {concept: np.array(values) for concept, values in per_text.items()}  # [texts, 2, layers, neurons]
    for row in rows:
        values = expected[row["concept"]][:, :, row["layer"], row["neuron"]]
        assert (row["texts"], row["token"], row["token_id"]) == (
            len(values),
            dict(TARGETS)[row["concept"]],
            made.token(row["concept"]),
        )
        found = [row["gradient"], row["attribution"], row["gradient_std"], row["attribution_std"]]
        np.testing.assert_allclose(found, [*values.mean(0), *values.std(0)], rtol=2e-3, atol=2e-5)


def test_drawn_neurons_changed_what_plain_hooks_change(made):
    rows = asked(made.path, "FROM gradient_sample ORDER BY place, layer, neuron")
    assert len(rows) == 24 and {row["place"] for row in rows} == {1, 2}
    assert len({(row["layer"], row["neuron"]) for row in rows}) == 12
    from builders.corpora.text_hash import text_hash

    texts = {text_hash(text): (concept, text) for concept, text in made.texts}
    for row in rows[::3]:
        concept, text = texts[row["text_hash"]]
        assert concept == row["concept"]
        ids, token = made.ids(text), made.token(concept)
        acts, grads = made.by_hand(concept, text)
        place = (row["layer"], slice(None), row["neuron"])
        found = [row["activation"], row["gradient"], row["gradient_attribution"]]
        sums = [acts[place].sum(), grads[place].sum(), (acts[place] * grads[place]).sum()]
        np.testing.assert_allclose(found, sums, rtol=2e-3, atol=2e-5)
        plain = float(plain_logits(made.live, None, ids, len(ids))[-1, token])
        for name, (op, value) in {"set_0": ("set", 0.0), "add_2": ("add", 2.0), "set_20": ("set", 20.0)}.items():
            edit = Edit("mlp_post", row["layer"], row["neuron"], op, value)
            positions = "last" if made.position == "last" else "all"
            spec = a_spec(made.live, edit, positions=positions)
            changed = float(plain_logits(made.live, spec, ids, len(ids))[-1, token]) - plain
            assert row[name] == pytest.approx(changed, abs=2e-4)


def test_agreement_is_the_correlation_of_what_is_stored(made):
    rows = asked(made.path, "FROM gradient_sample")
    checks = {(row["rule"], row["edit"]): row for row in asked(made.path, "FROM gradient_check")}
    assert len(checks) == 6
    column = {name: np.array([row[name] for row in rows]) for name in rows[0] if isinstance(rows[0][name], float)}
    for rule in ("gradient", "relp"):
        computed = {
            "set_0": -column[f"{rule}_attribution"],
            "add_2": 2 * column[rule],
            "set_20": 20 * column[rule] - column[f"{rule}_attribution"],
        }
        for edit, values in computed.items():
            check = checks[rule, edit]
            assert check["n"] == 24 and check["sample"] == 12 and check["texts"] == 2
            assert check["pearson"] == pytest.approx(np.corrcoef(values, column[edit])[0, 1], abs=1e-4)
            ranks = np.corrcoef(rankdata(values), rankdata(column[edit]))[0, 1]
            assert check["spearman"] == pytest.approx(ranks, abs=2e-2)
    assert checks["gradient", "set_0"]["pearson"] > 0.8


def test_batches_change_nothing_and_an_added_build_is_the_same(one, tmp_path, monkeypatch):
    plain = {**SMALL, "gradients": False, "targets": ()}
    other = built(one.model, tmp_path / "b.duckdb", one.corpus, position=one.position, **plain)
    assert not asked(other, "FROM _gradient_fit")
    monkeypatch.setattr(pooled, "BATCH_TOKENS", 8)
    build(config(one.model, other, one.corpus, position=one.position, **SMALL), existing="add")
    expected, found = all_rows(one.path), all_rows(other)
    for table in ("_gradient", "_gradient_sample", "_gradient_target", "_gradient_check"):
        assert found[table], table
        for left, right in zip(expected[table], found[table], strict=True):
            assert left == pytest.approx(right, rel=1e-2, abs=1e-4) if _numeric(left) else left[1:3] == right[1:3]


def _numeric(row):
    return all(isinstance(value, int | float) for value in row)


def test_questions_show_them(one):
    with open_atlas(one.path) as atlas:
        card = neuron_card(atlas, "L1N3").sections["attribution"]
        assert card.rows == neuron_attribution(atlas, "L1N3").rows and len(card) == 3
        sizes = [abs(value) for value in card.column("attribution")]
        assert sizes == sorted(sizes, reverse=True)
        assert "Pearson" in card.notes[0] and "little about strong clamps" in card.notes[0]
        (stored,) = (row for row in card if row["concept"] == "pets")
        ranked = neurons_for_concept(atlas, "pets", rule="attribution", limit=200)
        assert "attribution" in ranked.shown and any("strong clamps" in note for note in ranked.notes)
        found = ranked.column("attribution")
        assert found == sorted(found, reverse=True)
        assert stored["attribution"] in found and found[ranked.column("address").index("L1N3")] == stored["attribution"]
        spec = make_spec(atlas, concept="pets", rule="attribution", top=4)
        assert {f"L{edit.layer}N{edit.neuron}" for edit in spec.edits} == set(ranked.column("address")[:4])
        assert info(atlas).sections["gradients"].rows == gradient_checks(atlas).rows


def test_an_atlas_without_them_says_how_to_make_them(one, tmp_path, capsys):
    plain = {**SMALL, "gradients": False, "targets": ()}
    path = built(one.model, tmp_path / "plain.duckdb", one.corpus, position=one.position, **plain)
    with open_atlas(path) as atlas:
        for section in (neuron_card(atlas, "L0N0").sections["attribution"], info(atlas).sections["gradients"]):
            assert not section.rows and "build --add --gradients" in section.notes[0]
        assert not any("gradient" in note for note in neurons_for_concept(atlas, "pets").notes)
        for ask in (
            lambda: neurons_for_concept(atlas, "pets", rule="attribution"),
            lambda: make_spec(atlas, concept="pets", rule="attribution"),
        ):
            with pytest.raises(QuestionError, match="build --add --gradients"):
                ask()
    for command in (["neuron", "L0N0", "--section", "attribution"], ["info", "--section", "gradients"]):
        assert main([*command, "-a", str(path)]) == 0
        assert "build --add --gradients" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("targets", "error", "said"),
    [
        ((("dogs", " dog"), *TARGETS), UsageError, "'dogs'"),
        ((("pets", "dog team"), *TARGETS[1:]), UsageError, "no token"),
        (TARGETS[:2], CorpusError, "'state' has no tokens"),
    ],
)
def test_targets_that_cannot_be_are_met_before_any_work(one, tmp_path, targets, error, said):
    with pytest.raises(error, match=said):
        built(one.model, tmp_path / "c.duckdb", one.corpus, **{**SMALL, "targets": targets})
    assert not list(tmp_path.iterdir())


def test_a_name_of_several_tokens_stands_for_its_first(one, tmp_path):
    corpus = tmp_path / "words.jsonl"
    rows = [("dog", text) for _, text in one.texts[:4]] + [("happy team", text) for _, text in one.texts[6:10]]
    corpus.write_text("".join(json.dumps({"text": text, "concept": name}) + "\n" for name, text in rows))
    report = build(config(one.model, tmp_path / "d.duckdb", corpus, **{**SMALL, "targets": ()}))
    assert any("happy team (' happy')" in note for note in report.notes)
    found = asked(report.path, "SELECT DISTINCT concept, token, whole FROM concept_attribution ORDER BY concept")
    assert [tuple(row.values()) for row in found] == [("dog", " dog", True), ("happy team", " happy", False)]


def test_options_that_cannot_be(tmp_path):
    assert parse_targets(["a= b", "c=d=e"]) == (("a", " b"), ("c", "d=e"))
    for texts in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(UsageError, match="--targets"):
            parse_targets(texts)
    with pytest.raises(UsageError, match="goes with --gradients"):
        config(tmp_path, tmp_path / "a.duckdb", tmp_path, targets=TARGETS)
    with pytest.raises(UsageError, match="needs concepts"):
        config(tmp_path, tmp_path / "a.duckdb", None, gradients=True)
