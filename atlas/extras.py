"""Optional packages: import one, or say which command installs it."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

from atlas.errors import MissingExtraError

GGUF_PACKAGES = ("gguf", "accelerate")
"""What transformers reads a GGUF file with."""


def require(module: str, extra: str, why: str = "") -> ModuleType:
    """Import `module`, or raise MissingExtraError naming the extra of this project that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, extra, why) from error


def require_gguf(*, imported: bool = True) -> None:
    """Raise MissingExtraError unless GGUF files can be read; only look for what reads them unless `imported`."""
    for package in GGUF_PACKAGES:
        if imported:
            require(package, extra="gguf", why="to read GGUF files")
        elif find_spec(package) is None:
            raise _missing(package, extra="gguf", why="to read GGUF files")


def _missing(module: str, extra: str, why: str) -> MissingExtraError:
    purpose = f" {why}" if why else ""
    return MissingExtraError(
        f"the package {module.partition('.')[0]!r} is not installed and is needed{purpose}",
        f"Run: pip install 'neuron-atlas[{extra}]'",
    )
