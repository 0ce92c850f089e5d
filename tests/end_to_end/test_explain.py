"""The command `explain`: its tables in every format, many prompts, the spec it writes, and how it refuses."""

from __future__ import annotations

import csv
import json

import pytest

from atlas.__main__ import main
from atlas.live.loading import load
from atlas.spec.text import read_spec
from tests.atlas.live.plain_edits import plain_logits
from tests.end_to_end.workbench import built, write_corpus
from tests.synthetic import make_model

PROMPT = "the dog is good and"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model("llama", tmp_path_factory.mktemp("explain") / "llama")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


@pytest.fixture(scope="module")
def atlas(folder, corpus, tmp_path_factory):
    return built(folder, tmp_path_factory.mktemp("atlas") / "a.duckdb", corpus, permutations=20, folds=3)


@pytest.fixture
def explain(capsys, monkeypatch):
    monkeypatch.delenv("NEURON_ATLAS", raising=False)

    def call(*options):
        code = main(["explain", *options, "--device", "cpu"])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_the_answer_as_json_as_a_table_and_as_rows(explain, folder, tmp_path):
    from pyarrow import ipc

    options = (PROMPT, "--model", str(folder), "--token", " cat", "--top", "3")
    code, out, err = explain(*options, "--format", "json")
    found = json.loads(out)
    assert code == 0 and list(found) == ["prompts", "neurons"]
    (prompt,), neurons = found["prompts"], found["neurons"]
    assert (prompt["prompt"], prompt["token"], prompt["neurons"]) == (PROMPT, " cat", 3) and len(neurons) == 3
    assert prompt["gradient"] == pytest.approx(sum(row["gradient"] for row in neurons))
    assert f"it loses {prompt['together']:.4g} with these 3 neurons" in err and "measured by setting" in err
    table = explain(*options)[1]
    assert all(row["address"] in table for row in neurons) and "token_id" not in table
    rows = list(csv.DictReader(explain(*options, "--format", "csv")[1].splitlines()))
    assert [row["address"] for row in rows] == [row["address"] for row in neurons]
    assert [row["prompt"] for row in rows] == [PROMPT] * 3
    path = tmp_path / "prompts.arrow"
    assert explain(*options, "--section", "prompts", "-o", str(path))[0] == 0
    assert ipc.open_file(path).read_all().to_pylist() == [prompt]


def test_many_prompts_in_one_table(explain, folder, tmp_path):
    lines, objects = tmp_path / "p.txt", tmp_path / "p.jsonl"
    lines.write_text(f"{PROMPT}\nthe team won\n")
    own = [{"q": PROMPT, "token": " cat"}, {"q": "the team won", "against": " goal"}, {"q": "a vote"}]
    objects.write_text("".join(json.dumps(row) + "\n" for row in own))
    common = ("--model", str(folder), "--top", "2", "--verify", "0", "--format", "json")
    found = json.loads(explain("--file", str(lines), "--token", " dog", *common)[1])
    assert [row["token"] for row in found["prompts"]] == [" dog", " dog"]
    assert [row["prompt"] for row in found["neurons"]] == [PROMPT] * 2 + ["the team won"] * 2
    found = json.loads(explain("--file", str(objects), "--text-column", "q", "--token", " dog", *common)[1])
    assert [row["token"] for row in found["prompts"]] == [" cat", " dog", " dog"]
    assert [row["against"] for row in found["prompts"]] == [None, " goal", None]


def test_the_spec_does_what_was_said_and_runs(explain, folder, atlas, tmp_path, capsys):
    spec = tmp_path / "cat.spec.json"
    options = (PROMPT, "--model", str(folder), "--token", " cat", "--against", " dog", "--top", "3")
    found = json.loads(explain(*options, "--spec", str(spec), "--format", "json")[1])
    live, made = load(str(folder), device="cpu"), read_spec(spec)
    (prompt,) = found["prompts"]
    ids = live.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]
    assert prompt["prompt_ids"] == ids
    values = []
    for each in (None, made):
        logits = plain_logits(live, each, ids, len(ids))[-1].double()
        values.append(float(logits[prompt["token_id"]] - logits[prompt["against_id"]]))
    assert values[0] == pytest.approx(prompt["logit"], abs=1e-4)
    assert values[0] - values[1] == pytest.approx(prompt["together"], abs=1e-4)
    assert {f"L{edit.layer}N{edit.neuron}" for edit in made.edits} == {row["address"] for row in found["neurons"]}
    assert made.source["explain"]["together"] == prompt["together"] and made.positions == "last"
    assert main(["run", str(spec), "--prompt", PROMPT, "--device", "cpu", "--max-new-tokens", "2"]) == 0
    assert "probability_after" in capsys.readouterr().out
    fresh = tmp_path / "fresh.jsonl"
    said = {"pets": ["a dog won", "a cat won"], "sport": ["new goal", "my team"], "state": ["a vote", "Paris vote"]}
    rows = [{"text": text, "concept": name} for name, texts in said.items() for text in texts]
    fresh.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = ("--corpus", str(fresh), "--template", "{text}", "--target", "pets", "--other-limit", "0")
    texts += ("--label", "pets= cat", "--label", "sport= team", "--label", "state= vote")
    code = main(["evaluate", str(spec), "-a", str(atlas), *texts, "--device", "cpu"])
    assert code == 0, capsys.readouterr().err
    again = ("--op", "scale=0.5", "--position", "all", "--spec", str(spec))
    assert explain(*options, *again)[0] == 0
    made = read_spec(spec)
    assert {(edit.op, edit.value) for edit in made.edits} == {("scale", 0.5)} and made.positions == "all"


def test_an_atlas_says_which_model_and_what_neurons_tell(explain, atlas, folder):
    import duckdb

    code, out, _ = explain(PROMPT, "-a", str(atlas), "--top", "5", "--verify", "0", "--format", "json")
    assert code == 0
    with duckdb.connect(str(atlas), read_only=True) as connection:
        for row in json.loads(out)["neurons"]:
            family, j = connection.execute(
                "SELECT family || '/' || concept, held_out_coverage - held_out_leakage FROM concept_interval "
                "WHERE layer = ? AND neuron = ? ORDER BY 2 DESC LIMIT 1",
                [row["layer"], row["neuron"]],
            ).fetchone()
            assert (row["held_out_j"], family.split("/")[0]) == (pytest.approx(j), row["concept"].split("/")[0])


def test_an_atlas_without_intervals_says_so(explain, folder, tmp_path):
    plain = built(folder, tmp_path / "plain.duckdb", None)
    code, _, err = explain(PROMPT, "-a", str(plain), "--top", "1", "--verify", "0")
    assert code == 0 and "no intervals of these neurons" in err


def test_without_a_model_the_atlas_of_the_variable_is_taken(explain, atlas, monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS", str(atlas))
    assert explain(PROMPT, "--top", "1", "--verify", "0")[0] == 0
    monkeypatch.setenv("NEURON_ATLAS", "/nowhere.duckdb")
    code, _, err = explain(PROMPT)
    assert code == 3 and "/nowhere.duckdb" in err


def test_a_model_that_is_not_the_atlas_s(explain, atlas, tmp_path):
    other = make_model("llama", tmp_path / "other", seed=5)
    code, out, err = explain(PROMPT, "-a", str(atlas), "--model", str(other))
    assert (code, out) == (5, "") and "is not the model of the atlas" in err


def test_caps_are_said(explain, tmp_path):
    gemma = make_model("gemma2", tmp_path / "gemma2")
    code, _, err = explain(PROMPT, "--model", str(gemma), "--top", "1", "--verify", "0")
    assert code == 0 and "before the cap" in err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "takes a PROMPT"),
        ([PROMPT, "--file", "x.txt"], 2, "takes a PROMPT"),
        ([PROMPT, "--op", "set=1"], 2, "--op goes with --spec"),
        (["--file", "{lines}", "--spec", "{tmp}/s.json"], 2, "--spec is for one prompt"),
        ([PROMPT, "--spec", "{tmp}/x.json", "-o", "{tmp}/x.json"], 2, "-o and --spec both name"),
        ([PROMPT, "--spec", "{model}/model.safetensors"], 2, "model.safetensors"),
        (["--file", "{lines}", "-o", "{lines}"], 2, "p.txt"),
        (["--file", "{tmp}/none.txt"], 2, "there is no file"),
        (["--file", "{empty}"], 5, "no text"),
        (["--file", "{number}"], 5, "its token is no text"),
        ([PROMPT, "--token", "not one"], 2, "no token of"),
        (["dog " * 70], 2, "tokens"),
        ([PROMPT, "--top", "0"], 2, "--top 0 is outside"),
        ([PROMPT, "--rule", "measured", "--verify", "0"], 2, "measures nothing"),
        ([PROMPT, "--op", "damp=2"], 1, "unknown op"),
        ([PROMPT, "--section", "texts"], 2, "texts"),
    ],
)
def test_what_cannot_be(explain, folder, tmp_path, options, code, said):
    places = {"tmp": tmp_path, "model": folder}
    for name, content in (("lines", "a dog\n"), ("empty", ""), ("number", '{"text": "a dog", "token": 3}\n')):
        places[name] = tmp_path / ("p.txt" if name == "lines" else f"{name}.jsonl")
        places[name].write_text(content)
    before = {path: path.read_bytes() for path in [*tmp_path.iterdir(), *folder.iterdir()]}
    found, out, err = explain(*(option.format(**places) for option in options), "--model", str(folder))
    assert (found, out) == (code, "") and said in err and err.startswith("error: "), err
    assert {path: path.read_bytes() for path in [*tmp_path.iterdir(), *folder.iterdir()]} == before
