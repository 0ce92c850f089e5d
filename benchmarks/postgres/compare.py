"""Whether two answers are the same: the same rows in the same order, numbers to rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.postgres.copy import storable

# float4 columns are computed in float32 by one side and in float64 by the other.
TOLERANCE = 1e-5


def difference(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> str | None:
    """What the first difference is, or None. Compared are the columns of `theirs`, which `ours` must have."""
    if len(ours) != len(theirs):
        return f"{len(ours)} rows against {len(theirs)}"
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True), 1):
        for name, value in their.items():
            if name not in our:
                return f"no column {name} on our side"
            if not same(our[name], value):
                return f"row {number}, {name}: {our[name]!r} against {value!r}"
    return None


def same(ours: Any, theirs: Any) -> bool:
    """Equal values; floats to TOLERANCE (relative), with NaN equal to NaN; lists element by element."""
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=1e-9) or (ours != ours and theirs != theirs)
    if isinstance(ours, str) and isinstance(theirs, str):
        return storable(ours) == theirs
    return ours == theirs and type(ours) is type(theirs)
