"""An unembedding prepared once for many searches: its bfloat16 copy, and how much that copy lost."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F

FOLD = 16  # tokens per block of maxima; the low-precision copy is padded to whole blocks


class Vocabulary:
    """U [d_vocab, d_model], float32 and finite, with what the fast paths need to know of it.

    Making one costs nothing; each property is computed at its first use and kept.
    """

    def __init__(self, u_VD: torch.Tensor) -> None:
        self.u_VD = u_VD

    @cached_property
    def low_PD(self) -> torch.Tensor:
        """U in bfloat16, the last row repeated until the rows are a multiple of FOLD."""
        low_VD = self.u_VD.bfloat16()
        missing = -len(low_VD) % FOLD
        return F.pad(low_VD.T, (0, missing), mode="replicate").T.contiguous() if missing else low_VD

    @cached_property
    def norm_V(self) -> torch.Tensor:
        """|u_j| in float64: the squares of float32 values can leave float32."""
        return torch.linalg.vector_norm(self.u_VD, dim=1, dtype=torch.float64)

    @cached_property
    def lost_V(self) -> torch.Tensor:
        """|u_j - bf16(u_j)| in float64; zero for checkpoints that are bfloat16 themselves."""
        rows = max(1, (1 << 22) // self.u_VD.shape[1])
        parts = zip(self.u_VD.split(rows), self.low_PD.split(rows), strict=False)
        lost = [torch.linalg.vector_norm(u - low[: len(u)], dim=1, dtype=torch.float64) for u, low in parts]
        return torch.cat(lost)

    @cached_property
    def mean_D(self) -> torch.Tensor:
        """Mean row of U, float64."""
        return self.u_VD.sum(0, dtype=torch.float64) / len(self.u_VD)

    @cached_property
    def low_mean_D(self) -> torch.Tensor:
        """Mean row of the bfloat16 copy, float64."""
        return self.low_PD[: len(self.u_VD)].sum(0, dtype=torch.float64) / len(self.u_VD)
