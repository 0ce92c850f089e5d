from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.store.reader import Atlas, open_atlas
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="session")
def atlas_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("spec") / "small.duckdb", gradients=True)


@pytest.fixture(scope="session")
def atlas(atlas_path: Path) -> Iterator[Atlas]:
    with open_atlas(atlas_path) as opened:
        yield opened
