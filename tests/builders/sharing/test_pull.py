"""What was published comes back, row by row; and what a stranger's folder can do instead."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest

from atlas.__main__ import main
from atlas.errors import AtlasError, AtlasFileError, BuildError, UnknownNameError, UsageError
from atlas.store.far.transport import HttpTransport
from atlas.store.reader import open_atlas
from builders.sharing import catalogue, download
from builders.sharing.pull import PullRequest, pull


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves a folder by ranges; `served` counts, and from `cut` on answers break off in the middle."""

    served: ClassVar[list[str]] = []
    cut: ClassVar[int | None] = None

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        part = content[int(start) : int(end) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        self.end_headers()
        self.served.append(self.path)
        if self.cut is not None and len(self.served) > self.cut:
            part = part[: len(part) // 2]
            self.close_connection = True
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(published: Path, tmp_path: Path) -> Iterator[tuple[str, type[Ranges], Path]]:
    """(URL, handler, folder) of a web server with a copy of the published folder."""
    folder = shutil.copytree(published, tmp_path / "served")
    handler = type("Handler", (Ranges,), {"served": [], "cut": None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler, folder
    server.shutdown()
    server.server_close()


def differences(one: Path, other: Path, where: str = "") -> dict[str, int]:
    """Table -> rows that only one of two atlases has."""
    found = {}
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{one}' AS a (READ_ONLY); ATTACH '{other}' AS b (READ_ONLY)")
        names = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'a' AND table_name <> '_digest'"
        for (name,) in connection.execute(names).fetchall():
            sides = (("a", "b"), ("b", "a"))
            sql = "SELECT count(*) FROM (FROM {}.{} EXCEPT ALL FROM {}.{})"
            rows = sum(connection.execute(sql.format(x, name, y, name)).fetchall()[0][0] for x, y in sides)
            if rows:
                found[name] = rows
    return found


def digests(path: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("SELECT * FROM _digest ORDER BY ALL").fetchall()


def test_over_http_every_row_comes_back_and_the_digests_are_equal(served, small: Path, tmp_path: Path) -> None:
    url, _, _ = served
    target = tmp_path / "pulled.duckdb"
    row = dict(zip(*(lambda made: (made.columns, made.rows[0]))(pull(PullRequest(url, target))), strict=True))
    assert differences(small, target) == {}
    assert digests(small) == digests(target)
    assert not row["partial"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pulled.duckdb", "served"]
    with open_atlas(target) as atlas, open_atlas(small) as original:
        assert atlas.manifest == original.manifest


def test_some_layers(published: Path, small: Path, tmp_path: Path) -> None:
    target = tmp_path / "pulled.duckdb"
    pull(PullRequest(str(published), target, layers=(1,)))
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{small}' AS a (READ_ONLY); ATTACH '{target}' AS b (READ_ONLY)")
        for name in ("_decoding", "_gaussian", "_interval", "_exemplar", "_weight_fact", "_significance"):
            columns = "*" if name != "_significance" else "fit_id, layer, concept_id, neuron"  # q is among the neurons
            one, other = f"SELECT {columns} FROM a.{name} WHERE layer = 1", f"SELECT {columns} FROM b.{name}"
            for x, y in ((one, other), (other, one)):
                assert connection.execute(f"SELECT count(*) FROM ({x} EXCEPT ALL {y})").fetchall() == [(0,)], name
    with open_atlas(target) as atlas:
        said = atlas.query("SELECT parameters FROM run WHERE builder = 'pull'")[1]
        assert json.loads(said[0][0])["partial"] and json.loads(said[0][0])["layers"] == [1]
        assert atlas.manifest.atlas_id != open_atlas(small).manifest.atlas_id


def test_some_tables(published: Path, small: Path, tmp_path: Path) -> None:
    target = tmp_path / "pulled.duckdb"
    pull(PullRequest(str(published), target, tables=("decoding",)))
    with open_atlas(target) as atlas, open_atlas(small) as original:
        for name in ("_decoding", "_posting", "vocab"):
            count = f"SELECT count(*) FROM {name}"
            assert atlas.query(count)[1] == original.query(count)[1] != [(0,)]
        assert atlas.query("SELECT count(*) FROM _gaussian")[1] == [(0,)]
    assert differences(small, target).keys() >= {"_gaussian", "fit"}


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        ({"tables": ("nosuch",)}, UnknownNameError),
        ({"layers": (99,)}, UsageError),
        ({"target": Path("/nosuch/x.duckdb")}, UsageError),
        ({"source": "nosuch"}, UnknownNameError),
        ({"source": "nosuch://x"}, AtlasError),
    ],
)
def test_what_cannot_be_pulled(choice, error, published: Path, tmp_path: Path) -> None:
    request = PullRequest(str(published), tmp_path / "pulled.duckdb")._replace(**choice)
    with pytest.raises(error):
        pull(request)
    assert list(tmp_path.iterdir()) == []


def test_an_atlas_is_replaced_only_when_asked_and_a_file_of_something_else_never(
    published: Path, tmp_path: Path
) -> None:
    target = tmp_path / "x.duckdb"
    target.write_text("mine")
    for replace, words in ((False, "exists"), (True, "no atlas")):
        with pytest.raises(UsageError, match=words):
            pull(PullRequest(str(published), target, replace=replace))
    assert target.read_text() == "mine"


def test_a_pull_that_was_cut_off_goes_on(served, small: Path, tmp_path: Path, monkeypatch) -> None:
    url, handler, _ = served
    monkeypatch.setattr("atlas.store.far.transport._AGAIN_S", 0.0)
    target = tmp_path / "pulled.duckdb"
    handler.cut = 12
    with pytest.raises(AtlasFileError, match="cannot read"):
        pull(PullRequest(url, target))
    assert not target.exists()
    kept = set(handler.served[1:9])
    handler.cut = None
    handler.served.clear()
    pull(PullRequest(url, target))
    assert differences(small, target) == {}
    assert not kept & set(handler.served)


def test_part_of_a_file_is_not_brought_again(published: Path, tmp_path: Path) -> None:
    from atlas.store.far.publication import read_publication
    from atlas.store.far.transport import FsspecTransport

    url = f"file://{published}"
    file = max(read_publication(url).files.values(), key=lambda file: file.bytes)
    content = (published / file.path).read_bytes()
    (tmp_path / f"{file.path.replace('/', '_')}.part").write_bytes(content[:1000])
    asked: list[int] = []

    class Counted(FsspecTransport):
        def fetch(self, name: str, start: int, end: int, version: Any) -> Any:
            asked.append(start)
            return super().fetch(name, start, end, version)

    found = download.download(Counted(url), [file], tmp_path, lambda text: None)
    assert asked[0] == 1000 and found[file.path].read_bytes() == content


def test_a_damaged_file_is_refused(served, tmp_path: Path) -> None:
    url, _, folder = served
    path = next(folder.glob("tables/gaussian-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(AtlasFileError, match="another sha256"):
        pull(PullRequest(url, tmp_path / "pulled.duckdb"))
    assert not (tmp_path / "pulled.duckdb").exists()


def test_a_file_that_is_replaced_meanwhile_is_an_error(served, monkeypatch, tmp_path: Path) -> None:
    url, _, folder = served
    transport = HttpTransport(url)
    name = str(next(folder.glob("tables/gaussian-*")).relative_to(folder))
    _, version = transport.fetch(name, 0, 100, None)
    (folder / name).write_bytes(b"another one" * 1000)
    with pytest.raises(AtlasFileError, match="has been replaced"):
        transport.fetch(name, 100, 200, version)
    (folder / name).unlink()
    with pytest.raises(AtlasFileError, match="has been replaced"):
        transport.fetch(name, 100, 200, version)


def _change(path: list[Any], value: Any):
    def change(manifest: dict) -> None:
        place: Any = manifest
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


HOSTILE = {
    "a path out of the folder": _change(["files", 0, "path"], "tables/../../x.parquet"),
    "an absolute path": _change(["files", 0, "path"], "/etc/passwd"),
    "a URL": _change(["files", 0, "path"], "http://example.org/x"),
    "another hash": _change(["files", 0, "sha256"], "0" * 64),
    "no hash": _change(["files", 0, "sha256"], None),
    "a huge file": _change(["files", 0, "bytes"], 2**60),
    "negative bytes": _change(["files", 0, "bytes"], -1),
    "bytes that are true": _change(["files", 0, "bytes"], True),
    "a fraction of a row": _change(["files", 0, "rows"], 1.5),
    "rows beyond its files": _change(["tables", "vocab", "rows"], 10**9),
    "an unknown table": _change(["tables", "nosuch"], {}),
    "an unknown column": _change(["tables", "vocab", "columns", "x"], "int32"),
    "a column of another type": _change(["tables", "vocab", "columns", "token"], "int32"),
    "layers beyond the model": _change(["tables", "gaussian", "layers", ""], [10**6]),
    "files that are a text": _change(["files"], "x"),
    "a model of no layers": _change(["atlas", "n_layers"], 0),
    "lists of a billion tokens": _change(["atlas", "top"], 10**9),
    "a model without end": _change(["atlas", "d_mlp"], 2**30),
    "a later format": _change(["format_version"], 99),
    "another format": _change(["format"], "x"),
    "a later schema": _change(["atlas", "schema_version"], 99),
    "a large table that is called small": _change(["small"], ["gaussian"]),
    "no file of the model": _change(["model_file"], "model-0000000000000000.parquet"),
    "digests that are texts": _change(["digests"], {"vocab": {"token": "x"}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_manifest_is_refused_in_one_line(name: str, published: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    manifest = json.loads((published / "manifest.json").read_text())
    HOSTILE[name](manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert main(["pull", str(folder), "-o", str(tmp_path / "x.duckdb")]) == 3
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: the manifest of ") and len(said.err.splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["hostile"]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b"[]"])
def test_what_is_no_manifest(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "manifest.json").write_bytes(content)
    with pytest.raises(AtlasFileError, match="does not fit"):
        pull(PullRequest(str(tmp_path / "folder"), tmp_path / "x.duckdb"))


def test_rows_that_break_a_promise_make_no_file(published: Path, tmp_path: Path) -> None:
    """Files and manifest agree, and still the rows are no atlas: what every build checks is checked here."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = shutil.copytree(published, tmp_path / "folder")
    manifest = json.loads((folder / "manifest.json").read_text())
    old = manifest["tables"]["concept"]["files"][0]
    rows = pq.read_table(folder / old)
    rows = rows.set_column(rows.column_names.index("n_examples"), "n_examples", pa.array([-1] * len(rows), pa.int32()))
    pq.write_table(rows, folder / "new")
    sha256 = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    new = f"tables/concept-{sha256[:16]}.parquet"
    file = next(file for file in manifest["files"] if file["path"] == old)
    file.update(path=new, sha256=sha256, bytes=(folder / "new").stat().st_size)
    (folder / "new").rename(folder / new)
    manifest["tables"]["concept"]["files"] = [new]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BuildError, match="concepts have examples"):
        pull(PullRequest(str(folder), tmp_path / "x.duckdb"))
    assert not (tmp_path / "x.duckdb").exists()


def test_a_name_of_the_catalogue(published: Path, small: Path, tmp_path: Path, monkeypatch) -> None:
    catalogue.known_atlases()  # the table that is shipped can be read
    atlas_id = json.loads((published / "manifest.json").read_text())["atlas"]["atlas_id"]
    rows = {
        name: catalogue.KnownAtlas(name, f"file://{published}", known, "MIT", "")
        for name, known in (("small", atlas_id), ("other", "0" * 31 + "9"))
    }
    monkeypatch.setattr(catalogue, "known_atlases", lambda: rows)
    pull(PullRequest("small", tmp_path / "x.duckdb"))
    assert differences(small, tmp_path / "x.duckdb") == {}
    with pytest.raises(AtlasFileError, match="another atlas"):
        pull(PullRequest("other", tmp_path / "y.duckdb"))
