"""Units that come last: they see what all others have noted, read any place again, and are made once."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atlas.errors import BuildError
from atlas.schema.table import FIT, Column, Table
from atlas.schema.tables import PASSING, TABLES
from atlas.store import waiting
from atlas.store.reader import open_atlas
from builders.build import products
from builders.build.last import groups
from builders.build.passing import Passing
from builders.build.pipeline import build
from builders.build.product import Basis, Needs, Part, Place, Product, Work
from tests.end_to_end.workbench import config, write_corpus
from tests.synthetic import make_model

NOTED = Table("_toy_noted", FIT, (Column("layer", "INTEGER"), Column("largest", "DOUBLE")))
CHOSEN = Table(
    "_toy_chosen",
    FIT,
    (Column("fit_id", "INTEGER"), Column("layer", "INTEGER"), Column("total", "DOUBLE")),
    key=("fit_id",),
    later=True,
)


class Loudest(Product):
    """Of all layers the one with the largest activation, and the sum of its activations."""

    name, needs, label = "loudest", Needs.ACTIVATIONS, "loudest"
    passing = ("_toy_noted",)

    def wanted(self, config):
        return True

    def tables(self, config):
        return ("_toy_chosen",)

    def parts(self, plan):
        return [Part(reading.family, {}, reading) for reading in plan.readings]

    def units(self, plan, part):
        return [f"{part.name}/mlp_post/{layer}" for layer in plan.layers]

    def last_units(self, plan, part):
        return [f"{part.name}/choice"]

    def work(self, plan, part, ids):
        return Choice()


class Choice(Work):
    wrong_table = False

    def run(self, unit, activations=None):
        largest = float(np.asarray(activations.acts_EN).max())
        return {"_toy_noted": pa.table({"layer": [activations.place.layer], "largest": [largest]})}

    def run_last(self, unit, noted, read) -> Any:
        rows = noted("_toy_noted").to_pylist()
        layer = max(rows, key=lambda row: row["largest"])["layer"]
        total = float(np.asarray(read(Place("mlp_post", layer)).acts_EN, np.float64).sum())
        name = "_fold" if self.wrong_table else "_toy_chosen"
        return {name: pa.table({"fit_id": [0], "layer": [layer], "total": [total]})}


PRODUCT = Loudest()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, CHOSEN.name, CHOSEN)
    monkeypatch.setitem(PASSING, NOTED.name, NOTED)
    monkeypatch.setattr(products, "PRODUCTS", {**products.PRODUCTS, "loudest": f"{__name__}:PRODUCT"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"))


def test_a_choice_among_all_places(toy, model: Path, tmp_path: Path) -> None:
    options = config(model, tmp_path / "a.duckdb", write_corpus(tmp_path / "c.jsonl"), decode=False, folds=0)
    with open_atlas(build(options).path) as atlas:
        _, rows = atlas.query(
            "SELECT layer, sum(n * mean) FROM background_gaussian GROUP BY layer ORDER BY max(max) DESC"
        )
        [(_, layer, total)] = atlas.query("SELECT * FROM _toy_chosen")[1]
        assert layer == rows[0][0] and total == pytest.approx(rows[0][1], rel=1e-5)
        _, tables = atlas.query("SELECT table_name FROM duckdb_tables() WHERE table_name = '_toy_noted'")
        assert tables == []  # no atlas has what passes


def test_what_a_unit_is_made_of_is_what_it_gets(tmp_path: Path) -> None:
    """From files of several units and batches, against a choice among all rows one by one."""
    numbers = np.random.default_rng(7)
    tables = [
        pa.table({"layer": numbers.integers(0, 5, n), "fold": numbers.integers(0, 3, n), "at": [[i] for i in range(n)]})
        for n in (40, 0, 70)
    ]
    for number, rows in enumerate(tables):
        waiting.write(tmp_path, "_toy_noted", f"unit/{number}", pa.concat_tables([rows.slice(0, 9), rows.slice(9)]))
    files = {
        "_toy_noted": waiting.files(tmp_path, "_toy_noted", [f"unit/{number}" for number in range(3)]),
        "_other": [],
    }
    every = [row for rows in tables for row in rows.to_pylist()]
    where = {"layer": [1, 4], "fold": range(2)}
    some = [row for row in every if row["layer"] in (1, 4) and row["fold"] in (0, 1)]
    assert 0 < len(some) < len(every)
    for asked, due in (({}, every), (where, some), ({"layer": [9]}, [])):
        passing = Passing(Basis({"_toy_noted": asked, "_other": {}}), files)
        assert passing("_toy_noted").to_pylist() == due
        sent = pickle.loads(pickle.dumps(passing.brought()))
        assert sent("_toy_noted").to_pylist() == due and not sent.files
        for each in (passing, sent):
            with pytest.raises(BuildError, match="no unit has noted rows of _other"):
                each("_other")
            with pytest.raises(BuildError, match="asks for rows of _third, of which it does not say"):
                each("_third")


def test_units_that_are_made_of_others_wait_for_these() -> None:
    class Chain(Loudest):
        def basis(self, plan, part, ids, unit):
            return Basis({}, after=unit.startswith("after"))

    job = SimpleNamespace(product=Chain(), plan=None, part=None, ids=None)
    for names, due in (
        ("a b after1 c after2", ["a b", "after1 c", "after2"]),
        ("after1 a", ["after1 a"]),
        ("a", ["a"]),
    ):
        job.last = names.split()
        assert [" ".join(group) for group in groups(job)] == due


def test_rows_of_another_table_are_refused(toy, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Choice, "wrong_table", True)
    options = config(model, tmp_path / "a.duckdb", write_corpus(tmp_path / "c.jsonl"), decode=False, folds=0)
    with pytest.raises(BuildError, match="made rows of _fold, which it does not declare"):
        build(options)
