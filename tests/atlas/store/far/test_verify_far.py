"""`verify` of a published folder: every byte of every file is looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from atlas.errors import AtlasFileError, UsageError
from builders.sharing.publish import PublishRequest, publish_atlas
from queries.verify import broken_check, verify
from tests.atlas_factory import write_small_atlas
from tests.range_server import range_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("verified")
    write_small_atlas(made / "small.duckdb", intervals=False)
    publish_atlas(PublishRequest(made / "small.duckdb", str(made / "published")))
    return made


def test_a_whole_folder_here_and_at_a_url(folder: Path) -> None:
    with range_server(folder) as server:
        far = verify(f"{server.url}/published")
        with pytest.raises(UsageError, match="not on this machine"):
            verify(f"{server.url}/small.duckdb")
        with pytest.raises(AtlasFileError, match="there is no"):
            verify(f"{server.url}/nowhere")
    near = verify(folder / "published")
    assert far.rows == near.rows and broken_check(far) is None
    checked = {row[0] for row in far.rows}
    files = [path for path in (folder / "published").rglob("*.parquet")]
    assert checked == {"manifest", *(str(path.relative_to(folder / "published")) for path in files)}


@pytest.mark.parametrize("damage", ["a byte", "the end", "gone"])
def test_one_damaged_file_is_named(folder: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(folder / "published", tmp_path / "published")
    [file] = (tmp_path / "published" / "tables").glob("fit-*.parquet")
    content = file.read_bytes()
    file.write_bytes(content[:-1] if damage == "the end" else content[:50] + b"?" + content[51:])
    if damage == "gone":
        file.unlink()
    found = verify(tmp_path / "published")
    assert [row[0] for row in found.rows if row[1] != "ok"] == [f"tables/{file.name}"]
