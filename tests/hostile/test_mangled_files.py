"""Bytes of a file changed, cut off, repeated or added: exit code 3 and one line, or the right answer."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from atlas.__main__ import main
from atlas.errors import AtlasFileError
from atlas.store.verify import BROKEN, verify
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator
from tests.hostile.questions import ANSWERED, foreign, outcomes, outcomes_apart

CASES = count(10, 1000)
COMMANDS = count(1, 20)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")


@pytest.fixture(scope="module")
def right(whole: Path) -> dict[str, tuple[str, str]]:
    return outcomes(whole)


def mangled(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Other content, and what was done to it. Half of the changes fall into the header and the first blocks."""
    end = len(content) if rng.random() < 0.5 else 32_768
    place = rng.randrange(end)
    way = rng.choice(["flip", "flip", "zeros", "noise", "cut", "insert", "drop", "append"])
    changed = bytearray(content)
    length = rng.choice([1, 8, 512, 4096, 65_536])
    if way == "flip":
        changed[place] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del changed[place:]
    elif way == "drop":
        del changed[place : place + length]
    elif way == "insert":
        changed[place:place] = rng.randbytes(length)
    elif way == "append":
        changed += rng.randbytes(length)
    else:
        covered = len(changed[place : place + length])
        changed[place : place + length] = bytes(covered) if way == "zeros" else rng.randbytes(covered)
    return bytes(changed), f"{way} {length} at {place}"


@pytest.mark.parametrize("case", range(CASES))
def test_a_mangled_file_is_refused_or_answers_right(
    whole: Path, right: dict[str, tuple[str, str]], tmp_path: Path, case: int
) -> None:
    path = tmp_path / "a.duckdb"
    content, done = mangled(whole.read_bytes(), generator(f"mangled_files/{case}"))
    path.write_bytes(content)
    found = outcomes_apart(path)
    assert not isinstance(found, int), f"{done}: ended by signal {found}"
    assert foreign(found) == [], done
    different = [name for name, outcome in found.items() if outcome[0] == ANSWERED and outcome != right[name]]
    assert different == [], done
    if found != right:
        refusals = [text for name, (kind, text) in found.items() if (kind, text) != right.get(name)]
        assert all("AtlasFileError" in text or "open" in found for text in refusals), (done, refusals)


@pytest.mark.parametrize("case", range(COMMANDS))
def test_every_command_says_so_in_one_line(
    whole: Path, tmp_path: Path, case: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.duckdb"
    # A bit in every block: whatever a command reads is damaged, and so is what verify reads.
    content = bytearray(whole.read_bytes())
    for start in range(3 * 4096, len(content) - 4096, 65_536):
        content[start + generator(f"every_block/{case}/{start}").randrange(64, 4096)] ^= 1
    path.write_bytes(content)
    for command in (
        ["info"],
        ["concepts"],
        ["token", "dog"],
        ["concept", "sports"],
        ["neuron", "L1N7"],
        ["layer", "1"],
        ["nearest", "L1N7"],
        ["sql", "SELECT * FROM token_decoding"],
        ["spec", "--concept", "sports"],
    ):
        refused_in_one_line([*command, "-a", str(path)], capfd)
    refused_in_one_line(["verify", str(path)], capfd)
    refused_in_one_line(["compare", str(path), str(whole)], capfd)
    refused_in_one_line(["compare", str(whole), str(path)], capfd)


def refused_in_one_line(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    code = main(command)
    err = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert (code, [line.partition(":")[0] for line in err]) == (3, ["error", "hint"]), (command, err)


def test_evaluations_of_a_mangled_sidecar(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, sidecar = tmp_path / "a.duckdb", tmp_path / "a.evaluations.duckdb"
    path.write_bytes(whole.read_bytes())
    for cut in (0, 100, 5000, 20_000, len(whole.read_bytes()) // 2):
        sidecar.write_bytes(whole.read_bytes()[:cut])
        refused_in_one_line(["evaluations", "-a", str(path)], capfd)
    sidecar.write_bytes(whole.read_bytes())  # a database, but of something else
    refused_in_one_line(["evaluations", "-a", str(path)], capfd)


def test_a_cut_file_is_refused_by_verify(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    content = whole.read_bytes()
    rng = generator("cut_files")
    for _ in range(count(3, 30)):
        path.write_bytes(content[: rng.randrange(len(content))])
        with pytest.raises(AtlasFileError):
            assert BROKEN in {check.result for check in verify(path)}
            raise AtlasFileError("named by a check")


def test_the_process_of_a_command_ends_with_3(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(whole.read_bytes()[:100_000])
    ran = subprocess.run([sys.executable, "-m", "atlas", "info", "-a", str(path)], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("error: ") and len(ran.stderr.splitlines()) == 2
