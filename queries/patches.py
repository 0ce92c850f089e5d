"""Where in an image an exemplar is: the tokens of an image tower are a class token, then patches, row by row."""

from __future__ import annotations

import json
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


def image_folders(atlas: Atlas, run_id: int) -> list[str]:
    """The folders that the images of a run were read from; none where the file does not say so as a build does."""
    _, rows = atlas.query("SELECT parameters FROM run WHERE run_id = $run", {"run": run_id})
    try:
        said = json.loads(rows[0][0])["images"] if rows else []
    except (ValueError, KeyError, TypeError, RecursionError):
        said = []
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []
