"""An unembedding prepared once for many searches: its bfloat16 copy, and how much that copy lost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from atlas.errors import BuildError
from builders.decoding.topk.moments import Moments

TILE = 1024  # tokens per product: the logits of a tile stay in the second-level cache
FOLD = 16  # tokens per block of maxima


@dataclass(frozen=True)
class Segment:
    """Some tokens in a row, from `start` on, the first n_real of them real ones; blocks as in `Vocabulary`.

    Products y of n neurons with a segment of S tokens are kept in stripes: one matrix [n, stripe] for every `stripe`
    tokens, one after another; the last may be narrower.
    """

    start: int
    n_real: int
    low_SD: torch.Tensor
    weight_M: torch.Tensor
    first_M: torch.Tensor  # counted from `start`
    step_M: torch.Tensor

    def place(self, row: torch.Tensor, token: torch.Tensor, n: int, stripe: int) -> torch.Tensor:
        """Where in y the pairs of (row, token) lie; tokens counted from `start`."""
        first = token // stripe * stripe
        return first * n + row * (len(self.low_SD) - first).clamp(max=stripe) + token - first


class Vocabulary:
    """U [d_vocab, d_model] in float32, with what the fast paths need to know of it, computed at first use and kept.

    With `kept`, log-sum-exp of float32 weights goes by second moments as well, for a preparation that pays only where
    several matrices meet this U. Raises BuildError where a value is NaN or infinite.
    """

    def __init__(self, u_VD: torch.Tensor, kept: bool = True) -> None:
        self.kept = kept
        self.u_VD = u_VD.detach().float()
        refuse_non_finite(self.u_VD, "token")

    @cached_property
    def low_PD(self) -> torch.Tensor:
        """U in bfloat16, with zero rows to a multiple of 8 * FOLD."""
        n_vocab, d_model = self.u_VD.shape
        low_PD = self.u_VD.new_zeros((n_vocab + -n_vocab % (8 * FOLD), d_model), dtype=torch.bfloat16)
        low_PD[:n_vocab].copy_(self.u_VD)
        return low_PD

    @cached_property
    def norm_P(self) -> torch.Tensor:
        """|u_j| in float64; zero for padding."""
        return F.pad(row_norms(self.u_VD), (0, len(self.low_PD) - len(self.u_VD)))

    @cached_property
    def lost_P(self) -> torch.Tensor:
        """|u_j - bf16(u_j)| in float64; zero for checkpoints that are bfloat16 themselves, and for padding."""
        if self.lossless:
            return torch.zeros_like(self.norm_P)
        lost = [row_norms(u_bD - low_bD) for u_bD, low_bD in zip(*self._blocks(), strict=True)]
        return F.pad(torch.cat(lost), (0, len(self.low_PD) - len(self.u_VD)))

    @cached_property
    def block_first_M(self) -> torch.Tensor:
        """The first token of each block: FOLD of one tile, at equal distances, so that maxima go down columns."""
        tiles = torch.arange(len(self.low_PD), device=self.u_VD.device).split(TILE)
        return torch.cat([tile[: len(tile) // FOLD] for tile in tiles])

    @cached_property
    def block_step_M(self) -> torch.Tensor:
        """The distance between the tokens of each block."""
        return ((len(self.low_PD) - self.block_first_M // TILE * TILE) // FOLD).clamp(max=TILE // FOLD)

    @property
    def gamma(self) -> float:
        """What adding up D float32 numbers loses at most, relative to the sum of their magnitudes.

        gamma_D for a unit of 2^-23, which covers truncation, and four units for what follows: log2(e) and the result.
        """
        d_model = self.u_VD.shape[1]
        return d_model * 2.0**-23 / (1 - d_model * 2.0**-23) + 2.0**-20

    @property
    def loss_ratio(self) -> float:
        """About |w| over the slope of `builders.decoding.topk.bounds` for float32 weights."""
        return 1 / (1.5 * 2.0**-10 + self.gamma)

    @cached_property
    def lossless(self) -> bool:
        """Whether the bfloat16 copy is U itself."""
        return all(torch.equal(low_bD.float(), u_bD) for u_bD, low_bD in zip(*self._blocks(), strict=True))

    @cached_property
    def largest_norm(self) -> torch.Tensor:
        """The largest |u_j|, float64."""
        return self.norm_P.max()

    @cached_property
    def weight_P(self) -> torch.Tensor:
        """|u_j| + loss_ratio |u_j - bf16(u_j)|, see `builders.decoding.topk.bounds`."""
        return (self.norm_P + self.loss_ratio * self.lost_P).float()

    @cached_property
    def weight_M(self) -> torch.Tensor:
        """The largest weight of each block."""
        tokens_FM = self.block_first_M + torch.arange(FOLD, device=self.u_VD.device)[:, None] * self.block_step_M
        return self.weight_P[tokens_FM].amax(0)

    @cached_property
    def mean_D(self) -> torch.Tensor:
        """Mean row of U, float64."""
        return sum(u_bD.double().sum(0) for u_bD in self._blocks()[0]) / len(self.u_VD)

    @cached_property
    def low_mean_D(self) -> torch.Tensor:
        """Mean row of the bfloat16 copy, float64."""
        if self.lossless:
            return self.mean_D
        return sum(low_bD.double().sum(0) for low_bD in self._blocks()[1]) / len(self.u_VD)

    @cached_property
    def moments(self) -> Moments:
        """Second moments; too dear to be part of `prepare`."""
        return Moments.of(self.u_VD, self.low_PD[: len(self.u_VD)], self.mean_D, self.low_mean_D, self.lossless)

    def segment(self, start: int, size: int) -> Segment:
        """Tokens start to start + size, both multiples of TILE."""
        blocks = slice(start // FOLD, (start + size) // FOLD)
        return Segment(
            start,
            min(size, len(self.u_VD) - start),
            self.low_PD[start : start + size],
            self.weight_M[blocks],
            self.block_first_M[blocks] - start,
            self.block_step_M[blocks],
        )

    def prepare(self) -> None:
        """Compute what a search needs, before several threads ask for it at once."""
        for name, value in vars(type(self)).items():
            if isinstance(value, cached_property) and name != "moments":
                getattr(self, name)

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
    norm_N = torch.empty(len(x_ND), dtype=torch.float64, device=x_ND.device)
    rows = _block_rows(x_ND)
    # Small results that are kept, each between large ones that go, would leave gigabytes of holes in the heap.
    for x_nD, norm_n in zip(x_ND.split(rows), norm_N.split(rows), strict=True):
        wide_nD = x_nD.double()
        norm_n.copy_(torch.linalg.vecdot(wide_nD, wide_nD).sqrt_())
    return norm_N


def _block_rows(x_ND: torch.Tensor) -> int:
    """Rows whose float64 copy fits a cache on a processor, and is small beside the rest on a GPU."""
    return max(1, (1 << (18 if x_ND.device.type == "cpu" else 26)) // x_ND.shape[1])
