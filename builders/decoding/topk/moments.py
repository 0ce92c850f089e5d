"""Second moments over the vocabulary, and from them how far the loss of bfloat16 copies spreads over its logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from builders.decoding.topk.rounding import ROUND, TINY, float32_sums

_ROWS = 1024  # tokens per product: more would let the float32 sums lose more


@dataclass(frozen=True)
class Spread:
    """Covariances [D, D] of the rows x_j of a matrix, in bfloat16, good for upper bounds of the spread of v.x_j.

    What rounding hides of v.C.v is at most hidden |v|^2: in units of 2^-8 of the Frobenius norm, one for the result of
    each block, one for the matrix, one for a product with it, and one to spare, which covers adding up in float32
    except within a block: 2^-13 of the trace. Rounding the rows and v moves the spread by at most moved |v|.
    """

    matrix_DD: torch.Tensor
    hidden: torch.Tensor
    moved: torch.Tensor

    @staticmethod
    def of(total_DD: torch.Tensor, size: torch.Tensor) -> Spread:
        """From a sum of bfloat16 blocks over the mean of rows, and the sum of their Frobenius norms."""
        trace = total_DD.diagonal().sum(dtype=torch.float64)
        hidden = 4 * ROUND * size + 2.0**-12 * trace + len(total_DD) * 2.0**6 * TINY
        return Spread(total_DD.bfloat16(), hidden, ROUND * (trace.sqrt() + size.sqrt()))

    def product(self, v_nD: torch.Tensor) -> torch.Tensor:
        """v C, bfloat16."""
        return v_nD.bfloat16() @ self.matrix_DD

    def bound(self, v_nD: torch.Tensor, product_nD: torch.Tensor, norm_n: torch.Tensor) -> torch.Tensor:
        """At least the standard deviation of v.x_j over the tokens, [n] float64; infinite where nothing is known.

        product_nD = product(v_nD), norm_n at least |v|.
        """
        variance_n = torch.linalg.vecdot(product_nD.float(), v_nD.bfloat16().float()).double()
        spread_n = (variance_n + self.hidden * norm_n**2).clamp(min=0).sqrt() + self.moved * norm_n
        return spread_n.nan_to_num(torch.inf, torch.inf)


@dataclass(frozen=True)
class Moments:
    """Of the rows u_j: `tokens`; of what their copies lost: `lost`; of the lost with u: `mixed_DD`, bfloat16.

    The last two are None where nothing was lost.
    """

    tokens: Spread
    lost: Spread | None
    mixed_DD: torch.Tensor | None

    @staticmethod
    def of(
        u_VD: torch.Tensor, low_VD: torch.Tensor, mean_D: torch.Tensor, low_mean_D: torch.Tensor, lossless: bool
    ) -> Moments:
        """As dear as the products of D or, where something was lost, 3 D neurons."""
        centre_D, lost_centre_D = mean_D.float(), (mean_D - low_mean_D).float()
        tokens, lost, mixed = _Sum(), _Sum(), _Sum()
        with float32_sums(u_VD.device):
            for u_bD, low_bD in zip(u_VD.split(_ROWS), low_VD.split(_ROWS), strict=True):
                centred_bD = (u_bD - centre_D).bfloat16()
                tokens.add(centred_bD, centred_bD)
                if not lossless:
                    lost_bD = (u_bD - low_bD - lost_centre_D).bfloat16()
                    lost.add(lost_bD, lost_bD)
                    mixed.add(lost_bD, centred_bD)
        of_tokens = Spread.of(*tokens.mean(len(u_VD)))
        if lossless:
            return Moments(of_tokens, None, None)
        return Moments(of_tokens, Spread.of(*lost.mean(len(u_VD))), mixed.mean(len(u_VD))[0].bfloat16())

    def of_loss(
        self, w_nD: torch.Tensor, low_nD: torch.Tensor, norm_n: torch.Tensor, lost_n: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of w.u_j - ^w.^u_j: (its covariance with w.u_j [n], about; a bound of its standard deviation [n]), float64.

        low_nD = ^w, norm_n = |w|, lost_n = |w - ^w|. The loss is (w - ^w).u_j + ^w.(u_j - ^u_j).
        """
        with float32_sums(w_nD.device):
            lost_nD = w_nD - low_nD
            along_nD = self.tokens.product(lost_nD)
            spread_n = self.tokens.bound(lost_nD, along_nD, lost_n)
            along_nD = along_nD.float()
            if self.lost is not None:
                along_nD += low_nD @ self.mixed_DD
                spread_n += self.lost.bound(low_nD, self.lost.product(low_nD), norm_n + lost_n)
        return torch.linalg.vecdot(along_nD, w_nD).double(), spread_n


class _Sum:
    """Adds up products of blocks of rows."""

    def __init__(self) -> None:
        self.total: torch.Tensor | int = 0
        self.size: torch.Tensor | int = 0

    def add(self, left_bD: torch.Tensor, right_bD: torch.Tensor) -> None:
        part_DD = (left_bD.T @ right_bD).float()
        self.total = self.total + part_DD
        self.size = self.size + torch.linalg.vector_norm(part_DD, dtype=torch.float64)

    def mean(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum, and the sum of the Frobenius norms, over `count`."""
        return self.total / count, self.size / count
