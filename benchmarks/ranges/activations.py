"""Activations of texts at the last token of a template, kept on disk: the raw numbers that intervals are found on.

Axes: E texts, L layers, N neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from atlas.live.batching import batches, encode
from atlas.live.capture import capture
from atlas.live.model import LiveModel
from atlas.live.pooling import pool
from benchmarks.common.cache import cached

SITES = ("mlp_post", "resid_post")
Live = Callable[[], LiveModel]
"""Loads the model, or returns it where it is loaded already: called only where something is missing."""


def last_token(
    live: Live, work: Path, model: str, name: str, texts: Sequence[str], template: str
) -> dict[str, np.ndarray]:
    """site -> acts_ELN, float32. Kept in the folder `work` in a file whose name begins with `name`."""
    work.mkdir(parents=True, exist_ok=True)
    return cached(work, f"{name}-last", [model, list(texts), template], lambda: _captured(live(), texts, template))


def _captured(live: LiveModel, texts: Sequence[str], template: str) -> dict[str, np.ndarray]:
    found = {site: np.empty((len(texts), live.n_layers, live.width(site)), np.float32) for site in SITES}
    for batch in batches(encode(live, list(texts), template, 512).input_ids, 2048):

        def keep(site, layer, acts_BTN, batch=batch):
            found[site][list(batch.indices), layer] = pool(acts_BTN, batch.attention_mask, "last").numpy()

        capture(live, batch.input_ids, batch.attention_mask, list(SITES), list(range(live.n_layers)), keep)
    return found


def running_text(
    live: Live, work: Path, model: str, name: str, texts: Sequence[str], per_text: int
) -> dict[str, np.ndarray]:
    """site -> acts_BLN, float32: `per_text` tokens of each text, drawn after its first, without a template."""
    work.mkdir(parents=True, exist_ok=True)
    identity = [model, list(texts), per_text]
    return cached(work, f"{name}-running", identity, lambda: _sampled(live(), texts, per_text))


def _sampled(live: LiveModel, texts: Sequence[str], per_text: int) -> dict[str, np.ndarray]:
    ids = encode(live, list(texts), "{text}", 512).input_ids
    draw = np.random.default_rng(0)
    tokens = [np.sort(draw.choice(np.arange(1, len(row)), per_text, replace=False)) for row in ids]
    found = {site: np.empty((len(texts), per_text, live.n_layers, live.width(site)), np.float32) for site in SITES}
    for batch in batches(ids, 2048):

        def keep(site, layer, acts_BTN, batch=batch):
            for row, text in enumerate(batch.indices):
                found[site][text, :, layer] = acts_BTN[row, tokens[text]].float().numpy()

        capture(live, batch.input_ids, batch.attention_mask, list(SITES), list(range(live.n_layers)), keep)
    return {site: acts.reshape(-1, *acts.shape[2:]) for site, acts in found.items()}
