"""What vectors of no meaning reach: the null that the facts of neurons stand beside.

Two independent vectors of uniform direction in D dimensions: cosine² has a Beta(1/2, (D - 1)/2) distribution, the share
of a squared norm in K given directions Beta(K/2, (D - K)/2). Kurtosis and the correlation with frequency depend on U,
so vectors are drawn and measured.
"""

from __future__ import annotations

import numpy as np
import torch

N_RANDOM, SEED, LEVEL = 1024, 0, 0.95


def drawn(d_model: int, device: torch.device) -> torch.Tensor:
    """[N_RANDOM, D] float32, of uniform direction; the same ones in every build."""
    values = np.random.default_rng(SEED).standard_normal((N_RANDOM, d_model)).astype(np.float32)
    return torch.from_numpy(values).to(device)


def cosine_quantile(d_model: int) -> float:
    """|cosine| of two random vectors, LEVEL of the times at most."""
    from scipy.stats import beta

    return float(np.sqrt(beta.ppf(LEVEL, 0.5, (d_model - 1) / 2))) if d_model > 1 else 1.0


def share_quantile(directions: int, d_model: int) -> float:
    """Share of the squared norm of a random vector in so many directions, LEVEL of the times at most."""
    from scipy.stats import beta

    return float(beta.ppf(LEVEL, directions / 2, (d_model - directions) / 2)) if directions < d_model else 1.0


def quantile(values_N: np.ndarray) -> float | None:
    """What LEVEL of the values, NaN left out, are at most; None where all are NaN."""
    known = values_N[~np.isnan(values_N)]
    return float(np.quantile(known, LEVEL)) if len(known) else None
