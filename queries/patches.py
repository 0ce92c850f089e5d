"""Where in an image an exemplar is: the tokens of an image tower are a class token, then patches, row by row."""

from __future__ import annotations

import math

from atlas.store.reader import Atlas

IMAGE = "image"
COLUMNS = ["patch_row", "patch_column"]


def of_images(atlas: Atlas) -> bool:
    """Whether the running text of the atlas are images."""
    return atlas.manifest.tower == IMAGE


def patch_of(position: int, n_tokens: int) -> tuple[int, int]:
    """(row, column) from the top left, from 0, of a token of an image of `n_tokens`: a square of patches."""
    return divmod(position - 1, math.isqrt(n_tokens - 1))
