"""How long decoding all up-projection neurons takes, for benchmarks/flash/main.py."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from atlas.live.loading import load
from builders.build.pipeline import build
from builders.config import BuildConfig
from builders.progress import Silent

TOP = 32
_BUFFER_BYTES = 250_000_000


def measure(model: str, target: Path) -> dict[str, Any]:
    """Seconds (wall, processor) of the builder's decoding of `up_proj` into `target`, and of the bare product."""
    watch = _Watch()
    started = time.perf_counter()
    build(
        BuildConfig(model=model, target=target, weights=("up_proj",), top=TOP),
        existing="replace",
        interrupted="restart",
        progress=watch,
    )
    whole = time.perf_counter() - started
    live = load(model)
    load_before = os.getloadavg()[0]
    product = _bare_product(live)
    return {
        "neurons": live.n_layers * live.d_mlp,
        "d_model": live.d_model,
        "d_vocab": live.unembedding().shape[0],
        "decode": watch.seconds["decoding"],
        "product": product,
        "whole_build": whole,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load": load_before,
    }


def _bare_product(live) -> tuple[float, float]:
    """(wall, processor) seconds of U w for every neuron, in blocks as large as the builder's, nothing kept."""
    u_VD = live.unembedding().float()
    rows = _BUFFER_BYTES // (4 * len(u_VD))
    logits = torch.empty(rows, len(u_VD))
    wall, processor = time.perf_counter(), time.process_time()
    for layer in range(live.n_layers):
        for w_ND in live.weight("up_proj", layer).float().split(rows):
            torch.mm(w_ND, u_VD.T, out=logits[: len(w_ND)])
    return time.perf_counter() - wall, time.process_time() - processor


class _Watch(Silent):
    """Wall and processor seconds of each step of a build."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        wall, processor = time.perf_counter(), time.process_time()
        yield lambda units: None
        self.seconds[label] = (time.perf_counter() - wall, time.process_time() - processor)
