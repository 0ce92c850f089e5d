"""The pure parts of benchmarks/flash/main.py: words in answers, shares, intervals."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import numpy as np

DRAWS = 2000
_WORD = re.compile(r"[^\W\d_]+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; an apostrophe or hyphen ends a word, so "dog's" holds "dog"."""
    return _WORD.findall(text.casefold())


def speaks_of(text: str, words: Collection[str]) -> bool:
    """Whether one of `words` (lower case) is a word of the text, not a part of one."""
    return any(word in words for word in words_of(text))


def distinct_share(texts: list[str]) -> float:
    """Mean over the texts of different words / words, 1 without any repetition. Texts without words are left out."""
    shares = [len(set(words)) / len(words) for words in map(words_of, texts) if words]
    return float(np.mean(shares)) if shares else float("nan")


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of n independent trials (Wilson 1927)."""
    z, share = 1.959964, successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def share_interval(hits_DWS: np.ndarray) -> tuple[float, float, float]:
    """(share, lower, upper) of hits [draws of neurons, wordings, seeds], 95 %.

    Bootstrap that resamples draws and wordings, and seeds within them. Where all or none are hits that has no
    width, and the Wilson interval of as many independent answers stands in its place: it is too narrow.
    """
    share = float(hits_DWS.mean())
    if share in (0.0, 1.0):
        return (share, *wilson(int(hits_DWS.sum()), hits_DWS.size))
    return (share, *_quantiles(hits_DWS, lambda sample: float(sample.mean())))


def difference_interval(before_WS: np.ndarray, after_WS: np.ndarray) -> tuple[float, float, float]:
    """(after - before, lower, upper), 95 %: bootstrap over wordings and seeds, both sides resampled alike."""
    difference = after_WS.astype(float) - before_WS.astype(float)
    bounds = _quantiles(difference[None], lambda sample: float(sample.mean()))
    return (float(difference.mean()), *bounds)


def perplexity_interval(loss_WS: np.ndarray, tokens_WS: np.ndarray) -> tuple[float, float, float]:
    """(perplexity, lower, upper) from summed losses (nats) and token counts: bootstrap over wordings and seeds."""
    pairs = np.stack([loss_WS, tokens_WS], axis=-1)[None].astype(float)

    def perplexity(sample: np.ndarray) -> float:
        loss, tokens = sample.reshape(-1, 2).sum(0)
        return float(np.exp(loss / tokens))

    return (perplexity(pairs), *_quantiles(pairs, perplexity))


def _quantiles(values_DWS: np.ndarray, statistic: Callable[[np.ndarray], float]) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    n_draws, n_wordings, n_seeds = values_DWS.shape[:3]
    found = []
    for _ in range(DRAWS):
        draws = generator.integers(n_draws, size=(n_draws, 1, 1))
        wordings = generator.integers(n_wordings, size=(1, n_wordings, 1))
        seeds = generator.integers(n_seeds, size=(n_draws, n_wordings, n_seeds))
        found.append(statistic(values_DWS[draws, wordings, seeds]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
