"""One atlas for all attacks; when they are over, nothing may have changed or appeared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="package")
def atlas_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sandboxed")
    path = write_small_atlas(folder / "small.duckdb")
    before = (sorted(folder.rglob("*")), hashlib.sha256(path.read_bytes()).hexdigest())
    yield path
    after = (sorted(folder.rglob("*")), hashlib.sha256(path.read_bytes()).hexdigest())
    assert after == before
