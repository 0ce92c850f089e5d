"""Streams that lead nowhere: no answer is lost for a note, nothing waits, nothing is called a fault of the program."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import queries.info
from atlas.__main__ import main
from atlas.errors import EXIT_QUESTION, EXIT_USAGE, AtlasFileError, UsageError
from atlas.store.evaluations import append_evaluations, sidecar_of
from builders.export.place import free_place
from tests.architecture.imports import ROOT
from tests.atlas.spec.documents import valid
from tests.atlas_factory import write_small_atlas
from tests.builders.evaluation.test_sidecar import rows
from tests.hostile.counts import count
from tests.hostile.terminal import HOSTILE, assert_harmless, on_terminal

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
SPEAKING = ["--help", "--version", "token --help", "completion bash", "export --list", "concepts -a SMALL", "build -h"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("streams") / "small.duckdb")


def run(line: str, small: Path, **streams: object) -> subprocess.CompletedProcess:
    words = [str(small) if word == "SMALL" else word for word in line.split()]
    return subprocess.run([sys.executable, "-m", "atlas", *words], cwd=ROOT, text=True, timeout=60, **streams)


@needs_full
@pytest.mark.parametrize("line", SPEAKING[: count(3, len(SPEAKING))])
def test_a_full_stdout_is_one_line_and_no_fault_of_the_program(line: str, small: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run(line, small, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == EXIT_QUESTION
    assert [text.partition(":")[0] for text in done.stderr.splitlines()] == ["error", "hint"], done.stderr
    assert "No space left" in done.stderr and "unexpected" not in done.stderr


@needs_full
def test_notes_that_nobody_can_hear_do_not_cost_the_answer(small: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run(f"concept sports -a SMALL -o {tmp_path}/x.csv", small, stderr=full)
        assert done.returncode == 0 and (tmp_path / "x.csv").read_text().count("\n") > 1
        assert run("concept nothing -a SMALL", small, stderr=full).returncode == EXIT_QUESTION


def test_no_room_for_evaluations_says_so_and_keeps_what_was_there(small: Path) -> None:
    sidecar = sidecar_of(small)
    append_evaluations(sidecar, rows("one"))
    before = sidecar.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 4096, limits[1]))
    try:
        with pytest.raises(AtlasFileError, match=r"cannot write .*: File too large"):
            append_evaluations(sidecar, rows("two", "h2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sidecar.read_bytes() == before and sorted(small.parent.iterdir()) == sorted([small, sidecar])


class LibraryError(Exception):
    """As safetensors, tokenizers or DuckDB raise for what the operating system said to them."""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_in_the_words_of_a_library_is_one_line(tmp_path: Path, number: int) -> None:
    said = f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})"
    with pytest.raises(UsageError, match=os.strerror(number)) as caught, free_place(tmp_path / "x.gguf") as place:
        place.write_text("half of it")
        raise LibraryError(said)
    assert "Make room" in caught.value.hint and list(tmp_path.iterdir()) == []
    with pytest.raises(LibraryError), free_place(tmp_path / "x.gguf"):
        raise LibraryError("another thing")


def test_a_check_is_kept_in_a_regular_file_only(tmp_path: Path, capsys) -> None:
    """Written through, it would wait for a reader for ever, after minutes of work, and be gone then."""
    os.mkfifo(tmp_path / "fifo")
    for spec in (tmp_path / "fifo", "/dev/stdin", "/dev/null"):
        assert main(["run", str(spec), "--prompt", "x", "--write-check"]) == EXIT_USAGE
        assert "no regular file" in capsys.readouterr().err
    (tmp_path / "a.spec.json").write_text(json.dumps(valid()))
    before = (tmp_path / "a.spec.json").read_bytes()
    assert main(["run", f"{tmp_path}/a.spec.json", "--prompt", "x", "--write-check", "--model", f"{tmp_path}/no"]) == 5
    assert (tmp_path / "a.spec.json").read_bytes() == before


def test_a_traceback_that_was_asked_for_is_shown_escaped(small: Path, monkeypatch) -> None:
    def fails(atlas: object) -> None:
        raise ZeroDivisionError(HOSTILE)

    monkeypatch.setattr(queries.info, "info", fails)
    monkeypatch.setenv("NEURON_ATLAS_TRACEBACK", "1")
    code, text = on_terminal("info", "-a", str(small))
    assert code == EXIT_QUESTION and "Traceback" in text and "in fails" in text
    assert_harmless(text.replace("error: forged", ""))  # a text of several lines is shown as it is
