"""A build over running text against brute force from plain hooks, text by text."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.stats import spearmanr
from transformers import AutoModelForCausalLM

from atlas.errors import BuildError
from atlas.schema.exemplar_tables import EXEMPLAR_TABLES, KINDS
from atlas.store.reader import open_atlas
from atlas.store.verify import OK, checks_of
from builders.build import pipeline
from builders.config import BuildConfig
from builders.exemplars import running_text
from builders.exemplars.place import EPSILON
from builders.exemplars.work import FindExemplars
from queries.running_text import stored_exemplars, stored_firing, text_set
from tests.end_to_end.workbench import all_rows
from tests.exemplar_reference import Read, firing_of, lists_of, mixed
from tests.synthetic import WORDS, make_model, make_tokenizer

LAYERS, WIDTH, CONTEXT, SHARD = (0, 2), 32, 12, 100
SITES = ("mlp_pre", "mlp_post")
TABLES_OF_TEXT = [table.name for table in EXEMPLAR_TABLES]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model("llama", tmp_path_factory.mktemp("model"), add_bos=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Documents of 3 to 30 words, some with a special token written in them, and empty ones."""
    rng = np.random.default_rng(4)
    path = tmp_path_factory.mktemp("texts") / "running.jsonl"
    documents = [" ".join(rng.choice(WORDS, rng.integers(3, 31))) for _ in range(70)]
    documents[5] = "my dog </s> runs " + documents[5]
    documents[8:10] = ["", "  "]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


def config(model, target, *texts, **changes) -> BuildConfig:
    fields = {
        "decode": False,
        "top": 6,
        "batch_tokens": 64,
        "context_length": CONTEXT,
        "sites": SITES,
        "layers": LAYERS,
    }
    return BuildConfig(model=str(model), target=target, texts=tuple(map(str, texts)), **{**fields, **changes})


@pytest.fixture(scope="module")
def path(model, source, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running_text, "SHARD_TOKENS", SHARD)
        return pipeline.build(config(model, tmp_path_factory.mktemp("atlas") / "a.duckdb", source)).path


@pytest.fixture(scope="module")
def texts(source):
    """(document, start, ids) of every text: cut by hand."""
    tokenizer, found = make_tokenizer(), []
    for number, line in enumerate(source.read_text().splitlines(), start=1):
        text = json.loads(line)["text"]
        ids = tokenizer(text)["input_ids"] if text.strip() else []
        found += [(number, at, [2, *ids[at : at + CONTEXT - 1]]) for at in range(0, len(ids), CONTEXT - 1)]
    return found


@pytest.fixture(scope="module")
def reads(model, texts):
    """site, layer -> what each text gives there, one text at a time."""
    live = AutoModelForCausalLM.from_pretrained(model)
    found = {(site, layer): [] for site in SITES for layer in LAYERS}
    seen: dict[tuple[int, str], torch.Tensor] = {}
    for layer in LAYERS:
        mlp = live.model.layers[layer].mlp
        for name in ("gate_proj", "up_proj"):
            getattr(mlp, name).register_forward_hook(
                lambda module, args, out, key=(layer, name): seen.__setitem__(key, out[0])
            )
        mlp.down_proj.register_forward_pre_hook(
            lambda module, args, key=(layer, "post"): seen.__setitem__(key, args[0][0])
        )
    for _, _, ids in texts:
        with torch.no_grad():
            live(torch.tensor([ids]))
        counted = ~np.isin(ids, [0, 1, 2, 3]) | (np.asarray(ids) == 0)  # the sign for unknown text is text
        for layer in LAYERS:
            gate, up, post = (seen[layer, name].numpy() for name in ("gate_proj", "up_proj", "post"))
            found["mlp_post", layer].append(Read(post, counted, gate, up))
            found["mlp_pre", layer].append(Read(gate, counted))
    return found


def test_the_file_keeps_all_promises(path):
    assert [check for check in checks_of(path) if check.result != OK] == []


def test_texts_are_documents_cut_to_length(path, texts):
    with open_atlas(path) as atlas:
        rows = dict((row[0], row[1:]) for row in atlas.query("SELECT * FROM exemplar_text")[1])
        read = text_set(atlas)
        counts = dict(atlas.query("SELECT token_id, n FROM token_count")[1])
    assert read.texts == len(texts) and read.max_tokens == CONTEXT and read.first_token == 1
    for text_id, row in rows.items():
        number, start, ids = texts[text_id]
        assert row == ("running.jsonl", number, start, len(ids), ids)
    flat = np.concatenate([ids for _, _, ids in texts])
    assert counts == {i: int((flat == i).sum()) for i in np.unique(flat) if i not in (1, 2, 3)}


def test_exemplars_of_all_neurons_are_those_of_brute_force(path, reads):
    """Text by text the model computes the same up to the last bits, so a few of equal rank may change places."""
    places = moved = 0
    with open_atlas(path) as atlas:
        for (site, layer), read in reads.items():
            for neuron in range(WIDTH):
                found = stored_exemplars(atlas, layer, neuron, site)
                expected = lists_of(read, layer, neuron)
                due = [(kind, rank + 1, *row) for kind in KINDS for rank, row in enumerate(expected.get(kind.code, []))]
                assert [(each.kind, each.part, each.rank) for each in found] == [
                    (kind.kind, kind.part, rank) for kind, rank, *_ in due
                ]
                assert [each.value for each in found] == pytest.approx([row[-1] for row in due], rel=1e-4, abs=1e-5)
                places += len(found)
                moved += sum(
                    (each.text.text_id, each.position) != row[2:4] for each, row in zip(found, due, strict=True)
                )
                for each in found:
                    there = read[each.text.text_id]
                    for place, activation in enumerate(each.activations or [], start=each.window_start or 0):
                        assert (activation is not None) == there.counted_T[place]
                        if activation is not None:
                            assert abs(activation - there.acts_TN[place, neuron]) <= each.error + 1e-5
    assert moved <= places / 1000


def is_compared(text_id: int, position: int, share: float) -> bool:
    """Whether a token is in the sample, by its hash, in whole numbers."""
    return mixed(mixed(mixed(0) ^ text_id) ^ mixed(position)) < int(share * 2**64)


def test_correlated_neurons_are_components_of_rank_correlations(path, reads):
    with open_atlas(path) as atlas:
        _, rows = atlas.query("SELECT site, layer, neuron, correlated_group, correlated_neurons FROM firing")
        compared = text_set(atlas).compared
    first = reads["mlp_post", 0]
    share = running_text.COMPARED_TOKENS / sum(int(read.counted_T.sum()) for read in first)
    chosen = [
        np.array([counted and is_compared(text, at, share) for at, counted in enumerate(read.counted_T)])
        for text, read in enumerate(first)
    ]
    assert compared == sum(int(each.sum()) for each in chosen) < sum(len(each) for each in chosen) / 2
    for site in {site for site, _ in reads}:
        layers = [reads[site, layer] for layer in LAYERS]
        acts = [np.concatenate([r.acts_TN[at] for r, at in zip(read, chosen, strict=True)]) for read in layers]
        edge = np.abs(spearmanr(np.concatenate(acts, 1)).statistic) >= 0.9
        _, component = connected_components(edge, directed=False)
        stored = {(layer, neuron): (group, size) for name, layer, neuron, group, size in rows if name == site}
        found = [stored[LAYERS[place // WIDTH], place % WIDTH] for place in range(len(component))]
        assert [size or 1 for _, size in found] == np.bincount(component)[component].tolist()
        pairs = {(own, group) for own, (group, _) in zip(component, found, strict=True) if group is not None}
        assert len(pairs) == len({group for _, group in pairs})


def test_firing_of_all_neurons_is_that_of_brute_force(path, reads):
    with open_atlas(path) as atlas:
        for (site, layer), read in reads.items():
            for neuron in range(WIDTH):
                found, expected = stored_firing(atlas, layer, neuron, site), firing_of(read, neuron, EPSILON)
                n = found.n
                assert n == sum(int(each.counted_T.sum()) for each in read)
                assert found.mean == pytest.approx(expected["mean"], rel=1e-4, abs=1e-5)
                assert found.std == pytest.approx(expected["std"], rel=1e-5)
                assert found.position_correlation == pytest.approx(expected["position_correlation"], abs=1e-4)
                # One of them may be so near to an edge that the last bits decide.
                assert found.share_positive * n == pytest.approx(expected["positive"], abs=1.01)
                assert found.share_beyond * n == pytest.approx(expected["beyond"], abs=1.01)
                assert found.histogram == pytest.approx(expected["histogram"], abs=1.01) and sum(found.histogram) == n
                if site == "mlp_post":
                    assert [share * n for share in found.quadrants] == pytest.approx(expected["quadrants"], abs=1.01)
                else:
                    assert found.quadrants is None
                for stored, true in zip(found.quantiles, expected["quantiles"], strict=True):
                    assert stored == pytest.approx(true, rel=1 / 8)


def test_other_batches_and_shards_give_the_same(path, model, source, tmp_path):
    other = pipeline.build(config(model, tmp_path / "b.duckdb", source, batch_tokens=400)).path
    ours, theirs = all_rows(path), all_rows(other)
    assert ours["_text"] == theirs["_text"] and ours["_text_set"] == theirs["_text_set"]
    moved = 0
    for mine, its in zip(ours["_exemplar"], theirs["_exemplar"], strict=True):
        assert mine[:4] == its[:4]
        moved += mine[4:6] != its[4:6]
        assert mine[6] == pytest.approx(its[6], rel=1e-4, abs=1e-5)
    assert moved <= len(ours["_exemplar"]) / 200
    for mine, its in zip(ours["_firing"], theirs["_firing"], strict=True):
        assert mine[:3] == its[:3]
        assert mine[3:5] == pytest.approx(its[3:5], rel=1e-4, abs=1e-5)
        assert mine[5:7] == pytest.approx(its[5:7], abs=1.01) and mine[9] == its[9]


def test_a_killed_build_resumes_at_a_shard(path, model, source, tmp_path, monkeypatch):
    monkeypatch.setattr(running_text, "SHARD_TOKENS", SHARD)
    runs, run = [], FindExemplars.run

    def counted(self, unit, activations=None):
        runs.append(unit)
        if len(runs) == 4:
            raise KeyboardInterrupt
        return run(self, unit, activations)

    monkeypatch.setattr(FindExemplars, "run", counted)
    target = config(model, tmp_path / "killed.duckdb", source)
    with pytest.raises(KeyboardInterrupt):
        pipeline.build(target)
    other = r"the interrupted build had units of running text = \d+, this one has \d+"
    with monkeypatch.context() as patch:  # as by a version whose units are of other texts
        patch.setattr(running_text, "SHARD_TOKENS", 2 * SHARD)
        with pytest.raises(BuildError, match=other):
            pipeline.build(target, interrupted="resume")
    resumed = pipeline.build(target, interrupted="resume").path
    again = len(runs) - len(set(runs))
    assert len(set(runs)) > 6 and 1 <= again <= 3  # of those that two threads had begun some are made again
    if torch.get_num_threads() == 1:
        assert again == 1 and runs[3] == runs[4]
    assert all_rows(resumed) == all_rows(path)


def test_no_word_is_in_a_file_without_words(model, source, tmp_path):
    secret = "zebra quagga"
    private = tmp_path / "private.txt"
    private.write_text("the dog is good .\n" * 40 + "football government minister happy animal wrote\n" * 40 + secret)
    target = config(model, tmp_path / "p.duckdb", private, words=False)
    path = pipeline.build(target).path
    assert [check for check in checks_of(path) if check.result != OK] == []
    with open_atlas(path) as atlas:
        assert not text_set(atlas).words and atlas.query("SELECT sha256 FROM _text_set")[1] == [("",)]
        assert atlas.query("SELECT count(*), count(tokens) FROM _text")[1][0][1] == 0
        assert atlas.query("SELECT count(*) FROM token_count")[1] == [(0,)]
        assert atlas.query("SELECT count(*) FROM exemplar")[1][0][0] > 0
        assert all(each.text.tokens is None for each in stored_exemplars(atlas, 0, 3, "mlp_post"))
    ids = make_tokenizer()("football government minister happy animal wrote")["input_ids"]
    held = path.read_bytes()
    for word in ("zebra", "quagga", "football government", "the dog is good"):
        assert word.encode() not in held
    for kind in ("<i4", "<i8", "<i2"):
        assert np.asarray(ids[1:], kind).tobytes() not in held


def test_other_rows_stay_and_the_text_is_made_anew(path, model, source, tmp_path):
    target = shutil.copy(path, tmp_path / "added.duckdb")
    pipeline.build(config(model, target, decode=True), existing="add")
    before, added = all_rows(path), all_rows(target)
    assert added["_decoding"] and {name: added[name] for name in TABLES_OF_TEXT} == {
        name: before[name] for name in TABLES_OF_TEXT
    }
    pipeline.build(config(model, target, source, max_tokens_total=200, sites=("mlp_pre",)), existing="add")
    anew = all_rows(target)
    assert anew["_decoding"] == added["_decoding"]
    assert len(anew["_text_set"]) == 1 and {row[0] for row in anew["_firing"]} == {"mlp_pre"}
    assert sum(row[4] for row in anew["_text"]) <= 200
