"""From a build to edits inside its intervals: what is counted in the atlas is what plain hooks see and change."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.__main__ import main
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.spec.float32 import FLOAT32_MAX
from atlas.spec.text import read_spec
from atlas.store.reader import open_atlas
from queries.specs.make_spec import make_spec
from tests.atlas.live import plain
from tests.atlas.live.plain_edits import plain_logits
from tests.end_to_end.workbench import PETS, SPORT, STATE, built, write_corpus
from tests.synthetic import make_model

TEXTS = {"pets": PETS, "sport": SPORT, "state": STATE}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model tiny and its atlas a.duckdb."""
    folder = tmp_path_factory.mktemp("intervals")
    built(make_model("llama", folder / "tiny"), folder / "a.duckdb", write_corpus(folder / "words.jsonl"))
    return folder


@pytest.fixture(scope="module")
def live(home: Path):
    return load(str(home / "tiny"), device="cpu")


def values_at_the_last_token(live, template: str, layer: int) -> dict[str, np.ndarray]:
    """concept -> [texts, neurons] of what enters down_proj, read by a hook of its own, a text at a time."""
    seen: list[torch.Tensor] = []
    handle = plain.blocks(live)[layer].mlp.down_proj.register_forward_pre_hook(lambda m, a: seen.append(a[0][0, -1]))
    found = {}
    with torch.no_grad():
        for concept, texts in TEXTS.items():
            for text in texts:
                prompt = template.replace("{text}", text)
                live.model(input_ids=torch.tensor([live.tokenizer(prompt, add_special_tokens=False)["input_ids"]]))
            found[concept] = torch.stack(seen).numpy()
            seen.clear()
    handle.remove()
    return found


@pytest.mark.parametrize("concept", list(TEXTS))
def test_edits_happen_where_the_atlas_counted(home, live, concept):
    with open_atlas(home / "a.duckdb") as atlas:
        made = make_spec(atlas, concept=concept, top="100%", op="scale=-2", positions="last")
        _, rows = atlas.query(
            "SELECT layer, neuron, interval_coverage, interval_leakage FROM concept_interval WHERE concept = ?",
            [concept],
        )
    due = {(layer, neuron): shares for layer, neuron, *shares in rows}
    values = {layer: values_at_the_last_token(live, made.source["template"], layer) for layer in range(live.n_layers)}
    close = 0
    for edit in made.edits:
        lower, upper = np.float32(edit.when.lower), np.float32(edit.when.upper)
        inside = {}
        # A batch of another shape moves the last bits of a value, and the ends of intervals are values.
        room = 1e-5 * max(1.0, *(float(abs(acts_XN[:, edit.neuron]).max()) for acts_XN in values[edit.layer].values()))
        for name, acts_XN in values[edit.layer].items():
            acts_X = acts_XN[:, edit.neuron]
            close += int((np.minimum(abs(acts_X - lower), abs(acts_X - upper)) < room).sum())
            inside[name] = (acts_X >= lower - room) & (acts_X <= upper + room)
        others = np.concatenate([each for name, each in inside.items() if name != concept])
        assert [inside[concept].mean(), others.mean()] == pytest.approx(due[edit.layer, edit.neuron], abs=1e-6)
    assert close >= len(made.edits)  # every interval ends at a value of a text on at least one side


def test_the_ends_belong_to_it_in_float32(home, live):
    """The nearest float32 beyond an end is not edited, the end is."""
    with open_atlas(home / "a.duckdb") as atlas:
        made = make_spec(atlas, concept="sport", top="100%", op="set=9", positions="all")
    down = {layer: plain.blocks(live)[layer].mlp.down_proj for layer in range(live.n_layers)}
    one_sided = Counter()
    for edit in made.edits:
        lower, upper = np.float32(edit.when.lower), np.float32(edit.when.upper)
        one_sided[edit.when.lower == -FLOAT32_MAX, edit.when.upper == FLOAT32_MAX] += 1
        with np.errstate(over="ignore"):  # beyond an open side there is infinity
            beyond = [np.nextafter(lower, -np.float32(np.inf)), np.nextafter(upper, np.float32(np.inf))]
        tried = np.array([lower, upper, *beyond, lower / 2 + upper / 2, np.nan], np.float32)
        seen: list[torch.Tensor] = []

        def put(module, args, seen=seen, edit=edit, tried=tried):
            acts = args[0].clone()
            acts[0, :, edit.neuron] = torch.from_numpy(tried)
            return (acts,)

        layer = down[edit.layer]
        first = layer.register_forward_pre_hook(put, prepend=True)
        with torch.no_grad(), intervene(live, made):
            last = layer.register_forward_pre_hook(lambda m, a, seen=seen: seen.append(a[0][0]))
            live.model(input_ids=torch.tensor([[5, 6, 7, 8, 9, 10]]))
            last.remove()
        first.remove()
        changed = (seen[0][:, edit.neuron] == 9).tolist()
        assert changed == [True, True, False, False, True, False], (edit.when, tried)
    assert len(one_sided) >= 2


@pytest.mark.usefixtures("exports_start_at_once")
def test_run_evaluate_and_export_agree_with_plain_hooks(home, live, tmp_path, capsys):
    path = tmp_path / "sport.spec.json"
    options = ["--concept", "sport", "--top", "6", "--op", "set=contrast:2", "--positions", "last", "-o", str(path)]
    assert main(["spec", "-a", str(home / "a.duckdb"), *options]) == 0
    made = read_spec(path)
    assert any(FLOAT32_MAX in (-edit.when.lower, edit.when.upper) for edit in made.edits)
    capsys.readouterr()

    text = SPORT[0]
    ids = live.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert main(["run", str(path), "--prompt", text, "--device", "cpu", "--format", "json", "--write-check"]) == 0
    found = json.loads(capsys.readouterr().out)
    share = plain_logits(live, made, ids, len(ids))[-1].softmax(-1)
    for row in found["next_token"]:
        assert row["probability_after"] == pytest.approx(float(share[row["token_id"]]), rel=1e-4)
    assert read_spec(path).edits == made.edits and read_spec(path).check is not None

    assert main(["export", str(path), "--to", "hooks", "-o", str(tmp_path / "hooks.py")]) == 0
    assert "verified" in capsys.readouterr().err and (tmp_path / "hooks.py").exists()

    more = ["--label", "pets= dog", "--label", "sport= team", "--label", "state= vote", "--other-limit", "0"]
    corpus = tmp_path / "fresh.jsonl"
    fresh = {"pets": ("a good cat", "sad dogs"), "sport": ("lost !", "my goal"), "state": ("in Paris", "new vote")}
    rows = [{"text": text, "concept": name} for name, texts in fresh.items() for text in texts]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["-a", str(home / "a.duckdb"), "--corpus", str(corpus), "--bootstrap", "0", "--device", "cpu"]
    assert main(["evaluate", str(path), *arguments, *more, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["arm"] for row in rows} == {"baseline", "whole_neuron", "range"}
    capsys.readouterr()
    lists = ["--sweep", "--concept", "sport", "--rule", "interval", "--bounds", "interval,gaussian", "--top", "2"]
    assert main(["evaluate", *lists, *arguments, *more, "--format", "json"]) == 0
    found = {(row["arm"], row["bounds"], row["tau"]) for row in json.loads(capsys.readouterr().out)}
    assert found == {("range", "interval", None), ("range", "gaussian", 2.5), ("whole_neuron", None, None)}
    assert main(["verify", str(home / "a.duckdb")]) == 0
