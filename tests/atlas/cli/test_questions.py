"""The commands that ask: what they print, where, and that they agree with the functions of the same name."""

from __future__ import annotations

import json

import pytest

from atlas.answers.jsontext import plain
from atlas.store.reader import open_atlas
from queries.card import neuron_card
from queries.concepts import concepts
from queries.layers import layer_tokens
from queries.neurons import Only, neurons_for_concept, neurons_for_token
from tests import golden_files

QUESTIONS = {
    "concepts": ["concepts"],
    "token": ["token", "dog", "--limit", "5"],
    "token_lowered": ["token", "dog", "cat", "--sign", "lowered", "--weight", "down_proj", "--limit", "3"],
    "concept": ["concept", "sports", "--limit", "5"],
    "concept_and_token": ["concept", "sports", "--token", "dog", "--rule", "probeless", "--limit", "3"],
    "layer": ["layer", "1", "--limit", "4"],
    "neuron": ["neuron", "L1N7"],
    "neuron_concepts": ["neuron", "L1N7", "--section", "concepts"],
}


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_golden_table(run, small_path, name):
    ran = run(*QUESTIONS[name], "-a", small_path)
    assert ran.code == 0, ran.stderr
    golden_files.check(f"cli/{name}.txt", ran.stdout)
    golden_files.check(f"cli/{name}.stderr.txt", ran.stderr.encode())
    assert max(map(len, ran.stdout.decode().splitlines())) <= 100


def test_json_is_what_the_functions_return(run, small_path):
    with open_atlas(small_path) as atlas:
        pairs = [
            (["token", "dog", "--sign", "lowered"], neurons_for_token(atlas, "dog", sign=-1)),
            (["concept", "sports", "--rule", "max"], neurons_for_concept(atlas, "sports", rule="max")),
            (
                ["concept", "joy", "--layer", "1", "--max-leakage", "0.95", "--min-coverage", "0.5"],
                neurons_for_concept(atlas, "joy", only=Only(layer=1, max_leakage=0.95, min_coverage=0.5)),
            ),
            (
                ["layer", "2", "--weight", "gate_proj", "--sign", "lowered"],
                layer_tokens(atlas, 2, weight="gate_proj", sign=-1),
            ),
            (["concepts", "--family", "moods"], concepts(atlas, family="moods")),
        ]
        card = neuron_card(atlas, "L2N3", top=2)
    for arguments, result in pairs:
        ran = run(*arguments, "-a", small_path, "--format", "json")
        assert json.loads(ran.stdout) == plain(result.dicts())
    whole = json.loads(run("neuron", "L2N3", "--top", 2, "-a", small_path, "--format", "json").stdout)
    assert whole == plain({**card.fields, **{name: part.dicts() for name, part in card.sections.items()}})


def test_every_format_of_every_question(run, small_path, tmp_path):
    for name in ("concepts", "token", "concept", "neuron_concepts"):
        for suffix in ("json", "jsonl", "csv", "parquet", "arrow", "txt"):
            file = tmp_path / f"{name}.{suffix}"
            ran = run(*QUESTIONS[name], "-a", small_path, "-o", file)
            assert (ran.code, ran.stdout) == (0, b""), ran.stderr
            assert file.stat().st_size > 0


def test_columnar_files_hold_the_rows(run, small_path, tmp_path):
    from pyarrow import feather, parquet

    rows = json.loads(run(*QUESTIONS["token"], "-a", small_path, "--format", "json").stdout)
    run(*QUESTIONS["token"], "-a", small_path, "-o", tmp_path / "t.parquet")
    run(*QUESTIONS["token"], "-a", small_path, "--format", "arrow", "-o", tmp_path / "t.bin")
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows
    assert feather.read_table(tmp_path / "t.bin").to_pylist() == rows


def test_binary_goes_to_a_pipe_as_it_is(run, small_path):
    ran = run(*QUESTIONS["concepts"], "-a", small_path, "--format", "parquet")
    assert ran.stdout[:4] == ran.stdout[-4:] == b"PAR1"


def test_stderr_says_which_tokens_and_what_was_cut(run, small_path):
    ran = run("token", "dog", "--limit", "1", "-a", small_path, "--format", "jsonl")
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr.splitlines() == [
        'note: tokens used: "dog" " dog" " Dogs" "dogs"',
        "note: cut after 1 rows; --limit lifts this",
    ]


def test_no_rows_is_an_answer(run, small_path):
    ran = run("concept", "sports", "--max-leakage", "0", "--min-coverage", "1", "--layer", "0", "-a", small_path)
    assert ran.code == 0
    assert "note: no rows" in ran.stderr


def test_several_tables_need_json_or_a_section(run, small_path):
    ran = run("neuron", "L1N7", "-a", small_path, "--format", "csv")
    assert (ran.code, ran.stdout) == (2, b"")
    assert "--section tokens|weights|io|concepts|background" in ran.stderr
    assert run("info", "-a", small_path, "--format", "jsonl").code == 2
    assert run("info", "--section", "fits", "-a", small_path, "--format", "csv").code == 0
    assert run("neuron", "L1N7", "--section", "tokens", "-a", small_path, "--format", "csv").code == 0


def test_info_shows_the_model(run, small_path):
    ran = run("info", "-a", small_path)
    assert "small-synthetic" in ran.stdout.decode() and "mlp_post" in ran.stdout.decode()


@pytest.mark.parametrize("arguments", [["neuron", "L1N7"], ["concept", "sports"]])
def test_pictures(run, small_path, tmp_path, arguments):
    pytest.importorskip("matplotlib")
    extra = ["--family", "topics"] if arguments[0] == "neuron" else []
    ran = run(*arguments, *extra, "--plot", tmp_path / "picture.png", "-a", small_path)
    assert ran.code == 0, ran.stderr
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"


def test_an_existing_file_is_replaced_and_nothing_is_left_beside_it(run, small_path, tmp_path):
    file = tmp_path / "out.json"
    file.write_text("old")
    run("concepts", "-a", small_path, "-o", file)
    assert json.loads(file.read_text())
    assert list(tmp_path.iterdir()) == [file]


def test_csv_safe_is_for_csv(run, small_path, tmp_path):
    plain = run("sql", "SELECT '=1+1' AS a", "--format", "csv", "-a", small_path)
    safe = run("sql", "SELECT '=1+1' AS a", "--csv-safe", "--format", "csv", "-a", small_path)
    assert (plain.stdout, safe.stdout) == (b"a\n=1+1\n", b"a\n'=1+1\n")
    run("sql", "SELECT '=1+1' AS a", "--csv-safe", "-o", tmp_path / "x.csv", "-a", small_path)
    assert (tmp_path / "x.csv").read_bytes() == safe.stdout
    ran = run("sql", "SELECT 1", "--csv-safe", "--format", "json", "-a", small_path)
    assert (ran.code, ran.stdout) == (2, b"") and "--csv-safe is for csv" in ran.stderr
