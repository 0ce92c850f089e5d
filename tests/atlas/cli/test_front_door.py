"""The front door: help, version, which atlas is read, completion."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from atlas.__main__ import COMMANDS, PROGRAM
from atlas.cli.group import LazyGroup
from tests.architecture.imports import ROOT
from tests.atlas_factory import write_small_atlas

DOOR = LazyGroup(PROGRAM, COMMANDS)
CONTEXT = click.Context(DOOR)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example_and_documented_options(name):
    command = DOOR.get_command(CONTEXT, name)
    assert command is not None and command.name == name
    assert command.help and len(command.help) > 20
    assert f"{PROGRAM} {name}" in (command.epilog or ""), "no example"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts} has no help"


def test_help_lists_the_commands(run):
    ran = run("--help")
    assert ran.code == 0
    text = ran.stdout.decode()
    assert all(name in text and summary in text for name, (_, summary) in COMMANDS.items())


def test_no_command_is_a_usage_error_that_shows_the_help(run):
    ran = run()
    assert (ran.code, ran.stdout) == (2, b"")
    assert "Commands:" in ran.stderr


def test_version(run):
    ran = run("--version")
    assert ran.code == 0 and ran.stdout.startswith(b"neuron-atlas ")


def test_module_and_options_reach_the_same_command(small_path):
    done = subprocess.run(
        [sys.executable, "-m", "atlas", "concepts", "-a", str(small_path), "--format", "jsonl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5)


def test_the_atlas_of_the_environment(run, small_path, monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS", str(small_path))
    assert run("concepts").code == 0


def test_the_newest_atlas_of_the_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "atlases"
    folder.mkdir(parents=True)
    write_small_atlas(folder / "old.duckdb", model_id="old-model")
    assert "old-model" in run("info").stdout.decode()
    write_small_atlas(folder / "new.duckdb", model_id="new-model")
    (folder / "new.duckdb.evaluations.duckdb").write_bytes((folder / "old.duckdb").read_bytes())
    for age, name in enumerate(("new.duckdb.evaluations.duckdb", "new.duckdb", "old.duckdb")):
        os.utime(folder / name, (2_000_000_000 - age, 2_000_000_000 - age))
    ran = run("info")
    assert "new-model" in ran.stdout.decode()
    assert "the newest of 2 atlases" in ran.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(run, shell):
    ran = run("completion", shell)
    assert ran.code == 0
    assert b"_NEURON_ATLAS_COMPLETE" in ran.stdout


def test_completion_knows_commands_and_options():
    def complete(line):
        environment = {
            **os.environ,
            "_NEURON_ATLAS_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        return subprocess.run(
            [sys.executable, "-m", "atlas"], cwd=ROOT, env=environment, capture_output=True, text=True
        ).stdout

    assert "plain,token" in complete("neuron-atlas to")
    assert "plain,--weight" in complete("neuron-atlas token dog --we")
    assert "plain,probeless" in complete("neuron-atlas concept sports --rule pro")
