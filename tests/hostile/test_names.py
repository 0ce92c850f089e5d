"""File names that no file can have, in every place where a command takes one: one line, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from atlas.__main__ import COMMANDS, main
from tests.atlas.spec.documents import valid
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import FULL

QUESTIONS = (
    "info|concepts|token dog|concept sports|neuron L1N7|layer 1|nearest L1N7|exemplars L1N7|"
    "graph L1N7|weights --by cosine_kurtosis|spec --concept sports|evaluations"
)
# What {bad} stands for. A byte that is no UTF-8 is a name that a file can have, so it is only where DuckDB opens it.
TOO_LONG = {
    "bytes": "x" * 256,
    "letters": "é" * 128,
    "in a folder": "no/" + "x" * 300,
    "path": "/".join(["y" * 200] * 30),
}
NUL = {"NUL": "a\0b", "NUL in a folder": "a\0/b"}
SUFFIXES = ("", ".duckdb", ".gguf", ".jsonl", ".csv", ".parquet")
ALL = [long + suffix for long in TOO_LONG.values() for suffix in SUFFIXES] + list(NUL.values())
BAD = ALL if FULL else ["x" * 256, "no/" + "é" * 150 + ".gguf", "a\0b"]

LINES = {
    name: [f"{line} -a {{bad}}", f"{line} -a {{atlas}} -o {{bad}}"]
    for line in QUESTIONS.split("|")
    for name in [line.split()[0]]
}
LINES["concept"] += ["concept sports -a {atlas} --plot {bad}.png"]
LINES["neuron"] += ["neuron L1N7 -a {atlas} --family topics --plot {bad}.png"]
LINES |= {
    "sql": ["sql SHOW -a {bad}", "sql TABLE -a {atlas} -o {bad}", "sql --file {bad} -a {atlas}"],
    "compare": ["compare {bad} {atlas}", "compare {atlas} {bad}", "compare {atlas} {atlas} -o {bad}"],
    "verify": ["verify {bad}", "verify {atlas} -o {bad}"],
    "fetch": ["fetch {bad}"],
    "publish": ["publish {bad} out", "publish {atlas} {bad}"],
    "pull": ["pull {bad} -o x.duckdb", "pull out -o {bad}"],
    "experts": ["experts -a {bad}"],
    "mcp": ["mcp -a {bad}"],
    "serve": ["serve {bad}"],
    "page": ["page L1N7 -a {bad} -o x.html", "page L1N7 -a {atlas} -o {bad}", "page {bad} -a {atlas} -o x.html"],
    "site": ["site -a {bad} -o site", "site -a {atlas} -o {bad}", "site -a {atlas} -o site --neurons {bad}"],
    "completion": ["completion {bad}"],
    "build": [
        "build {bad} -o x.duckdb",
        "build smollm2-135m -o {bad}",
        "build smollm2-135m -o x.duckdb --concepts {bad}",
        "build smollm2-135m -o x.duckdb --concepts f={bad}",
        "build smollm2-135m -o {bad} --shard 1/2",
    ],
    "merge": ["merge {bad} -o x.duckdb", "merge a.spec.json -o {bad}"],
    "detect": [
        "detect sports -a {bad}",
        "detect sports -a {atlas} --text {bad}",
        "detect sports -a {atlas} --text x --model {bad}",
    ],
    "search": ["search dog -a {bad}", "search dog -a {atlas} -o {bad}"],
    "fires": ["fires x -a {bad}", "fires x -a {atlas} --model {bad}", "fires --file {bad} -a {atlas}"],
    "explain": [
        "explain x --model {bad}",
        "explain x -a {bad}",
        "explain x -a {atlas} --model {bad}",
        "explain x -a {atlas} -o {bad}",
        "explain x -a {atlas} --spec {bad}",
        "explain --file {bad} -a {atlas}",
    ],
    "run": ["run {bad} --prompt x", "run {spec} --prompt x --model {bad} --write-check"],
    "evaluate": [
        "evaluate {bad} -a {atlas}",
        "evaluate {spec} -a {bad}",
        "evaluate {spec} -a {atlas} --model {bad}",
        "evaluate {spec} -a {atlas} --corpus {bad}",
        "evaluate {spec} -a {atlas} --other-text {bad}",
        "evaluate --sweep --concept sports -a {atlas} --plot {bad}.png",
        "evaluate {spec} -a {atlas} -o {bad}",
    ],
    "export": [
        "export {bad} --to hooks -o x.py",
        "export {spec} --to hooks -o {bad}",
        "export {spec} --to weights -o {bad}",
        "export {spec} --to hooks -o x.py --model {bad}",
    ],
}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    write_small_atlas(folder / "small.duckdb")
    (folder / "a.spec.json").write_text(json.dumps(valid()))
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def refusal(line: list[str], capfd) -> str:
    """The error of a command line that must fail: one line, and a hint."""
    code = main(line)
    err = [text for text in capfd.readouterr().err.splitlines() if not text.startswith(("note: ", "progress: "))]
    assert code in (1, 2, 3, 5), (line, err)
    assert [text.partition(":")[0] for text in err] in (["error"], ["error", "hint"]), (line, err)
    assert "unexpected" not in err[0], err
    return err[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_name_that_no_file_can_have(name: str, folder: Path, capfd) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for line in LINES[name]:
        for bad in BAD:
            places = {"bad": bad, "atlas": "small.duckdb", "spec": "a.spec.json"}
            said = refusal([part.format(**places) for part in line.split()], capfd)
            assert "\0" not in bad or "NUL" in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_atlas_whose_name_is_not_utf8(folder: Path, capfd) -> None:
    name = os.fsdecode(b"sur\x80rogate.duckdb")
    assert "UTF-8" in refusal(["build", "smollm2-135m", "-o", name], capfd)
    shutil.copy("small.duckdb", name)
    for line in ("info", "token dog", "sql TABLE", "verify"):
        command = [*line.split(), "-a", name] if line != "verify" else [line, name]
        assert "UTF-8" in refusal(command, capfd)
