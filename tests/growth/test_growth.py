"""A new thing is one file and one line: eight of them, in a folder outside of the project, are found everywhere.

`toys` is copied to a temporary folder, where the project is asked for by its installed name only. toys/start.py has one
line for each registry; nothing else of the project is touched, and nothing in it knows of them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from atlas.answers.formats import FORMATS
from tests import synthetic, warm
from tests.architecture.imports import ROOT
from tests.end_to_end.workbench import write_corpus

TOYS = Path(__file__).parent / "toys"
Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toys, a model of a family that the project does not know, and a corpus."""
    folder = tmp_path_factory.mktemp("growth")
    shutil.copytree(TOYS, folder / "toys", ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        sizes = {**synthetic._SIZES, "num_key_value_heads": 2}
        patch.setitem(synthetic.FAMILIES, "diffllama", ("diffllama", sizes))
        synthetic.make_model("diffllama", folder / "model")
    write_corpus(folder / "words.jsonl")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Runs a command line of the program with the toys in it."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "NEURON_ATLAS": str(folder / "a.duckdb")}

    def go(*arguments: str, program: tuple[str, ...] = ("-m", "toys.start"), code: int = 0):
        done = warm.run([*program, *arguments], cwd=folder, env=environment, text=False)
        assert done.returncode == code, done.stderr.decode()
        return done

    return go


@pytest.fixture(scope="module")
def atlas(folder: Path, run: Run) -> Path:
    """The atlas that the program builds with the toys in it."""
    options = ("--concepts", "words.jsonl", "--top", "6", "--bins", "5", "--memory", "300MB")
    run("build", "model", "-o", "a.duckdb", *options)
    return folder / "a.duckdb"


def test_each_toy_is_one_file_and_one_line() -> None:
    entries = [line for line in (TOYS / "start.py").read_text().splitlines() if "] = " in line]
    files = {path.stem for path in TOYS.glob("*.py")} - {"__init__", "start"}
    assert files == {"family", "median", "loudest", "question", "summary", "markdown"}
    assert len(entries) == 9  # the statistic and its measure share a file; two of the toys bring a table
    assert all(line.count("=") >= 1 and "\n" not in line for line in entries)


def test_without_its_line_the_family_is_refused(folder: Path, run: Run) -> None:
    done = run("build", "model", "-o", "other.duckdb", "--no-concepts", program=("-m", "atlas"), code=5)
    assert b"diffllama" in done.stderr and not (folder / "other.duckdb").exists()


def test_the_file(atlas: Path) -> None:
    with duckdb.connect(str(atlas), read_only=True) as connection:
        ask = lambda sql: connection.execute(sql).fetchall()  # noqa: E731
        assert ask("SELECT family FROM atlas") == [("diffllama",)]
        assert ask("SELECT DISTINCT builder FROM run ORDER BY 1") == [
            ("decode",),
            ("gaussians",),
            ("intervals",),
            ("loudest",),
            ("weights",),
        ]
        assert ask("SELECT count(*) FROM loudest_weight") == [(3 * 32,)]
        (rows,) = ask("SELECT count(*), count(median), bool_and(median BETWEEN min AND max) FROM concept_gaussian")
        assert rows == (3 * 32 * 3, 3 * 32 * 3, True)
        # Of every column, and of both definitions.
        assert ask("SELECT count(*) FROM _digest WHERE object IN ('_median', 'loudest_weight')") == [(9 + 2,)]


def test_its_numbers_are_those_of_the_model(atlas: Path, folder: Path) -> None:
    from safetensors.numpy import load_file

    weights = load_file(folder / "model" / "model.safetensors")
    due = {
        (layer, neuron): value
        for layer in range(3)
        for neuron, value in enumerate(np.abs(weights[f"model.layers.{layer}.mlp.up_proj.weight"]).max(1))
    }
    with duckdb.connect(str(atlas), read_only=True) as connection:
        rows = connection.execute("SELECT layer, neuron, largest FROM loudest_weight").fetchall()
    assert {row[:2]: np.float32(row[2]) for row in rows} == due


def test_the_checks_know_it(run: Run, atlas: Path) -> None:
    program = (
        "import json, toys.start; from pathlib import Path; from atlas.store.verify import checks_of\n"
        "print(json.dumps([tuple(check) for check in checks_of(Path('a.duckdb'))]))"
    )
    checks = {name: result for name, result, _ in json.loads(run(program=("-c", program)).stdout)}
    assert set(checks.values()) == {"ok"}
    assert any("_median" in name for name in checks) and any("loudest_weight" in name for name in checks)


def test_info_and_help(run: Run, atlas: Path) -> None:
    counted = {
        row["table"]: row["rows"] for row in json.loads(run("info", "--section", "rows", "--format", "json").stdout)
    }
    assert counted["loudest_weight"] == 96
    assert "loudest" in [
        row["builder"] for row in json.loads(run("info", "--section", "runs", "--format", "json").stdout)
    ]
    assert b"loudest" in run("--help").stdout
    assert b"largest median activation" in b" ".join(run("concept", "--help").stdout.split())
    assert b"|markdown]" in b"".join(run("loudest", "--help").stdout.split())
    assert b"summary" in run("export", "--list").stdout


def test_the_docs_generators(run: Run, folder: Path) -> None:
    load = (
        "import importlib.util, sys, toys.start; "
        "spec = importlib.util.spec_from_file_location('maker', sys.argv[1]); "
        "maker = importlib.util.module_from_spec(spec); spec.loader.exec_module(maker); "
    )
    schema = run(str(ROOT / "docs" / "make_schema_reference.py"), program=("-c", load + "print(maker.page(''))")).stdout
    text = schema.decode()
    assert "### loudest_weight" in text and "| largest | FLOAT |" in text
    assert "| median | activation | median activation on the concept |" in text
    assert "| median | largest median activation |" in text
    assert "| median | FLOAT | activation |" in text.partition("### concept_gaussian")[2].partition("###")[0]
    cli = run(str(ROOT / "docs" / "make_cli_reference.py"), program=("-c", load + "print(maker.reference())")).stdout
    assert b"neuron-atlas loudest" in cli and b"| `markdown` | `.md` |" in cli


def parsed(name: str, content: bytes) -> list[dict]:
    """The rows of an answer, numbers as float."""
    if name == "json":
        return json.loads(content)
    if name == "jsonl":
        return [json.loads(line) for line in content.decode().splitlines()]
    if name == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    if name == "parquet":
        return pa.parquet.read_table(pa.BufferReader(content)).to_pylist()
    if name == "arrow":
        return pa.ipc.open_file(pa.BufferReader(content)).read_all().to_pylist()
    lines = [line.strip("| ").split(" | ") for line in content.decode().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


@pytest.mark.parametrize("name", [*FORMATS, "markdown"])
def test_every_format_shows_the_measure(run: Run, atlas: Path, name: str) -> None:
    with duckdb.connect(str(atlas), read_only=True) as connection:
        sql = "SELECT concept, median FROM concept_gaussian WHERE layer = 1 AND neuron = 7"
        due = dict(connection.execute(sql).fetchall())
        sql = "SELECT neuron_name(layer, neuron) FROM concept_gaussian WHERE concept = 'pets' ORDER BY median DESC"
        best = [address for (address,) in connection.execute(f"{sql} LIMIT 3").fetchall()]
    card = run("neuron", "L1N7", "--section", "concepts", "--format", name).stdout
    ranked = run("concept", "pets", "--rule", "median", "--limit", "3", "--format", name).stdout
    asked = run("loudest", "--limit", "3", "--format", name).stdout
    if name == "table":  # which shows the columns that fit
        assert [line.split()[0] for line in ranked.decode().splitlines()[2:] if line.startswith("L")] == best
        assert b"largest" in asked
        return
    assert {row["concept"]: float(row["median"]) for row in parsed(name, card)} == due
    assert [row["address"] for row in parsed(name, ranked)] == best
    assert len(parsed(name, asked)) == 3 and float(parsed(name, asked)[0]["largest"]) > 0


def test_a_session_that_asks_often_ranks_alike(run: Run, atlas: Path) -> None:
    """The ranking that is kept in memory has the measure too."""
    program = (
        "import toys.start; from queries.neurons import neurons_for_concept\n"
        "from atlas.store.reader import open_atlas\n"
        "from queries.session.session import session_of\n"
        "with open_atlas('a.duckdb') as atlas:\n"
        "    answers = [neurons_for_concept(atlas, 'pets', rule='median', limit=4).rows for _ in range(6)]\n"
        "    assert all(rows == answers[0] for rows in answers), answers\n"
        "    assert any('ranking' in item.name for item in session_of(atlas).kept())\n"
    )
    run(program=("-c", program))


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "fixtures" / "old_atlases").glob("*.duckdb")), ids=str)
def test_an_older_atlas_says_what_it_lacks(run: Run, file: Path) -> None:
    options = ("--site", "mlp_post", "--tau", "2.5", "-a", str(file), "--format", "json")
    done = run("concept", "pets", "--limit", "3", *options)
    assert [row["median"] for row in json.loads(done.stdout)] == [None] * 3
    assert b"note: no median here: `neuron-atlas build --add`" in done.stderr
    card = run("neuron", "L1N7", *options)
    rows = json.loads(card.stdout)["concepts"]
    assert len(rows) > 3 and {row["median"] for row in rows} == {None}
    assert b"note: no median here" in card.stderr
    refused = run("concept", "pets", "--rule", "median", *options, code=1)
    assert b"cannot be ranked by median" in refused.stderr and not refused.stdout
    assert run("loudest", "-a", str(file), "--format", "json").stdout.strip() == b"[]"


def test_a_spec_by_the_new_rule_is_exported_to_the_new_target(run: Run, atlas: Path, folder: Path) -> None:
    run("spec", "--concept", "pets", "--rule", "median", "--top", "2", "-o", "pets.json")
    run("run", "pets.json", "--model", "model", "--prompt", "my dog", "--max-new-tokens", "2", "--write-check")
    run("export", "pets.json", "--to", "summary", "--model", "model", "-o", "pets.py")
    edits = json.loads((folder / "pets.json").read_text())["edits"]
    first, second = (folder / "pets.py").read_text().splitlines()[:2]
    assert first == "# edits " + ", ".join(f"L{edit['layer']}N{edit['neuron']}" for edit in edits)
    assert second.startswith('"""')


def test_the_program_without_them_says_what_is_not_its_own(run: Run, atlas: Path) -> None:
    done = run("info", program=("-m", "atlas"), code=3)
    assert b"that is not ours" in done.stderr and b"newer neuron-atlas" in done.stderr
