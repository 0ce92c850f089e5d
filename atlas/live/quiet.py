"""Keep transformers from talking while it works: standard error is for our own notes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transformers.utils import logging

from atlas.silence import silence


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and progress bars, also on a terminal and in a notebook. Restores all on exit."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    verbosity, bars, of_hub = logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    logging.set_verbosity_error()
    try:
        with silence("huggingface_hub"):
            logging.disable_progress_bar()  # a notebook shows them elsewhere than on standard error
            try:
                yield
            finally:
                if bars:
                    logging.enable_progress_bar()
                # transformers switches those of huggingface_hub with its own, which somebody may have set apart.
                (disable_progress_bars if of_hub else enable_progress_bars)()
    finally:
        logging.set_verbosity(verbosity)
