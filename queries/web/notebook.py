"""A page of the explorer inside a notebook: `shown(atlas, "L29N808")` as the last line of a cell."""

from __future__ import annotations

from html import escape

from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.store.reader import Atlas
from queries.answering import question
from queries.web.saved import one_page

HEIGHT = 640
"""Pixels of the frame; the page scrolls within it."""


class Shown:
    """A page that a notebook shows in a frame of its own, where it can run no script and reach nothing."""

    def __init__(self, content: str, height: int) -> None:
        self.content, self.height = content, height

    def _repr_html_(self) -> str:
        frame = f'sandbox="" width="100%" height="{self.height}" style="border: 0"'
        return f'<iframe srcdoc="{escape(self.content, quote=True)}" {frame}></iframe>'


@question
def shown(atlas: Atlas, what: str, *, fit: FitChoice = ANY_FIT, height: int = HEIGHT) -> Shown:
    """The page of `what`, as `neuron-atlas page` names it: 'L29N808', 'concept/sports', 'token/dog' or 'atlas'.

    Raises UsageError for text that names no page, and what the page's question raises.
    """
    return Shown(one_page(atlas, what, fit=fit).decode(), height)
