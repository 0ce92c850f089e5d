"""Layers that threads decode beside each other: the rows are those of one thread, and a fault in one ends the build."""

from __future__ import annotations

import threading

import pytest
import torch

from atlas.errors import BuildError
from builders.decoding import decode
from tests.end_to_end.workbench import all_rows, built
from tests.synthetic import make_model


@pytest.fixture
def threads(monkeypatch):
    """`threads(n)`: torch uses so many, on a processor without bfloat16 instructions; says which threads decoded."""
    before, seen, run = torch.get_num_threads(), set(), decode.Decoder.run

    def noted(self, unit, activations=None):
        seen.add(threading.current_thread().name)
        return run(self, unit, activations)

    def use(n):
        seen.clear()
        torch.set_num_threads(n)
        return seen

    monkeypatch.setattr(decode, "uses_every_thread", lambda device: False)
    monkeypatch.setattr(decode.Decoder, "run", noted)
    yield use
    torch.set_num_threads(before)


def test_rows_are_those_of_one_thread(threads, tmp_path):
    model, rows = make_model("llama", tmp_path / "m"), []
    for n in (1, 2):
        seen = threads(n)
        rows.append(all_rows(built(model, tmp_path / f"{n}.duckdb", None, weight_facts=True)))
        assert (threading.main_thread().name in seen) is (n == 1)
        assert torch.get_num_threads() == n
    assert rows[0]["_decoding"] and rows[0] == rows[1]


def test_a_fault_in_a_thread_is_the_error_of_the_build(threads, tmp_path, monkeypatch):
    def broken(weight, layer, vectors, first=0):
        if layer == 1:
            raise BuildError(f"{weight} of L1N5 is broken")

    monkeypatch.setattr(decode, "require_finite", broken)
    threads(2)
    with pytest.raises(BuildError, match="up_proj of L1N5 is broken"):
        built(make_model("llama", tmp_path / "m"), tmp_path / "a.duckdb", None, weights=("up_proj",))
    assert not (tmp_path / "a.duckdb").exists()
    assert torch.get_num_threads() == 2
