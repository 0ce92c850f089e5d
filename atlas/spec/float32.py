"""Numbers as float32 without numpy: the precision in which conditions are decided and edits applied."""

from __future__ import annotations

import struct

# The decimal every reader rounds to the largest float32; the exact value has 39 digits.
FLOAT32_MAX = 3.4028235e38


def to_float32(number: float) -> float:
    """The nearest float32, as a Python float. OverflowError beyond the range of float32."""
    nearest: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return nearest


def shortest_float32(number: float) -> float:
    """The shortest decimal that still means the float32 nearest to `number`, as a Python float.

    0.4000000059604645 and 0.4 are one float32, and both give 0.4; -0.0 gives 0.0. Written to JSON the
    result is short, and read back in any precision it rounds to the same float32. Any decimal of at most
    6 digits survives a trip through float32 and 9 always suffice (IEEE 754), so four tries do.
    OverflowError beyond the range of float32.
    """
    exact = to_float32(number)
    for digits in (6, 7, 8):
        candidate = float(f"{exact:.{digits}g}")
        if abs(candidate) <= FLOAT32_MAX and to_float32(candidate) == exact:
            return candidate + 0.0
    return float(f"{exact:.9g}") + 0.0
