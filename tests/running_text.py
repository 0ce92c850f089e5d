"""Running text for an atlas that was really built: what the model does on some texts, all rows by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atlas.live.batching import encode
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.token_roles import special_ids
from atlas.manifest import utc_now
from atlas.schema.exemplar_tables import EXEMPLAR_TABLES, KINDS
from builders.arrow import rows_of
from tests.atlas_factory import changed_by_hand
from tests.exemplar_reference import Read, firing_of, lists_of, windows_of

WINDOW, BAND_WINDOW, EPSILON = 8, 4, 0.01


def activations_of(live: LiveModel, tokens: Sequence[int], site: str = "mlp_post") -> np.ndarray:
    """[L, T, N] of one text."""
    acts: dict[int, np.ndarray] = {}

    def keep(site: str, layer: int, acts_BTN: torch.Tensor) -> None:
        acts[layer] = acts_BTN[0].float().numpy().copy()

    ids = torch.tensor([list(tokens)])
    capture(live, ids, torch.ones_like(ids), [site], range(live.n_layers), keep)
    return np.stack([acts[layer] for layer in range(live.n_layers)])


def add_running_text(
    path: Path,
    model: Path,
    texts: Sequence[str],
    *,
    sites: Sequence[str] = ("mlp_post",),
    words: bool = True,
    exemplars: bool = True,
) -> None:
    """Put the rows of every table about running text into the atlas at `path`."""
    live = load(str(model), device="cpu", dtype="float32")
    encoded = encode(live, texts, "{text}", 64).input_ids
    special = special_ids(live.tokenizer)
    counted = [np.array([token not in special for token in tokens]) for tokens in encoded]
    said: dict[str, list[dict[str, Any]]] = {table.name: [] for table in EXEMPLAR_TABLES}
    n_tokens = int(sum(map(np.sum, counted)))
    said["_text_set"] = [
        {
            "run_id": 99,
            "texts": len(texts),
            "tokens": n_tokens,
            "max_tokens": 64,
            "sampled": n_tokens,
            "compared": n_tokens,
            "correlated_from": 0.9,
            "seed": 0,
            "words": words,
            "epsilon": EPSILON,
            "extreme_window": WINDOW,
            "band_window": BAND_WINDOW,
            "first_token": int(live.add_bos),
            "sha256": "0" * 64 if words else "",
        }
    ]
    said["_text"] = [
        {
            "text_id": index,
            "source": "texts.txt",
            "document": index + 1,
            "start": 0,
            "n_tokens": len(tokens),
            "tokens": tokens if words else None,
        }
        for index, tokens in enumerate(encoded)
    ]
    if words:
        ids, counts = np.unique(np.concatenate(encoded), return_counts=True)
        said["token_count"] = [{"token_id": int(i), "n": int(n)} for i, n in zip(ids, counts, strict=True)]
    for site in sites:
        acts = [activations_of(live, tokens, site) for tokens in encoded]
        for layer in range(live.n_layers):
            reads = [Read(each[layer], here) for each, here in zip(acts, counted, strict=True)]
            for neuron in range(live.width(site)):
                place = {"site": site, "layer": layer, "neuron": neuron}
                said["_firing"].append({**place, **firing_of(reads, neuron, EPSILON)})
                if exemplars:
                    said["_exemplar"] += _exemplars(reads, place)
    tables = {table.name: table for table in EXEMPLAR_TABLES}
    run = [99, "exemplars", "{}", "{}", "cpu", "float32", utc_now(), utc_now()]
    with changed_by_hand(path) as connection:
        connection.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(run))})", run)
        for name, rows in said.items():
            if rows:
                connection.register("_rows", rows_of(tables[name], rows))
                connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM _rows")
                connection.unregister("_rows")


def _exemplars(reads: Sequence[Read], place: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for code, rows in lists_of(reads, place["layer"], place["neuron"]).items():
        kind = next(kind for kind in KINDS if kind.code == code)
        text_ids, positions, values = zip(*rows, strict=True)
        width = BAND_WINDOW if kind.kind == "band" else WINDOW
        scale, windows = windows_of(reads, place["neuron"], rows, width, 0)
        found.append(
            {
                **place,
                "kind": code,
                "text_id": list(text_ids),
                "position": list(positions),
                "value": list(values),
                "scale": scale,
                "windows": windows,
            }
        )
    return found
