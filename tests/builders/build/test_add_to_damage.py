"""Adding to a damaged atlas would publish the damage anew, with digests that call it right."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasFileError
from builders.build.target import base_of
from builders.config import BuildConfig
from tests.atlas_factory import write_small_atlas


def test_a_damaged_atlas_is_not_added_to(tmp_path: Path) -> None:
    path = write_small_atlas(tmp_path / "a.duckdb")
    config = BuildConfig(model="none", target=path, top=6)
    assert base_of(config, "add").model_id == "small-synthetic"
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE _gaussian SET mean = mean + 1e-6 * std WHERE neuron = 3")
    with pytest.raises(AtlasFileError, match="_gaussian: digests"):
        base_of(config, "add")
