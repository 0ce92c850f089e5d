"""Running text for the small atlas of tests/atlas_factory.py: 40 texts of 12 of its tokens, at mlp_post.

L1N7 is about 6 on " game", " team" and " ball", and about 0 on all other tokens; L1N2 is about -6 on " dog". All others
are random. Every row is computed by brute force (tests/exemplar_reference.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from atlas.schema.exemplar_tables import EXEMPLAR_TABLES, KINDS
from builders.arrow import rows_of
from tests.exemplar_reference import Read, firing_of, lists_of, windows_of

N_TEXTS, TOKENS = 40, 12
WINDOW, BAND_WINDOW, EPSILON = 8, 4, 0.01
ALIKE = ((0, 1), (1, 2))
PLANTED, LOWERED = (" game", " team", " ball"), " dog"


def planted_texts(words: tuple[str, ...], seed: int) -> list[list[int]]:
    """Token ids of each text."""
    return np.random.default_rng([seed, 5]).integers(0, len(words), (N_TEXTS, TOKENS)).tolist()


def planted_reads(words: tuple[str, ...], layer: int, width: int, seed: int) -> list[Read]:
    """What every text gives at one layer."""
    rng = np.random.default_rng([seed, layer, 6])
    fires = [words.index(word) for word in PLANTED]
    reads = []
    for tokens in planted_texts(words, seed):
        gate, up = (rng.normal(0.0, 0.4, (TOKENS, width)).astype(np.float32) for _ in range(2))
        acts = np.where(gate > 0, gate, 0.1 * gate) * up
        if layer == 1:
            noise = rng.normal(0.0, 0.3, TOKENS)
            is_planted = np.isin(tokens, fires)
            acts[is_planted, 7] = 6 + noise[is_planted]
            gate[is_planted, 7] = up[is_planted, 7] = 3
            is_lowered = np.asarray(tokens) == words.index(LOWERED)
            acts[is_lowered, 2], gate[is_lowered, 2], up[is_lowered, 2] = -6, 3, -2
        reads.append(Read(acts.astype(np.float32), np.ones(TOKENS, bool), gate, up))
    return reads


def text_rows(
    words: tuple[str, ...], n_layers: int, width: int, seed: int, run_id: int, keep: bool
) -> dict[str, pa.Table]:
    """Rows of every table about running text; `keep`: with words."""
    tables = {table.name: table for table in EXEMPLAR_TABLES}
    texts = planted_texts(words, seed)
    said: dict[str, list[dict[str, Any]]] = {
        "_text_set": [
            {
                "run_id": run_id,
                "texts": N_TEXTS,
                "tokens": N_TEXTS * TOKENS,
                "max_tokens": TOKENS,
                "sampled": N_TEXTS * TOKENS,
                "compared": N_TEXTS * TOKENS,
                "correlated_from": 0.9,
                "seed": seed,
                "words": keep,
                "epsilon": EPSILON,
                "extreme_window": WINDOW,
                "band_window": BAND_WINDOW,
                "first_token": 0,
                "sha256": "0" * 64 if keep else "",
            }
        ],
        "_text": [
            {
                "text_id": index,
                "source": "small.txt",
                "document": index + 1,
                "start": 0,
                "n_tokens": TOKENS,
                "tokens": tokens if keep else None,
            }
            for index, tokens in enumerate(texts)
        ],
        "_exemplar": [],
        "_firing": [],
        "_correlated": [
            {"site": "mlp_post", "layer": layer, "neuron": neuron, "group_id": 0} for layer, neuron in ALIKE
        ],
        "token_count": [],
    }
    if keep:
        ids, counts = np.unique(np.asarray(texts), return_counts=True)
        said["token_count"] = [{"token_id": int(i), "n": int(n)} for i, n in zip(ids, counts, strict=True)]
    for layer in range(n_layers):
        reads = planted_reads(words, layer, width, seed)
        for neuron in range(width):
            place = {"site": "mlp_post", "layer": layer, "neuron": neuron}
            said["_firing"].append({**place, **firing_of(reads, neuron, EPSILON)})
            for code, rows in lists_of(reads, layer, neuron, seed).items():
                kind = next(kind for kind in KINDS if kind.code == code)
                text_ids, positions, values = zip(*rows, strict=True)
                scale, windows = None, None
                if kind.windowed:
                    width_of = BAND_WINDOW if kind.kind == "band" else WINDOW
                    scale, windows = windows_of(reads, neuron, rows, width_of, 0)
                said["_exemplar"].append(
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
    return {name: rows_of(tables[name], rows) for name, rows in said.items() if rows}
