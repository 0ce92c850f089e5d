"""Descriptions and embeddings that a stranger has written into an atlas, shown and searched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from atlas.__main__ import main
from atlas.errors import EXIT_ATLAS, EXIT_OK, EXIT_QUESTION, EXIT_USAGE
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from queries.search import search
from tests.atlas_factory import changed_by_hand, write_small_atlas
from tests.hostile.counts import count, generator

CODES = (EXIT_OK, EXIT_QUESTION, EXIT_USAGE, EXIT_ATLAS)
TEXTS = ("", "\x1b]0;owned\x07", "\u202egnp.exe", "a\nb\r\x9b2J", "x" * 200_000, "\x00", "'; DROP TABLE vocab; --", '"')
BLOBS = (b"", b"\x00", b"\x00" * 24, b"\xff" * 24, b"\x00\x7e" * 12, b"\x00\x3c" * 12, b"\x00\x3c" * 5000)
COLUMNS: dict[str, tuple[Any, ...]] = {
    "side": ("input", "output", "inside", "\x1b[2J"),
    "sign": (1, -1, 0, 127),
    "author": TEXTS,
    "text": TEXTS,
    "measure": (None, "detection", "token_change", *TEXTS),
    "score": (None, 0.5, float("nan"), float("inf"), -1e308),
    "control": (None, 2.0, float("nan")),
    "layer": (0, 1, 2, 3, -1, 2**31 - 1),
    "neuron": (0, 7, 15, 16, -1),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("hostile") / "small.duckdb", intervals=False)


def write_rows(path: Path, draw: Any) -> None:
    """Some rows of any values in both tables."""
    with changed_by_hand(path) as connection:
        for _ in range(draw.randint(1, 8)):
            row = {name: draw.choice(values) for name, values in COLUMNS.items()}
            given = ", ".join(f"? AS {name}" for name in row)
            connection.execute(
                f"INSERT INTO description BY NAME SELECT {given}, 'decodings' AS evidence, 'mlp_post' AS site, "
                "now() AS created_at",
                list(row.values()),
            )
            key = [row[name] for name in ("layer", "neuron", "side", "sign", "author")]
            blob = draw.choice(BLOBS)
            connection.execute("INSERT INTO _embedding VALUES (?, ?, ?, ?, ?, ?, ?)", [*key, draw.choice(TEXTS), blob])


@pytest.mark.parametrize("number", range(count(6, 150)))
def test_whatever_is_written_is_shown_plainly_or_refused(
    small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    path = tmp_path / "a.duckdb"
    shutil.copy(small, path)
    write_rows(path, generator(f"descriptions {number}"))
    before = path.read_bytes()
    for arguments in (["neuron", "L0N0"], ["neuron", "L1N7", "--section", "descriptions"], ["search", "dog"]):
        assert main([*arguments, "-a", str(path)]) in CODES
        shown = "".join(capfd.readouterr())
        assert "Traceback" not in shown and "unexpected" not in shown
        assert all(one == "\n" or one.isprintable() for one in shown), arguments
    with open_atlas(path) as atlas:
        try:
            for row in search(atlas, "dog", embed=lambda text: [1.0] * 12):
                assert row["score"] == row["score"]  # no NaN is a rank
        except Exception as error:
            assert type(error).__module__ == "atlas.errors", error
    assert [check for check in checks_of(path) if check.result != "ok"]
    assert path.read_bytes() == before
