"""Sums over tokens, of every neuron at one place: moments that any order of merging gives, counts, and fine bins.

Axes: T tokens of a text, B texts of a batch, G groups of tokens, N neurons, F fine bins of both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from builders.exemplars.masks import above, count

LOWEST, HIGHEST, PER_OCTAVE = -28, 16, 8
"""Fine bins are of |activation| from 2^LOWEST to 2^HIGHEST; what is beyond is in the last. Each is an eighth of its
octave wide, so that no value in it is farther from another than an eighth of it."""
SIDE = (HIGHEST - LOWEST) * PER_OCTAVE
"""Fine bins on a side: first those of activations above 0, upwards, then those of the others, away from 0."""
COUNTS = ("positive", "beyond", "gate", "up", "both")
"""What is counted; the last three are of negative branches of gated neurons."""
_MANTISSA = 23 - 3
_FIRST = (127 + LOWEST) * PER_OCTAVE
HELD_TOKENS = 512
"""Tokens that are counted together at least: a few cost as much as many."""
_COUNTED_NEURONS = 32
"""Neurons that are counted at a time: their bins stay in a cache."""


class Moments(NamedTuple):
    """Of groups of tokens: numbers and places in the text [G], activations [G, N]. All float64."""

    n_G: np.ndarray
    mean_place_G: np.ndarray
    squares_place_G: np.ndarray
    mean_GN: np.ndarray
    squares_GN: np.ndarray
    products_GN: np.ndarray


def merged(groups: Moments) -> Moments:
    """The moments of all groups together, as one group (Chan, Golub and LeVeque 1979)."""
    n = groups.n_G.sum()
    share_G = groups.n_G / n
    mean_place = share_G @ groups.mean_place_G
    mean_N = share_G @ groups.mean_GN
    away_place_G, away_GN = groups.mean_place_G - mean_place, groups.mean_GN - mean_N
    weighted_GN = groups.n_G[:, None] * away_GN
    return Moments(
        np.array([n]),
        np.array([mean_place]),
        np.array([groups.squares_place_G.sum() + groups.n_G @ away_place_G**2]),
        mean_N[None],
        (groups.squares_GN.sum(0) + (weighted_GN * away_GN).sum(0))[None],
        (groups.products_GN.sum(0) + away_place_G @ weighted_GN)[None],
    )


def together(groups: list[Moments]) -> Moments:
    """Groups one after another."""
    return Moments(*(np.concatenate(parts) for parts in zip(*groups, strict=True)))


class TextSums(NamedTuple):
    """Of one text, on the device of the activations: float32 [N]; `counts`: int32 [5, N], in the order of COUNTS."""

    mean: Tensor
    squares: Tensor
    products: Tensor
    counts: Tensor


def text_sums(
    acts_TN: Tensor, places_T: Tensor, epsilon: float, negative_TN: tuple[Tensor, Tensor] | None = None
) -> TextSums:
    """Of the tokens that count of one text. `negative_TN`: where the gate and the up branch have their sign bit set.

    In two steps, so that a large mean takes nothing from the spread.
    """
    mean_N = acts_TN.mean(0)
    away_TN = acts_TN - mean_N
    masks = [above(acts_TN, 0), above(acts_TN.abs(), epsilon)]
    if negative_TN is not None:
        masks += [*negative_TN, negative_TN[0] & negative_TN[1]]
    counts = [count(mask) for mask in masks]
    counts += [torch.zeros_like(counts[0])] * (len(COUNTS) - len(counts))
    products_N = (places_T - places_T.mean()) @ away_TN
    return TextSums(mean_N, away_TN.square_().sum(0), products_N, torch.stack(counts))


def fine_bins(acts_TN: Tensor) -> Tensor:
    """The fine bin of each activation: int32 [T, N]."""
    bits_TN = acts_TN.view(torch.int32)
    step_TN = ((bits_TN & 0x7FFFFFFF) >> _MANTISSA).sub_(_FIRST).clamp_(0, SIDE - 1)
    return step_TN.add_(SIDE).sub_(bits_TN.clamp(0, 1), alpha=SIDE)


def edges() -> np.ndarray:
    """The lower edges of the fine bins of one side, and the upper one of the last: [SIDE + 1]. The first is 0."""
    step = np.arange(SIDE + 1)
    found = 2.0 ** (LOWEST + step // PER_OCTAVE) * (1 + step % PER_OCTAVE / PER_OCTAVE)
    found[0] = 0
    return found


@dataclass
class Tally:
    """The sums of one place over some texts."""

    moments: list[Moments]
    counts: np.ndarray
    """int64 [5, N]."""
    min: np.ndarray
    max: np.ndarray
    bins_NF: np.ndarray
    """int32."""
    held: list[Tensor]
    """Fine bins that are not counted yet, int16 [T, N]."""
    first: tuple[int, np.ndarray] | None = None
    """The smallest hash of a token, and its activations float32 [N]: the sample, where no token is drawn."""

    @classmethod
    def empty(cls, width: int) -> Tally:
        """Of no text."""
        return cls(
            [],
            np.zeros((len(COUNTS), width), np.int64),
            np.full(width, np.inf, np.float32),
            np.full(width, -np.inf, np.float32),
            np.zeros((width, 2 * SIDE), np.int32),
            [],
        )

    def add(self, places: list[np.ndarray], sums: list[TextSums]) -> None:
        """Take the texts of a batch. `places`: where in each text its tokens are that count."""
        mean_BN, squares_BN, products_BN = (
            torch.stack([each[index] for each in sums]).double().cpu().numpy() for index in range(3)
        )
        batch = Moments(
            np.array([float(len(each)) for each in places]),
            np.array([each.mean() for each in places]),
            np.array([((each - each.mean()) ** 2).sum() for each in places]),
            mean_BN,
            squares_BN,
            products_BN,
        )
        self.moments = [merged(together([*self.moments, batch]))]
        self.counts += torch.stack([each.counts for each in sums]).sum(0).cpu().numpy()

    def spread(self, low_BN: np.ndarray, high_BN: np.ndarray) -> None:
        """Take the extremes of the texts of a batch."""
        self.min = np.minimum(self.min, low_BN.min(0))
        self.max = np.maximum(self.max, high_BN.max(0))

    def keep_first(self, hashes_T: np.ndarray, acts_TN: Tensor) -> None:
        """Take the token with the smallest hash: so few may be routed to an expert that none of them is drawn."""
        at = int(hashes_T.argmin())
        if self.first is None or int(hashes_T[at]) < self.first[0]:
            self.first = int(hashes_T[at]), acts_TN[at].cpu().numpy()

    def sample(self, acts_TN: Tensor) -> None:
        """Take the activations of drawn tokens, until `count_held`."""
        self.held.append(fine_bins(acts_TN).to(torch.int16))

    def count_held(self, least: int = 1) -> None:
        """Count what `sample` took, if these are so many tokens."""
        if sum(map(len, self.held)) < least:
            return
        codes_NT = torch.cat(self.held).T.contiguous().cpu().numpy()
        for start in range(0, len(codes_NT), _COUNTED_NEURONS):
            some_NF = self.bins_NF[start : start + _COUNTED_NEURONS]
            codes_nT = codes_NT[start : start + _COUNTED_NEURONS].astype(np.int64)
            codes_nT += np.arange(0, some_NF.size, some_NF.shape[1])[:, None]
            some_NF += np.bincount(codes_nT.reshape(-1), minlength=some_NF.size).reshape(some_NF.shape)
        self.held = []
