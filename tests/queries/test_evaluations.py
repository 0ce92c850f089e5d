"""`evaluations`: which range was edited where, from what is stored beside the atlas."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from atlas.__main__ import main
from atlas.store.evaluations import append_evaluations, sidecar_of
from atlas.store.reader import open_atlas
from queries.evaluations import evaluations
from queries.specs.make_spec import make_spec
from tests.atlas_factory import write_small_atlas
from tests.builders.evaluation.test_sidecar import rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_small_atlas(tmp_path / "small.duckdb")


def store(path: Path, name: str, document: str) -> None:
    tables = rows(name, name)
    tables["spec"] = pa.Table.from_pylist([{"spec_hash": name, "spec": document}])
    append_evaluations(sidecar_of(path), tables)


def layers_of(path: Path) -> dict[str, str | None]:
    return {row["evaluation_id"]: row["layers"] for row in evaluations(path)}


def test_layers_are_those_of_the_stored_spec(path: Path, capfd) -> None:
    from atlas.spec.text import dumps

    with open_atlas(path) as atlas:
        for name, layers in (("a", "0-2"), ("b", "0,2"), ("c", "1")):
            store(path, name, dumps(make_spec(atlas, concept="sports", top="100%", layers=layers)))
    assert layers_of(path) == {"a": "0-2", "b": "0,2", "c": "1"}
    assert main(["evaluations", "-a", str(path)]) == 0
    header = capfd.readouterr().out.splitlines()[0].split()
    assert {"bounds", "tau", "sites", "layers"} <= set(header)


def test_long_runs_and_an_order_of_its_own(path: Path) -> None:
    store(path, "a", json.dumps({"edits": [{"layer": layer} for layer in (9, 3, 12, 10, 9, 11, 5)]}))
    assert layers_of(path) == {"a": "3,5,9-12"}


@pytest.mark.parametrize("document", ["", "{", "[]", "{}", '{"edits": 3}', '{"edits": [{"layer": "a"}, {"layer": 1}]}'])
def test_a_stored_document_that_is_no_spec_names_no_layers(path: Path, document: str) -> None:
    store(path, "a", document)
    assert layers_of(path) == {"a": None}


def test_an_atlas_that_is_not_there_is_not_one_without_evaluations(path: Path, tmp_path: Path, capfd) -> None:
    assert main(["evaluations", "-a", str(path)]) == 0
    assert main(["evaluations", "-a", str(tmp_path / "typo.duckdb")]) == 3
    assert "there is no atlas at" in capfd.readouterr().err
