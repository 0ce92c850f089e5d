"""How long a statement to an atlas may take."""

from __future__ import annotations

import math
import os

from atlas.errors import QuestionError, UsageError

TIMEOUT_VARIABLE = "NEURON_ATLAS_TIMEOUT"
DEFAULT_TIMEOUT_S = 60.0
"""What a statement may take where nobody says otherwise."""

_MOST_S = 86_400


def time_limit(timeout_s: float | None) -> float | None:
    """Seconds, or None for any time, where 0 was given; given None, as $NEURON_ATLAS_TIMEOUT says, else a minute.

    Raises UsageError for what is no number of seconds up to a day.
    """
    given: str | float = os.environ.get(TIMEOUT_VARIABLE, DEFAULT_TIMEOUT_S) if timeout_s is None else timeout_s
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _MOST_S:
        raise UsageError(f"the timeout {given} is no number of seconds", "Give up to a day, or 0 for any time.")
    return seconds or None


def stopped_by_it(text: str) -> QuestionError | None:
    """What to say when DuckDB's error `text` says that a statement took longer; None when it says something else."""
    if "exceeded maximum execution time" not in text:
        return None
    return QuestionError(
        "stopped: the question took longer than it may", f"Raise --timeout, or set {TIMEOUT_VARIABLE}."
    )
