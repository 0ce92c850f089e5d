"""One number per text, equal for texts that differ only in case or white space.

The atlas keeps these numbers of the examples that its statistics used (table `fit_example`), so that an
evaluation can leave those out; and they decide which examples a build holds out, so that the same corpus
always divides in the same way.
"""

from __future__ import annotations

import hashlib

SPACE = 2**64


def text_hash(text: str) -> int:
    """0 .. 2^64 - 1: the first 8 bytes of SHA-256 over the casefolded text with single spaces, big-endian."""
    plain = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.sha256(plain.encode()).digest()[:8], "big")


def is_held_out(text: str, share: float) -> bool:
    """Whether a build that holds out `share` (0 <= share < 1) of the examples leaves this one out.

    The top `share` of the hash space is held out, so a larger share holds out all that a smaller one does.
    """
    return text_hash(text) >= SPACE - round(share * SPACE)
