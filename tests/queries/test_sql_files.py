from __future__ import annotations

import re

import pytest

from queries.measured import measured_sql
from queries.rules import RULES
from queries.sqlfile import FOLDER, load_sql
from tests.architecture.imports import ROOT

CLAUSES = set(
    "order_by measured hits token_columns d_model columns gaussian tables with_ranges with_background beside joins "
    "same coverage leakage weighing measure direction of_layer".split()
)
FILES = sorted(path.stem for path in FOLDER.glob("*.sql"))


def test_every_file_is_used_and_says_what_it_answers():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "queries").rglob("*.py"))
    for name in FILES:
        assert f'"{name}"' in code, f"nothing loads {name}.sql"
        assert load_sql(name).startswith("-- "), f"{name}.sql has no first line that says what it answers"


@pytest.mark.parametrize("name", FILES)
def test_values_are_parameters(name):
    clauses = set(re.findall(r"\{(\w+)\}", load_sql(name)))
    assert clauses <= CLAUSES


def test_clauses_are_filled_in():
    sql = load_sql("ranking", order_by=RULES["auc"].order_by, measured=measured_sql(), columns="auc")
    assert "{" not in sql and "ORDER BY abs(auc - 0.5) DESC" in sql
