"""What the card of a published atlas says to paste, pasted: in this DuckDB, an older one, pandas and polars."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

OLDER = "NEURON_ATLAS_OLDER_DUCKDB"
"""A folder that `pip install --target` put an older DuckDB into: two cannot be in one environment."""


@pytest.fixture(scope="module")
def pasted(published: Path) -> dict[str, str]:
    """The blocks of README.md, by the name that stands above each."""
    text = (published / "README.md").read_text(encoding="utf-8")
    return {name: code for name, code in re.findall(r"^(\w+)\n\n```\w+\n(.*?)```", text, re.MULTILINE | re.DOTALL)}


@pytest.fixture(scope="module")
def due(small: Path) -> list[tuple[str, float]]:
    """The answer, from the atlas itself."""
    sql = """SELECT token, logit FROM neuron_tokens(0, 0) WHERE sign = 1 AND weight = $weight ORDER BY rank"""
    with duckdb.connect(str(small), read_only=True) as connection:
        weight = connection.execute("SELECT min(weight::VARCHAR) FROM _decoding").fetchone()[0]
        return connection.execute(sql, {"weight": weight}).fetchall()


def _run(code: str, folder: Path, path: str = "") -> list[tuple[str, float]]:
    """What a program in a process of its own, in the published folder, finds in `found`."""
    program = f"{code}\nimport json; print(json.dumps(found))"
    environment = {**os.environ, "PYTHONPATH": path} if path else dict(os.environ)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    import json

    return [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]


def test_duckdb(pasted: dict[str, str], due, published: Path, monkeypatch) -> None:
    monkeypatch.chdir(published)
    assert len(due) > 1
    with duckdb.connect() as connection:
        assert connection.execute(pasted["DuckDB"]).fetchall() == due


def test_an_older_duckdb(pasted: dict[str, str], due, published: Path) -> None:
    folder = os.environ.get(OLDER)
    if not folder:
        pytest.skip(f"no older DuckDB: pip install --target FOLDER 'duckdb<2', and {OLDER}=FOLDER")
    code = "import duckdb; assert duckdb.__version__ < '2', duckdb.__version__\n"
    code += f"found = duckdb.sql({pasted['DuckDB']!r}).fetchall()"
    assert _run(code, published, folder) == due


def test_pandas(pasted: dict[str, str], due, published: Path) -> None:
    pytest.importorskip("pandas")
    code = pasted["pandas"] + "\nfound = answer[['token', 'logit']].values.tolist()"
    assert _run(code, published) == [(token, pytest.approx(logit)) for token, logit in due]


def test_polars(pasted: dict[str, str], due, published: Path) -> None:
    pytest.importorskip("polars")
    assert _run(pasted["polars"] + "\nfound = answer.rows()", published) == due


def test_front_matter_is_yaml_that_names_files_that_are_there(published: Path) -> None:
    yaml = pytest.importorskip("yaml")
    text = (published / "README.md").read_text(encoding="utf-8")
    said = yaml.safe_load(text.split("---\n")[1])
    assert "neuron-atlas" in said["tags"]
    for config in said["configs"]:
        files = config["data_files"] if isinstance(config["data_files"], list) else [config["data_files"]]
        assert all(list(published.glob(file)) for file in files)
