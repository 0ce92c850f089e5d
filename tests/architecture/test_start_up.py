"""What a fresh interpreter has loaded after a command: start-up time is a promise that imports break."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.imports import ROOT
from tests.atlas_factory import write_small_atlas

HEAVY = {"torch", "transformers", "scipy", "numpy", "pyarrow", "pandas", "matplotlib", "rich", "builders"}

PROBE = """
import io, json, sys
from atlas.__main__ import main
code = max(main(arguments) for arguments in json.loads(sys.argv[1]))
sys.stdout.flush()
loaded = sorted({name.partition(".")[0] for name in sys.modules})
ours = [vars(module) for name, module in sorted(sys.modules.items()) if name.startswith(("atlas.", "queries."))]
made = {value for names in ours for value in names.values() if "__dataclass_fields__" in getattr(value, "__dict__", ())}
made = sorted(f"{value.__module__}.{value.__name__}" for value in made if isinstance(value, type))
sys.stderr.write("\\n" + json.dumps([code, loaded, made]))
"""

# What a look-up makes as it starts, half a millisecond each; a row of a table of ours is a NamedTuple, in a fifth.
DATACLASSES = {
    "atlas.answers.columns.Column",
    "atlas.answers.result.Document",
    "atlas.answers.result.Result",
    "atlas.fit_choice.FitChoice",
    "queries.neurons.Only",
}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    return str(write_small_atlas(tmp_path_factory.mktemp("start_up") / "small.duckdb"))


def left_by(*commands):
    """Names of the packages and of the dataclasses of ours that commands leave behind, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, loaded, made = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(loaded), set(made)


def loaded_by(*commands):
    return left_by(*commands)[0]


def test_the_front_page_loads_nothing():
    assert loaded_by(["--help"]) & {*HEAVY, "duckdb"} == set()


# What none of them leaves behind, none has loaded: one process for all is enough.


def test_help_loads_nothing_heavy():
    names = ("token", "concept", "neuron", "info", "sql", "spec", "build", "run", "evaluate")
    assert loaded_by(*([name, "--help"] for name in names)) & (HEAVY - {"builders"}) == set()


def test_look_ups_load_nothing_heavy(atlas):
    questions = (
        ["info"],
        ["concepts"],
        ["token", "dog"],
        ["concept", "sports", "--token", "dog"],
        ["neuron", "L1N7"],
        ["sql", "SELECT 1 AS one"],
    )
    spec = ["spec", "--concept", "sports", "--top", "3", "-a", atlas]
    assert loaded_by(spec, *([*question, "-a", atlas, "--format", "json"] for question in questions)) & HEAVY == set()


def test_a_table_loads_only_rich(atlas):
    assert loaded_by(["token", "dog", "-a", atlas]) & HEAVY == {"rich"}


def test_look_ups_make_few_dataclasses(atlas):
    questions = (["token", "dog"], ["concept", "sports"], ["neuron", "L1N7"], ["info"])
    made = left_by(*([*question, "-a", atlas] for question in questions))[1]
    assert "atlas.answers.result.Result" in made
    assert made <= DATACLASSES


def test_parquet_loads_pyarrow_when_it_is_asked_for(atlas, tmp_path):
    loaded = loaded_by(["token", "dog", "-a", atlas, "-o", str(tmp_path / "dog.parquet")])
    assert "pyarrow" in loaded
    assert loaded & {"torch", "transformers", "scipy", "matplotlib"} == set()
