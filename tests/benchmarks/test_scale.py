"""The cost model against numbers worked out by hand, and against the page that quotes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.speed.scale import (
    H100,
    MACHINES,
    SHAPES,
    TEXT_TOKENS,
    TEXTS,
    TWO_CORES,
    Cluster,
    seconds,
    time_table,
    work_table,
    worker_seconds,
    worker_table,
)

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
LLAMA_8B = next(shape for shape in SHAPES if shape.name == "Llama-3.1-8B")


def test_work_of_the_8b_shape() -> None:
    assert LLAMA_8B.neurons == 458_752
    assert LLAMA_8B.decoding_operations == pytest.approx(3 * 2 * 458_752 * 4096 * 128_256)
    assert LLAMA_8B.forward_operations(1) == pytest.approx(16.06e9)
    assert LLAMA_8B.postings == 88_080_384
    assert LLAMA_8B.atlas_bytes(TWO_CORES, 0) == 458_752 * TWO_CORES.decoding_bytes


def test_steps_divide_work_by_rates() -> None:
    steps = seconds(LLAMA_8B, TWO_CORES)
    assert steps["statistics"] == pytest.approx(TEXTS * 458_752 / TWO_CORES.statistic_values)
    forward = 2 * 8.03e9 * TEXTS * TEXT_TOKENS / (TWO_CORES.bf16_flops * TWO_CORES.forward_share)
    assert steps["forward"] == pytest.approx(forward)
    twice = seconds(LLAMA_8B, replace(TWO_CORES, bf16_flops=2 * TWO_CORES.bf16_flops))
    assert twice["decode"] == pytest.approx(steps["decode"] / 2)
    assert twice["write"] == steps["write"]


def test_more_workers_share_all_but_the_writing() -> None:
    one, eight = seconds(LLAMA_8B, H100), seconds(LLAMA_8B, H100, workers=8)
    assert eight.pop("write") == one.pop("write")
    assert eight == pytest.approx({step: taken / 8 for step, taken in one.items()})


def test_a_worker_holds_the_whole_model_and_loads_it_itself() -> None:
    fits = {shape.name[10:]: Cluster(8, 80e9).gpus_of_worker(shape) for shape in SHAPES[1:]}
    assert fits == {"8B": 1, "70B": 2, "405B": None}  # 17.7, 155 and 893 GB with a tenth more
    assert Cluster(8, 141e9).gpus_of_worker(SHAPES[3]) == 8
    one, four = seconds(LLAMA_8B, H100), worker_seconds(LLAMA_8B, H100, 4)
    assert four["load"] == one["load"] and four["forward"] == pytest.approx(one["forward"] / 4)
    assert four["publish"] == pytest.approx(one["write"] * 16 / 23)


def test_the_page_quotes_the_tables_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for table in (
        work_table(),
        replace(worker_table(), title=""),
        *(replace(time_table(*machine), title="") for machine in MACHINES),
    ):
        assert table.markdown() in text
