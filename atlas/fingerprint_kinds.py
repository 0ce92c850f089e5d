"""The two kinds of fingerprints that files carry; atlas/live/fingerprint.py says what each is of."""

from __future__ import annotations

FIRST, SECOND = "sha256:", "sha256v2:"


def may_be_of_one_model(a: str, b: str) -> bool:
    """Whether two fingerprints are equal, or of different kinds, which only the loaded model can compare."""
    return a == b or a.startswith(FIRST) != b.startswith(FIRST)
