"""A file from before a change of the schema is asked like one of today. The change is invented, the files are old."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from atlas.errors import AtlasFileError
from atlas.schema import statements
from atlas.schema.table import FIT, Column, Table
from atlas.schema.tables import TABLES
from atlas.store import atlas_row, definitions, overlay, reader, seen, verify
from atlas.store.lacking import Lacking, as_words, from_words
from atlas.store.objects import absent_columns, columns_of
from atlas.store.reader import open_atlas
from builders.config import BuildConfig, ConceptSource
from queries.sandbox import child as sandbox_child
from tests.atlas.store.test_old_atlases import NAMES, as_read, different, forget_what_came, recorded
from tests.atlas_factory import publish_small_atlas
from tests.fixtures.old_atlases.make import CORPORA, HERE, MODEL, answers, module

STRETCH = Table(
    "_stretch",
    FIT,
    (
        *(Column(name, "INTEGER") for name in ("fit_id", "concept_id", "layer", "neuron")),
        Column("low", "FLOAT"),
        Column("shape", "ENUM('left', 'right')", null=True),
    ),
    key=("fit_id", "layer", "concept_id", "neuron"),
    later=True,
    view="concept_gaussian",
)
# Macros that come and change; below also a nullable column at the end and one in the middle, and a macro that goes.
CHANGES = (
    ("AS 'L' || layer || 'N' || neuron;", "AS concat('L', layer, 'N', neuron);"),
    ("CREATE VIEW token_decoding", "CREATE MACRO doubled(x) AS 2 * x;\nCREATE VIEW token_decoding"),
    ("AS auc, dprime, overlap\n           {columns", "AS auc, dprime, overlap, precision_\n           {columns"),
)
CHANGED, GONE = ("neuron_name", "concept_gaussian"), "norm_mass"
LATER = "SELECT count(*), count(precision_), count(low), count(shape), sum(doubled(n)) FROM concept_gaussian"
ROWS = 2 * (24 + 16) * (3 + 2)  # layers, neurons of both sites, concepts


def text_of(name: str) -> str:
    return Path(statements.__file__).with_name(name).read_text(encoding="utf-8")


@pytest.fixture(params=["printed like this", "printed by another DuckDB"])
def moved_on(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The schema after the change; the folder of earlier statements."""
    before = text_of("macros.sql")
    after = before
    for old, new in CHANGES:
        assert after.count(old) == 1
        after = after.replace(old, new)
    earlier = tmp_path / "earlier"
    shutil.copytree(statements.EARLIER, earlier)
    said = {found[1]: found[0] for found in overlay._STATEMENT.finditer(before)}
    after = after.replace(said[GONE], "")
    kept = [re.sub(r"\{(columns|joins) of \w+\}", "", said[name]) for name in (*CHANGED, GONE)]
    (earlier / "2027-01-intervals.sql").write_text("\n".join(kept) + "\n", encoding="utf-8")
    monkeypatch.setattr(statements, "_read", {"macros.sql": after}.__getitem__)
    monkeypatch.setattr(statements, "EARLIER", earlier)
    gaussian, fit = TABLES["_gaussian"], TABLES["fit"]
    wider = (*gaussian.columns, Column("precision_", "DOUBLE", null=True))
    monkeypatch.setitem(TABLES, "_gaussian", gaussian._replace(columns=wider))
    folds = (*fit.columns[:7], Column("folds", "INTEGER", null=True), *fit.columns[7:])
    monkeypatch.setitem(TABLES, "fit", fit._replace(columns=folds))
    monkeypatch.setitem(TABLES, "_stretch", STRETCH)
    text = definitions.stored_text()
    if request.param.endswith("another DuckDB"):
        text = text.replace("CAST(", "cast(").replace(" JOIN ", " join ").replace("(('L' || layer)", "('L' || layer")
    stored = tmp_path / "definitions.txt"
    stored.write_text(text, encoding="utf-8")
    monkeypatch.setattr(definitions, "STORED", stored)
    return earlier


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_before_and_null_for_what_came(moved_on: Path, name: str) -> None:
    due = recorded(name)
    with open_atlas(HERE / f"{name}.duckdb") as atlas:
        assert {"_stretch"} <= set(atlas.lacking.tables)
        assert {"_gaussian.precision_", "fit.folds"} <= set(atlas.lacking.columns)
        assert {*CHANGED, "doubled"} <= set(atlas.lacking.definitions)
        assert GONE not in atlas.lacking.definitions
        n = sum(row[0] for row in atlas.query("SELECT n FROM concept_gaussian")[1])
        assert atlas.query(LATER)[1] == [(ROWS, 0, 0, 0, 2 * n)]
        assert atlas.query("SELECT DISTINCT folds, width IN (16, 24) FROM fit")[1] == [(None, True)]
        assert atlas.query("SELECT count(*) FROM _stretch")[1] == [(0,)]
        assert atlas.query("SELECT neuron_name(1, 3), doubled(4)")[1] == [("L1N3", 8)]
    # What the change touches, and what it does not.
    asked = {"info", "token", "concept by auc", "neuron", "concepts", "fit", "spec by concept", "layer", "nearest"}
    asked |= {question for question in due if question.startswith("sql")}
    if name == "495ffc4":  # which of equally good neurons is named was left to chance then
        asked.discard("concepts")
    got = as_read(answers(HERE / f"{name}.duckdb", asked & set(due), times=3))
    forget_what_came(due, got)
    assert different({question: due[question] for question in got}, got) == []
    assert len(got) > 20


def test_unless_what_was_there_before_is_kept(moved_on: Path) -> None:
    kept = moved_on / "2027-01-intervals.sql"
    kept.write_text(kept.read_text(encoding="utf-8").replace("CREATE MACRO neuron_name", "CREATE MACRO nobody"))
    lines = definitions.STORED.read_text(encoding="utf-8").splitlines(keepends=True)
    without = [line for line in lines if not line.startswith("earlier\tmacro\tneuron_name")]
    assert len(without) < len(lines)
    definitions.STORED.write_text("".join(without), encoding="utf-8")
    with pytest.raises(AtlasFileError, match="a macro 'neuron_name' that is not ours") as error:
        open_atlas(HERE / "ca8abf2.duckdb")
    assert "pip install -U neuron-atlas" in error.value.hint


@pytest.mark.parametrize(
    "attack",
    [
        "CREATE OR REPLACE MACRO neuron_name(layer, neuron) AS 'L' || layer || 'N' || neuron || ''",
        "CREATE OR REPLACE VIEW concept_gaussian AS SELECT * FROM _gaussian",
        "CREATE TABLE _stretch (fit_id INTEGER)",
        "CREATE VIEW _stretch AS SELECT 1 AS fit_id",
        "CREATE MACRO doubled(x) AS 3 * x",
        "ALTER TABLE fit ADD COLUMN folds VARCHAR",
    ],
)
def test_what_is_of_neither_is_refused(moved_on: Path, tmp_path: Path, attack: str) -> None:
    path = Path(shutil.copy(HERE / "444176a.duckdb", tmp_path / "a.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute(attack)
    with pytest.raises(AtlasFileError, match="that is not ours"):
        open_atlas(path)


def test_what_it_lacks_is_remembered(moved_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(seen.CACHE_VARIABLE, str(tmp_path / "cache"))
    calls = []
    real = atlas_row.read_objects
    monkeypatch.setattr(atlas_row, "read_objects", lambda connection: calls.append(1) or real(connection))
    found = []
    for _ in range(3):
        with open_atlas(HERE / "444176a.duckdb") as atlas:
            found.append((atlas.lacking, atlas.query(LATER)[1]))
    assert len(calls) == 1
    assert found[0] == found[1] == found[2]
    # A cache that says anything else is not believed.
    place = tmp_path / "cache" / "neuron-atlas" / "looked-through"
    for end in (" _stretch", " a b c d", "  - -", " - - -", " -"):
        place.write_text(
            re.sub(r"(( \S+){0}) [\w.,-]+ [\w.,-]+ [\w.,-]+$", rf"\1{end}", place.read_text().strip()) + "\n"
        )
        with open_atlas(HERE / "444176a.duckdb") as atlas:
            assert (atlas.lacking, atlas.query(LATER)[1]) == found[0]


def test_every_connection_has_it(moved_on: Path) -> None:
    with open_atlas(HERE / "444176a.duckdb") as atlas, ThreadPoolExecutor(8) as threads:
        due = atlas.query(LATER)[1]
        assert all(rows == due for rows in threads.map(lambda _: atlas.query(LATER)[1], range(40)))
        low = LATER.replace("count(low)", "$n * count(low)")
        assert atlas.rows([low, "SELECT $n + doubled($n)"], n=2) == [due, [(6,)]]
        assert atlas.arrow(LATER).num_rows == 1


@pytest.mark.parametrize("place", ["a.duckdb", "temp.duckdb", "main.duckdb", "o\"d'd; name.duckdb"])
def test_the_sandbox_has_it_whatever_the_file_is_called(moved_on: Path, tmp_path: Path, place: str) -> None:
    path = Path(shutil.copy(HERE / "444176a.duckdb", tmp_path / place))
    connection = sandbox_child._connect(str(path), 30, 2048)
    assert connection.execute(LATER).fetchall()[0][:4] == (ROWS, 0, 0, 0)
    assert connection.execute("SELECT folds FROM fit").fetchall() == [(None,)] * 4


@pytest.mark.parametrize("name", NAMES)
def test_verify_looks_at_the_file(moved_on: Path, name: str, tmp_path: Path) -> None:
    checks = list(verify.checks_of(HERE / f"{name}.duckdb"))
    assert [check for check in checks if check.result == verify.BROKEN] == []
    assert not [check for check in checks if "_stretch" in check.name or "precision_" in check.detail]
    results = {check.name: check.result for check in checks}
    assert results["definitions of tables, views, types and macros"] == verify.OK
    # And sees what is wrong with it.
    path = Path(shutil.copy(HERE / f"{name}.duckdb", tmp_path / "a.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE _gaussian SET overlap = 2 WHERE neuron = 3")
    assert "shapes are finite" in {check.name for check in verify.checks_of(path) if check.result == verify.BROKEN}


def test_a_file_of_today_lacks_nothing(moved_on: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "overlay_of", _without_overlay(reader.overlay_of))
    with open_atlas(publish_small_atlas(tmp_path / "a.duckdb")) as atlas:
        assert atlas.lacking == Lacking()
        assert atlas.query(LATER)[1][0][1:4] == (0, 0, 0)
    checks = list(verify.checks_of(tmp_path / "a.duckdb"))
    assert {check.result for check in checks} == {verify.OK}
    assert "_stretch: digests" in {check.name for check in checks}


def _without_overlay(real: Callable[..., str]) -> Callable[..., str]:
    def asked(*given: object) -> str:
        assert real(*given) == ""
        return ""

    return asked


def test_adding_to_it_makes_it_one_of_today(moved_on: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(HERE / "444176a.duckdb", tmp_path / "a.duckdb"))
    source = ConceptSource(str(HERE / CORPORA[0]), family="again")
    config = BuildConfig(model=str(MODEL), target=path, concepts=(source,), decode=False, top=6, bins=5)
    module("pipeline").build(config, existing="add")
    with open_atlas(path) as atlas:
        assert not atlas.lacking
        assert atlas.query(LATER)[1][0][:4] == (ROWS + 2 * 24 * 3, 0, 0, 0)
        assert atlas.query("SELECT count(*), count(folds) FROM fit")[1] == [(5, 0)]


def test_every_view_and_macro_can_be_laid_over() -> None:
    layout = definitions._OPEN
    made = [object for object in definitions.made_objects(definitions.ATLAS) if object.text]
    names = [object.name for object in made if object.kind not in ("table", "type")]
    assert sorted(found[1] for found in overlay._STATEMENT.finditer(statements.macros_sql(layout))) == sorted(names)
    with duckdb.connect(":memory:") as connection:
        connection.execute(statements.schema_sql(layout))
        connection.execute(overlay.overlay_sql(Lacking(definitions=tuple(names)), layout, "memory"))
        found = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert {name for (name,) in found} == {object.name for object in made if object.kind == "view"}


def test_columns_are_told_from_what_stands_in_brackets() -> None:
    table = "CREATE TABLE t(a ENUM('x, y', 'z') NOT NULL, \"of\" DECIMAL(4, 2), c FLOAT[3], d INTEGER NOT NULL);"
    assert columns_of(table)[1:] == ['"of" DECIMAL(4, 2)', "c FLOAT[3]", "d INTEGER NOT NULL"]
    assert absent_columns(table, table) == []
    assert absent_columns(table.replace(', "of" DECIMAL(4, 2), c FLOAT[3]', ""), table) == columns_of(table)[1:3]
    assert absent_columns(table.replace(", d INTEGER NOT NULL", ""), table) is None
    assert absent_columns(table.replace("c FLOAT[3]", "c FLOAT[4]"), table) is None
    assert absent_columns(table.replace("t(", "u("), table) is None


@pytest.mark.parametrize(
    "lacking",
    [
        Lacking(),
        Lacking(("t",)),
        Lacking((), ("t.a", "t.b")),
        Lacking((), (), ("v",)),
        Lacking(("t", "u"), ("w.a",), ("v",)),
    ],
)
def test_what_is_kept_of_it_says_the_same(lacking: Lacking) -> None:
    assert from_words(as_words(lacking)) == lacking
    assert bool(lacking) == (lacking != Lacking())


@pytest.mark.parametrize("text", [" ", "a", "a b", "- - -", "a b c d"])
def test_other_words_say_nothing(text: str) -> None:
    assert from_words(text) is None
