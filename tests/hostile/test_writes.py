"""The look at what is written finds what it should."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.hostile.writes import files_of, writes_outside


@pytest.mark.parametrize(
    "write",
    [
        lambda place: open(place, "w"),
        lambda place: os.open(place, os.O_CREAT | os.O_WRONLY),
        lambda place: os.mkdir(place),
        lambda place: os.remove(place),
        lambda place: os.rename("/no/such/file", place),
        lambda place: os.symlink("x", place),
        lambda place: Path(place).chmod(0o600),
    ],
)
def test_a_write_outside_is_found(write, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("../out")
    for place in ("out/x", "in/../x", "in/link/x"):
        with writes_outside(tmp_path / "in") as found, contextlib.suppress(OSError):
            write(str(tmp_path / place))
        assert len(found) >= 1, place
        with writes_outside(tmp_path) as found, contextlib.suppress(OSError):
            write(str(tmp_path / place))
        assert [text for text in found if "/no/such/file" not in text] == []


def test_a_change_in_a_tree_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    before = files_of(tmp_path)
    assert files_of(tmp_path) == before
    for change in (
        lambda: (tmp_path / "a" / "x").write_text("22"),
        lambda: (tmp_path / "y").write_text(""),
        lambda: (tmp_path / "a" / "x").unlink(),
    ):
        change()
        assert files_of(tmp_path) != before
        before = files_of(tmp_path)
