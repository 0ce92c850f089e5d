"""The command `sql`: where the text comes from, where the answer and the talk go, exit codes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from atlas.__main__ import main
from queries.sandbox.sandbox import MAX_SQL_BYTES


@pytest.fixture
def ask(atlas_file: Path, capsys: pytest.CaptureFixture[str]):
    """Run `sql ARGUMENTS` on the atlas: (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["sql", *arguments, "-a", str(atlas_file)])
        return code, *capsys.readouterr()

    return run


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_an_answer_goes_to_stdout_alone(ask) -> None:
    code, out, err = ask("SELECT token_id, token FROM vocab WHERE token = ' dog'", "--format", "json")
    assert (code, json.loads(out), err) == (0, [{"token_id": 1, "token": " dog"}], "")


def test_text_from_stdin_and_from_a_file(ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stdin(monkeypatch, b"SELECT 'h\xc3\xa9' AS a")
    assert ask("-", "--format", "csv")[1].split() == ["a", "hé"]
    stdin(monkeypatch, b"SELECT 2 AS a")
    assert ask("--file", "-", "--format", "csv")[1].split() == ["a", "2"]
    (tmp_path / "q.sql").write_text("-- a remark\nSELECT 3 AS a;\n")
    assert ask("--file", str(tmp_path / "q.sql"), "--format", "csv")[1].split() == ["a", "3"]


def test_a_cut_is_announced_on_stderr(ask) -> None:
    code, out, err = ask("FROM range(5)", "--limit", "2", "--format", "csv")
    assert (code, out.split()) == (0, ["range", "0", "1"])
    assert "2 rows" in err and "--limit" in err


def test_a_refusal_is_one_error_line_and_one_hint(ask) -> None:
    code, out, err = ask("COPY vocab TO '/tmp/x.csv'")
    assert (code, out) == (1, "")
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "hint"]
    assert "refused: a statement of type COPY" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["SELECT 1", "--file", "{sql}"], 2),
        (["--file", "{folder}/none.sql"], 2),
        (["--file", "{folder}/binary.sql"], 2),
        (["--file", "{folder}/long.sql"], 1),
        (["SELECT 1", "--memory", "1"], 2),
        (["SELECT 1", "--timeout", "-1"], 2),
        (["SELECT 1", "--limit", "0"], 2),
        (["SELECT 1", "--format", "xml"], 2),
    ],
)
def test_exit_codes(ask, tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1")
    (tmp_path / "binary.sql").write_bytes(b"SELECT '\xff'")
    (tmp_path / "long.sql").write_text("SELECT 1" + " " * MAX_SQL_BYTES)
    named = [a.replace("{sql}", str(tmp_path / "q.sql")).replace("{folder}", str(tmp_path)) for a in arguments]
    found, out, err = ask(*named)
    assert (found, out) == (code, "")
    assert err.startswith("error: ") and "Traceback" not in err


def test_an_atlas_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "SELECT 1", "-a", str(tmp_path / "none.duckdb")]) == 3
    assert "there is no atlas" in capsys.readouterr().err
