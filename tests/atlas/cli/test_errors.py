"""Exit codes are a contract; every error is one line and a hint on stderr, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from atlas import errors
from atlas.__main__ import COMMANDS
from atlas.live.versions import ran_with
from tests.architecture.imports import ROOT
from tests.atlas_factory import write_small_atlas


def assert_refused(ran, code, *words):
    assert ran.code == code, ran.stderr
    assert ran.stdout == b""
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("error: "), ran.stderr
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2
    for word in words:
        assert word in ran.stderr


def test_the_codes():
    codes = {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert codes == {
        "EXIT_OK": 0,
        "EXIT_QUESTION": 1,
        "EXIT_USAGE": 2,
        "EXIT_ATLAS": 3,
        "EXIT_EXTRA": 4,
        "EXIT_BUILD": 5,
        "EXIT_INTERRUPT": 130,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["token", "scienca"], ["unknown token 'scienca'", "science"]),
        (["concept", "sport"], ["unknown concept 'sport'", "Did you mean sports?"]),
        (["concept", "sports", "--family", "topic"], ["unknown family", "topics"]),
        (["concepts", "--family", "mood"], ["Did you mean moods?"]),
        (["neuron", "L1N99"], ["there is no L1N99", "0 to 15"]),
        (["token", "dog", "--layer", "3"], ["there is no layer 3", "0 to 2"]),
        (["layer", "3"], ["there is no layer 3", "0 to 2"]),
    ],
)
def test_unknown_names_exit_1_and_suggest(run, small_path, arguments, words):
    assert_refused(run(*arguments, "-a", small_path), 1, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["neuron", "29.808"], ["is not a neuron address"]),
        (["concept", "sports", "--tau", "9"], ["Measured: 2.5"]),
        (["concept", "sports", "--max-leakage", "7"], ["is not a share"]),
        (["token", "dog", "--format", "xml"], ["xml"]),
        (["token", "dog", "--limit", "0"], ["limit"]),
        (["token", "dog", "--nonsense"], ["nonsense"]),
        (["token"], ["WORD"]),
        (["neuron", "L1N7", "--top", "99"], ["keeps 6 tokens"]),
    ],
)
def test_wrong_use_exits_2(run, small_path, arguments, words):
    assert_refused(run(*arguments, "-a", small_path), 2, *words)


def test_an_unknown_command_suggests(run):
    assert_refused(run("tokn", "dog"), 2, "unknown command 'tokn'", "Did you mean token?")


def test_an_output_that_cannot_be_written(run, small_path, tmp_path):
    ran = run("concepts", "-a", small_path, "-o", tmp_path / "missing" / "x.json")
    assert_refused(ran, 2, "cannot write")


@pytest.fixture(scope="module")
def damaged(small_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    whole = small_path.read_bytes()
    (folder / "text.duckdb").write_text("this is a text file, long enough to have a header\n")
    (folder / "empty.duckdb").touch()
    (folder / "truncated.duckdb").write_bytes(whole[: len(whole) // 2])
    (folder / "one_byte_short.duckdb").write_bytes(whole[:-1])
    (folder / "folder.duckdb").mkdir()
    write_small_atlas(folder / "newer.duckdb", schema_version=99)
    write_small_atlas(folder / "older.duckdb", schema_version=0)
    return folder


@pytest.mark.parametrize(
    "name", ["missing", "text", "empty", "truncated", "one_byte_short", "folder", "newer", "older"]
)
@pytest.mark.parametrize("command", [["info"], ["token", "dog"], ["sql", "SELECT 1"]])
def test_a_file_that_is_no_readable_atlas_exits_3(run, damaged, name, command):
    ran = run(*command, "-a", damaged / f"{name}.duckdb")
    assert_refused(ran, 3)
    if name == "newer":
        assert "schema version 99" in ran.stderr


def test_no_atlas_at_all_exits_3(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(run("info"), 3, "no atlas given", "NEURON_ATLAS")


def test_a_missing_extra_exits_4(run, small_path, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith(("matplotlib.", "queries.plots.plot"))]:
        monkeypatch.delitem(sys.modules, name)
    ran = run("concept", "sports", "--plot", tmp_path / "x.png", "-a", small_path)
    assert_refused(ran, 4, "neuron-atlas[plot]")


def test_a_build_that_cannot_start_exits_5(run, tmp_path):
    (tmp_path / "model").mkdir()
    ran = run("build", tmp_path / "model", "-o", tmp_path / "x.duckdb")
    assert ran.code == 5, ran.stderr
    assert "Traceback" not in ran.stderr and "error: " in ran.stderr
    assert not (tmp_path / "x.duckdb").exists()


def test_an_interrupt_exits_130(run, small_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("queries.cli.options.open_atlas", interrupted)
    assert run("token", "dog", "-a", small_path).code == 130


def test_a_reader_that_leaves_early_is_no_error(small_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "atlas", "concepts", "-a", str(small_path), "--format", "json"],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_refuses_an_unknown_option(run, name):
    assert_refused(run(name, "--no-such-option"), 2)


def test_a_section_that_this_card_does_not_have(run, small_path):
    ran = run("neuron", "L0N0", "--site", "resid_post", "--section", "tokens", "-a", small_path)
    assert_refused(ran, 2, "no section tokens", "concepts")


def test_the_case_of_a_name_does_not_hide_it(run, small_path):
    assert_refused(run("concept", "SPORTS", "-a", small_path), 1, "Did you mean sports")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["concepts", "spec --concept sports --top 1"])
def test_a_full_disk_and_a_closed_stdout(small_path, command):
    line = f'"{sys.executable}" -m atlas {command} -a "{small_path}"'
    full = subprocess.run(f"{line} >/dev/full", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (full.returncode, "cannot write to stdout" in full.stderr) == (1, True), full.stderr
    closed = subprocess.run(f"{line} >&-", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (closed.returncode, "error" in closed.stderr) == (0, False), closed.stderr


@click.command()
@click.argument("hint")
def failing(hint):
    raise errors.ModelError("no model", hint)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("Run: neuron-atlas fetch smollm2-135m", "Run: neuron-atlas fetch smollm2-135m. "),
        ("Check the folder.", "Check the folder. "),
        ("Did you mean a?", "Did you mean a? "),
        ("", ""),
    ],
)
def test_what_a_model_was_read_with_is_a_sentence_of_its_own(run, monkeypatch, hint, said):
    pytest.importorskip("transformers")  # as what reads a model has imported it
    monkeypatch.setitem(COMMANDS, "failing", (f"{__name__}:failing", ""))
    assert_refused(run("failing", hint), errors.EXIT_BUILD)
    assert run("failing", hint).stderr.splitlines()[1] == f"hint: {said}Ran with {ran_with()}."
    already = f"Take another one. Ran with {ran_with()}."
    assert run("failing", already).stderr.splitlines()[1] == f"hint: {already}"
