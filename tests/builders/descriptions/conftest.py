"""The small atlas with running text, as a source of evidence."""

from __future__ import annotations

import pytest

from atlas.store.reader import open_atlas
from builders.descriptions.evidence import Source
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="package")
def source(tmp_path_factory):
    with open_atlas(write_small_atlas(tmp_path_factory.mktemp("words") / "a.duckdb", texts=True)) as atlas:
        yield Source(atlas)


@pytest.fixture(scope="package")
def wordless(tmp_path_factory):
    """The same where the words of texts are not stored, and there are no intervals."""
    path = write_small_atlas(tmp_path_factory.mktemp("words") / "b.duckdb", texts=True, words=False, intervals=False)
    with open_atlas(path) as atlas:
        yield Source(atlas)
