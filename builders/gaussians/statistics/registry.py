"""Every streaming statistic, by name.

A new one is one file in this package, one line here, and one column (or table) in the schema.
"""

from __future__ import annotations

import importlib

from builders.gaussians.statistics.base import Statistic

STATISTICS = {
    "moments": "builders.gaussians.statistics.moments:Moments",
    "extremes": "builders.gaussians.statistics.extremes:Extremes",
}


def statistic(name: str) -> type[Statistic]:
    """The class of a statistic; KeyError for a name that is not registered."""
    module, _, attribute = STATISTICS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
