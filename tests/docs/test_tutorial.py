"""The notebook runs from its first cell to its last, on a small model of random weights, and shows what it says."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.imports import ROOT
from tests.end_to_end.workbench import write_corpus
from tests.synthetic import make_model

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells() -> list[str]:
    """The code of each cell."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4 and all(not cell.get("outputs") for cell in notebook["cells"])
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(code: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jinja2", reason="the extra web is not installed")
    monkeypatch.chdir(tmp_path)
    first, *others = cells()
    names: dict[str, Any] = {}
    run(first, names)
    assert names["MODEL"] == "smollm2-135m"
    names["MODEL"] = str(make_model("llama", tmp_path / "model"))
    names["CONCEPTS"] = type(names["CONCEPTS"])(str(write_corpus(tmp_path / "own.jsonl")))
    names["CONCEPT"], names["LAYERS"] = "pets", (0, 1)
    shown = [value for value in (run(code, names) for code in others) if value is not None]
    table, page, by_layer, (n_edits, _) = shown
    assert names["address"] in table._repr_html_()
    assert "sandbox" in page._repr_html_() and names["address"] in page._repr_html_()
    assert by_layer.column("layer") == [0, 1]
    assert n_edits == 20
    assert len(capsys.readouterr().out.splitlines()) >= 2
    assert json.loads((tmp_path / "tutorial.spec.json").read_text(encoding="utf-8"))["edits"]
