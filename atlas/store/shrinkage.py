"""What to expect of a neuron on new texts, from what its intervals held of held-out ones: empirical Bayes.

Held-out shares are right for a neuron as it is, but of many neurons those that come first owe part of their place to
luck. What coverage - leakage, J, a neuron really has is taken as drawn from one distribution for all neurons of the fit
and concept. That is estimated from them, as weights on a grid (the nonparametric maximum likelihood of Kiefer and
Wolfowitz 1956, by EM as Laird 1978 has it; for this use Jiang and Zhang 2009), and the mean of J given the neuron's
held-out J is what to expect of it: so one of many equals is drawn towards them, one that stands apart is left alone.

Axes: P different pairs of counts, S stretches of J with many of them, G points of the grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

STEP = 0.01
"""Of the grid from -1 to 1. Noise is taken for no less, so that a point is within reach of every value."""
_STRETCHES = 300
_ROUNDS = 100
"""Of EM, from equal weights. It is stopped where the weights say what J of many neurons say, and not yet of each one:
with the first of 46,080 they would end as a point of their own."""

# How much wider than binomial the noise of held-out J is: of shares of texts over 5 folds, each of which has another
# interval. With shuffled labels, so where J is 0, its variance was 1.71 times the binomial one, of 60 texts a concept
# as of 150; from halves of labelled texts, of neurons with J near 0.1, 0.2, 0.3 and beyond 0.4: 1.6, 1.4, 1.2, 1.1.
_WIDER, _STABLE = 0.7, 0.4


def expected_shares(
    inside_P: np.ndarray, others_P: np.ndarray, neurons_P: np.ndarray, n: int | np.ndarray, n_others: int | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and leakage to expect, [P] each, of neurons with these held-out counts.

    `inside_P`, `others_P`: held-out values of the concept, of n, and of all others, of n_others, in the intervals;
    `neurons_P`: how many neurons have these counts. n and n_others are not 0, and may differ from pair to pair, [P].
    """
    import numpy as np

    coverage_P, leakage_P = inside_P / n, others_P / n_others
    # Of a share that is 0 or 1 in so many texts the noise is small, not none.
    noise_P, noise_others_P = _binomial(inside_P, n), _binomial(others_P, n_others)
    j_P, variance_P = coverage_P - leakage_P, noise_P + noise_others_P
    grid_G = np.arange(round(-1 / STEP), round(1 / STEP) + 1) * STEP
    prior_G = _prior(j_P, variance_P, neurons_P, grid_G)
    expected_P = np.concatenate(
        [
            _given(_likelihood(j_P[part], variance_P[part], grid_G) * prior_G) @ grid_G
            for part in np.split(np.arange(len(j_P)), range(4096, len(j_P), 4096))
        ]
    )
    # Points of the grid draw from below as well; but of what stands out no more is promised than was held out.
    expected_P = np.where(j_P > prior_G @ grid_G, np.minimum(expected_P, j_P), expected_P)
    # What is taken for noise is that of the two shares, each by its part in the variance.
    noise_of_coverage_P = (j_P - expected_P) * noise_P / variance_P
    noise_of_leakage_P = (expected_P - j_P) * noise_others_P / variance_P
    return np.clip(coverage_P - noise_of_coverage_P, 0, 1), np.clip(leakage_P - noise_of_leakage_P, 0, 1)


def _binomial(counts_P: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Variance of a share of n, with half a value more on either side."""
    share_P = (counts_P + 0.5) / (n + 1)
    variance_P: np.ndarray = share_P * (1 - share_P) / n
    return variance_P


def _prior(j_P: np.ndarray, variance_P: np.ndarray, neurons_P: np.ndarray, grid_G: np.ndarray) -> np.ndarray:
    """Weights of the grid, their sum 1: how J is distributed over the neurons."""
    import numpy as np

    span = max(np.ptp(j_P), STEP)
    stretch_P = np.minimum((j_P - j_P.min()) / span * _STRETCHES, _STRETCHES - 1).astype(np.int64)
    _, stretch_P = np.unique(stretch_P, return_inverse=True)
    neurons_S = np.bincount(stretch_P, neurons_P)
    mean_S, variance_S = (np.bincount(stretch_P, each * neurons_P) / neurons_S for each in (j_P, variance_P))
    likelihood_SG = _likelihood(mean_S, variance_S, grid_G)
    prior_G = np.full(len(grid_G), 1 / len(grid_G))
    for _ in range(_ROUNDS):
        prior_G = neurons_S @ _given(likelihood_SG * prior_G) / neurons_S.sum()
    return prior_G


def _likelihood(j_P: np.ndarray, variance_P: np.ndarray, grid_G: np.ndarray) -> np.ndarray:
    """Of held-out J where it is really that of the grid, [P, G]; each row up to a factor."""
    import numpy as np

    wider_G = 1 + _WIDER * np.clip(1 - grid_G / _STABLE, 0, 1)
    variance_PG = np.maximum(variance_P[:, None] * wider_G, STEP**2)
    log_PG = -0.5 * ((j_P[:, None] - grid_G) ** 2 / variance_PG + np.log(variance_PG))
    likelihood_PG: np.ndarray = np.exp(log_PG - log_PG.max(axis=1, keepdims=True))
    return likelihood_PG


def _given(weights_PG: np.ndarray) -> np.ndarray:
    """Each row with the sum 1."""
    given_PG: np.ndarray = weights_PG / weights_PG.sum(axis=1, keepdims=True)
    return given_PG
