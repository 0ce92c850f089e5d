"""Keep transformers from talking while it works: standard error is for our own notes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging

from atlas.silence import silence


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and progress bars, also on a terminal. Restores all on exit."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with silence("huggingface_hub"):
            yield
    finally:
        logging.set_verbosity(verbosity)
