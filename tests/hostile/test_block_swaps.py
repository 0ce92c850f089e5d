"""Blocks of a file that lie where others belong: each is whole, so DuckDB's own checksums see nothing.

The file of the small atlas has blocks of 64 KiB after a header; some are copied over others or swapped with them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.errors import AtlasFileError
from atlas.store.verify import BROKEN, verify
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator
from tests.hostile.questions import foreign, outcomes, outcomes_apart

CASES = count(4, 200)
HEADER, BLOCK = 3 * 4096, 65_536


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")


@pytest.fixture(scope="module")
def right(whole: Path) -> dict[str, tuple[str, str]]:
    return outcomes(whole)


def place(block: int) -> slice:
    return slice(HEADER + block * BLOCK, HEADER + (block + 1) * BLOCK)


def moved(content: bytes, case: int) -> tuple[bytes, str]:
    """The content with two blocks swapped or one copied over another, and what was done."""
    rng = generator(f"block_swaps/{case}")
    one, other = rng.sample(range((len(content) - HEADER) // BLOCK), 2)
    changed = bytearray(content)
    changed[place(one)] = content[place(other)]
    swapped = rng.random() < 0.5
    if swapped:
        changed[place(other)] = content[place(one)]
    return bytes(changed), f"{'swapped' if swapped else 'copied'} {other} and {one}"


@pytest.mark.parametrize("case", range(CASES))
def test_a_moved_block_is_refused_or_changes_nothing(
    whole: Path, right: dict[str, tuple[str, str]], tmp_path: Path, case: int
) -> None:
    path = tmp_path / "a.duckdb"
    content, done = moved(whole.read_bytes(), case)
    path.write_bytes(content)
    try:
        refused = any(check.result == BROKEN for check in verify(path))
    except AtlasFileError:
        refused = True
    found = outcomes_apart(path)
    if isinstance(found, int):  # DuckDB ended its process: no answer, but verify must have said so
        assert refused, (done, found)
        return
    assert foreign(found) == [], done
    assert refused or found == right, done
