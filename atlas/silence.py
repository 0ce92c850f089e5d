"""Keep libraries from talking while they work for us: standard error is for our own notes and bars."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silence(*loggers: str) -> Iterator[None]:
    """Nothing on stderr: no warning, no line of the loggers of these names, no bar. Restores all on exit.

    Bars go with the stream: some are bare tqdm ones, which no switch of their library reaches.
    """
    levels = {name: logging.getLogger(name).level for name in loggers}
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
