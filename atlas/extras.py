"""Optional packages: import one, or say which command installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from atlas.errors import MissingExtraError


def require(module: str, extra: str, why: str = "") -> ModuleType:
    """Import `module`, or raise MissingExtraError naming the extra of this project that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        purpose = f" {why}" if why else ""
        raise MissingExtraError(
            f"the package {module.partition('.')[0]!r} is not installed and is needed{purpose}",
            f"Run: pip install 'neuron-atlas[{extra}]'",
        ) from error
