"""The rates of a GPU in docs/scale.md, from what benchmarks/gpu/whole.py has kept.

Run: python -m benchmarks.gpu.pages
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common.claim import KEPT, Claim, Table
from benchmarks.speed.scale import TWO_CORES, time_table

KEPT_RATES = KEPT / "rates" / "gpu.json"
"""Not beside the claims, which the report reads all of."""
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN, END = "<!-- rates of a GPU -->", "<!-- end of rates of a GPU -->"
NOTHING = (
    "**No rate of a GPU has been measured for this project.** The GPU code has run only in Triton's interpreter and\n"
    "on a processor; read its columns as what to expect if it does what it was written to do. `make gpu` measures."
)


def main() -> None:
    rates = json.loads(KEPT_RATES.read_text(encoding="utf-8")) if KEPT_RATES.exists() else None
    topk = Claim.read("topk_gpu")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), rates, topk), encoding="utf-8")


def written(page: str, rates: dict[str, Any] | None, topk: Claim | None) -> str:
    """The page with the rates in their place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    said = NOTHING if rates is None else section(rates, topk)
    return f"{before}{BEGIN}\n{said}\n{END}{after}"


def section(rates: dict[str, Any], topk: Claim | None) -> str:
    """What was measured, and what it says of the models. `topk`: whose ratio replaces the assumed one."""
    ratios = [goal.measured for goal in topk.goals if goal.what.endswith("over the bare product")] if topk else []
    ratio = max(map(float, ratios), default=TWO_CORES.topk_ratio)
    rows = [
        ["bfloat16 product", f"{rates['bf16_flops'] / 1e12:.0f} TFLOP/s"],
        ["exact top-k over the product", f"{ratio:.2f}" if ratios else f"{ratio:.2f} (as on two cores)"],
        ["forward pass, share of the product's rate", f"{rates['forward_share']:.2f}"],
        ["values through the statistics", f"{rates['statistic_values'] / 1e6:,.0f} million/s"],
        ["inverted rows published", f"{rates['published_rows'] / 1e6:.1f} million/s"],
        ["weights from disk to the device", f"{rates['load_bytes'] / 1e9:.1f} GB/s"],
    ]
    names = ("bf16_flops", "forward_share", "statistic_values", "published_rows", "load_bytes")
    measured = replace(
        TWO_CORES,
        name=f"{rates['device']} (measured; bytes as on two cores)",
        topk_ratio=ratio,
        **{name: rates[name] for name in names},
    )
    told = f"Measured by `make gpu`: {rates['device']}."
    return "\n\n".join([told, Table(["rate", "measured"], rows).markdown(), time_table(measured).markdown()])


if __name__ == "__main__":
    main()
