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
code = main(json.loads(sys.argv[1]))
sys.stdout.flush()
loaded = sorted({name.partition(".")[0] for name in sys.modules})
sys.stderr.write("\\n" + json.dumps([code, loaded]))
"""


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    return str(write_small_atlas(tmp_path_factory.mktemp("start_up") / "small.duckdb"))


def loaded_by(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, names = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(names)


@pytest.mark.parametrize(
    "command", [[], ["token"], ["concept"], ["neuron"], ["info"], ["sql"], ["spec"], ["build"], ["run"], ["evaluate"]]
)
def test_help_loads_nothing_heavy(command):
    loaded = loaded_by(*command, "--help")
    assert loaded & (HEAVY - {"builders"}) == set()
    if not command:
        assert loaded & {"duckdb", "queries.cli.token"} == set()


@pytest.mark.parametrize(
    "question",
    [
        ["info"],
        ["concepts"],
        ["token", "dog"],
        ["concept", "sports", "--token", "dog"],
        ["neuron", "L1N7"],
        ["spec", "--concept", "sports", "--top", "3"],
        ["sql", "SELECT 1 AS one"],
    ],
)
def test_look_ups_load_nothing_heavy(atlas, question):
    form = [] if question[0] == "spec" else ["--format", "json"]
    loaded = loaded_by(*question, "-a", atlas, *form)
    assert loaded & HEAVY == set()


def test_a_table_loads_only_rich(atlas):
    assert loaded_by("token", "dog", "-a", atlas) & HEAVY == {"rich"}


def test_parquet_loads_pyarrow_when_it_is_asked_for(atlas, tmp_path):
    loaded = loaded_by("token", "dog", "-a", atlas, "-o", str(tmp_path / "dog.parquet"))
    assert "pyarrow" in loaded
    assert loaded & {"torch", "transformers", "scipy", "matplotlib"} == set()
