"""An unembedding prepared once for many searches: its bfloat16 copy, and how much that copy lost."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F

TILE = 2048  # tokens per product: the logits of a tile stay in the second-level cache
FOLD = 16  # tokens per block of maxima


class Vocabulary:
    """U [d_vocab, d_model], float32 and finite, with what the fast paths need to know of it.

    Making one costs nothing; each property is computed at its first use and kept.
    """

    def __init__(self, u_VD: torch.Tensor) -> None:
        self.u_VD = u_VD

    @cached_property
    def low_PD(self) -> torch.Tensor:
        """U in bfloat16, with zero rows to a multiple of 8 * FOLD."""
        return F.pad(self.u_VD.bfloat16(), (0, 0, 0, -len(self.u_VD) % (8 * FOLD)))

    @cached_property
    def norm_P(self) -> torch.Tensor:
        """|u_j| in float64, for the squares of float32 values can leave float32; zero for padding."""
        norm_V = torch.linalg.vector_norm(self.u_VD, dim=1, dtype=torch.float64)
        return F.pad(norm_V, (0, len(self.low_PD) - len(norm_V)))

    @cached_property
    def lost_P(self) -> torch.Tensor:
        """|u_j - bf16(u_j)| in float64; zero for checkpoints that are bfloat16 themselves, and for padding."""
        rows = max(1, (1 << 22) // self.u_VD.shape[1])
        parts = zip(self.u_VD.split(rows), self.low_PD.split(rows), strict=False)
        lost = [torch.linalg.vector_norm(u - low[: len(u)], dim=1, dtype=torch.float64) for u, low in parts]
        return F.pad(torch.cat(lost), (0, len(self.low_PD) - len(self.u_VD)))

    @cached_property
    def block_token_MF(self) -> torch.Tensor:
        """The tokens of each block: FOLD of one tile, at equal distances, so that maxima are taken down columns."""
        tiles = torch.arange(len(self.low_PD)).split(TILE)
        return torch.cat([tile.view(FOLD, -1).T for tile in tiles])

    @cached_property
    def mean_D(self) -> torch.Tensor:
        """Mean row of U, float64."""
        return self.u_VD.sum(0, dtype=torch.float64) / len(self.u_VD)

    @cached_property
    def low_mean_D(self) -> torch.Tensor:
        """Mean row of the bfloat16 copy, float64."""
        return self.low_PD[: len(self.u_VD)].sum(0, dtype=torch.float64) / len(self.u_VD)
