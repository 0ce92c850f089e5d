"""The small atlas, open."""

from __future__ import annotations

import pytest

from atlas.store.reader import open_atlas
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="package")
def small(tmp_path_factory):
    with open_atlas(write_small_atlas(tmp_path_factory.mktemp("queries") / "small.duckdb")) as atlas:
        yield atlas
