"""What DuckDB reads far files through: also where its threads take turns between seeking and reading."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from atlas.store.far.files import FarFiles
from atlas.store.far.filesystem import Opened
from atlas.store.far.transport import transport_of


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Opened, bytes]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = np.random.default_rng(16).bytes(1_000_000)
    (tmp_path / "file").write_bytes(content)
    return Opened(FarFiles(f"file://{tmp_path}", transport_of(f"file://{tmp_path}")), "file"), content


def test_a_thread_reads_where_it_has_sought(opened: tuple[Opened, bytes]) -> None:
    file, content = opened
    both = threading.Barrier(2)
    found: dict[int, bytes] = {}

    def read(place: int) -> None:
        file.seek(place)
        both.wait()  # the other one has sought too
        found[place] = file.read(100) + file.read(100)

    threads = [threading.Thread(target=read, args=(place,)) for place in (500_000, 70_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {place: content[place : place + 200] for place in (500_000, 70_000)} == found


def test_many_threads_get_the_bytes_of_the_file(opened: tuple[Opened, bytes]) -> None:
    file, content = opened
    wrong: list[tuple[int, int]] = []

    def read(seed: int) -> None:
        numbers = np.random.default_rng(seed)
        for place, size in zip(numbers.integers(0, 1_000_000, 60), numbers.integers(1, 200_000, 60), strict=True):
            file.seek(int(place))
            if file.read(int(size)) != content[place : place + size]:
                wrong.append((int(place), int(size)))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
