"""Keep transformers from talking while it works: standard error is for our own notes."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator

from transformers.utils import logging


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, and progress bars too when standard error is no terminal. Restores all on exit."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    with contextlib.ExitStack() as stack:
        stack.callback(logging.set_verbosity, verbosity)
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        if not sys.stderr.isatty():
            # Some of the bars are bare tqdm ones, which no switch of transformers reaches.
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield
