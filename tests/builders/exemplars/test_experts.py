"""Exemplars and firing of expert neurons, over the tokens that were routed to each, against plain loops."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from atlas.live.expert_layer import ROUTED
from atlas.live.loading import load
from atlas.schema.exemplar_tables import KINDS
from atlas.sites import format_neuron
from atlas.store.reader import open_atlas
from atlas.store.verify import OK, checks_of
from builders.build import pipeline
from builders.exemplars import running_text
from builders.exemplars.place import EPSILON
from queries.exemplars import exemplars
from queries.routing import expert_routing
from queries.running_text import stored_exemplars, stored_firing
from tests.atlas.live.plain_experts import has_experts, inputs_of, plain_layer
from tests.atlas_factory import changed_by_hand
from tests.end_to_end.workbench import all_rows, config
from tests.exemplar_reference import Read, firing_of, lists_of
from tests.hostile.counts import generator
from tests.synthetic import WORDS, make_model, make_tokenizer

CONTEXT = 12
SITES = ("mlp_post", "mlp_pre")
NARROW = {"intermediate_size": 6}


def write_texts(path: Path, n: int, most: int = 30) -> Path:
    random = generator(f"exemplars of experts {n}")
    documents = [" ".join(random.choice(WORDS) for _ in range(random.randrange(1, most))) for _ in range(n)]
    documents += [*documents[:2], "my dog </s> runs in the city"]  # texts that are there twice, and a special token
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


def texts_of(path: Path) -> list[list[int]]:
    """The ids of every text: documents cut by hand."""
    tokenizer, found = make_tokenizer(), []
    for line in path.read_text().splitlines():
        ids = tokenizer(json.loads(line)["text"])["input_ids"]
        found += [ids[at : at + CONTEXT] for at in range(0, len(ids), CONTEXT)]
    return found


def plain_reads(model: Path, texts: list[list[int]]) -> dict[tuple[str, int, int], list[Read]]:
    """(site, layer, expert) -> what each text gives; the columns are those of the layer, NaN where none is computed."""
    live = load(str(model), device="cpu", dtype="float32")
    found: dict[tuple[str, int, int], list[Read]] = {}
    for ids in texts:
        ids_T = torch.tensor([ids])
        counted = np.array([each not in (1, 2, 3) for each in ids])
        for layer, x_TD in enumerate(inputs_of(live, ids_T)):
            if not has_experts(live, layer):
                continue
            plain = plain_layer(live, layer, x_TD)
            for part in live.parts(layer):
                columns = slice(part.first_neuron, part.first_neuron + part.neurons)
                arrays = {}
                for site in ("mlp_pre", "mlp_pre_linear", "mlp_post"):
                    arrays[site] = np.full((len(ids), live.d_mlp), np.nan, np.float32)
                    for token in range(len(ids)):
                        if (token, part.expert) in plain.acts[site]:
                            arrays[site][token, columns] = plain.acts[site][token, part.expert].numpy()
                here = counted & ~np.isnan(arrays["mlp_post"][:, part.first_neuron])
                whole = Read(arrays["mlp_post"], here, arrays["mlp_pre"], arrays["mlp_pre_linear"])
                found.setdefault(("mlp_post", layer, part.expert), []).append(whole)
                found.setdefault(("mlp_pre", layer, part.expert), []).append(Read(arrays["mlp_pre"], here))
    return found


class Built(NamedTuple):
    path: Path
    model: Path
    reads: dict[tuple[str, int, int], list[Read]]
    notes: list[str]


def read_and_build(folder: Path, family: str, n: int, model: dict[str, Any] | None = None, **changes: Any) -> Built:
    source = write_texts(folder / "running.jsonl", n, changes.pop("most", 30))
    made = make_model(family, folder / family, **(model or {}))
    fields = {"decode": False, "dtype": "float32", "context_length": CONTEXT, "sites": SITES, "batch_tokens": 64}
    report = pipeline.build(config(made, folder / "a.duckdb", None, texts=(str(source),), **fields | changes))
    return Built(report.path, made, plain_reads(made, texts_of(source)), report.notes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running_text, "SHARD_TOKENS", 90)
        return read_and_build(tmp_path_factory.mktemp("whole"), "qwen2_moe", 25)


def test_the_file_keeps_all_promises(whole):
    assert [check for check in checks_of(whole.path) if check.result != OK] == []
    assert any("no correlated neurons" in note for note in whole.notes)


def every_neuron(built: Built):
    live = load(str(built.model), device="cpu", dtype="float32")
    for (site, layer, expert), reads in built.reads.items():
        part = live.parts(layer)[expert]
        for neuron in range(part.first_neuron, part.first_neuron + part.neurons):
            yield site, layer, part, neuron, reads


def compare_exemplars(atlas, built: Built, step: int = 1) -> None:
    places = moved = 0
    for site, layer, _, neuron, reads in list(every_neuron(built))[::step]:
        found, expected = stored_exemplars(atlas, layer, neuron, site), lists_of(reads, layer, neuron)
        due = [(kind, rank + 1, *row) for kind in KINDS for rank, row in enumerate(expected.get(kind.code, []))]
        assert [(each.kind, each.part, each.rank) for each in found] == [(k.kind, k.part, rank) for k, rank, *_ in due]
        assert [each.value for each in found] == pytest.approx([row[-1] for row in due], rel=1e-4, abs=1e-5)
        places += len(found)
        moved += sum((each.text.text_id, each.position) != row[2:4] for each, row in zip(found, due, strict=True))
        for each in found:
            there = reads[each.text.text_id]
            for place, activation in enumerate(each.activations or [], start=each.window_start or 0):
                assert (activation is not None) == there.counted_T[place]  # a gap where it was routed elsewhere
                if activation is not None:
                    assert abs(activation - there.acts_TN[place, neuron]) <= each.error + 1e-5
    # Texts that begin alike, or are there twice, have equal activations up to the last bits, which may part them.
    assert places and moved <= places / 10


def compare_firing(atlas, built: Built, step: int = 1) -> None:
    for site, layer, _, neuron, reads in list(every_neuron(built))[::step]:
        found, n = stored_firing(atlas, layer, neuron, site), sum(int(each.counted_T.sum()) for each in reads)
        if not n:
            assert found is None and stored_exemplars(atlas, layer, neuron, site) == []
            continue
        expected = firing_of([each for each in reads if each.counted_T.any()], neuron, EPSILON)
        assert (found.n, found.sampled) == (n, n)
        assert found.mean == pytest.approx(expected["mean"], rel=1e-4, abs=1e-5)
        assert found.std == pytest.approx(expected["std"], rel=1e-4, abs=1e-6)
        assert (found.min, found.max) == pytest.approx(
            (expected["quantiles"][0], expected["quantiles"][-1]), rel=1e-4, abs=1e-6
        )
        if expected["position_correlation"] is None:
            assert found.position_correlation is None
        else:
            assert found.position_correlation == pytest.approx(expected["position_correlation"], abs=1e-4)
        assert found.share_positive * n == pytest.approx(expected["positive"], abs=1.01)
        assert found.share_beyond * n == pytest.approx(expected["beyond"], abs=1.01)
        assert found.histogram == pytest.approx(expected["histogram"], abs=1.01) and sum(found.histogram) == n
        if site == "mlp_post":
            assert [share * n for share in found.quadrants] == pytest.approx(expected["quadrants"], abs=1.01)
        for stored, true in zip(found.quantiles, expected["quantiles"], strict=True):
            assert stored == pytest.approx(true, rel=1 / 8)


def test_exemplars_are_those_of_brute_force_over_routed_tokens(whole):
    with open_atlas(whole.path) as atlas:
        compare_exemplars(atlas, whole, step=9)


def test_firing_is_that_of_brute_force_over_routed_tokens(whole):
    with open_atlas(whole.path) as atlas:
        compare_firing(atlas, whole, step=9)


def test_other_batches_give_the_same(whole, tmp_path):
    source = whole.path.with_name("running.jsonl")
    fields = {"decode": False, "dtype": "float32", "context_length": CONTEXT, "sites": SITES, "batch_tokens": CONTEXT}
    other = pipeline.build(config(whole.model, tmp_path / "b.duckdb", None, texts=(str(source),), **fields)).path
    ours, theirs = all_rows(whole.path), all_rows(other)
    moved = 0
    for mine, its in zip(ours["_exemplar"], theirs["_exemplar"], strict=True):
        assert mine[:4] == its[:4] and mine[6] == pytest.approx(its[6], rel=1e-4, abs=1e-5)
        moved += mine[4:6] != its[4:6]
    assert moved <= len(ours["_exemplar"]) / 100
    for mine, its in zip(ours["_firing"], theirs["_firing"], strict=True):
        assert (
            mine[:3] == its[:3] and mine[-2:] == its[-2:] and mine[3:5] == pytest.approx(its[3:5], rel=1e-4, abs=1e-5)
        )


@pytest.mark.parametrize(
    ("family", "model", "n"),
    [
        (
            "mixtral",
            {**NARROW, "num_local_experts": 4, "num_experts_per_tok": 1},
            0,
        ),  # experts without a token, and with one
        ("mixtral", {**NARROW, "num_local_experts": 3, "num_experts_per_tok": 3}, 2),  # all experts
        ("mixtral", {**NARROW, "num_local_experts": 1, "num_experts_per_tok": 1}, 2),
        ("llama4_text", {**NARROW, "intermediate_size_mlp": 8}, 2),
        ("gpt_oss", NARROW, 3),  # no quadrants: 1 is added to the linear branch
    ],
)
def test_few_tokens_and_few_experts(family, model, n, tmp_path):
    built = read_and_build(tmp_path, family, n, model, most=9)
    if family == "gpt_oss":
        assert any("no quadrants" in note for note in built.notes)
        reads = {place: [Read(*each[:2]) for each in reads] for place, reads in built.reads.items()}
        built = built._replace(reads={place: each for place, each in reads.items() if place[0] == "mlp_pre"})
    with open_atlas(built.path) as atlas:
        compare_exemplars(atlas, built)
        compare_firing(atlas, built)
        if n:
            return
        numbers = {
            stored and stored.n
            for *_, neuron, _ in every_neuron(built)
            for stored in [stored_firing(atlas, 1, neuron, "mlp_post")]
        }
        assert {None, 1} <= numbers
        unreached = next(n for *_, n, _ in every_neuron(built) if stored_firing(atlas, 1, n, "mlp_post") is None)
        said = exemplars(atlas, format_neuron(1, unreached))
        assert len(said.sections["exemplars"]) == 0 and "none of the" in said.sections["firing"].notes[0]
    assert [check for check in checks_of(built.path) if check.result != OK] == []


def test_an_expert_that_no_drawn_token_reaches_keeps_one(tmp_path, monkeypatch):
    monkeypatch.setattr(running_text, "SAMPLED_TOKENS", 4)
    monkeypatch.setattr(running_text, "COMPARED_TOKENS", 1)
    built = read_and_build(tmp_path, "mixtral", 4, {**NARROW, "num_local_experts": 4, "num_experts_per_tok": 1}, most=9)
    with open_atlas(built.path) as atlas:
        samples = set()
        for site, layer, part, neuron, reads in every_neuron(built):
            found, there = stored_firing(atlas, layer, neuron, site), [r.acts_TN[r.counted_T, neuron] for r in reads]
            values = np.concatenate(there)
            if part.kind == ROUTED and found is not None:
                samples.add(found.sampled)
                assert found.n == len(values) and 1 <= found.sampled <= found.n
                assert (found.min, found.max) == pytest.approx((values.min(), values.max()), rel=1e-4, abs=1e-6)
                middle = found.quantiles[len(found.quantiles) // 2]
                assert found.sampled > 1 or np.abs(values - middle).min() <= abs(middle) / 8
    assert 1 in samples
    assert [check for check in checks_of(built.path) if check.result != OK] == []


def test_experts_say_how_much_of_the_text_reaches_them(whole):
    with open_atlas(whole.path) as atlas:
        rows = {(row["layer"], row["expert"]): row for row in expert_routing(atlas, limit=100)}
        tokens = exemplars(atlas, "L1N0").fields["tokens"]
    assert len(rows) == 1 + 2 * 5 and rows[0, 0]["kind"] == "dense" and rows[0, 0]["running_share"] == 1
    for (site, layer, expert), reads in whole.reads.items():
        if site == "mlp_post":
            n = sum(int(each.counted_T.sum()) for each in reads)
            assert rows[layer, expert]["running_share"] == pytest.approx(n / tokens)
            assert rows[layer, expert]["concept"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE _firing SET routed = routed + 1 WHERE layer = 1 AND neuron = 3",
        "UPDATE _firing SET routed = NULL, routed_sampled = NULL WHERE layer = 1 AND neuron < 10",
        "UPDATE _firing SET routed = 5, routed_sampled = 5 WHERE layer = 1 AND neuron >= 40",  # of the shared expert
        "UPDATE _firing SET routed_sampled = 0 WHERE layer = 1 AND neuron < 10",
        "DELETE FROM _firing WHERE layer = 2 AND neuron = 17",
        "UPDATE _firing SET neuron = 51 WHERE layer = 0 AND neuron = 31",  # a dense layer of 32
    ],
)
def test_a_file_that_says_otherwise_is_not_whole(wrong, whole, tmp_path):
    path = Path(shutil.copy(whole.path, tmp_path / "changed.duckdb"))
    with changed_by_hand(path) as connection:
        connection.execute(wrong)
    assert [check.name for check in checks_of(path) if check.result != OK and "firing" in check.name]


def test_the_answer_says_what_it_is_over(whole):
    with open_atlas(whole.path) as atlas:
        said = exemplars(atlas, "L1N12")
        assert (said.fields["expert"], said.fields["unit"], said.fields["kind"]) == (1, 2, "routed")
        firing = stored_firing(atlas, 1, 12, "mlp_post")
        assert f"{100 * firing.n / said.fields['tokens']:.3g} %" in said.sections["firing"].notes[0]
        shared = exemplars(atlas, "L1N45")
        assert shared.fields["kind"] == "shared" and shared.sections["firing"].notes == []
        assert stored_firing(atlas, 1, 45, "mlp_post").n == said.fields["tokens"]
