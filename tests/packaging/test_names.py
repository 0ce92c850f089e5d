"""The names atlas, builders and queries when somebody else has them, in processes that run the installed wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.amount import some
from tests.architecture.imports import ROOT
from tests.packaging.environment import Environment

WAYS = {"command": ["neuron-atlas"], "-m atlas": ["-m", "atlas"], "-m neuron_atlas": ["-m", "neuron_atlas"]}


def start(environment: Environment, way: str, folder: Path, *words: str, **variables: str) -> CompletedProcess[str]:
    """`neuron-atlas` one of the three ways that there are to start it, in `folder`."""
    line = [environment.command] if way == "command" else [environment.python, *WAYS[way]]
    return environment.run(*line, *(words or ("--version",)), cwd=folder, **variables)


def refusal(done: CompletedProcess[str]) -> tuple[str, str]:
    """The one error line and the one hint of a start that was refused."""
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    return error, hint


def answered(done: CompletedProcess[str]) -> bool:
    assert done.stderr == ""
    return done.returncode == 0 and done.stdout.startswith("neuron-atlas ")


def take(folder: Path, name: str, shape: str) -> Path:
    """A file or a package of that name in `folder`, which works and is not ours; the file that is imported."""
    path = folder / f"{name}.py" if shape == "file" else folder / name / "__init__.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


IN_TURN = {
    ("builders", "file"): "-m neuron_atlas",
    ("builders", "package"): "-m atlas",
    ("queries", "file"): "-m atlas",
    ("queries", "package"): "-m neuron_atlas",
}


@pytest.mark.parametrize("shape", ["file", "package"])
@pytest.mark.parametrize("name", ["atlas", "builders", "queries"])
def test_a_name_in_the_working_folder(installed, tmp_path, name: str, shape: str) -> None:
    path = take(tmp_path, name, shape)
    # Where ./atlas hides ours, `python -m atlas` is not ours to answer.
    ways = ["-m neuron_atlas"] if name == "atlas" else some(["-m neuron_atlas", "-m atlas"], [IN_TURN[name, shape]])
    for way in ways:
        error, hint = refusal(start(installed, way, tmp_path))
        assert f"the name {name} means {path} here" in error and "Rename it" in hint
        assert answered(start(installed, way, tmp_path, PYTHONSAFEPATH="1"))  # as the hint says
    # The command does not look there at all.
    assert answered(start(installed, "command", tmp_path))


def test_a_plain_folder_of_that_name_is_no_clash(installed, tmp_path) -> None:
    for name in ("atlas", "builders", "queries"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.sql").write_text("SELECT 1")
    for way in WAYS:
        assert answered(start(installed, way, tmp_path))


@pytest.mark.parametrize("name", ["atlas", "builders", "queries"])
def test_a_name_on_pythonpath(installed, tmp_path, name: str) -> None:
    place, empty = tmp_path / "place", tmp_path / "empty"
    empty.mkdir()
    path = take(place, name, "package")
    ways = ("command", "-m neuron_atlas")
    for way in some(ways, ways if name == "atlas" else ways[:1]):
        error, hint = refusal(start(installed, way, empty, PYTHONPATH=f"{empty}:{place}"))
        assert str(path) in error and f"Take {place} out of PYTHONPATH" in hint and "-I -m neuron_atlas" in hint
    done = installed.run(
        installed.python, "-I", "-m", "neuron_atlas", "--version", cwd=empty, PYTHONPATH=f"{empty}:{place}"
    )
    assert answered(done)


def test_a_name_in_another_folder_of_the_path(own, tmp_path) -> None:
    path = take(tmp_path / "elsewhere", "queries", "file")
    (own.site / "elsewhere.pth").write_text(f"import sys; sys.path.insert(0, {str(path.parent)!r})\n")
    error, hint = refusal(start(own, "command", tmp_path))
    assert str(path) in error and "environment of its own" in hint


def test_a_link_to_our_own_folder_is_no_clash(installed, tmp_path) -> None:
    (tmp_path / "link").symlink_to(installed.site)
    for name in ("atlas", "builders", "queries"):
        (tmp_path / name).symlink_to(installed.site / name)
    assert answered(start(installed, "command", tmp_path, PYTHONPATH=str(tmp_path / "link")))
    assert answered(start(installed, "-m neuron_atlas", tmp_path))


def test_no_command_runs_beside_a_clash(installed, tmp_path) -> None:
    """Not even one that the other file would serve: its code never runs."""
    lines = (["--help"], ["info"], ["build", "x", "-o", "x.duckdb"], ["no-such-command"])
    for name, way in (("builders", "-m atlas"), ("atlas", "-m neuron_atlas")):
        take(tmp_path / name, name, "file").write_text("raise SystemExit('it ran')")
        for words in some(lines, lines[:2] if name == "atlas" else lines[2:]):
            refusal(start(installed, way, tmp_path / name, *words))
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in lines:
        refusal(start(installed, "command", empty, *words, PYTHONPATH=str(tmp_path / "atlas")))


@pytest.mark.parametrize("package", ["builders", "queries"])
def test_in_python_neither_does_the_code_of_another_atlas_run(installed, tmp_path, package: str) -> None:
    take(tmp_path, "atlas", "package").write_text("raise SystemExit('it ran')")
    done = installed.run(installed.python, "-c", f"import {package}", cwd=tmp_path)
    assert done.returncode == 1 and "NameClashError" in done.stderr.splitlines()[-1]


def test_a_link_to_one_of_our_folders_finds_the_others(installed, tmp_path) -> None:
    (tmp_path / "queries").symlink_to(installed.site / "queries")
    done = installed.run(installed.python, "-c", "import queries.neurons, builders.config", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_editable_installation(editable, tmp_path) -> None:
    """There the start lies in the environment, the packages in the checkout."""
    for way in WAYS:
        assert answered(start(editable, way, tmp_path))
    for name in ("atlas", "queries"):
        path, empty = take(tmp_path / name, name, "package"), tmp_path / f"no {name}"
        empty.mkdir()
        for way, folder in (("command", empty), ("-m neuron_atlas", path.parents[1])):
            error, _ = refusal(start(editable, way, folder, PYTHONPATH=str(path.parents[1])))
            assert f"the name {name} means {path} here" in error and str(ROOT) in error


def test_what_a_terminal_would_obey_in_a_name(installed, tmp_path) -> None:
    folder = tmp_path / "\x1b]0;title\x07\u202e"
    for name, way in (("atlas", "-m neuron_atlas"), ("queries", "-m atlas")):
        place = folder / name
        take(place, name, "file")
        error, _ = refusal(start(installed, way, place))
        assert "\\x1b]0;title" in error and "\\u202e" in error and error.isprintable()


PYTHON = {  # what is imported, whose name is taken
    "import queries.neurons": "atlas",
    "import builders": "atlas",
    "import builders.config": "queries",
    "from atlas import name_clash; name_clash.require_ours(*name_clash.OURS)": "builders",
    "import atlas, queries.neurons": "atlas",  # theirs is imported already
    "import sys, types; sys.modules['atlas'] = types.ModuleType('atlas'); import queries": None,
}


@pytest.mark.parametrize("program", PYTHON)
def test_in_python_what_imports_the_name_says_who_has_it(installed, tmp_path, program: str) -> None:
    name = PYTHON[program]
    path = take(tmp_path, name, "package") if name else "<module 'atlas'>"
    done = installed.run(installed.python, "-c", program, cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"atlas.name_clash.NameClashError: the name {name or 'atlas'} means {path} here")


def distribution(folder: Path, files: dict[str, str]) -> Path:
    """A wheel of a distribution `world-maps` with these files."""
    target = folder / "world_maps-2.0-py3-none-any.whl"
    info = "world_maps-2.0.dist-info"
    with zipfile.ZipFile(target, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
        out.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: world-maps\nVersion: 2.0\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in files))
    return target


EVERY_WAY = ("atlas/__init__.py", "atlas/__main__.py", "atlas/errors.py")


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("atlas/__init__.py", "from atlas.maps import draw", "--version"),
        ("atlas/errors.py", "class MapError(Exception): pass", "--version"),
        ("atlas/printable.py", "", "no-such-command"),  # fails while it says what is wrong
        ("atlas/__main__.py", "def main(): pass", "--version"),
        ("queries/cli/info.py", "", "info --help"),
        ("queries/cli/info/__init__.py", "", "info --help"),  # hides info.py, which stays as it is
        ("atlas/manifest/__init__.py", "", "--version"),
    ],
)
def test_another_distribution_in_the_same_folder(own, tmp_path, file: str, text: str, line: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    # What pip would do; it does it itself where the other distribution is uninstalled.
    zipfile.ZipFile(distribution(tmp_path, {file: text})).extractall(own.site)
    # Of `python -m atlas` their __init__ and __main__ are the first to run.
    theirs = file in ("atlas/__init__.py", "atlas/__main__.py")
    ways = ["command", "-m neuron_atlas"] if theirs else list(WAYS)
    for way in some(ways, ways if file in EVERY_WAY else ways[:1]):
        done = start(own, way, empty, *line.split())
        assert done.returncode == 4 and "Traceback" not in done.stderr, done.stderr
        assert str(own.site / file) in done.stderr and "of world-maps" in done.stderr
        assert "pip uninstall world-maps" in done.stderr.splitlines()[-1]


def test_when_the_other_distribution_has_gone_with_our_files(own, wheel, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    taken = {"atlas/__init__.py": "", "atlas/errors.py": "", "queries/__init__.py": ""}
    own.pip("install", "--no-deps", "--no-compile", distribution(tmp_path, taken))
    own.pip("uninstall", "--yes", "world-maps")
    error, hint = refusal(start(own, "command", empty))
    assert str(own.site / "atlas") in error and "Its __init__.py is gone" in hint
    assert "pip install --force-reinstall --no-deps neuron-atlas" in hint
    own.pip("install", "--force-reinstall", "--no-deps", "--no-compile", wheel)  # as the hint says
    assert answered(start(own, "command", empty))


@pytest.mark.parametrize("file", ["atlas/errors.py", "atlas/interrupt.py", "atlas/manifest.py", "atlas/name_clash.py"])
def test_a_file_of_ours_that_is_gone(own, tmp_path, file: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (own.site / file).unlink()
    done = start(own, "command", empty)
    assert done.returncode == 4 and "Traceback" not in done.stderr
    assert f"{own.site / file} is missing" in done.stderr and "--force-reinstall" in done.stderr


@pytest.mark.parametrize("text", ["", "raise OSError", "def"])
def test_the_file_that_tells_whose_the_names_are(own, tmp_path, text: str) -> None:
    """It is read first: where it is another, it cannot say so itself."""
    empty = tmp_path / "empty"
    empty.mkdir()
    path = own.site / "atlas/name_clash.py"
    path.unlink()
    path.write_text(text)
    for way in ("command", "-m neuron_atlas"):
        error, hint = refusal(start(own, way, empty))
        assert f"{path} is missing or not the file of neuron-atlas" in error and "--force-reinstall" in hint


def test_a_package_of_ours_that_is_gone(own, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (own.site / "builders").rename(tmp_path / "away")
    error, hint = refusal(start(own, "command", empty))
    assert str(own.site / "builders") in error and "--force-reinstall" in hint


def test_a_failure_of_our_own_is_not_blamed_on_the_files(installed, tmp_path) -> None:
    """Of an installation that is whole, an unexpected error says what it always said."""
    program = (
        "import atlas.__main__ as door; door.COMMANDS['info'] = ('no.such.module:info', ''); "
        "raise SystemExit(door.main(['info']))"
    )
    done = installed.run(installed.python, "-c", program, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unexpected ModuleNotFoundError: No module named 'no'")
    assert "a fault of the program" in done.stderr
