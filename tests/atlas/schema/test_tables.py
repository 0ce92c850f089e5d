"""The table of tables, the views and the measures agree with each other and with a file."""

from __future__ import annotations

from atlas.manifest import Manifest
from atlas.schema import views as views_table
from atlas.schema.measures import MEASURES
from atlas.schema.table import ABOUT, FIT
from atlas.schema.tables import TABLES, about, built
from atlas.schema.views import views
from atlas.store.reader import Atlas


def test_tables_are_well_formed():
    for name, table in TABLES.items():
        columns = table.column_names()
        assert name == table.name and table.about in ABOUT
        assert len(set(columns)) == len(columns), name
        assert set(table.key_columns()) <= set(columns), name
        assert bool(table.key) == (name != "atlas"), name  # of which there is one row
        assert not (table.derived and table.waiting), name
        if table.complete:
            assert table.about == FIT and {"fit_id", "layer", "neuron"} <= set(table.key_columns()), name
        if table.view:
            assert table.view in views_table.views() and table.complete, name


def test_every_row_of_a_build_belongs_to_something_that_can_be_forgotten():
    found = [name for thing in ABOUT for name in about(thing)]
    assert sorted(found) == sorted(table.name for table in built())
    for table in built():
        named = {"weight": {"weight", "nid"}, "fit": {"fit_id"}, "family": {"family"}}.get(table.about, set())
        assert not named or named & set(table.column_names()), table.name


def test_the_manifest_is_the_row_of_table_atlas():
    assert Manifest.columns() == list(TABLES["atlas"].column_names())


def test_the_file_has_the_columns_of_the_views(small: Atlas):
    _, rows = small.query(
        """SELECT table_name, column_name, data_type FROM duckdb_columns()
           WHERE NOT internal AND table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal)
           ORDER BY table_name, column_index"""
    )
    stored: dict[str, list[tuple[str, str]]] = {}
    for view, column, kind in rows:
        stored.setdefault(view, []).append((column, "weight_t" if kind.startswith("ENUM") else kind))
    assert stored == {name: [(column.name, column.type) for column in view.columns] for name, view in views().items()}


def test_measures_are_stored_where_they_say():
    for measure in MEASURES.values():
        assert set(measure.stored) <= set(TABLES[measure.table].column_names()), measure.name
        # A definition in Python, for the card, has one in SQL, for rankings and views.
        assert measure.value is None or measure.sql, measure.name
        assert measure.sql or measure.stored == (measure.name,), measure.name
        assert "card" not in measure.on or not measure.sql or measure.value, measure.name
        assert measure.meaning and set(measure.on) <= {"card", "concept"}, measure.name


def test_every_rule_ranks_by_measures(small: Atlas):
    names = ", ".join(f'NULL::DOUBLE AS "{name}"' for name in MEASURES)
    for measure in MEASURES.values():
        for rule in measure.rules:
            small.query(f"SELECT * FROM (SELECT {names}) ORDER BY {rule.order_by}")
