"""Reproduces "Flash Interpretability" (arXiv 2501.02688) on a small model. Writes docs/results/flash.md.

Run: python -m benchmarks.flash.main --datasets DIR [--part steering|time|agreement] [--out docs/results/flash.md]

Three parts: clamping the neurons of a word, the time of decoding all up-projection neurons, and the agreement of the
model with a fine-tuned copy. DIR holds ag_news_test.csv (benchmarks/common/labelled_text.py) and is needed for the
third alone. What each part measures lies as JSON in --work, so the page can be written again without measuring; measure
anew by removing it there. --part none only writes the page; parts that were never measured are left out of it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.flash.report import page

ROOT = Path(__file__).parents[2]
PARTS = ("steering", "time", "agreement")


def main() -> None:
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    for part in PARTS if options.part == "all" else (options.part,):
        if part == "steering":
            _steering(options)
        elif part == "time":
            _map_time(options)
        elif part == "agreement":
            _map_time(options)  # its atlas is the other side of the comparison
            _agreement(options)
    options.out.write_text(page(options.work), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", help="folder with ag_news_test.csv")
    parser.add_argument("--part", choices=("all", "none", *PARTS), default="all")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "flash.md")
    parser.add_argument("--work", type=Path, default=ROOT / "data" / "work" / "flash", help="measurements, models")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--atlas", type=Path, default=ROOT / "data" / "atlases" / "smollm2-135m.duckdb")
    parser.add_argument("--dtype", default="bfloat16", help="of the model that is steered")
    parser.add_argument("--seeds", type=int, default=20, help="answers to each wording")
    parser.add_argument("--scored", type=int, default=8, help="of these, how many are scored for perplexity")
    parser.add_argument("--tokens", type=int, default=24, help="of an answer")
    parser.add_argument("--steps", type=int, default=200, help="of the fine-tune")
    parser.add_argument("--threads", type=int, help="of torch; 1 is much faster than more on busy processor cores")
    return parser.parse_args()


def _steering(options: argparse.Namespace) -> None:
    from atlas.live.loading import load
    from atlas.store.reader import open_atlas
    from benchmarks.flash.concepts import CONCEPTS
    from benchmarks.flash.steering import run_concept

    # What changes the numbers is in the name, so that other options do not meet old measurements.
    run = f"{options.model}-{options.dtype}-{options.seeds}x{options.tokens}-{options.scored}"
    name = f"steering-{run}".replace("/", "_")
    live = load(options.model, dtype=options.dtype)
    keep = {"model": options.model, "dtype": options.dtype, "folder": name, "tokens": options.tokens}
    _write(options.work / "steering.json", keep)
    with open_atlas(options.atlas) as atlas:
        for concept in CONCEPTS:
            run_concept(
                live,
                atlas,
                concept,
                options.work / name / concept.name,
                n_seeds=options.seeds,
                scored=options.scored,
                n_new=options.tokens,
            )


def _map_time(options: argparse.Namespace) -> None:
    from benchmarks.flash.map_time import measure

    if not (options.work / "time.json").is_file():
        _write(options.work / "time.json", measure(options.model, options.work / "base-up_proj.duckdb"))


def _agreement(options: argparse.Namespace) -> None:
    from benchmarks.common.labelled_text import datasets_folder
    from benchmarks.flash.agreement import measure

    base = options.work / "base-up_proj.duckdb"
    found = measure(options.model, base, datasets_folder(options.datasets), options.work, options.steps)
    _write(options.work / "agreement.json", found)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
