"""Whether postings say what the decodings say, value for value, whatever the order: sums of 64-bit mixes.

Both tables say of a token, a neuron and a sign the rank and the logit. Each such fact is mixed into 64 bits, and the
sums of the mixes, modulo 2^64, are equal when the facts are, and else but for one chance in 2^64. Sorting would take
several times as long.

Axes: B facts of a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Odd, so that nothing is lost: the golden ratio, and two multipliers known to mix well (SplitMix64, rrmxmx).
_PLACE, _VALUE, _SPREAD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xBF58476D1CE4E5B9


def sum_of_facts(token_B: np.ndarray, nid_B: np.ndarray, signed_rank_B: np.ndarray, logit_B: np.ndarray) -> int:
    """The sum over int32 tokens and nids, ranks (negative: a lowered token) and float32 logits."""
    import numpy as np

    mixed_B = token_B.astype(np.uint64)
    mixed_B <<= np.uint64(32)
    mixed_B |= nid_B.view(np.uint32)
    mixed_B *= np.uint64(_PLACE)
    value_B = signed_rank_B.astype(np.int32).view(np.uint32).astype(np.uint64)
    value_B <<= np.uint64(32)
    value_B |= logit_B.view(np.uint32)
    value_B *= np.uint64(_VALUE)
    mixed_B += value_B
    # The upper half now depends on everything, the lower one does not: a second multiplication spreads it.
    np.right_shift(mixed_B, np.uint64(32), out=value_B)
    mixed_B ^= value_B
    mixed_B *= np.uint64(_SPREAD)
    np.right_shift(mixed_B, np.uint64(32), out=value_B)
    mixed_B ^= value_B
    return int(mixed_B.sum())
