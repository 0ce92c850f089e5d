"""Pictures that stand for pages where somebody posts a link: PNGs of queries/plots, at a page's address with .png."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.util import find_spec

from atlas.answers.picture import content_of
from atlas.errors import UnknownNameError
from atlas.fit_choice import FitChoice
from queries.plots import bumps as look
from queries.plots.plot import draw_concept, draw_neuron
from queries.session.session import session_of
from queries.web.asked import Asked

SUFFIX = "png"
_DPI, _NEURONS = 100, 4
_one_at_a_time = threading.Lock()
"""What a figure looks like is set for all of matplotlib."""


@dataclass(frozen=True)
class _Picture:
    content: bytes

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return len(self.content)


def preview_of(asked: Asked, kind: str, part: str, fit: FitChoice | None = None) -> str | None:
    """The address of the picture of a page, of `fit` where one is meant; None where nothing draws or serves it."""
    if not asked.links.forms or find_spec("matplotlib") is None:
        return None
    return asked.links.page(kind, f"{part}.{SUFFIX}", **dict((fit or asked.fit).given()))


def picture(asked: Asked, kind: str) -> bytes:
    """The PNG of a neuron or a concept, kept for the next visitor. Raises as `plot_neuron` and `plot_concept`."""
    if kind not in ("neuron", "concept"):
        raise UnknownNameError("picture", f"{kind}.{SUFFIX}", ["neuron", "concept"])

    def draw() -> _Picture:
        with _one_at_a_time, look.style():
            if kind == "neuron":
                figure = draw_neuron(asked.atlas, asked.part, fit=asked.fit)
            else:
                figure = draw_concept(asked.atlas, asked.part, fit=asked.fit, limit=_NEURONS)
            return _Picture(content_of(figure, f".{SUFFIX}", _DPI))

    return session_of(asked.atlas).read(("preview", kind, asked.part, asked.fit), draw).content
