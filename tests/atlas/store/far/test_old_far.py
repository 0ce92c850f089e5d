"""An atlas that earlier code built, published and from afar: it answers what the file on this machine answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders.sharing.publish import PublishRequest, publish_atlas
from builders.sharing.pull import PullRequest, pull
from tests.atlas.store.test_old_atlases import LACKING, different
from tests.fixtures.old_atlases.make import HERE, answers
from tests.range_server import range_server

OLDEST = max(LACKING, key=lambda name: len(LACKING[name]))
PATHS = (".info.fields.model_path", ".info.fields.model_beside", ".info.sections.runs", ".sql: run[")
"""Where folders of a machine stand, which are not published."""


def test_published_and_from_afar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(HERE / f"{OLDEST}.duckdb", served / "old.duckdb")
    publish_atlas(PublishRequest(served / "old.duckdb", str(served / "published"), with_texts=True))
    due = answers(served / "old.duckdb")
    with range_server(served) as server:
        for end in ("old.duckdb", "published"):
            found = different(due, answers(f"{server.url}/{end}"))
            assert [text for text in found if not text.startswith(PATHS)] == [], end
        pull(PullRequest(f"{server.url}/published", tmp_path / "pulled.duckdb"))
    found = different(due, answers(tmp_path / "pulled.duckdb"))
    assert [text for text in found if not text.startswith((*PATHS, ".info.fields.atlas_id"))] == []
