"""An unembedding prepared once for many searches: its bfloat16 copy, and how much that copy lost."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F

from atlas.errors import BuildError

TILE = 2048  # tokens per product: the logits of a tile stay in the second-level cache
FOLD = 16  # tokens per block of maxima


class Vocabulary:
    """U [d_vocab, d_model] in float32, with what the fast paths need to know of it, computed at first use and kept.

    Raises BuildError where a value is NaN or infinite.
    """

    def __init__(self, u_VD: torch.Tensor) -> None:
        self.u_VD = u_VD.float()
        refuse_non_finite(self.u_VD, "token")

    @cached_property
    def low_PD(self) -> torch.Tensor:
        """U in bfloat16, with zero rows to a multiple of 8 * FOLD."""
        return F.pad(self.u_VD.bfloat16(), (0, 0, 0, -len(self.u_VD) % (8 * FOLD)))

    @cached_property
    def norm_P(self) -> torch.Tensor:
        """|u_j| in float64; zero for padding."""
        return F.pad(row_norms(self.u_VD), (0, len(self.low_PD) - len(self.u_VD)))

    @cached_property
    def lost_P(self) -> torch.Tensor:
        """|u_j - bf16(u_j)| in float64; zero for checkpoints that are bfloat16 themselves, and for padding."""
        lost = [row_norms(u_bD - low_bD) for u_bD, low_bD in zip(*self._blocks(), strict=True)]
        return F.pad(torch.cat(lost), (0, len(self.low_PD) - len(self.u_VD)))

    @cached_property
    def block_token_MF(self) -> torch.Tensor:
        """The tokens of each block: FOLD of one tile, at equal distances, so that maxima are taken down columns."""
        tiles = torch.arange(len(self.low_PD), device=self.u_VD.device).split(TILE)
        return torch.cat([tile.view(FOLD, -1).T for tile in tiles])

    @cached_property
    def block_norm_M(self) -> torch.Tensor:
        """The largest |u_j| of each block."""
        return self.norm_P[self.block_token_MF].amax(1)

    @cached_property
    def block_lost_M(self) -> torch.Tensor:
        """The largest |u_j - bf16(u_j)| of each block."""
        return self.lost_P[self.block_token_MF].amax(1)

    @cached_property
    def mean_D(self) -> torch.Tensor:
        """Mean row of U, float64."""
        return sum(u_bD.double().sum(0) for u_bD in self._blocks()[0]) / len(self.u_VD)

    @cached_property
    def low_mean_D(self) -> torch.Tensor:
        """Mean row of the bfloat16 copy, float64."""
        return sum(low_bD.double().sum(0) for low_bD in self._blocks()[1]) / len(self.u_VD)

    def _blocks(self) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        rows = _block_rows(self.u_VD)
        return self.u_VD.split(rows), self.low_PD[: len(self.u_VD)].split(rows)


def refuse_non_finite(x_ND: torch.Tensor, what: str) -> None:
    """Raises BuildError naming the first row with a NaN or infinite value."""
    # A sum is not finite if any term is not; it overflows otherwise only for values that need the second look.
    if not torch.isfinite(x_ND.sum()):
        broken = (~torch.isfinite(x_ND).all(1)).nonzero()[:, 0]
        if len(broken):
            raise BuildError(f"the vector of {what} {int(broken[0])} has a NaN or infinite value")


def row_norms(x_ND: torch.Tensor) -> torch.Tensor:
    """Norms of rows [N] in float64, for the squares of float32 values can leave float32."""
    wide = (x_nD.double() for x_nD in x_ND.split(_block_rows(x_ND)))
    return torch.cat([torch.linalg.vecdot(x_nD, x_nD).sqrt_() for x_nD in wide])


def _block_rows(x_ND: torch.Tensor) -> int:
    """Rows whose float64 copy fits a cache on a processor, and is small beside the rest on a GPU."""
    return max(1, (1 << (18 if x_ND.device.type == "cpu" else 26)) // x_ND.shape[1])
