"""The small atlas and a command line that runs in this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from atlas.__main__ import main
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="package")
def small_path(tmp_path_factory):
    return write_small_atlas(tmp_path_factory.mktemp("cli") / "small.duckdb")


@dataclass(frozen=True)
class Ran:
    """What one command line did: exit code, bytes on stdout, text on stderr."""

    code: int
    stdout: bytes
    stderr: str


@pytest.fixture
def run(capfdbinary, monkeypatch):
    """run("token", "dog", ...) -> Ran. The environment names no atlas."""
    monkeypatch.delenv("NEURON_ATLAS", raising=False)

    def call(*arguments: object) -> Ran:
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return Ran(code, captured.out, captured.err.decode())

    return call
