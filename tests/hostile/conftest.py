"""No attack leaves anything outside its temporary folder: asked after each, without exceptions."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.imports import ROOT
from tests.hostile.writes import files_of, writes_outside


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of all that these tests write; caches, temporary files and the home of this user are in it as well."""
    own = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(own))
        patch.setattr(tempfile, "tempdir", str(own))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        patch.setattr(sys, "dont_write_bytecode", True)
        yield tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module", autouse=True)
def _the_tree_stays_as_it_is(temporary: Path) -> Iterator[None]:
    before = set(files_of(ROOT))  # names alone: somebody may be at work on the files
    yield
    assert set(files_of(ROOT)) == before


@pytest.fixture(autouse=True)
def _nothing_is_written_elsewhere(temporary: Path) -> Iterator[None]:
    with writes_outside(temporary) as found:
        yield
        outside = list(found)
    assert outside == []
