"""What every picture shares: which files it may go to, a quiet matplotlib, the file on disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.extras import require
from atlas.printable import printable
from atlas.silence import silence
from atlas.whole_file import require_output, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def require_target(path: Path) -> None:
    """Raise UsageError unless a picture can be written at `path`, MissingExtraError without matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} is not a picture", f"End it in {', '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "Create it first.")
    require_output(path)
    _matplotlib("matplotlib")


@contextmanager
def drawing(look: dict[str, Any]) -> Iterator[None]:
    """Figures made here get this look and matplotlib does not talk; the caller's settings of it come back after."""
    with silence("matplotlib"), _matplotlib("matplotlib").rc_context(look):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that belongs to no window."""
    figure: Figure = _matplotlib("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a whole; the suffix is the format. UsageError when it cannot be written."""
    write_whole(content_of(figure, path.suffix.lower()), path)


def content_of(figure: Figure, suffix: str, dpi: int = 150) -> bytes:
    """The figure as a file of this suffix, one of SUFFIXES."""
    for text in figure.findobj(_matplotlib("matplotlib.text").Text):
        text.set_text(printable(text.get_text(), keep="\n"))  # a control character in an SVG makes it no XML
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:], dpi=dpi, metadata=_UNDATED.get(suffix))
    return content.getvalue()


def _matplotlib(module: str) -> Any:
    with silence("matplotlib"):  # it says so when it lists the fonts for the first time
        return require(module, extra="plot", why="to draw pictures")
