"""The command `run` on a tiny model: its numbers against plain hooks, its check, and how it refuses."""

from __future__ import annotations

import csv
import json
import platform
from dataclasses import replace
from importlib import metadata

import pytest
import torch

from atlas.__main__ import main
from atlas.live.loading import load
from atlas.spec.document import Edit, Tokenization
from atlas.spec.text import read_spec, write_spec
from tests.atlas.live.plain_edits import a_spec, plain_edits, plain_logits
from tests.synthetic import make_model

PROMPT = "The dog is good and"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model("llama", tmp_path_factory.mktemp("run") / "llama", add_bos=True)


@pytest.fixture(scope="module")
def live(folder):
    return load(str(folder), device="cpu")


@pytest.fixture
def spec(live, folder, tmp_path):
    """A spec file whose model.id is where the model lies."""
    made = a_spec(live, Edit("mlp_post", 1, 3, "set", 5.0), Edit("resid_post", 0, 4, "add", 2.0), positions="last")
    made = replace(made, model=replace(made.model, id=str(folder)), tokenization=Tokenization(True, False))
    path = tmp_path / "dog.spec.json"
    write_spec(made, path)
    return path


@pytest.fixture
def run(capsys):
    def call(spec, *options, prompt=PROMPT):
        code = main(["run", str(spec), "--prompt", prompt, "--device", "cpu", *options])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def ids_of(live):
    return [2, *live.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]]


def test_next_token_and_texts_are_those_of_plain_hooks(run, spec, live):
    code, out, err = run(spec, "--format", "json", "--top", "4", "--max-new-tokens", "6")
    assert (code, err) == (0, "")
    found, ids, made = json.loads(out), ids_of(live), read_spec(spec)
    assert found["prompt"] == PROMPT and found["prompt_ids"] == ids
    assert found["versions"].pop("software") == f"neuron-atlas {metadata.version('neuron-atlas')}"
    assert found["versions"] == {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "transformers")},
    }
    shares = [plain_logits(live, s, ids, len(ids))[-1].softmax(-1) for s in (None, made)]
    union = {int(token) for share in shares for token in share.topk(4).indices}
    assert [row["token_id"] for row in found["next_token"]] == sorted(union, key=lambda token: -shares[1][token])
    for row in found["next_token"]:
        for share, name in zip(shares, ("before", "after"), strict=True):
            assert row[f"probability_{name}"] == pytest.approx(float(share[row["token_id"]]), rel=1e-4)
            assert row[f"rank_{name}"] == int((share > share[row["token_id"]]).sum()) + 1
    for name, document in (("before", None), ("after", made)):
        with plain_edits(live, document, len(ids)):
            new = live.model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False, use_cache=False)
        whole, start = (live.tokenizer.decode(part, skip_special_tokens=True) for part in (new[0], ids))
        assert found["generated"][name] == whole[len(start) :] != ""


def test_a_seed_decides_what_is_drawn(run, spec):
    def texts(*options):
        return json.loads(run(spec, "--format", "json", *options)[1])["generated"]

    drawn = texts("--sample", "--seed", "1")
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert texts("--sample", "--seed", "1") == drawn
    assert torch.equal(torch.get_rng_state(), state)
    assert texts("--sample", "--seed", "2") != drawn
    assert texts("--sample", "--seed", "1", "--temperature", "0.001") == texts()


def test_the_table_shows_both_runs(run, spec):
    code, out, _ = run(spec, "--top", "3", "--max-new-tokens", "4")
    lines = out.splitlines()
    assert code == 0
    assert lines[:3] == [f"prompt  {PROMPT}", "", "next token"]
    shown = ["token", "probability_before", "probability_after", "rank_before", "rank_after"]
    assert lines[3].split() == shown
    assert all(line.startswith(chr(34)) for line in lines[5:8])
    assert lines[lines.index("generated") + 1].split() == ["before", "after"] and max(map(len, lines)) <= 100
    assert "versions" not in out and "prompt ids" not in out
    assert "generated" not in run(spec, "--max-new-tokens", "0")[1]
    assert f'prompt  "{PROMPT} "' in run(spec, "--max-new-tokens", "0", prompt=PROMPT + " ")[1]


def test_each_section_in_every_format(run, spec, tmp_path):
    from pyarrow import ipc, parquet

    options = ("--top", "3", "--max-new-tokens", "4")
    whole = json.loads(run(spec, *options, "--format", "json")[1])
    assert list(whole) == ["prompt", "prompt_ids", "versions", "next_token", "generated"]
    expected = {"next_token": whole["next_token"], "generated": [whole["generated"]]}
    for section, rows in expected.items():
        for suffix in ("json", "jsonl", "csv", "parquet", "arrow"):
            path = tmp_path / f"{section}.{suffix}"
            assert run(spec, *options, "--section", section, "-o", str(path)) == (0, "", "")
        assert json.loads((tmp_path / f"{section}.json").read_text()) == rows
        assert [json.loads(line) for line in (tmp_path / f"{section}.jsonl").read_text().splitlines()] == rows
        assert parquet.read_table(tmp_path / f"{section}.parquet").to_pylist() == rows
        assert ipc.open_file(tmp_path / f"{section}.arrow").read_all().to_pylist() == rows
        with open(tmp_path / f"{section}.csv", newline="") as stream:
            assert list(csv.DictReader(stream)) == [{n: str(v) for n, v in row.items()} for row in rows]
    run(spec, "--write-check")
    code, out, err = run(spec, "--section", "generated", "--format", "jsonl")
    assert code == 0 and len(out.splitlines()) == 1 and err.startswith("note: check ok")


def test_an_answer_never_replaces_what_it_is_made_from(run, spec, folder, tmp_path):
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF")
    named = replace(read_spec(spec), source={"model_path": str(weights)})
    write_spec(named, tmp_path / "remembers.spec.json")
    before = {path: path.read_bytes() for path in (*tmp_path.iterdir(), folder / "config.json")}
    for document, output, options in (
        (spec, spec, ()),
        (spec, folder, ()),
        (spec, weights, ("--model", str(weights))),
        (tmp_path / "remembers.spec.json", weights, ()),
        (spec, folder / "config.json", ("--model", str(folder))),
        (spec, tmp_path / "no" / "x.json", ()),
    ):
        code, out, err = run(document, "-o", str(output), *options)
        assert (code, out) == (2, "") and str(output) in err, err
    assert {path: path.read_bytes() for path in (*tmp_path.iterdir(), folder / "config.json")} == before


def test_a_check_is_written_verified_and_can_fail(run, spec):
    bare = read_spec(spec)
    code, out, err = run(spec, "--write-check")
    assert code == 0 and out and err == f"note: check written to {spec}\n"
    written = read_spec(spec)
    assert replace(written, check=None) == bare and written.check is not None
    code, _, err = run(spec, prompt="The cat")
    assert code == 0 and err.startswith("note: check ok: log-probabilities differ by at most")
    write_spec(replace(written, edits=(replace(written.edits[0], value=-5.0), *written.edits[1:])), spec)
    code, out, err = run(spec)
    assert (code, out) == (1, "")
    assert "error: the check of the spec fails" in err and "The model is the same" in err
    numbers = (written.check.logprob_before[0] - 1.0, *written.check.logprob_before[1:])
    write_spec(replace(written, check=replace(written.check, logprob_before=numbers)), spec)
    code, out, err = run(spec)
    assert (code, out) == (1, "") and "differ by 1 without" in err and "float32" in err
    assert run(spec, "--write-check")[0] == 0 == run(spec)[0]


def test_a_check_that_sees_no_edit_says_so(run, spec):
    write_spec(replace(read_spec(spec), phase="generated"), spec)
    code, _, err = run(spec, "--write-check")
    assert code == 0 and "cannot tell whether they work" in err


def test_other_weights(run, spec, tmp_path):
    other = make_model("llama", tmp_path / "other", seed=5)
    run(spec, "--write-check")
    code, out, err = run(spec, "--model", str(other))
    assert (code, out) == (1, "") and "model.fingerprint" in err and "--override-model" in err
    code, out, err = run(spec, "--model", str(other), "--override-model")
    assert code == 0 and out and "check not verified" in err
    assert run(spec, "--override-model", "--write-check")[0] == 2
    code, _, err = run(spec, "--model", str(make_model("gpt2", tmp_path / "gpt2")), "--override-model")
    assert code == 1 and "error: model.d_mlp" in err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--temperature", "0.5"], 2, "--temperature is for --sample"),
        (["--temperature", "0", "--sample"], 2, "temperature"),
        (["--top", "0"], 2, "--top"),
        (["--max-new-tokens", "60"], 2, "Use --max-new-tokens 58"),
        (["--format", "csv"], 2, "Add --section next_token|generated"),
        (["--format", "jsonl"], 2, "Add --section next_token|generated"),
        (["--section", "texts"], 2, "texts"),
        (["--csv-safe"], 2, "--csv-safe is for csv"),
        (["--dtype", "float64"], 2, "float64"),
        (["--device", "tpu"], 2, "tpu"),
        (["--model", "/nowhere/at/all"], 5, "/nowhere/at/all"),
    ],
)
def test_options_that_cannot_be(run, spec, options, code, said):
    found, out, err = run(spec, *options)
    assert (found, out) == (code, "") and said in err and err.startswith("error: ")


def test_a_prompt_or_spec_that_cannot_be(run, spec, tmp_path):
    assert run(tmp_path / "none.json")[0] == 1
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    code, _, err = run(bad)
    assert code == 1 and "bad.json: not JSON" in err
    code, _, err = run(spec, prompt="dog " * 70)
    assert code == 2 and "tokens" in err
    made = read_spec(spec)
    write_spec(replace(made, tokenization=Tokenization(False, True)), spec)
    code, _, err = run(spec)
    assert code == 5 and "no chat template" in err
    for name in ("transformers", "torch"):  # what the model was read with
        assert f"{name} {metadata.version(name)}" in err.splitlines()[1]
    write_spec(replace(made, tokenization=Tokenization(False, False)), spec)
    code, _, err = run(spec, prompt="")
    assert code == 2 and "no tokens" in err
    write_spec(replace(made, model=replace(made.model, id="/nowhere/at/all")), spec)
    code, _, err = run(spec)
    assert code == 5 and "--model says where it is" in err
