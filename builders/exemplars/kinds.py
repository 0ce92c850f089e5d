"""The lists of texts that are kept of each neuron."""

from __future__ import annotations

from typing import NamedTuple

EXTREME_WINDOW, BAND_WINDOW = 14, 6
"""Tokens of a window around the token that a text is listed for."""
DRAWN = 32
"""Texts that the bands are of."""


class List(NamedTuple):
    """A list of texts. `sign`: of what is largest in a text; `closed`: whether the gate of tokens that may stand for it
    is negative, None: any. `drawn`: whether texts come in by their hash. `window`: tokens of a window.
    """

    code: int
    sign: int
    most: int
    closed: bool | None = None
    drawn: bool = False
    window: int = 0


PLAIN = (
    List(1, 1, 16, window=EXTREME_WINDOW),
    List(2, -1, 16, window=EXTREME_WINDOW),
    List(3, 1, DRAWN, drawn=True, window=BAND_WINDOW),
)
# An activation has the sign of gate x up.
GATED = (
    List(7, 1, 4, closed=False),
    List(8, -1, 4, closed=False),
    List(9, -1, 4, closed=True),
    List(10, 1, 4, closed=True),
)
