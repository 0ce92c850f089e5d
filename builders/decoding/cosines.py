"""How the cosines of a vector to all tokens are distributed: moments over the vocabulary, in the pass that decodes.

Their kurtosis tells neurons that are about few tokens (Gurnee et al. 2024, arXiv 2401.12181). The mean is
exact, from the mean of the unit rows of U. Central moments are summed in float32 tiles that stay in a cache, over the
float32 cosines less their mean, so that a mean far from 0 costs no digits.

Axes: n neurons of a chunk, V tokens, D d_model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from builders.decoding.topk.vocabulary import row_norms

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

_CPU_TILE, _GPU_TILE = 1 << 18, 1 << 26  # logits at a time
_ROWS = 1024  # of U in float64 at a time


class Moments(Protocol):
    """What says how the cosines of vectors are distributed."""

    def moments(self, w_nD: torch.Tensor, logits_nV: torch.Tensor) -> torch.Tensor:
        """[n, 4] float64, as those of `Cosines`."""
        ...


class NoCosines:
    """Of a model without a vocabulary behind its last block: labels are too few for a distribution."""

    def moments(self, w_nD: torch.Tensor, logits_nV: torch.Tensor) -> torch.Tensor:
        """[n, 4] NaN."""
        return torch.full((len(w_nD), 4), torch.nan, dtype=torch.float64, device=w_nD.device)


def cosines_of(live: LiveModel, u_VD: torch.Tensor) -> Moments:
    """The cosines to the model's tokens, where its head gives tokens."""
    return Cosines(u_VD) if live.gives_tokens else NoCosines()


class Cosines:
    """Moments of cos(U, w) for the neurons of one matrix after another; U float32 [V, D], finite.

    A token whose row of U is zero has no direction, and does not count.
    """

    def __init__(self, u_VD: torch.Tensor) -> None:
        norm_V = row_norms(u_VD)
        some_V = norm_V > 0
        scale_V = torch.where(some_V, 1 / norm_V, 0.0)
        blocks = zip(u_VD.split(_ROWS), scale_V.split(_ROWS), strict=True)
        self._n_zero = len(norm_V) - int(some_V.sum())
        self._n = max(len(norm_V) - self._n_zero, 1)
        self._mean_D = sum(scale_b @ u_bD.double() for u_bD, scale_b in blocks) / self._n
        self._scale_V = scale_V.float()

    def moments(self, w_nD: torch.Tensor, logits_nV: torch.Tensor) -> torch.Tensor:
        """[n, 4] float64: mean, population standard deviation, skewness, excess kurtosis; NaN where not defined.

        `logits_nV` is w_nD @ U^T in float32, and stays as it is.
        """
        norm_n = row_norms(w_nD)
        scale_n = torch.where(norm_n > 0, 1 / norm_n, torch.nan)
        mean_n = (w_nD.double() @ self._mean_D) * scale_n
        tile = _CPU_TILE if logits_nV.device.type == "cpu" else _GPU_TILE
        rows = max(1, tile // logits_nV.shape[1])
        parts = []
        for start in range(0, len(w_nD), rows):
            part = slice(start, start + rows)
            cosine_rV = logits_nV[part] * scale_n[part, None].float()
            cosine_rV.mul_(self._scale_V).sub_(mean_n[part, None].float())
            parts.append(_power_sums(cosine_rV))
        sums_n3 = torch.cat(parts)
        # A zero row has counted as a cosine of 0.
        zero_n3 = torch.stack([(-mean_n) ** power for power in (2, 3, 4)], 1)
        second_n, third_n, fourth_n = ((sums_n3 - self._n_zero * zero_n3) / self._n).T
        std_n = second_n.clamp(min=0).sqrt()
        spread_n = torch.where(std_n > 0, std_n, torch.nan)
        return torch.stack([mean_n, std_n, third_n / spread_n**3, fourth_n / spread_n**4 - 3], 1)


def _power_sums(z_rV: torch.Tensor) -> torch.Tensor:
    """[r, 3] float64: sums of z^2, z^3 and z^4 over V."""
    square_rV = z_rV * z_rV
    second_r, third_r = square_rV.sum(1), z_rV.mul_(square_rV).sum(1)
    return torch.stack([second_r, third_r, square_rV.mul_(square_rV).sum(1)], 1).double()
