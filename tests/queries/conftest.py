"""The small atlas, open, with intervals and without; both have gradients, so that every rule ranks."""

from __future__ import annotations

import pytest

from atlas.store.reader import open_atlas
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="package")
def small(tmp_path_factory):
    with open_atlas(write_small_atlas(tmp_path_factory.mktemp("queries") / "small.duckdb", gradients=True)) as atlas:
        yield atlas


@pytest.fixture(scope="package")
def without(tmp_path_factory):
    """The same without intervals."""
    path = write_small_atlas(tmp_path_factory.mktemp("queries") / "without.duckdb", intervals=False, gradients=True)
    with open_atlas(path) as atlas:
        yield atlas
