"""What the unembedding sees of a vector: its null space, and the direction of frequent tokens.

U has the gain of the final norm where the decoding mode is `folded`, reads through the rest of an encoder's head where
it is `linearised`, and has the mean of its rows taken out, since a softmax does not see what all logits have in common.
Everything follows from the second moments of its rows in float64, so a vector costs products of d_model numbers and no
pass over the vocabulary.

Axes: V tokens, S those with a frequency, N neurons, D d_model, K directions,
E what U reads: D, or the width of an encoder's decoder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from builders.weights.frequency import Frequency

_ROWS = 8192  # of U, in float64 at a time
NULL_PART = 64
"""One singular direction of so many counts as null: 12 of 768, as arXiv 2406.16254 finds in a model of that width."""


class Unembedding:
    """The rows of U, float32 [V, E]; `frequency` is of some of these rows.

    What it sees of a vector w [D] is U w, or U (g * w) with a gain, or U J w with a map [E, D].
    """

    def __init__(
        self,
        u_VE: torch.Tensor,
        gain_D: torch.Tensor | None,
        frequency: Frequency,
        map_ED: torch.Tensor | None = None,
    ) -> None:
        before = _Before(gain_D, map_ED)
        every = _Scatter.of(u_VE)
        seen_DD = before.around(every.scatter_DD)
        d_model = len(seen_DD)
        value_D, vector_DD = torch.linalg.eigh(seen_DD)
        self.singular_D = value_D.clamp(min=0).sqrt()
        # Directions that it does not see at all are no order among themselves, so all of them count: a narrow decoder,
        # and the norm before one, leave some out.
        n_unseen = int((value_D <= d_model * torch.finfo(torch.float64).eps * value_D[-1]).sum())
        self.null_directions = max(null_directions(d_model), n_unseen)
        self._null_DK = vector_DD[:, : self.null_directions]
        some_SE = u_VE[torch.from_numpy(frequency.token_S).to(u_VE.device)]
        log_S = torch.from_numpy(frequency.log_S).to(u_VE.device)
        log_S = log_S - log_S.mean()
        few = 2 * len(some_SE) <= len(u_VE)
        some = _Scatter.of(some_SE) if few else every.without(_Scatter.of(_others(u_VE, frequency.token_S)))
        self._scatter_DD = before.around(some.scatter_DD)
        self._frequent_D = before.back(_weighed_sum(some_SE, log_S))
        self._log_square = log_S @ log_S

    def null_share(self, w_ND: torch.Tensor) -> torch.Tensor:
        """Share of the squared norm of each vector, without the gain, in the null directions; NaN for a zero vector."""
        w_ND = w_ND.double()
        return (w_ND @ self._null_DK).square().sum(1) / _positive(w_ND.square().sum(1))

    def frequency_correlation(self, w_ND: torch.Tensor) -> torch.Tensor:
        """Pearson correlation of each vector's logits with the log frequency; NaN where either is constant."""
        w_ND = w_ND.double()
        square_N = torch.linalg.vecdot(w_ND @ self._scatter_DD, w_ND)
        return (w_ND @ self._frequent_D / _positive(square_N * self._log_square).sqrt()).clamp(-1, 1)


class _Before:
    """What stands between a vector and U: a gain [D], a map [E, D], or nothing; in float64."""

    def __init__(self, gain_D: torch.Tensor | None, map_ED: torch.Tensor | None) -> None:
        self._gain_D = None if gain_D is None else gain_D.double()
        self._map_ED = None if map_ED is None else map_ED.double()

    def back(self, x_E: torch.Tensor) -> torch.Tensor:
        """Its transpose times x: [D]."""
        if self._map_ED is not None:
            return self._map_ED.T @ x_E
        return x_E if self._gain_D is None else self._gain_D * x_E

    def around(self, x_EE: torch.Tensor) -> torch.Tensor:
        """Its transpose times x times itself: [D, D]."""
        if self._map_ED is not None:
            return self._map_ED.T @ x_EE @ self._map_ED
        return x_EE if self._gain_D is None else x_EE * self._gain_D * self._gain_D[:, None]


def null_directions(d_model: int) -> int:
    """How many singular directions of U, those with the smallest values, count as its null space at least."""
    return max(1, round(d_model / NULL_PART))


class _Scatter(NamedTuple):
    """Of some rows: how many, their mean [D], and the sum of the outer squares of what they differ from it [D, D]."""

    n: int
    mean_D: torch.Tensor
    scatter_DD: torch.Tensor

    @classmethod
    def of(cls, u_VD: torch.Tensor) -> _Scatter:
        """In float64."""
        parts = u_VD.split(_ROWS)
        mean_D = sum((u_bD.double().sum(0) for u_bD in parts), u_VD.new_zeros(u_VD.shape[1]).double())
        mean_D = mean_D / max(len(u_VD), 1)
        scatter_DD = u_VD.new_zeros(u_VD.shape[1], u_VD.shape[1]).double()
        for u_bD in parts:
            rest_bD = u_bD.double() - mean_D
            scatter_DD.addmm_(rest_bD.T, rest_bD)
        return cls(len(u_VD), mean_D, scatter_DD)

    def without(self, part: _Scatter) -> _Scatter:
        """That of the rows that are left when a part is taken away (Chan, Golub and LeVeque 1979, backwards)."""
        n, away_D = self.n - part.n, part.mean_D - self.mean_D
        scatter_DD = self.scatter_DD - part.scatter_DD - part.n * self.n / n * torch.outer(away_D, away_D)
        return _Scatter(n, self.mean_D - part.n / n * away_D, scatter_DD)


def _others(u_VD: torch.Tensor, token_S: np.ndarray) -> torch.Tensor:
    """The rows that are not among some."""
    other_V = torch.ones(len(u_VD), dtype=torch.bool)
    other_V[torch.from_numpy(token_S)] = False
    return u_VD[other_V.to(u_VD.device)]


def _weighed_sum(u_SD: torch.Tensor, weight_S: torch.Tensor) -> torch.Tensor:
    parts = zip(u_SD.split(_ROWS), weight_S.split(_ROWS), strict=True)
    return sum((weight_b @ u_bD.double() for u_bD, weight_b in parts), u_SD.new_zeros(u_SD.shape[1]).double())


def _positive(x_N: torch.Tensor) -> torch.Tensor:
    return torch.where(x_N > 0, x_N, torch.nan)
