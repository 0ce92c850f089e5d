"""Published to, asked in and pulled from a bucket of a local server that speaks as S3 does.

moto and s3fs are needed by no other test: to run these, `pip install --target FOLDER -c constraints.txt 's3fs'
'moto[server,s3]'`, then `PYTHONPATH=FOLDER pytest tests/builders/sharing/test_s3.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import AtlasError, AtlasFileError, BuildError
from atlas.store.far import transport
from atlas.store.reader import open_atlas
from builders.sharing.publish import PublishRequest, publish_atlas
from builders.sharing.pull import PullRequest, pull
from queries.card import neuron_card
from queries.neurons import neurons_for_concept
from tests.end_to_end.workbench import all_rows
from tests.s3_server import serving

pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
pytest.importorskip("moto.server", reason="moto, a local server of S3, is not installed")

BUCKET = "s3://atlases"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A server with one empty bucket, which s3fs finds by the variables that AWS's own tools read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(transport, "_AGAIN_S", 0.0)
    with serving(monkeypatch, "atlases") as server:
        yield server


def card_of(place: Path | str) -> Any:
    with open_atlas(place) as atlas:
        found = neuron_card(atlas, "L1N7")
        ranking = neurons_for_concept(atlas, "sports")
    sections = {name: part.rows for name, part in found.sections.items() if name != "rows"}
    return sections, ranking.rows


def put(source: Path, name: str) -> None:
    import s3fs

    s3fs.S3FileSystem().put_file(str(source), f"atlases/{name}")


@pytest.mark.usefixtures("server")
def test_published_asked_and_pulled(small: Path, tmp_path: Path) -> None:
    first = publish_atlas(PublishRequest(small, f"{BUCKET}/small", with_texts=True))
    again = publish_atlas(PublishRequest(small, f"{BUCKET}/small", with_texts=True))
    assert first.rows == again.rows  # what was there is the same
    assert card_of(f"{BUCKET}/small") == card_of(small)
    pull(PullRequest(f"{BUCKET}/small", tmp_path / "pulled.duckdb"))
    assert all_rows(tmp_path / "pulled.duckdb") == all_rows(small)


@pytest.mark.usefixtures("server")
def test_a_plain_file_is_asked_and_one_that_is_replaced_is_an_error(small: Path, published: Path) -> None:
    put(small, "small.duckdb")
    assert card_of(f"{BUCKET}/small.duckdb") == card_of(small)
    reader = transport.transport_of(BUCKET)
    content, version = reader.fetch("small.duckdb", 0, 100, None)
    assert (content, version.size) == (small.read_bytes()[:100], small.stat().st_size)
    put(published / "README.md", "small.duckdb")
    with pytest.raises(AtlasFileError, match=f"{BUCKET}/small.duckdb has been replaced since it was opened"):
        reader.fetch("small.duckdb", 0, 100, version)


def test_what_fails_says_so_in_one_line(server: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (
        lambda: card_of("s3://nowhere/small"),
        lambda: card_of(f"{BUCKET}/nothing"),
        lambda: card_of(f"{BUCKET}/nothing.duckdb"),
        lambda: publish_atlas(PublishRequest(small, "s3://nowhere/small", with_texts=True)),
    ):
        with pytest.raises((AtlasFileError, BuildError), match="s3://") as failed:
            ask()
        assert "\n" not in str(failed.value)


def test_a_server_that_ends_in_the_middle(server: Any, small: Path) -> None:
    publish_atlas(PublishRequest(small, f"{BUCKET}/small", with_texts=True))
    with open_atlas(f"{BUCKET}/small") as atlas:
        server.stop()
        with pytest.raises(AtlasError, match="cannot read s3://atlases/small/") as failed:
            neuron_card(atlas, "L1N7")
        assert "\n" not in str(failed.value)
