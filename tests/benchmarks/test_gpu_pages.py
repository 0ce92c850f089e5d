"""The part of docs/scale.md that a GPU's rates are written into."""

from __future__ import annotations

from benchmarks.common.claim import Claim, Goal
from benchmarks.gpu.pages import BEGIN, END, NOTHING, PAGE, written
from benchmarks.speed.scale import SHAPES, TEXT_TOKENS, TEXTS, _time

RATES = {
    "device": "NVIDIA Example",
    "bf16_flops": 500e12,
    "forward_share": 0.5,
    "statistic_values": 2e9,
    "published_rows": 4e6,
    "load_bytes": 3e9,
}


def test_nothing_measured_is_said() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert NOTHING in page and written(page, None, None) == page


def test_rates_replace_what_stood_there() -> None:
    goals = [Goal("llama-3.1-8b, bfloat16: time over the bare product", "≤ 1.3", "1.25", True)]
    topk = Claim("topk_gpu", "", "", "", "", [], goals)
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    found = written(page, RATES, topk)
    assert found.startswith("before\n") and found.endswith(f"{END}\nafter\n") and "old" not in found
    assert written(found, RATES, topk) == found
    shape = next(shape for shape in SHAPES if shape.name == "Llama-3.1-8B")
    row = next(line for line in found.splitlines() if line.startswith("| Llama-3.1-8B"))
    cells = [cell.strip() for cell in row.split("|")[2:]]
    assert cells[:3] == [
        _time(2 * shape.parameters / 3e9),
        _time(1.25 * 6 * shape.neurons * shape.d_model * shape.d_vocab / 500e12),
        _time(2 * shape.parameters * TEXTS * TEXT_TOKENS / 250e12),
    ]
