"""Atlases that earlier code built answer as they did then: tests/fixtures/old_atlases says how they were made."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from atlas.__main__ import main
from atlas.schema.statements import layout_of
from atlas.schema.tables import TABLES
from atlas.store import definitions
from atlas.store.objects import read_objects
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN, UNKNOWN, checks_of
from builders.config import BuildConfig, ConceptSource
from queries.sandbox.sandbox import run_sql
from tests.amount import count, some
from tests.fixtures.old_atlases.make import HERE, MODEL, SQL, answers, module, plain

NAMES = sorted(file.stem for file in HERE.glob("*.duckdb"))
LACKING = {
    "495ffc4": {"_digest", "_fit_example", "atlas.model_path", "atlas.model_beside"},
    "444176a": {"_digest", "atlas.model_path", "atlas.model_beside"},
    "ca8abf2": set(),
}
# Of neurons that separate a concept equally well, this code took the one that it met first.
BY_CHANCE = {"495ffc4": {"concepts": 7, "concepts of a family": 7}}
# Rows that a build leaves as they are, whatever it adds.
KEPT = ("run", "vocab", "_token_form", "_decoding", "_posting", "neuron_vector", "concept", "fit", "fit_concept")
KEPT += ("_gaussian", "_background", "_range", "_histogram")


def different(due: Any, got: Any, where: str = "") -> list[str]:
    """Where `got` is not `due`; fields and columns may have come. Floats: rounding was done elsewhere in a sum."""
    if isinstance(due, dict) and set(due) == {"columns", "rows"}:
        if missing := set(due["columns"]) - set(got["columns"]):
            return [f"{where}: without {missing}"]
        places = [got["columns"].index(name) for name in due["columns"]]
        return different(due["rows"], [[row[place] for place in places] for row in got["rows"]], where)
    if isinstance(due, dict):
        found = (different(value, got.get(name, "absent"), f"{where}.{name}") for name, value in due.items())
        return [text for texts in found for text in texts]
    if isinstance(due, list):
        if len(due) != len(got):
            return [f"{where}: {len(got)} instead of {len(due)}"]
        pairs = enumerate(zip(due, got, strict=True))
        return [text for place, pair in pairs for text in different(*pair, f"{where}[{place}]")]
    same = got == pytest.approx(due, rel=1e-6) if isinstance(due, float) else got == due
    return [] if same else [f"{where}: {got!r} instead of {due!r}"]


def recorded(name: str) -> dict[str, Any]:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def as_read(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.fixture
def copy(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copy(HERE / f"{name}.duckdb", tmp_path / "old.duckdb"))


def test_there_are_atlases_from_before() -> None:
    assert set(LACKING) <= set(NAMES) == {file.stem for file in HERE.glob("*.json")}
    assert all(len(recorded(name)) > 40 for name in NAMES)


def forget_what_came(due: Any, got: Any) -> None:
    """Drop from `info` the views that came after the file; it has no rows in them."""
    known = {name for name, _ in due["info"]["sections"]["rows"]["rows"]}
    counted = got["info"]["sections"]["rows"]
    assert all(rows == 0 for table, rows in counted["rows"] if table not in known)
    counted["rows"] = [row for row in counted["rows"] if row[0] in known]


# From the file, and from memory where the session has heard the question before.
@pytest.mark.parametrize(
    ("name", "times"), some(product(NAMES, [1, 4]), [*product(NAMES, [1]), ("ca8abf2", 4), ("495ffc4", 4)])
)
def test_every_question_has_the_answer_of_then(name: str, times: int) -> None:
    due = recorded(name)
    got = as_read(answers(HERE / f"{name}.duckdb", set(due), times))
    for question, columns in BY_CHANCE.get(name, {}).items():
        for answer in (due[question], got[question]):
            distance = answer["columns"].index("auc")
            answer["rows"] = [[*row[:columns], abs(row[distance] - 0.5)] for row in answer["rows"]]
            answer["columns"] = [*answer["columns"][:columns], "distance"]
    forget_what_came(due, got)
    assert different(due, got) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_sandbox_answers_too(name: str) -> None:
    due = recorded(name)
    asked = ("find_neurons", "token_decoding, all", "concept_range", "scalar macros")
    for question in asked[: count(1, len(asked))]:
        got = as_read(plain(run_sql(HERE / f"{name}.duckdb", SQL[question])))
        assert different(due[f"sql: {question}"], got, question) == []
    # What came later is there, and empty.
    later = run_sql(
        HERE / f"{name}.duckdb", "SELECT (SELECT count(*) FROM fit_example), (SELECT model_path FROM atlas)"
    )
    texts, place = later.rows[0]
    assert (texts == 0) == ("_fit_example" in LACKING.get(name, ()))
    assert (place is None) == ("atlas.model_path" in LACKING.get(name, ()))


@pytest.mark.parametrize("name", LACKING)
def test_what_it_lacks_is_said(name: str) -> None:
    with open_atlas(HERE / f"{name}.duckdb") as atlas:
        assert {*atlas.lacking.tables, *atlas.lacking.columns} >= LACKING[name]
        assert all(what in atlas.lacking for what in LACKING.get(name, ()))
        assert "_gaussian" not in atlas.lacking
        assert "_gaussian.mean" not in atlas.lacking
        assert ("_fit_example.fit_id" in atlas.lacking) == ("_fit_example" in LACKING.get(name, ()))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_broken(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    checks = list(checks_of(HERE / f"{name}.duckdb"))
    assert [check for check in checks if check.result == BROKEN] == []
    assert [check.name for check in checks if check.result == UNKNOWN] == ["digests"] * (
        "_digest" in LACKING.get(name, ())
    )
    assert len(checks) > 60
    assert main(["info", "-a", str(HERE / f"{name}.duckdb")]) == 0
    assert recorded(name)["info"]["fields"]["fingerprint"] in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_reading_writes_nothing(name: str, copy: Path) -> None:
    before = (hashlib.sha256(copy.read_bytes()).digest(), copy.stat().st_mtime_ns)
    answers(copy, {"info", "concepts", "sql: concept_range"})
    list(checks_of(copy))
    assert (hashlib.sha256(copy.read_bytes()).digest(), copy.stat().st_mtime_ns) == before
    assert list(copy.parent.iterdir()) == [copy]


@pytest.mark.parametrize("name", some(NAMES, ["495ffc4", "ca8abf2"]))  # the oldest and the newest
def test_rows_are_added_to_it(name: str, copy: Path) -> None:
    with duckdb.connect(str(copy), read_only=True) as connection:
        old = {table: columns_of(connection, table) for table in KEPT}
        before = {table: rows_of(connection, table, old[table]) for table in KEPT}
    corpus = copy.with_name("places.jsonl")
    texts = {"city": ("a vote in Paris", "Paris", "Paris is new"), "country": ("France", "the election in France")}
    rows = [{"text": text, "concept": concept} for concept, several in texts.items() for text in several]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = ConceptSource(str(corpus))
    config = BuildConfig(
        model=str(MODEL), target=copy, concepts=(source,), decode=False, sites=("mlp_post",), top=6, bins=5
    )
    module("pipeline").build(config, existing="add")
    with duckdb.connect(str(copy), read_only=True) as connection:
        after = {table: rows_of(connection, table, old[table]) for table in KEPT}
    for table in KEPT:
        assert before[table] <= after[table], table
    assert {table for table in KEPT if len(after[table]) > len(before[table])} >= {"fit", "concept", "_range"}
    with open_atlas(copy) as atlas:  # it is one of today now
        assert not atlas.lacking
        assert atlas.query("SELECT count(*) FROM concept_gaussian WHERE family = 'places'")[1] == [(2 * 2 * 24,)]
        used = atlas.query("SELECT count(*) FROM fit_example JOIN fit USING (fit_id) GROUP BY family ORDER BY family")[
            1
        ]
        assert len(used) == (1 if "_fit_example" in LACKING.get(name, ()) else 3)
    assert [check for check in checks_of(copy) if check.result == BROKEN] == []


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [column[0] for column in connection.execute(f"FROM {table} LIMIT 0").description or ()]


def rows_of(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> set[str]:
    """The rows by `columns`: those that the file had, as columns that came later are NULL in them."""
    # Norms of the vocabulary are worked out anew, which earlier code rounded elsewhere.
    rounded = {"norm": "round(norm, 4)"} if table == "vocab" else {}
    shown = ", ".join(rounded.get(column, f'"{column}"') for column in columns)
    return {repr(row) for row in connection.execute(f"SELECT {shown} FROM {table}").fetchall()}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_view_or_macro_said_is_kept(name: str) -> None:
    """Whoever changes macros.sql keeps the statement that was there: atlas/schema/earlier/README.md."""
    with open_atlas(HERE / f"{name}.duckdb") as atlas:
        layout = layout_of(atlas.manifest)
    known = {
        *definitions.made_objects(definitions.ATLAS, layout),
        *definitions.made_objects(definitions.EARLIER, layout),
    }
    with duckdb.connect(str(HERE / f"{name}.duckdb"), read_only=True) as connection:
        there = {object for object in read_objects(connection) if object.kind not in ("table", "type", "schema")}
    lost = sorted(object.name for object in there - known)
    assert not lost, f"copy what macros.sql said of {lost} to atlas/schema/earlier, and make definitions.txt anew"
    assert len(there) > 15


def test_the_stored_definitions_are_those_of_the_schema() -> None:
    assert definitions.STORED.read_text(encoding="utf-8") == definitions.stored_text()


def test_the_tables_that_builds_keep_are_all_tables() -> None:
    assert {*KEPT, "_fit_example", "_digest"} <= set(TABLES)
