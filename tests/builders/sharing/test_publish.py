"""What is published: rows, hashes, what is left out, and what a publishing does to a place that is not empty."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from atlas.__main__ import main
from atlas.errors import BuildError, UsageError
from atlas.schema.published import card_columns, card_tables, published_name, published_tables, selected
from atlas.store.reader import open_atlas
from builders.sharing import destination
from builders.sharing.publish import PublishRequest, publish_atlas
from tests.atlas_factory import write_small_atlas
from tests.builders.sharing.conftest import REVISION

TEXT = "secret"


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_every_file_is_as_the_manifest_says_and_there_is_no_other(published: Path) -> None:
    manifest = manifest_of(published)
    for file in manifest["files"]:
        content = (published / file["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert len(content) == file["bytes"]
        assert pq.ParquetFile(published / file["path"]).metadata.num_rows == file["rows"]
    there = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}
    assert there == {file["path"] for file in manifest["files"]} | {"manifest.json", "README.md"}


def test_it_says_which_revision_of_the_model_it_is_of(published: Path) -> None:
    assert manifest_of(published)["atlas"]["revision"] == REVISION
    assert f"| revision of the model | {REVISION} |" in (published / "README.md").read_text()
    with open_atlas(published) as atlas:
        assert atlas.manifest.revision == REVISION


@pytest.mark.parametrize("table", [table for table in published_tables() if table.name not in ("atlas", "run")])
def test_rows_of_a_table_are_those_of_the_atlas(table, small: Path, published: Path) -> None:
    found = manifest_of(published)["tables"][published_name(table.name)]
    files = [str(published / file) for file in found["files"]]
    columns = ", ".join(selected(column) for column in table.columns)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{small}' AS a (READ_ONLY); USE a")
        ours, theirs = f"SELECT {columns} FROM {table.name}", f"SELECT * FROM read_parquet({files})"
        for one, other in ((ours, theirs), (theirs, ours)):
            assert connection.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchone() == (0,)
        assert connection.execute(f"SELECT count(*) FROM {table.name}").fetchone() == (found["rows"],)


def test_cards_hold_the_rows_of_every_neuron(small: Path, published: Path) -> None:
    tables = card_tables(published_tables())
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{small}' AS a (READ_ONLY); USE a")
        cards = f"'{published}/cards/*.parquet'"
        order = connection.execute(f"SELECT layer, neuron FROM {cards}").fetchall()
        assert order == sorted(order) and len(set(order)) == len(order)
        named = [row[0] for row in connection.execute(f"DESCRIBE FROM {cards}").fetchall()]
        compared = 0
        for table in tables:
            name = published_name(table.name)
            rows = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()
            assert (name in named) == (rows != (0,))  # a column of empty lists would only make the files larger
            if name not in named:
                continue
            columns = ", ".join(selected(column) for column in card_columns(table))
            fields = ", ".join(f'r."{column.name}"' for column in card_columns(table))
            ours = f"SELECT layer, neuron, {columns} FROM {table.name}"
            theirs = f'SELECT layer, neuron, {fields} FROM (SELECT layer, neuron, unnest("{name}") AS r FROM {cards})'
            for one, other in ((ours, theirs), (theirs, ours)):
                assert connection.execute(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchone() == (0,)
            compared += 1
        assert compared >= 10


def test_row_groups_of_cards_are_small(tmp_path: Path, published: Path) -> None:
    for path in published.glob("cards/*"):
        metadata = pq.ParquetFile(path).metadata
        assert max(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)) <= 64


def test_texts_and_folders_of_this_machine_are_left_out(tmp_path: Path) -> None:
    atlas = write_small_atlas(tmp_path / "a.duckdb", texts=True, model_path=f"/home/{TEXT}/m", model_beside=TEXT)
    with duckdb.connect(str(atlas)) as connection:
        connection.execute("UPDATE run SET parameters = ?", [json.dumps({"source": f"/home/{TEXT}/topics.jsonl"})])
    publish_atlas(PublishRequest(atlas, str(tmp_path / "out")))
    manifest = manifest_of(tmp_path / "out")
    assert not manifest["texts"] and "_text.tokens" in manifest["altered"]
    with duckdb.connect() as connection:
        texts = connection.execute(
            f"SELECT count(*), count(tokens) FROM '{tmp_path}/out/tables/text-*.parquet'"
        ).fetchone()
        assert texts[0] > 0 and texts[1] == 0
        assert connection.execute(f"SELECT words FROM '{tmp_path}/out/tables/text_set-*.parquet'").fetchone() == (
            False,
        )
        assert connection.execute(f"SELECT count(*) FROM '{tmp_path}/out/tables/token_count-*.parquet'").fetchone() == (
            0,
        )
        said = connection.execute(f"SELECT DISTINCT parameters FROM '{tmp_path}/out/tables/run-*.parquet'").fetchall()
        assert said == [('{"source": "topics.jsonl"}',)]
        row = connection.execute(
            f"SELECT model_path, model_beside FROM '{tmp_path}/out/tables/atlas-*.parquet'"
        ).fetchone()
        assert row == (None, None)
    assert TEXT not in (tmp_path / "out" / "manifest.json").read_text()


def test_a_publishing_that_was_killed_goes_on(small: Path, published: Path, tmp_path: Path, monkeypatch) -> None:
    put = destination.Folder._put
    calls: list[str] = []

    def counted(self, source: Path, name: str) -> None:
        calls.append(name)
        if stop and len(calls) > stop:
            raise KeyboardInterrupt
        put(self, source, name)

    monkeypatch.setattr(destination.Folder, "_put", counted)
    request = PublishRequest(small, str(tmp_path / "out"), with_texts=True)
    stop = 10
    with pytest.raises(KeyboardInterrupt):
        publish_atlas(request)
    assert not (tmp_path / "out" / "manifest.json").exists()
    stop, first = 0, set(calls[:10])
    damaged = tmp_path / "out" / sorted(first)[0]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    calls.clear()
    publish_atlas(request)
    assert not (first - {str(damaged.relative_to(tmp_path / "out"))}) & set(calls)
    assert manifest_of(tmp_path / "out")["files"] == manifest_of(published)["files"]
    assert hashlib.sha256(damaged.read_bytes()).hexdigest()[:16] in damaged.name


def test_another_atlas_takes_the_place_of_the_first(published: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(published, tmp_path / "out")
    other = write_small_atlas(tmp_path / "other.duckdb", seed=1)
    publish_atlas(PublishRequest(other, str(folder)))
    manifest = manifest_of(folder)
    assert manifest["atlas"]["atlas_id"] != manifest_of(published)["atlas"]["atlas_id"]
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}
    assert there == {file["path"] for file in manifest["files"]}


def test_a_place_of_something_else_is_left_alone(small: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="letter"):
        publish_atlas(PublishRequest(small, str(tmp_path)))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="not ours"):
        publish_atlas(PublishRequest(small, str(tmp_path / "two")))
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["manifest.json"]


def test_what_fsspec_reaches_gets_the_same_files(small: Path, published: Path) -> None:
    import fsspec

    publish_atlas(PublishRequest(small, "memory://bucket/atlas", with_texts=True))
    files = fsspec.filesystem("memory")
    for file in manifest_of(published)["files"]:
        assert files.cat_file(f"/bucket/atlas/{file['path']}") == (published / file["path"]).read_bytes()
    files.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("dest", "words"),
    [("https://example.org/x", "not written"), ("hf://datasets/only", "data set"), ("nosuch://x/y", "nosuch")],
)
def test_places_that_nothing_is_published_to(dest: str, words: str, small: Path) -> None:
    with pytest.raises((UsageError, BuildError), match=words):
        publish_atlas(PublishRequest(small, dest))


def test_command_warns_of_texts_and_names_their_licence(small: Path, tmp_path: Path, capsys) -> None:
    arguments = ["publish", str(small), str(tmp_path / "out"), "--with-texts"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out'}\n"
    source = next(each["name"] for each in manifest_of(tmp_path / "out")["corpora"] if each["kind"] == "running text")
    assert f"{source} (unknown)" in said.err
    assert main([*arguments, "--licence", f"{source}=MIT", "--licence", "CC-BY-4.0"]) == 0
    assert f"{source} (MIT)" in capsys.readouterr().err
    assert 'license: "CC-BY-4.0"' in (tmp_path / "out" / "README.md").read_text()
    assert main([*arguments, "--licence", "nosuch=MIT"]) == 2
