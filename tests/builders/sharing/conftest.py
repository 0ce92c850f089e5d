"""A small atlas, with everything that an atlas can have, and the folder that it is published to."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.sharing.publish import PublishRequest, publish_atlas
from tests.atlas_factory import write_small_atlas

REVISION = "a" * 40


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The atlas."""
    path = tmp_path_factory.mktemp("atlas") / "small.duckdb"
    return write_small_atlas(path, gradients=True, texts=True, revision=REVISION)


@pytest.fixture(scope="session")
def published(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published with its texts; not to be written to."""
    folder = tmp_path_factory.mktemp("published") / "atlas"
    publish_atlas(PublishRequest(small, str(folder), with_texts=True))
    return folder
