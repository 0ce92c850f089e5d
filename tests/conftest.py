"""What holds for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from atlas.manifest import versions
from tests import warm

# What the answers depend on: the core of pyproject.toml, and what the exports are checked with.
LIBRARIES = ("torch", "transformers", "tokenizers", "duckdb", "pyarrow", "numpy", "scipy", "click", "rich")
OPTIONAL = ("gguf", "matplotlib", "datasets", "transformer-lens", "nnsight", "pyvene", "peft", "pytest")

# By default Python looks for cycles after every 700 new objects: among the million of torch, transformers and the tests
# a thirtieth of the whole time.
gc.set_threshold(5_000)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say first what the suite runs with; a header would be left out by -q."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker of pytest-xdist: the process that collects their results says it
        return
    found = versions(*LIBRARIES, *OPTIONAL)
    reporter.write_line(", ".join([found.pop("software"), *(f"{name} {version}" for name, version in found.items())]))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that begins empty, and not the user's.

    The processes of pytest-xdist share it: to parse the packaged model once takes as long as hundreds of tests.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which is new in every run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_process_to_fork() -> Iterator[None]:
    """Workers are forked from the process that tests fork: whichever comes first, it has the same in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builders.workers.local.PRELOADED", warm.PRELOADED)
        yield


@pytest.fixture
def exports_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that runs what `export` has emitted is a fork that has the libraries, and nothing of this project.

    tests/builders/export/test_command.py and tests/packaging/test_wheel.py export in earnest.
    """
    run = lambda command, cwd, **_: warm.run(command[1:], cwd=cwd)  # noqa: E731
    monkeypatch.setattr("builders.export.export.subprocess", SimpleNamespace(run=run))
