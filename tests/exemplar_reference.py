"""Exemplars and firing of running text by brute force: all activations at once, sorted after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from atlas.schema.exemplar_tables import KINDS, OCTAVES, PROBABILITIES

_MASK = 2**64 - 1


class Read(NamedTuple):
    """One text at one place. Axes: T tokens, N neurons. `gate_TN`, `up_TN`: the branches of gated neurons."""

    acts_TN: np.ndarray
    counted_T: np.ndarray
    gate_TN: np.ndarray | None = None
    up_TN: np.ndarray | None = None


def mixed(x: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), in whole numbers."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def drawn(seed: int, text_id: int, layer: int, neuron: int) -> int:
    """The hash by which the texts of a neuron's bands are drawn: the smallest ones."""
    return mixed(mixed(mixed(seed) ^ text_id) ^ (layer << 32 | neuron))


def comparable(value: float) -> float:
    """To 17 significant bits: how activations are compared."""
    fraction, exponent = np.frexp(np.float64(value))
    return float(np.ldexp(np.sign(fraction) * np.floor(abs(fraction) * 2**17 + 0.5), exponent - 17))


def best(values_T: np.ndarray, allowed_T: np.ndarray, sign: int) -> int | None:
    """The first of the tokens with the largest value times sign; None where none is allowed."""
    places = np.flatnonzero(allowed_T)
    if not len(places):
        return None
    return int(places[np.argmax([sign * comparable(value) for value in values_T[places]])])


def lists_of(texts: Sequence[Read], layer: int, neuron: int, seed: int = 0) -> dict[int, list[tuple[int, int, float]]]:
    """Code of a kind -> (text, position, value) in order; kinds without any are absent."""
    top, bottom, every = [], [], []
    quadrants: list[list[tuple[int, int, float]]] = [[], [], [], []]
    for text_id, read in enumerate(texts):
        values_T = read.acts_TN[:, neuron]
        position = best(values_T, read.counted_T, 1)
        if position is None:
            continue
        top.append((text_id, position, float(values_T[position])))
        every.append((drawn(seed, text_id, layer, neuron), *top[-1]))
        low = best(values_T, read.counted_T, -1)
        bottom.append((text_id, low, float(values_T[low])))
        if read.gate_TN is not None and read.up_TN is not None:
            for index, allowed_T in enumerate(quadrants_of(read, neuron)):
                at = best(np.abs(values_T), allowed_T & (values_T != 0), 1)
                if at is not None:
                    quadrants[index].append((text_id, at, float(values_T[at])))
    found = {
        1: sorted(top, key=lambda row: (-comparable(row[2]), row[0])),
        2: sorted(bottom, key=lambda row: (comparable(row[2]), row[0])),
    }
    sample = sorted((row[1:] for row in sorted(every)[:32]), key=lambda row: (comparable(row[2]), row[0]))
    for band in range(4):
        found[3 + band] = sample[len(sample) * band // 4 : len(sample) * (band + 1) // 4]
    for index, rows in enumerate(quadrants):
        found[7 + index] = sorted(rows, key=lambda row: (-abs(comparable(row[2])), row[0]))
    return {kind.code: found[kind.code][: kind.most] for kind in KINDS if found[kind.code]}


def quadrants_of(read: Read, neuron: int) -> list[np.ndarray]:
    """Which of the tokens that count are in each quadrant."""
    gate_T, up_T = (~np.signbit(each[:, neuron]) for each in (read.gate_TN, read.up_TN))  # type: ignore[index]
    return [read.counted_T & (gate_T == gate) & (up_T == up) for gate in (True, False) for up in (True, False)]


def firing_of(
    texts: Sequence[Read], neuron: int, epsilon: float, sampled: Sequence[np.ndarray] | None = None
) -> dict[str, Any]:
    """Columns of the table _firing, quantiles exact among the sampled tokens (bool [T] of each text; None: all)."""
    values = np.concatenate([read.acts_TN[read.counted_T, neuron] for read in texts]).astype(np.float64)
    places = np.concatenate([np.flatnonzero(read.counted_T) for read in texts]).astype(np.float64)
    some = values
    if sampled is not None:
        some = np.concatenate([r.acts_TN[r.counted_T & s, neuron] for r, s in zip(texts, sampled, strict=True)])
    some = some.astype(np.float64)
    quantiles = np.quantile(some, PROBABILITIES, method="inverted_cdf")
    quantiles[[0, -1]] = values.min(), values.max()
    largest = np.abs(values).max()
    octave = int(np.floor(np.log2(largest))) if largest else 0
    histogram = []
    for side in (some[some > 0], -some[some <= 0]):
        with np.errstate(divide="ignore"):
            below = octave - np.floor(np.log2(side))
        histogram += [int((np.minimum(below, OCTAVES - 1) == step).sum()) for step in range(OCTAVES)]
    quadrants = None
    if texts[0].gate_TN is not None:
        quadrants = [
            sum(int(each[index].sum()) for each in (quadrants_of(r, neuron) for r in texts)) for index in range(4)
        ]
    constant = values.std() == 0 or places.std() == 0
    return {
        "mean": values.mean(),
        "std": values.std(),
        "positive": int((values > 0).sum()),
        "beyond": int((np.abs(values) > np.float32(epsilon)).sum()),
        "position_correlation": None if constant else float(np.corrcoef(values, places)[0, 1]),
        "quantiles": quantiles.tolist(),
        "octave": octave,
        "histogram": histogram,
        "quadrants": quadrants,
    }


def windows_of(
    texts: Sequence[Read], neuron: int, rows: Sequence[tuple[int, int, float]], width: int, first: int
) -> tuple[float, bytes]:
    """(scale, the bytes) of the windows of one kind."""
    cut = []
    for text_id, position, _ in rows:
        read = texts[text_id]
        start = max(first, min(position - width * 3 // 4, len(read.counted_T) - width))
        window = [
            float(read.acts_TN[at, neuron]) if at < len(read.counted_T) and read.counted_T[at] else None
            for at in range(start, start + width)
        ]
        cut.append(window)
    scale = float(np.float32(max((abs(value) for window in cut for value in window if value is not None), default=0.0)))
    codes = [
        0 if value is None else 128 + round(127 * value / scale) if scale else 128 for window in cut for value in window
    ]
    return scale, bytes(codes)
